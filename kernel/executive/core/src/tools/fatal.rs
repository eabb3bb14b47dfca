//! `throw`: our own bug was found, and going on would make it worse.
//!
//! Three voices for what goes wrong. *Our* bug: [`throw`], with a constant string that begins with
//! the name of the function that noticed. The *caller's* bug: `panic!`, in Go's words. Ordinary
//! outcomes: `Option`, `Result`, `bool`.

/// Prints `fatal error: ` and the words, what runs where, every goroutine and why it waits, and
/// ends the run with status 2. Takes no lock and allocates nothing. Go: `throw`.
#[cold]
#[inline(never)]
pub fn throw(words: &'static str) -> ! {
    crate::ground::machine::_executive_throw(words)
}
