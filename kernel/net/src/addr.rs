//! Addresses, as programs write them.

use crate::error::ErrorKind;
use alloc::string::String;
use core::net::{IpAddr, SocketAddr};

/// What is an address with a port: `"10.0.0.1:80"`, `"[::1]:80"`, `(ip, 80)`, a [`SocketAddr`].
/// `std`: `ToSocketAddrs`.
#[doc(alias = "ToSocketAddrs")]
pub trait ToAddr {
    /// The address.
    fn to_addr(&self) -> Result<SocketAddr, ErrorKind>;
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
}

impl ToAddr for String {
    fn to_addr(&self) -> Result<SocketAddr, ErrorKind> {
        self.as_str().to_addr()
    }
}

impl<A: ToAddr + ?Sized> ToAddr for &A {
    fn to_addr(&self) -> Result<SocketAddr, ErrorKind> {
        (**self).to_addr()
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
