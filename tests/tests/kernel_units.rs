//! The kernel's pure files, tested on the host: the kernel itself does not build here.

extern crate alloc;

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/src/console/keys.rs"]
mod keys;

#[allow(dead_code)]
#[path = "../../kernel/src/console/screen.rs"]
mod screen;
