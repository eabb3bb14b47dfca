//! HTTP/1.1 for goroutines: a server with a goroutine for each connection, and a small client.
//!
//! A handler is a function of a [`Request`] and a [`Response`], as in Go's `net/http`. It reads the
//! one and writes the other, and parks meanwhile; what it does not say is filled in. If it panics
//! its client gets status 500, and the rest goes on.
//!
//! ```
//! # hosted::run(|| {
//! use http::{Client, Request, Response, Server};
//! use net::{Config, Stack};
//! // Never a constant in earnest: sequence numbers and ports are made of it.
//! let stack = Stack::new(Config::new([1, 2, 3, 4]));
//! let listener = stack.listen("127.0.0.1:80").unwrap();
//! executive::go(move || {
//!     Server::new(|request: &mut Request, response: &mut Response| match request.path() {
//!         "/" => response.text("hello, world\n"),
//!         _ => response.error(404),
//!     })
//!     .serve(listener)
//! });
//! let mut client = Client::connect(&stack, "127.0.0.1:80").unwrap();
//! let mut answer = client.get("/").unwrap();
//! assert_eq!((answer.status(), answer.text(100).unwrap().as_str()), (200, "hello, world\n"));
//! # drop(answer);
//! # stack.shut_down();
//! # });
//! ```
//!
//! What comes from a peer is doubted: whatever two readers of one message could understand in two
//! ways ("request smuggling") is refused (`message.rs`), and all sizes and times have
//! [limits](Limits). Not here: TLS, HTTP/2, compression, cookies, routing.
//!
//! The modules below stand in layer order, each using only those above it.
#![no_std]
#![warn(missing_docs)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod param;
mod error;
mod stream;
mod reader;
mod message;
mod body;
mod request;
mod response;
mod server;
mod client;

pub use client::{Answer, Call, Client};
pub use error::{Error, reason};
pub use request::Request;
pub use response::Response;
pub use server::{Limits, Server};
pub use stream::Stream;
