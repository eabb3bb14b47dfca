//! Where code stands: the function, and file and line if the machine knows them.

use alloc::format;
use alloc::string::{String, ToString};
use executive::machine;

/// What runs a goroutine's closure, which is inlined in it.
const FIRST: &str = "executive_core::proc::birth::run::<";

/// The first of a list of types.
fn first_type(types: &str) -> &str {
    let mut depth = 0i32;
    let end = types.find(|c| {
        depth += i32::from("<([".contains(c)) - i32::from(">)]".contains(c));
        c == ',' && depth == 0
    });
    &types[..end.unwrap_or(types.len())]
}

/// A place in the source, or in the code.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub function: String,
    pub file: String,
    pub line: u64,
}

impl Place {
    /// The place of an address.
    pub fn of(pc: usize) -> Self {
        let mut text = String::new();
        if machine::symbol(pc, &mut text) {
            Self::read(&text)
        } else {
            Place { function: format!("{pc:#x}"), file: String::new(), line: 0 }
        }
    }

    /// Of what a machine writes: `NAME+0x12`, or `NAME+0x12 at FILE:LINE`.
    fn read(text: &str) -> Self {
        let (code, source) = text.rsplit_once(" at ").unwrap_or((text, ""));
        let (function, _) = code.rsplit_once("+0x").unwrap_or((code, ""));
        // A goroutine's first function has the name of what it was started with.
        let function = function
            .strip_prefix(FIRST)
            .and_then(|types| types.strip_suffix('>'))
            .map_or(function, first_type);
        let (file, line) = source.rsplit_once(':').unwrap_or((source, ""));
        let line = line.parse().unwrap_or(0);
        Place { function: function.to_string(), file: file.to_string(), line }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::Place;

    #[test]
    fn a_machine_s_words_are_read() {
        let place = |function: &str, file: &str, line| Place {
            function: function.into(),
            file: file.into(),
            line,
        };
        assert_eq!(Place::read("a::b+0x1f at src/c.rs:12"), place("a::b", "src/c.rs", 12));
        assert_eq!(Place::read("<a as b>::c+0x0"), place("<a as b>::c", "", 0));
        assert_eq!(Place::read("naked"), place("naked", "", 0));
        let first = |types| Place::read(&std::format!("{}{types}>+0x1 at c.rs:2", super::FIRST));
        assert_eq!(
            first("a::hog<(u8, u8), b>::{closure#0}, ()").function,
            "a::hog<(u8, u8), b>::{closure#0}"
        );
        assert_eq!(first("a").function, "a");
    }
}
