//! Your own kernel in five lines: `./qemu-run.sh --example hello`.
#![no_std]
#![no_main]

kernel::entry!(main);

fn main() {
    executive::println!(
        "hello from goroutine {} on {} CPUs",
        executive::goid(),
        executive::affinity::cpus()
    );
}
