//! Your own kernel in five lines: `./qemu-run.sh --example hello`.
#![no_std]
#![no_main]

kernel::entry!(main);

fn main() {
    kernel::println!("hello from goroutine {} on {} CPUs", executive::goid(), executive::machine::cpus());
}
