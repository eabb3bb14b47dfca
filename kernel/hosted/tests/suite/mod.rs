//! Tests that share a process: a machine runs once.

/// Runs them one after the other: those whose names have the command line's first word in them, or
/// all. One that fails ends the process. In a goroutine.
pub fn run(tests: &[(&str, fn())]) {
    let only = std::env::args().nth(1).filter(|word| !word.starts_with('-'));
    let mut passed = 0;
    for (name, test) in tests {
        if only.as_ref().is_none_or(|word| name.contains(word.as_str())) {
            println!("{name} ..");
            test();
            passed += 1;
        }
    }
    println!("test result: ok. {passed} passed; 0 failed; 0 ignored;");
}
