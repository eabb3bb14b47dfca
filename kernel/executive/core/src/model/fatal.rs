//! `fatal.rs` where there is no machine to report to: a panic, which tests can catch and name.

/// Panics.
pub fn throw(words: &'static str) -> ! {
    panic!("fatal error: {words}")
}
