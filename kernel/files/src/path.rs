//! A path as names: `/share//a/./b/../c` is `share`, `a`, `c`.
//!
//! `..` is the name before it, whatever that is, and never leads above the root. (Plan 9's way.
//! Links are not followed, so it is the directory's parent too.)

use crate::error::ErrorKind;
use alloc::vec::Vec;

/// The longest name in a path, in bytes.
pub const MOST_NAME: usize = 255;
/// The longest path, in bytes.
pub const MOST_PATH: usize = 4095;

/// The names in a path, from the root on.
pub fn names(path: &str) -> Result<Vec<&str>, ErrorKind> {
    if path.len() > MOST_PATH || path.contains('\0') {
        return Err(ErrorKind::InvalidFilename);
    }
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name if name.len() > MOST_NAME => return Err(ErrorKind::InvalidFilename),
            name => names.push(name),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn a_path_is_names() {
        for (path, is) in [
            ("", &[][..]),
            ("/", &[]),
            ("ram/x", &["ram", "x"]),
            ("//ram/./x//", &["ram", "x"]),
            ("/ram/a/../b", &["ram", "b"]),
            ("/../../ram/..", &[]),
            ("/ram/...", &["ram", "..."]),
        ] {
            assert_eq!(names(path).unwrap(), is, "{path}");
        }
    }

    #[test]
    fn what_is_too_long_is_no_path() {
        let name = "n".repeat(MOST_NAME);
        assert_eq!(names(&name).unwrap(), [&name]);
        let whole: String = "ab/".repeat(MOST_PATH / 3);
        assert_eq!(names(&whole).unwrap().len(), MOST_PATH / 3);
        for wrong in [&(name + "n"), &(whole + "x"), "a\0b"] {
            assert_eq!(names(wrong), Err(ErrorKind::InvalidFilename));
        }
    }
}
