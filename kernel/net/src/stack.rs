//! A stack and its interfaces, as programs see them.

use crate::config::Config;
use crate::device::Device;
use crate::error::ErrorKind;
use crate::link::{Counts, Link};
use crate::pump::pump;
use crate::state::State;
use crate::wire::WireEnd;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::sync::atomic::Ordering::Relaxed;
use executive::Builder;
use executive::sync::OnceLock;
use smoltcp::wire::{IpAddress, IpCidr};

/// All that a machine has of a network. A clone is the same one. Made by [`Stack::new`]; ends when
/// it is [shut down](Self::shut_down).
#[derive(Clone)]
pub struct Stack(pub(crate) Arc<State>);

/// An interface of a stack. A clone is the same one.
#[derive(Clone)]
pub struct Interface {
    pub(crate) state: Arc<State>,
    pub(crate) link: Arc<Link>,
}

static DEFAULT: OnceLock<Stack> = OnceLock::new();

/// What a stack has done and has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Connections that are not over.
    pub open: usize,
    /// Connections that are over, and whose addresses are kept for a while.
    pub time_wait: usize,
    /// Bytes of all sockets' buffers that have memory.
    pub buffers: usize,
    /// Frames that were shorter than they said.
    pub malformed: u64,
    /// Parts of packets, which are not put together.
    pub fragments: u64,
    /// Frames for other machines.
    pub not_ours: u64,
    /// SYNs that found a full backlog, or no memory.
    pub backlog_full: u64,
}

impl Stack {
    /// A stack without interfaces, but for `lo` (unless the configuration says no). Starts a
    /// goroutine, and so panics if there is no memory for one.
    pub fn new(config: Config) -> Self {
        let loopback = config.loopback;
        let stack = Stack(State::new(config));
        if loopback {
            let lo = stack.attach("lo", Arc::new(WireEnd::looped()));
            lo.add_address(Ipv4Addr::LOCALHOST.into(), 8);
            lo.add_address(Ipv6Addr::LOCALHOST.into(), 128);
        }
        stack
    }

    /// The stack for calls that name none, such as [`TcpStream::connect`](crate::TcpStream), from
    /// here on. `false`: there is one.
    pub fn make_default(&self) -> bool {
        DEFAULT.set(self.clone()).is_ok()
    }

    /// That stack.
    pub fn get_default() -> Result<Stack, ErrorKind> {
        DEFAULT.get().cloned().ok_or(ErrorKind::NetworkUnreachable)
    }

    /// An interface on this device, without addresses yet. Starts a goroutine for each of its
    /// queues, and so panics if there is no memory for them.
    pub fn attach(&self, name: &'static str, device: Arc<dyn Device>) -> Interface {
        let link = Link::new(name, device, &self.0.random, self.0.config.clock);
        self.0.links.lock().push(link.clone());
        for queue in 0..link.capabilities.queues {
            let (state, link) = (Arc::downgrade(&self.0), link.clone());
            let pump = move || pump(&state, &link, queue);
            if let Err(why) = Builder::new().system(name).spawn(pump) {
                panic!("net: no goroutine for {name}: {why:?}");
            }
        }
        Interface { state: self.0.clone(), link }
    }

    /// Its interfaces.
    pub fn interfaces(&self) -> Vec<Interface> {
        let links = self.0.links.lock().clone();
        let interface = |link| Interface { state: self.0.clone(), link };
        links.into_iter().map(interface).collect()
    }

    /// What it has done and has.
    pub fn report(&self) -> Report {
        let (open, time_wait) = self.0.connections.count();
        let drops = &self.0.drops;
        Report {
            open,
            time_wait,
            buffers: self.0.memory.used(),
            malformed: drops.malformed.load(Relaxed),
            fragments: drops.fragments.load(Relaxed),
            not_ours: drops.not_ours.load(Relaxed),
            backlog_full: drops.backlog.load(Relaxed),
        }
    }

    /// Ends all connections, and closes the devices: their goroutines end. Calls that wait fail.
    pub fn shut_down(&self) {
        self.0.is_down.store(true, Relaxed);
        for connection in self.0.connections.all() {
            connection.abort(ErrorKind::Closed);
        }
        for link in self.0.links.lock().drain(..).collect::<Vec<_>>() {
            drop(link.release());
            link.device.close();
        }
    }
}

impl Interface {
    /// Its name: `lo`, `eth0`.
    pub fn name(&self) -> &'static str {
        self.link.name
    }

    /// Its Ethernet address, if it has one.
    pub fn hardware_address(&self) -> Option<[u8; 6]> {
        self.link.capabilities.address
    }

    /// Adds an address, in a network of so many bits. At most 8; others are left out.
    pub fn add_address(&self, address: IpAddr, bits: u8) {
        let add = |link: &Link, bits| {
            let cidr = IpCidr::new(IpAddress::from(address), bits);
            for mut there in link.each() {
                there.interface.update_ip_addrs(|all| _ = all.push(cidr));
            }
        };
        add(&self.link, bits);
        // Who talks to one of our own addresses does so by the loop.
        let first = self.state.links.lock().first().cloned();
        if let Some(lo) =
            first.filter(|lo| self.state.config.loopback && !Arc::ptr_eq(lo, &self.link))
        {
            add(&lo, if address.is_ipv4() { 32 } else { 128 });
        }
    }

    /// Takes an address away.
    pub fn remove_address(&self, address: IpAddr) {
        for link in self.state.links.lock().clone() {
            for mut there in link.each() {
                let gone = |cidr: &IpCidr| IpAddr::from(cidr.address()) != address;
                there.interface.update_ip_addrs(|all| all.retain(gone));
            }
        }
    }

    /// Its addresses, with the bits of their networks.
    pub fn addresses(&self) -> Vec<(IpAddr, u8)> {
        let here = self.link.here();
        let pair = |cidr: &IpCidr| (IpAddr::from(cidr.address()), cidr.prefix_len());
        here.interface.ip_addrs().iter().map(pair).collect()
    }

    /// Who forwards packets for all other networks.
    pub fn set_gateway(&self, gateway: IpAddr) {
        for mut there in self.link.each() {
            let routes = there.interface.routes_mut();
            let _ = match gateway {
                IpAddr::V4(v4) => routes.add_default_ipv4_route(v4).map(drop),
                IpAddr::V6(v6) => routes.add_default_ipv6_route(v6).map(drop),
            }; // there is room for one of each
        }
    }

    /// Nobody does, for this version of IP.
    pub(crate) fn remove_gateway(&self, is_ipv4: bool) {
        for mut there in self.link.each() {
            let routes = there.interface.routes_mut();
            let _ = match is_ipv4 {
                true => routes.remove_default_ipv4_route(),
                false => routes.remove_default_ipv6_route(),
            };
        }
    }

    /// Its frames.
    pub fn counts(&self) -> Counts {
        self.link.counts()
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stack({:?})", self.report())
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interface({}, {:?})", self.name(), self.addresses())
    }
}
