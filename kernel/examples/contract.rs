//! A kernel that asks the PC whether it keeps the machine's contract, hook by hook, instead of running goroutines.
//! Status 0: it does. `touch-guard` on the command line writes below a stack, which must end in a report.
#![no_std]
#![no_main]

use executive::contract;
use kernel::println;

kernel::entry!(machine: main);

fn main() -> ! {
    if kernel::command_line() == "touch-guard" {
        contract::touch_guard();
    }
    let wrong = contract::run(&mut |question, verdict| match verdict {
        Ok(()) => println!("ok      {question}"),
        Err(broken) => println!("BROKEN  {question}: {broken}"),
    });
    executive::machine::exit((wrong > 0) as i32)
}
