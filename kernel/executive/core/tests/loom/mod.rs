//! The models, compiled into the crate (`RUSTFLAGS="--cfg loom" cargo test -p executive --lib models`).
#![allow(unsafe_code)] // they call what trusts its caller
#[path = "../model/mod.rs"]
mod model;

// The services are not here, but these parts of them are.
#[path = "../../../services/src/irq/line.rs"]
mod line;
#[path = "../../../services/src/sync/lockword.rs"]
mod lockword;
#[path = "../../../services/src/irq/meeting.rs"]
mod meeting;
#[path = "../../../services/src/sync/readers.rs"]
mod readers;

mod alarm;
mod free;
mod idle;
mod inject;
mod locks;
mod note;
mod park;
mod runq;
mod seen;
mod select;
mod timers;
mod wake;
