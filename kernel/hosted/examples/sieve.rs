//! The concurrent prime sieve (kernel/demos/src/sieve.rs), as a Linux process: `cargo run --release
//! -p hosted --example sieve -- [N]`.
fn main() {
    hosted::run(|| {
        let n = std::env::args().nth(1).map_or(500, |n| n.parse().expect("a number"));
        println!("prime {n} is {}", demos::sieve(n).expect("memory"));
    })
}
