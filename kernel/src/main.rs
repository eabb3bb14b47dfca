#![no_std]
#![no_main]

use kernel::println;

kernel::entry!(main);

fn main() {
    println!("hello from goroutine 1: {:?}", kernel::command_line());
}
