//! A kernel that asks the PC whether it keeps the machine's contract, hook by hook, instead of
//! running goroutines. Status 0: it does. `touch-guard` on the command line writes below a stack,
//! which must end in a report; `print` has two CPUs print at once, which must be looked at.
#![no_std]
#![no_main]

use kernel::println;

kernel::entry!(machine: main);

fn main() -> ! {
    match kernel::command_line() {
        "touch-guard" => contract::touch_guard(),
        "print" => executive::machine::exit(contract::print_at_once().is_err() as i32),
        _ => {}
    }
    let wrong = contract::run(&[], &mut |question, verdict| {
        println!("{}", contract::Line(question, verdict))
    });
    executive::machine::exit((wrong > 0) as i32)
}
