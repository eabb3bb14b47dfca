//! Goroutines by a policy, each in a Linux process of its own: a policy is set once.

use std::process::{Command, ExitCode};
use std::sync::Mutex;

const POLICY: &str = "POLICY";
const GOROUTINES: usize = 8;
const ROUNDS: usize = 5;

/// Who came first goes first, from birth on. With Go's policy the last one born is the first.
const IN_ORDER: [(&str, bool); 3] = [("go", false), ("fifo", true), ("priorities", true)];

fn main() -> ExitCode {
    if std::env::var_os(POLICY).is_some() {
        hosted::run_config(hosted::Config { cpus: Some(1) }, turns);
    }
    let mut wrong = 0;
    for (policy, in_order) in IN_ORDER {
        let program = std::env::current_exe().expect("a program has a path");
        let out = Command::new(program).env(POLICY, policy).output().expect("it runs");
        let said = String::from_utf8_lossy(&out.stdout);
        let holds = out.status.success() && said.trim() == in_order.to_string();
        println!("{} turns by {policy}", if holds { "ok    " } else { "FAILED" });
        if !holds {
            println!("{said}{}", String::from_utf8_lossy(&out.stderr));
            wrong += 1;
        }
    }
    let result = if wrong == 0 { "ok" } else { "FAILED" };
    println!("test result: {result}. {} passed; {wrong} failed;", IN_ORDER.len() - wrong);
    ExitCode::from(wrong as u8)
}

/// Says whether goroutines that yield in turn had their turns in the order of their births.
fn turns() {
    let policy = std::env::var(POLICY).expect("the parent has set it");
    policies::set(&policy).expect("there is such a policy, and no other is set");
    static TURNS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let takes_turns = |n| {
        executive::go(move || {
            for _ in 0..ROUNDS {
                TURNS.lock().expect("nobody panics").push(n);
                executive::yield_now();
            }
        })
    };
    let all: Vec<_> = (0..GOROUTINES).map(takes_turns).collect();
    all.into_iter().for_each(|goroutine| goroutine.join());
    let turns = TURNS.lock().expect("nobody panics").clone();
    assert_eq!(turns.len(), GOROUTINES * ROUNDS);
    println!("{}", turns.iter().enumerate().all(|(at, &n)| n == at % GOROUTINES));
}
