//! All demos with their answers: `cargo run --release -p hosted --example demos`. Ends with an
//! error if one is wrong.
fn main() {
    hosted::run(|| {
        assert_eq!(demos::sieve(1), Ok(2));
        assert_eq!(demos::sieve(500), Ok(3571));
        assert_eq!(demos::skynet(10_000), Ok(49_995_000));
        for leaves in 0..40 {
            assert_eq!(demos::skynet(leaves), Ok((0..leaves).sum()));
        }
        assert_eq!(demos::pingpong(1000), 2000);
        assert_eq!(demos::pipeline(1000, 4), 333_833_500);
        let counts = demos::spawn(5000).expect("memory");
        assert_eq!(counts.iter().sum::<usize>(), 5000);
        println!(
            "sieve, skynet, ping-pong, pipeline and spawn are right; \
             5000 goroutines ran on CPUs: {counts:?}"
        );
    })
}
