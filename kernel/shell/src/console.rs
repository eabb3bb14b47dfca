//! The console: a person at the keyboard and the screen, at the first serial port, or at both.
//!
//! Goroutines read the devices (keyboard.rs). Another, in this file, edits the line (crate
//! `noline`), and starts one more for each line of commands, so that it can react to Ctrl-C while
//! they run. The first Ctrl-C asks a command to stop. A second leaves it running and gives the
//! prompt back, because a goroutine cannot be stopped from outside.
//!
//! **Rule:** everything comes to this goroutine through [`Tty::wait`].

mod keys;
mod screen;
mod tty;

use crate::{commands, keyboard};
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use executive::{Builder, machine};
use kernel::{print, println, serial};
use noline::builder::EditorBuilder;
use tty::Tty;

const PROMPT: &str = "> ";
/// The longest line, and the room for earlier ones, in bytes.
const LINE: usize = 1000;
const HISTORY: usize = 8000;
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
/// How long a command may take to stop after Ctrl-C before it is left behind.
const STOPS_WITHIN: Duration = Duration::from_secs(2);

/// What can happen at the console.
pub enum Event {
    /// A byte came over the line.
    Byte(u8),
    /// The line of this number has ended; `true` if all of its commands succeeded.
    Done(u64, bool),
    /// Time is up.
    Alarm(u64),
}

/// Talks with a person until `exit`, or until Ctrl-D, which ends what is typed. The status is then
/// 0 if no byte was lost and all commands succeeded.
pub fn run() {
    let mut tty = Tty::new();
    if keyboard::start(&tty.keys()) == 0 {
        println!("nobody can type: there is no serial port and no keyboard");
    }
    // Room for one more character, so that a line that is too long is longer than `LINE`.
    let (mut line, mut history) = ([0; LINE + 4], alloc::vec![0; HISTORY]);
    let mut editor = EditorBuilder::from_slice(&mut line)
        .with_slice_history(&mut history)
        .build_sync(&mut tty)
        .expect("building writes nothing");

    println!(
        "{} CPUs; `help` lists the commands, `exit` powers off.",
        executive::census::cpu_reports().count()
    );
    let (mut all_well, mut overruns) = (true, 0);
    for number in 1.. {
        let lost = serial::overruns() - overruns;
        if lost > 0 {
            overruns += lost;
            all_well = false;
            println!("typed too fast: the serial port has dropped bytes {lost} times");
        }
        tty.begin_line();
        let read = editor.readline(PROMPT, &mut tty).map(String::from);
        tty.send();
        match read {
            Ok(line) if line.len() > LINE => {
                all_well = false;
                println!("not done: a line has at most {LINE} bytes");
            }
            Ok(line) => all_well &= perform(&mut tty, number, line),
            Err(_) if tty.last == CTRL_D => {
                println!("exit");
                machine::exit(!all_well as i32);
            }
            Err(_) => println!("^C"),
        }
    }
}

/// Runs a line of commands, and reacts to Ctrl-C meanwhile. Returns whether all succeeded.
fn perform(tty: &mut Tty, number: u64, line: String) -> bool {
    if line.trim().is_empty() {
        return true;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (done, stopped) = (tty.sender(), stop.clone());
    let commands = move || {
        let succeeded = commands::run_line(&line, &stopped);
        let _ = done.send(Event::Done(number, succeeded));
    };
    let goroutine = match Builder::new().name("command").spawn(commands) {
        Ok(handle) => handle.id(),
        Err(error) => {
            println!("{error}");
            return false;
        }
    };
    let left_behind = || {
        println!("left behind: goroutine {goroutine} goes on");
        false
    };
    let mut patience = None;
    loop {
        match tty.wait() {
            Event::Done(which, succeeded) if which == number => return succeeded,
            Event::Byte(CTRL_C) => {
                tty.forget_keys();
                print!("^C\n");
                if stop.swap(true, Relaxed) {
                    return left_behind();
                }
                patience = Some(tty.alarm_in(STOPS_WITHIN));
            }
            Event::Alarm(which) if Some(which) == patience => return left_behind(),
            Event::Byte(byte) if commands::KEYS.give(byte) => tty.forget_keys(),
            _ => {}
        }
    }
}
