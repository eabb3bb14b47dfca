//! `cargo run -p hosted --example hello`: kernel/examples/hello.rs, as a Linux process. What it
//! does is the same.
fn main() {
    hosted::run(|| {
        executive::println!(
            "hello from goroutine {} on {} CPUs",
            executive::goid(),
            executive::affinity::cpus()
        );
    })
}
