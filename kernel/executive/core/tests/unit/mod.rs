//! Unit tests of what has no assembly, compiled into the crate (`cargo test -p executive-core
//! --lib`), on a machine that does nothing. Miri runs them too.
#![allow(unsafe_code)] // they call what trusts its caller
extern crate std;

mod calls;
mod aliases;
mod layers;
mod lockword;
mod map;
mod numbers;
mod queues;
mod small;
mod steal;
mod stub;
#[allow(dead_code)] // each of its types is tested in part
#[path = "../services.rs"]
mod services;
mod timers;
mod waitq;

/// How much of a test Miri, some hundred times slower, has patience for.
const fn rounds(n: usize) -> usize {
    if cfg!(miri) { n.div_ceil(200) } else { n }
}

/// A seeded generator (xorshift64*), so that a failure repeats. Failing asserts name the seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }
}

/// The steps of a test that takes them at random, in words. They are told when it fails, and when
/// what it tests panics.
struct Story {
    seed: u64,
    steps: std::vec::Vec<std::string::String>,
}

impl Story {
    fn new(seed: u64) -> Self {
        Story { seed, steps: std::vec::Vec::new() }
    }
    /// This is done next.
    fn step(&mut self, words: core::fmt::Arguments<'_>) {
        self.steps.push(std::fmt::format(words));
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::eprintln!("seed {}, the steps up to the one that failed:", self.seed);
            self.steps.iter().for_each(|step| std::eprintln!("    {step}"));
        }
    }
}

/// Never freed, as g's are not; and remembered, so that Miri does not take it for a leak.
fn leak<T>(t: T) -> &'static T {
    struct Kept(#[expect(dead_code)] *const ());
    // SAFETY: never followed.
    unsafe impl Send for Kept {}
    static KEPT: std::sync::Mutex<std::vec::Vec<Kept>> =
        std::sync::Mutex::new(std::vec::Vec::new());
    let t: &'static T = std::boxed::Box::leak(std::boxed::Box::new(t));
    KEPT.lock().unwrap().push(Kept(core::ptr::from_ref(t).cast()));
    t
}
