//! Who has which addresses: connections by both their ends, and listeners.
//!
//! The table is cut into shards, a lock each. A flow's shard is chosen by a secret hash, so CPUs
//! seldom meet at one, and nobody outside can aim at one. Every shard knows all listeners: a SYN
//! needs no other lock.
//!
//! A connection that has ended stays as a small entry for a while (TIME-WAIT): a late segment of
//! the old one must not be taken for the new one's. No timer ends these entries: who makes another
//! one takes away those that are over.

use crate::addr::{collide, takes};
use crate::frame::{Flow, Numbers, is_after};
use crate::param::{SHARDS, TIME_WAITS};
use crate::random::Random;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use executive::lock::{Lock, LockGuard, Rank};
use executive::time::{Duration, Instant};
use hashbrown::HashTable;

/// `C` is a connection, `L` a listener.
pub(crate) struct Table<C, L: ?Sized> {
    shards: Vec<Lock<Shard<C, L>>>,
    random: Random,
    time_wait: Duration,
}

struct Shard<C, L: ?Sized> {
    entries: HashTable<Entry<C>>,
    listeners: Vec<(SocketAddr, Arc<L>)>,
    /// The small entries, by when they are over.
    over: VecDeque<(Instant, Flow)>,
}

struct Entry<C> {
    flow: Flow,
    who: Who<C>,
}

enum Who<C> {
    Open(Arc<C>),
    TimeWait { until: Instant, numbers: Numbers },
}

/// Whose a segment is.
pub(crate) enum Found<C, L: ?Sized> {
    Connection(Arc<C>),
    /// It was for a connection that has ended, and had come so far.
    TimeWait(Numbers),
    /// A SYN may begin a connection here.
    Listener(Arc<L>),
    Nobody,
}

impl<C, L: ?Sized> Table<C, L> {
    pub(crate) fn new(random: Random, time_wait: Duration) -> Self {
        let shard =
            || Shard { entries: HashTable::new(), listeners: Vec::new(), over: VecDeque::new() };
        let shards = (0..SHARDS).map(|_| Lock::new(Rank::User, shard())).collect();
        Table { shards, random, time_wait }
    }

    fn shard(&self, flow: &Flow) -> (u64, LockGuard<'_, Shard<C, L>>) {
        let hash = flow.hash(&self.random);
        (hash, self.shards[(hash >> 32) as usize % SHARDS].lock())
    }

    /// Whose a segment is. `syn`: it begins a connection, with this sequence number.
    pub(crate) fn find(&self, flow: &Flow, syn: Option<u32>) -> Found<C, L> {
        let (hash, shard) = self.shard(flow);
        match shard.entries.find(hash, |entry| entry.flow == *flow).map(|entry| &entry.who) {
            Some(Who::Open(connection)) => return Found::Connection(connection.clone()),
            // A new connection of the same addresses is told by its number (RFC 1122, 4.2.2.13).
            Some(Who::TimeWait { until, numbers })
                if *until > Instant::now()
                    && !syn.is_some_and(|number| is_after(number, numbers.expected)) =>
            {
                return Found::TimeWait(*numbers);
            }
            _ => {}
        }
        if syn.is_none() {
            return Found::Nobody;
        }
        let exact = shard.listeners.iter().find(|(at, _)| *at == flow.local);
        let any = || shard.listeners.iter().find(|(bound, _)| takes(*bound, flow.local));
        exact.or_else(any).map_or(Found::Nobody, |(_, who)| Found::Listener(who.clone()))
    }

    /// A connection has these addresses from here on. `false`: another one has them. `also_over`:
    /// one that has just ended may be replaced.
    pub(crate) fn insert(&self, flow: Flow, connection: &Arc<C>, also_over: bool) -> bool {
        let (hash, mut shard) = self.shard(&flow);
        let now = Instant::now();
        match shard.entries.find_mut(hash, |entry| entry.flow == flow) {
            Some(entry) => match entry.who {
                Who::TimeWait { until, .. } if also_over || until <= now => {
                    entry.who = Who::Open(connection.clone());
                    true
                }
                _ => false,
            },
            None => {
                let entry = Entry { flow, who: Who::Open(connection.clone()) };
                let hasher = |entry: &Entry<C>| entry.flow.hash(&self.random);
                shard.entries.insert_unique(hash, entry, hasher);
                true
            }
        }
    }

    /// Whether nobody has these addresses; a moment later somebody may.
    pub(crate) fn is_free(&self, flow: &Flow, also_over: bool) -> bool {
        let (hash, shard) = self.shard(flow);
        match shard.entries.find(hash, |entry| entry.flow == *flow).map(|entry| &entry.who) {
            None => true,
            Some(Who::Open(_)) => false,
            Some(Who::TimeWait { until, .. }) => also_over || *until <= Instant::now(),
        }
    }

    /// The connection is not found any more.
    pub(crate) fn remove(&self, flow: &Flow, connection: &Arc<C>) {
        let (hash, mut shard) = self.shard(flow);
        let is_it = |entry: &Entry<C>| {
            entry.flow == *flow
                && matches!(&entry.who, Who::Open(it) if Arc::ptr_eq(it, connection))
        };
        let removed = shard.entries.find_entry(hash, is_it).ok().map(|e| e.remove().0);
        drop(shard);
        drop(removed); // perhaps the last count: its buffers are freed
    }

    /// The small entry of a connection that has come so far is taken away.
    pub(crate) fn forget(&self, flow: &Flow, so_far: Numbers) {
        let (hash, mut shard) = self.shard(flow);
        let is_it = |entry: &Entry<C>| {
            entry.flow == *flow
                && matches!(entry.who, Who::TimeWait { numbers, .. } if numbers == so_far)
        };
        let _ = shard.entries.find_entry(hash, is_it).map(|entry| entry.remove().0);
    }

    /// The connection is replaced by a small entry.
    pub(crate) fn ends(&self, flow: &Flow, connection: &Arc<C>, numbers: Numbers) {
        let (hash, mut shard) = self.shard(flow);
        let now = Instant::now();
        let until = now + self.time_wait;
        let entry = shard.entries.find_mut(hash, |entry| entry.flow == *flow);
        let Some(entry) = entry else { return };
        if !matches!(&entry.who, Who::Open(it) if Arc::ptr_eq(it, connection)) {
            return;
        }
        let was = core::mem::replace(&mut entry.who, Who::TimeWait { until, numbers });
        shard.over.push_back((until, *flow));
        while let Some(&(until, flow)) = shard.over.front()
            && (until <= now || shard.over.len() > TIME_WAITS / SHARDS)
        {
            shard.over.pop_front();
            let is_it = |entry: &Entry<C>| {
                entry.flow == flow
                    && matches!(entry.who, Who::TimeWait { until: its, .. } if its == until)
            };
            if let Ok(entry) = shard.entries.find_entry(flow.hash(&self.random), is_it) {
                entry.remove();
            }
        }
        drop(shard);
        drop(was);
    }

    /// A listener has this address from here on. `false`: another one has it.
    pub(crate) fn listen(&self, at: SocketAddr, listener: &Arc<L>) -> bool {
        let mut first = self.shards[0].lock();
        if first.listeners.iter().any(|(other, _)| collide(*other, at)) {
            return false;
        }
        first.listeners.push((at, listener.clone()));
        drop(first);
        // Who listens at the same time was refused by the first shard.
        for shard in &self.shards[1..] {
            shard.lock().listeners.push((at, listener.clone()));
        }
        true
    }

    /// The listener is not found any more.
    pub(crate) fn unlisten(&self, listener: &Arc<L>) {
        for shard in self.shards.iter().rev() {
            shard.lock().listeners.retain(|(_, it)| !Arc::ptr_eq(it, listener));
        }
    }

    /// All connections that are open, for whoever ends them.
    pub(crate) fn all(&self) -> Vec<Arc<C>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            for entry in &shard.lock().entries {
                if let Who::Open(connection) = &entry.who {
                    all.push(connection.clone());
                }
            }
        }
        all
    }

    /// How many are open, and how many have ended lately.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(open, over), shard| {
            let shard = shard.lock();
            let here = shard.entries.iter().filter(|e| matches!(e.who, Who::Open(_))).count();
            (open + here, over + shard.entries.len() - here)
        })
    }
}
