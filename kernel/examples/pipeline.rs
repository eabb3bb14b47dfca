//! A pipeline of channels (kernel/demos/src/pipeline.rs) as a kernel of its own: `./qemu-run.sh
//! --example pipeline`.
#![no_std]
#![no_main]

kernel::entry!(main);

fn main() {
    kernel::println!("1 + 4 + 9 + ... + 1000 * 1000 = {}", demos::pipeline(1000, 4));
}
