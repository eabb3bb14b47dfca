//! `print!` and `println!` for code that runs on every machine: text goes to the machine's ordinary
//! output, a line at a time.
//!
//! **Rule:** text is formatted on the caller's stack, and the machine gets each line in one piece.
//! So a `Display` that parks or panics does so while nothing is held. Lines of different goroutines
//! do not mix, unless the machine has no `print` of its own.

use core::fmt::{self, Write};
use executive_core::machine;

/// A longer line is written in pieces.
const LINE_BYTES: usize = 160;

/// Collects a line, and writes it.
struct LineBuffer {
    length: usize,
    bytes: [u8; LINE_BYTES],
}

impl LineBuffer {
    fn flush(&mut self) {
        machine::print(&self.bytes[..self.length]);
        self.length = 0;
    }
}

impl Write for LineBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            self.bytes[self.length] = byte;
            self.length += 1;
            if byte == b'\n' || self.length == self.bytes.len() {
                self.flush();
            }
        }
        Ok(())
    }
}

/// Prints. Used by [`print!`](crate::print!).
pub fn print(args: fmt::Arguments<'_>) {
    let mut line = LineBuffer { length: 0, bytes: [0; LINE_BYTES] };
    let _ = line.write_fmt(args);
    if line.length > 0 {
        line.flush();
    }
}

/// Prints to the machine's ordinary output, as `std`'s does: the console of a kernel, the standard
/// output of a process. A line of up to 160 bytes is written in one piece. Parks while the device
/// takes no more; where nobody may park, waits for it.
///
/// ```
/// # hosted::run(|| {
/// executive::print!("{} and ", 1);
/// executive::println!("{}", 2);
/// # });
/// ```
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::printing::print(::core::format_args!($($arg)*)) };
}

/// [`print!`](crate::print!) and a line feed.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($format:literal $($arg:tt)*) => {
        $crate::print!("{}\n", ::core::format_args!($format $($arg)*))
    };
}
