//! The models, compiled into the crate (`RUSTFLAGS="--cfg loom" cargo test -p executive-core --lib
//! models`).
#![allow(unsafe_code)] // they call what trusts its caller
#[path = "../model/mod.rs"]
mod model;

#[path = "../services.rs"]
mod services;

mod alarm;
mod arrivals;
mod free;
mod idle;
mod locks;
mod masks;
mod note;
mod park;
mod runq;
mod seen;
mod select;
mod timers;
mod wake;
