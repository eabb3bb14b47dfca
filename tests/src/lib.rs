//! Boots kernels in QEMU and looks at what they say. A test is a claim in three lines:
//!
//! ```no_run
//! # use tests::boots;
//! boots().smp(4).run("sieve 100").says("is 541").ok();
//! boots().uefi().run("crash panic").says("panic: ").dies(2);
//! ```
//!
//! [`boots`] describes a machine; `run` lets it do console commands by itself,
//! [`console`](Boot::console) lets a test type. Only so many machines run at a time as the host has
//! CPUs to run them.

mod build;
mod console;
mod line;
mod machine;
mod random;
mod screen;
mod slots;
mod socket;

pub use build::{boot_and_kernel, kernel};
pub use console::Console;
pub use line::SlowLine;
pub use machine::{Boot, Transcript, boots};
pub use random::Random;
pub use screen::Screen;
pub use slots::take as slot;
pub use socket::{Slots, Socket, until_all_halt};
