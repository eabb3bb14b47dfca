//! Addresses, as programs write them.

use crate::error::ErrorKind;
use alloc::string::String;
use core::net::{IpAddr, SocketAddr};

/// What is an address with a port: `"10.0.0.1:80"`, `"[::1]:80"`, `(ip, 80)`, a [`SocketAddr`]. To
/// connect to, also a name with one: `"example.org:80"`.
/// `std`: `ToSocketAddrs`.
#[doc(alias = "ToSocketAddrs")]
pub trait ToAddr {
    /// The address.
    fn to_addr(&self) -> Result<SocketAddr, ErrorKind>;

    /// If it is none: a host's name, and a port.
    fn host(&self) -> Option<(&str, u16)> {
        None
    }
}

impl ToAddr for SocketAddr {
    fn to_addr(&self) -> Result<SocketAddr, ErrorKind> {
        Ok(*self)
    }
}

impl<I: Into<IpAddr> + Copy> ToAddr for (I, u16) {
    fn to_addr(&self) -> Result<SocketAddr, ErrorKind> {
        Ok(SocketAddr::new(self.0.into(), self.1))
    }
}

impl ToAddr for str {
    fn to_addr(&self) -> Result<SocketAddr, ErrorKind> {
        self.parse().map_err(|_| ErrorKind::InvalidInput)
    }

    fn host(&self) -> Option<(&str, u16)> {
        let (name, port) = self.rsplit_once(':')?;
        let port = port.parse().ok()?;
        (!name.is_empty() && !name.contains([':', '[', ']'])).then_some((name, port))
    }
}

impl ToAddr for String {
    fn to_addr(&self) -> Result<SocketAddr, ErrorKind> {
        self.as_str().to_addr()
    }

    fn host(&self) -> Option<(&str, u16)> {
        self.as_str().host()
    }
}

impl<A: ToAddr + ?Sized> ToAddr for &A {
    fn to_addr(&self) -> Result<SocketAddr, ErrorKind> {
        (**self).to_addr()
    }

    fn host(&self) -> Option<(&str, u16)> {
        (**self).host()
    }
}

/// Whether a socket at `bound` takes what comes for `at`, though that is not its own address: it is
/// bound to all addresses of that version.
pub(crate) fn takes(bound: SocketAddr, at: SocketAddr) -> bool {
    bound.ip().is_unspecified() && has_port_of(bound, at)
}

/// Whether two sockets cannot have these addresses at the same time.
pub(crate) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    has_port_of(one, other)
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

fn has_port_of(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4()
}
