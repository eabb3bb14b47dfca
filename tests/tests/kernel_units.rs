//! The kernel's pure files, tested on the host: the kernel itself does not build here.

extern crate alloc;

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/shell/src/console/keys.rs"]
mod keys;

#[allow(dead_code)]
#[path = "../../kernel/shell/src/console/screen.rs"]
mod screen;

extern crate std;

#[allow(dead_code)] // what only the executive's test uses
#[path = "../../kernel/executive/core/tests/unit/map.rs"]
mod map;

fn kernel() -> map::Map {
    map::Map {
        src: std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel/src"),
        upward: &[
            ("flush", "hold", "a CPU that joins answers both"),
            ("clock", "println", "serial's macro"),
            ("smp", "println", "serial's macro"),
        ],
        least: 20,
    }
}

#[test]
fn each_module_of_the_kernel_uses_only_what_stands_above_it() {
    let wrong = kernel().wrong();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_exception_of_the_kernel_is_left_over() {
    let left = kernel().left_over();
    assert!(left.is_empty(), "{left:#?}");
}
