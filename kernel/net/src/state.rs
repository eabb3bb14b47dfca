//! All that a stack has, for the files that work on it.

use crate::addr::{collide, takes};
use crate::config::Config;
use crate::conn::Connections;
use crate::error::ErrorKind;
use crate::link::Link;
use crate::memory::Memory;
use crate::param::EPHEMERAL;
use crate::random::Random;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use executive::lock::{Lock, Rank};

pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) random: Random,
    /// The loop first.
    pub(crate) links: Lock<Vec<Arc<Link>>>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) ports: Ports,
    /// Who waits for answers to pings.
    pub(crate) pings: Lock<Vec<Arc<dyn Hears>>>,
    /// Who is asked for names.
    pub(crate) name_servers: Lock<Vec<IpAddr>>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) drops: Drops,
    pub(crate) is_down: AtomicBool,
}

/// A socket without connections.
pub(crate) trait Hears: Send + Sync {
    /// A frame has come on this link; if it is for this socket, it is taken. `false`: it is not.
    fn hear(self: Arc<Self>, link: &Arc<Link>, frame: &[u8]) -> bool;
}

/// Who has which UDP port: by the port's lower bits, a lock each.
pub(crate) struct Ports(Vec<Lock<Vec<Bound>>>);

/// A UDP port in use.
pub(crate) struct Bound {
    pub(crate) at: SocketAddr,
    pub(crate) who: Arc<dyn Hears>,
}

/// Frames and SYNs that were dropped, by reason.
#[derive(Default)]
pub(crate) struct Drops {
    pub(crate) malformed: AtomicU64,
    pub(crate) fragments: AtomicU64,
    pub(crate) not_ours: AtomicU64,
    pub(crate) backlog: AtomicU64,
}

/// Bits of a port that choose its lock.
const PORT_LOCKS: usize = 16;

impl Ports {
    fn new() -> Self {
        Ports((0..PORT_LOCKS).map(|_| Lock::new(Rank::User, Vec::new())).collect())
    }

    fn of(&self, port: u16) -> &Lock<Vec<Bound>> {
        &self.0[usize::from(port) % PORT_LOCKS]
    }

    /// Whose a datagram for this address is.
    pub(crate) fn find(&self, at: SocketAddr) -> Option<Arc<dyn Hears>> {
        let bound = self.of(at.port()).lock();
        let exact = bound.iter().find(|bound| bound.at == at);
        let any = || bound.iter().find(|bound| takes(bound.at, at));
        exact.or_else(any).map(|bound| bound.who.clone())
    }

    /// `false`: another socket has it.
    pub(crate) fn bind(&self, at: SocketAddr, who: Arc<dyn Hears>) -> bool {
        let mut all = self.of(at.port()).lock();
        let free = !all.iter().any(|bound| collide(bound.at, at));
        if free {
            all.push(Bound { at, who });
        }
        free
    }

    pub(crate) fn unbind(&self, at: SocketAddr, who: &Arc<dyn Hears>) {
        let mut all = self.of(at.port()).lock();
        let nth = all.iter().position(|bound| bound.at == at && Arc::ptr_eq(&bound.who, who));
        let gone = nth.map(|nth| all.swap_remove(nth));
        drop(all);
        drop(gone);
    }
}

impl State {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        let random = Random::new(config.seed);
        let table_key = Random::new(core::array::from_fn(|_| random.next()));
        Arc::new(State {
            random,
            links: Lock::new(Rank::User, Vec::new()),
            connections: Arc::new(Connections::new(table_key, config.time_wait)),
            ports: Ports::new(),
            pings: Lock::new(Rank::User, Vec::new()),
            name_servers: Lock::new(Rank::User, config.name_servers.clone()),
            memory: Memory::new(config.all_buffers, config.pages),
            drops: Drops::default(),
            is_down: AtomicBool::new(false),
            config,
        })
    }

    /// DHCP tells of other name servers. They count if none were chosen.
    pub(crate) fn learn_name_servers(&self, gone: &[IpAddr], new: &[IpAddr]) {
        if self.config.name_servers.is_empty() {
            let mut all = self.name_servers.lock();
            all.retain(|server| !gone.contains(server) && !new.contains(server));
            all.extend_from_slice(new);
        }
    }

    /// The link that leads to this address, and our address there.
    pub(crate) fn route(&self, remote: IpAddr) -> Result<(Arc<Link>, IpAddr), ErrorKind> {
        if self.is_down.load(Relaxed) {
            return Err(ErrorKind::Closed);
        }
        let links = self.links.lock().clone();
        // An address of our own: the loop has them all.
        if let Some(first) = links.first()
            && first.has(remote)
        {
            return Ok((first.clone(), remote));
        }
        let direct = links.iter().find(|link| link.is_direct(remote));
        let found = direct
            .into_iter()
            .chain(&links)
            .find_map(|link| link.source_for(remote).map(|source| (link.clone(), source)));
        found.ok_or(ErrorKind::NetworkUnreachable)
    }

    /// Calls `take` with ports for those who name none, from a random one on, until it gives
    /// something. `None`: it never did.
    pub(crate) fn with_port<T>(&self, mut take: impl FnMut(u16) -> Option<T>) -> Option<T> {
        let (first, many) = (EPHEMERAL.start, EPHEMERAL.len());
        let from = self.random.next() as usize % many;
        (0..many).find_map(|nth| take(first + ((from + nth) % many) as u16))
    }
}
