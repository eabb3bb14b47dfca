//! Connections to whom has a name.

use crate::addr::ToAddr;
use crate::error::{Error, ErrorKind};
use crate::stack::Stack;
use crate::tcp::{TcpBuilder, TcpStream};
use core::net::SocketAddr;
use executive::time::Instant;

impl Stack {
    /// Makes a connection; parks until it is made or refused. Where `to` is a name with a port its
    /// addresses are [looked up](Self::lookup_host) and tried one after the other. Go: `net.Dial`.
    #[doc(alias = "net.Dial")]
    pub fn connect(&self, to: impl ToAddr) -> Result<TcpStream, Error> {
        self.tcp().connect(to)
    }
}

impl TcpStream {
    /// As [`Stack::connect`], on the [default](Stack::make_default) stack.
    pub fn connect(to: impl ToAddr) -> Result<TcpStream, Error> {
        Stack::get_default().map_err(told)?.connect(to)
    }
}

fn told(kind: ErrorKind) -> Error {
    Error { op: "dial", net: "tcp", local: None, remote: None, kind }
}

impl TcpBuilder {
    /// As [`Stack::connect`]. Of several addresses each has its share of the time until the
    /// [deadline](Self::deadline).
    pub fn connect(self, to: impl ToAddr) -> Result<TcpStream, Error> {
        let kind = match to.to_addr() {
            Ok(remote) => return self.connect_to(remote),
            Err(kind) => kind,
        };
        let (name, port) = to.host().ok_or(told(kind))?;
        let (stack, deadline, token) = self.limits();
        let addresses = stack.lookup_host_until(name, deadline, token);
        let addresses = addresses.map_err(|error| told(error.kind))?;
        let mut first = None;
        for (nth, address) in addresses.iter().enumerate() {
            let left = (addresses.len() - nth) as u32;
            let how = match deadline {
                Some(at) => self.clone().deadline(Instant::now() + at.remaining() / left),
                None => self.clone(),
            };
            match how.connect_to(SocketAddr::new(*address, port)) {
                Ok(stream) => return Ok(stream),
                Err(error) => _ = first.get_or_insert(error),
            }
        }
        Err(first.unwrap_or(told(ErrorKind::NoSuchHost)))
    }
}
