//! A machine with somebody at its console: [`Console`].

use crate::machine::Said;
use crate::slots::Slot;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// What the console says when it wants a line.
pub(crate) const PROMPT: &str = "> ";

/// A running machine. Dropped, it is stopped.
pub struct Console {
    tool: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    said: Said,
    /// What of it has been looked at.
    seen: usize,
    _slot: Slot,
}

impl Console {
    /// `ready` is what the machine says when it can be used.
    pub(crate) fn start(slot: Slot, mut command: Command, ready: &str) -> Console {
        let mut tool = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the boot tool starts");
        let keys = tool.stdin.take().expect("a pipe");
        let mut out = tool.stdout.take().expect("a pipe");
        let (send, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut buffer) {
                if send.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut console =
            Console { tool, keys, output, said: Said::default(), seen: 0, _slot: slot };
        console.until(ready);
        console
    }

    /// Types a line, and waits until the console wants the next one. Returns what was said in
    /// between.
    pub fn does(&mut self, line: &str) -> String {
        self.types(line);
        self.types("\r");
        self.until("\n"); // the end of our own line, echoed
        self.until(PROMPT)
    }

    pub fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the machine takes keys");
        self.keys.flush().expect("the machine takes keys");
    }

    /// Waits for this text; returns all from where the last wait ended. The boot tool's time limit
    /// is ours.
    pub fn until(&mut self, text: &str) -> String {
        loop {
            let all = self.said.text();
            if let Some(at) = all[self.seen..].find(text) {
                let end = self.seen + at + text.len();
                let news = all[self.seen..end].to_string();
                self.seen = end;
                return news;
            }
            match self.output.recv() {
                Ok(bytes) => self.said.add(&bytes),
                Err(_) => panic!("the machine ended without {text:?}; it said:\n{all}"),
            }
        }
    }

    /// Types this and waits for the machine's end.
    pub fn ends_with(mut self, line: &str, status: i32) {
        self.types(line);
        self.types("\r");
        self.ends(status);
    }

    /// Waits for the machine's end.
    pub fn ends(mut self, status: i32) {
        let got = self.tool.wait().expect("the boot tool can be waited for").code();
        while let Ok(bytes) = self.output.recv() {
            self.said.add(&bytes);
        }
        assert_eq!(
            got,
            Some(status),
            "it ended with the wrong status; it said:\n{}",
            self.said.text()
        );
    }

    /// How much of the host's CPU time the machine uses in `span`: 1.0 is one CPU of the host.
    pub fn host_load(&self, span: Duration) -> f64 {
        let pid = self.qemu();
        let before = ticks(pid);
        thread::sleep(span); // not in place of an event: it is what we measure
        (ticks(pid) - before) as f64 / 100.0 / span.as_secs_f64()
    }

    fn qemu(&self) -> u32 {
        let tool = self.tool.id();
        let children = fs::read_to_string(format!("/proc/{tool}/task/{tool}/children"))
            .expect("Linux tells children");
        children.trim().parse().expect("the boot tool has one child: QEMU")
    }
}

/// User and system time of a process, in 1/100 s (proc(5), /proc/pid/stat).
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the machine runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("a number")).sum()
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.tool.kill(); // QEMU goes with it
        let _ = self.tool.wait();
    }
}
