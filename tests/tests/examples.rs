//! The examples boot and do what they say.

use tests::boots;

#[test]
fn hello_says_hello() {
    boots().example("hello").says("hello").ok();
}

#[test]
fn the_pipeline_sums_squares() {
    boots().example("pipeline").ok();
}

#[test]
fn the_sieve_sieves() {
    boots().example("sieve").ok();
}
