//! The bootable kernel: a console on the first serial port. console.rs talks with the person;
//! commands.rs has the commands. Each module uses only those above it.
//!
//! With commands on the kernel's command line (`./qemu-run.sh --run "A; B"`) it runs these and
//! ends, with status 0 only if all succeeded.
#![no_std]
#![no_main]
#![deny(unsafe_code)] // allowed in the files that say why at their top

extern crate alloc;

mod keyboard;
mod commands;
mod console;

kernel::entry!(main);

fn main() {
    let line = kernel::command_line();
    if line.is_empty() {
        kernel::report::summary();
    }
    drivers::start();
    match line {
        "" => console::run(),
        line => executive::machine::exit(commands::run_alone(line)),
    }
}
