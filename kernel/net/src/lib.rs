//! TCP, UDP and ping for goroutines: a goroutine a connection, reads and writes that park.
//!
//! A [`Stack`] is all that a machine has of a network: its interfaces, each on a [`Device`], and
//! the sockets of its goroutines. The names are `std`'s, and what they mean is Go's: a read waits
//! until there is something, a deadline or a cancellation token ends it, and closing ends it too.
//!
//! ```
//! # hosted::run(|| {
//! use net::{Config, Stack};
//! // Never a constant in earnest: sequence numbers and ports are made of it.
//! let stack = Stack::new(Config::new([1, 2, 3, 4]));
//! let listener = stack.listen("127.0.0.1:7").unwrap();
//! executive::go(move || {
//!     let (stream, _) = listener.accept().unwrap();
//!     let mut bytes = [0; 5];
//!     stream.read_exact(&mut bytes).unwrap();
//!     stream.write_all(&bytes).unwrap();
//! });
//! let stream = stack.connect("127.0.0.1:7").unwrap();
//! stream.write_all(b"hello").unwrap();
//! let mut answer = [0; 5];
//! stream.read_exact(&mut answer).unwrap();
//! assert_eq!(&answer, b"hello");
//! drop(stream);
//! stack.shut_down();
//! # });
//! ```
//!
//! The protocols are `smoltcp`'s, unmodified. There is no hardware in here: an interface stands on
//! a trait, which a card's driver implements, or a TAP's, or a wire in memory ([`wire`]).
//!
//! The modules below stand in layer order, each using only those above it.
#![no_std]
#![warn(missing_docs)]
#![deny(unsafe_code)]
extern crate alloc;

pub mod param;
mod error;
mod addr;
mod random;
mod frame;
mod device;
pub mod wire;
mod memory;
mod config;
mod link;
mod endpoint;
mod table;
mod conn;
mod state;
mod input;
mod pump;
mod stack;
mod tcp;
mod asynchronous;
mod udp;
mod dns;
mod dial;
mod auto;
mod ping;

pub use addr::ToAddr;
pub use auto::Change;
pub use config::Config;
pub use device::{Capabilities, Device, Segmented};
pub use dns::LookupError;
pub use embedded_io;
pub use error::{Error, ErrorKind};
pub use link::Counts;
pub use memory::Pages;
pub use stack::{Interface, Report, Stack};
pub use tcp::{ReadHalf, Shutdown, TcpBuilder, TcpListener, TcpStream, WriteHalf};
pub use udp::UdpSocket;
