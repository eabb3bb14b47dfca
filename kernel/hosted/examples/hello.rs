//! `cargo run -p hosted --example hello`
fn main() {
    hosted::run(|| println!("hello from goroutine 1 on {} CPUs", executive::machine::cpus()))
}
