//! The console: a person at the first serial port.
//!
//! Two goroutines. One reads the port, parked until its interrupt comes. The other, this file's, edits the line (crate
//! `noline`) and starts a third for each line of commands; so Ctrl-C is heard while commands run. The first Ctrl-C asks a command
//! to stop; a second leaves it running behind and gives the prompt back: a goroutine can't be stopped from outside.
//!
//! The one rule: everything comes to this goroutine through one channel of events.

mod keys;
mod screen;
mod tty;

use crate::commands;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use executive::chan::Sender;
use executive::irq::Irq;
use executive::percpu::Pin;
use executive::{Builder, chan, machine};
use kernel::vectors::LINE_COM1;
use kernel::{print, println, serial};
use noline::builder::EditorBuilder;
use tty::Tty;

const PROMPT: &str = "> ";
/// The longest line, and what is kept of earlier ones, in bytes.
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
    /// The command line of this number is done.
    Done(u64),
    /// Time is up.
    Alarm(u64),
}

/// Talks with a person until one says `exit`.
pub fn run() {
    let (tx, events) = chan(64);
    let keys = tx.clone();
    drop(Builder::new().name("keyboard").spawn(move || keyboard(keys)).expect("memory at the start"));
    let mut tty = Tty::new(events, tx);
    let (mut line, mut history) = ([0; LINE], alloc::vec![0; HISTORY]);
    let mut editor = EditorBuilder::from_slice(&mut line)
        .with_slice_history(&mut history)
        .build_sync(&mut tty)
        .expect("building writes nothing");

    println!("{} CPUs; `help` lists the commands, `exit` powers off.", executive::crash::cpu_reports().count());
    for number in 1.. {
        tty.begin_line();
        let read = editor.readline(PROMPT, &mut tty).map(String::from);
        tty.send();
        match read {
            Ok(line) => perform(&mut tty, number, line),
            Err(_) if tty.last == CTRL_D => {
                println!("exit");
                machine::exit(0);
            }
            Err(_) => println!("^C"),
        }
    }
}

/// Says to stop the keyboard: from then on nobody can type, and goroutines that all sleep are dead.
static HUNG_UP: AtomicBool = AtomicBool::new(false);

fn keyboard(events: Sender<Event>) {
    let arrived = Irq::new(LINE_COM1);
    let mut bytes = [0; 64];
    while !HUNG_UP.load(Relaxed) {
        let n = serial::try_read(&mut bytes);
        if n == 0 {
            arrived.wait();
        }
        for &byte in &bytes[..n] {
            if events.send(Event::Byte(byte)).is_err() {
                return;
            }
        }
    }
}

/// Ends the goroutine that reads the keyboard.
pub fn hang_up() {
    HUNG_UP.store(true, Relaxed);
    // As the port's handler does, so that the reader looks. Pinned, as a handler is.
    let _pin = Pin::new();
    executive::on_irq(LINE_COM1);
}

/// Does a line of commands, listening for Ctrl-C.
fn perform(tty: &mut Tty, number: u64, line: String) {
    if line.trim().is_empty() {
        return;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (done, stopped) = (tty.sender(), stop.clone());
    let commands = move || {
        commands::run_line(&line, &stopped);
        let _ = done.send(Event::Done(number));
    };
    let goroutine = match Builder::new().name("command").spawn(commands) {
        Ok(handle) => handle.id(),
        Err(error) => return println!("{error}"),
    };
    let mut patience = None;
    loop {
        match tty.wait() {
            Event::Done(which) if which == number => return,
            Event::Byte(CTRL_C) => {
                tty.forget_keys();
                print!("^C\n");
                if stop.swap(true, Relaxed) {
                    return println!("left behind: goroutine {goroutine} goes on");
                }
                patience = Some(tty.alarm_in(STOPS_WITHIN));
            }
            Event::Alarm(which) if Some(which) == patience => {
                return println!("left behind: goroutine {goroutine} goes on");
            }
            _ => {}
        }
    }
}
