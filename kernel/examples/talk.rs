//! Ten goroutines print a hundred lines each, as fast as they can: for tests of the serial line.
//! With the command line `crash` the kernel dies right after the last line, else it ends there.
#![no_std]
#![no_main]

use kernel::{println, serial};

kernel::entry!(main);

fn main() {
    executive::scope(|s| {
        for speaker in 0..10 {
            s.go(move || {
                for line in 0..100 {
                    println!("speaker {speaker} line {line:>2} {:.>80}", 10 * line + speaker);
                }
            });
        }
    });
    let (fed, polled) = serial::output_stats();
    println!("all have spoken: {fed} interrupts fed the port, {polled} looks at it were in vain");
    assert!(kernel::command_line() != "crash", "right after the last line");
}
