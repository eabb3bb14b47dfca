//! What a work-stealing deque promises: asked of a plain one, and of a small one in every order of
//! steps (`--cfg loom`).
#![allow(unsafe_code)] // Items that loom watches.

use deque::SIZE;
use deque::stealing::{Deque, Steal};

#[cfg(not(loom))]
mod plain;
#[cfg(not(loom))]
use plain::CLAIMS;

#[cfg(loom)]
mod models;
#[cfg(loom)]
use models::CLAIMS;

fn main() {
    harness::answer(CLAIMS);
}
