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

/// With a bare spin lock in the heap it hangs.
#[test]
fn a_kernel_with_its_own_heap_allocates_everywhere() {
    for cpus in [1, 2, 4] {
        let says = format!("had children on {cpus} CPUs");
        boots().smp(cpus).example("own_heap").says(&says).ok();
    }
}

#[test]
fn the_sieve_sieves() {
    boots().example("sieve").ok();
}
