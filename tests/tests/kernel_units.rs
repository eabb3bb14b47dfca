//! The kernel's and the shell's pure files, tested on the host, for which neither builds; and the
//! layers of the kernel, the shell and hosted.

extern crate alloc;

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/src/font.rs"]
mod font;

#[allow(dead_code)]
#[path = "../../kernel/src/terminal.rs"]
mod terminal;

#[allow(dead_code)]
#[path = "../../kernel/src/framebuffer.rs"]
mod framebuffer;

#[allow(dead_code)]
#[path = "../../kernel/src/keyboard.rs"]
mod keyboard;

#[allow(dead_code)]
#[path = "../../kernel/shell/src/console/keys.rs"]
mod keys;

#[allow(dead_code)]
#[path = "../../kernel/shell/src/console/screen.rs"]
mod screen;

extern crate std;

#[allow(dead_code)] // what only the executive's test uses
#[path = "../../kernel/executive/core/tests/unit/map.rs"]
mod map;

/// Nobody may name what stands below.
fn layers(src: &str, least: usize) -> map::Map {
    map::Map {
        src: std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel").join(src),
        upward: &[],
        least,
    }
}

#[test]
fn each_module_uses_only_what_stands_above_it() {
    for (src, least) in [("src", 20), ("shell/src", 2), ("hosted/src", 9)] {
        let wrong = layers(src, least).wrong();
        assert!(wrong.is_empty(), "kernel/{src}: {wrong:#?}");
    }
}
