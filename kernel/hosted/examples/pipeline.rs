//! A pipeline of channels (kernel/demos/src/pipeline.rs), as a Linux process: `cargo run --release
//! -p hosted --example pipeline`.
fn main() {
    hosted::run(|| println!("1 + 4 + 9 + ... + 1000 * 1000 = {}", demos::pipeline(1000, 4)))
}
