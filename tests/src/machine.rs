//! A machine to be, what it shall do, and what it said: [`boots`], [`Boot`], [`Transcript`].

use crate::console::{Console, PROMPT};
use crate::screen::Screen;
use crate::socket::Socket;
use crate::{build, slots};
use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A machine with 4 CPUs and 512 MiB, booted from BIOS, unless told otherwise.
pub fn boots() -> Boot {
    Boot {
        args: Vec::new(),
        qemu: Vec::new(),
        example: None,
        run: None,
        typed: None,
        wanted: Vec::new(),
        unwanted: Vec::new(),
        limit: 60,
    }
    .smp(4)
}

/// A machine that has not been started, and what is expected of it.
#[must_use = "a machine runs at ok(), dies() or console()"]
pub struct Boot {
    args: Vec<String>,
    /// QEMU's own arguments.
    qemu: Vec<String>,
    example: Option<&'static str>,
    run: Option<String>,
    /// What comes from standard input.
    typed: Option<Vec<u8>>,
    wanted: Vec<String>,
    unwanted: Vec<String>,
    /// Seconds.
    limit: u64,
}

impl Boot {
    pub fn smp(self, cpus: usize) -> Self {
        self.arg("--smp").arg(cpus)
    }
    pub fn mem(self, size: &str) -> Self {
        self.arg("--mem").arg(size)
    }
    pub fn uefi(self) -> Self {
        self.arg("--uefi")
    }
    /// Its time is the instructions it has executed: a run repeats, whatever the host does.
    pub fn icount(self) -> Self {
        self.arg("--icount")
    }
    /// A machine of the test's own: [`qemu`](Boot::qemu) has its board and all its devices.
    pub fn bare(self) -> Self {
        self.arg("--bare")
    }
    /// A directory of the host, for the kernel to read and write.
    pub fn share(self, directory: &Path) -> Self {
        self.arg("--share").arg(directory.display())
    }
    /// A network card at this TAP device.
    pub fn tap(self, name: &str) -> Self {
        self.arg("--tap").arg(name)
    }
    /// A directory whose files are loaded with the kernel.
    pub fn ramdisk(self, directory: &Path) -> Self {
        self.arg("--ramdisk").arg(directory.display())
    }
    /// One more disk, which holds what this file does.
    pub fn disk(self, file: &Path) -> Self {
        self.arg("--disk").arg(file.display())
    }
    /// Boots kernel/examples/`name`.rs.
    pub fn example(mut self, name: &'static str) -> Self {
        self.example = Some(name);
        self
    }
    /// Console commands, separated by `;`.
    pub fn run(mut self, commands: &str) -> Self {
        self.run = Some(commands.into());
        self
    }
    /// All of this is piped in at once, and then the input ends.
    pub fn typed(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.typed = Some(input.into());
        self
    }
    /// Arguments for QEMU itself.
    pub fn qemu(mut self, args: &[&str]) -> Self {
        self.qemu.extend(args.iter().map(|arg| arg.to_string()));
        self
    }
    /// The machine has to end by itself within this time, boot included (default: 60 s). Not for
    /// figures: a host may be busy.
    pub fn within_secs(mut self, seconds: u64) -> Self {
        self.limit = seconds;
        self
    }
    /// The text is somewhere in the output, after what earlier `says` found. A bare number is no
    /// text: addresses have any.
    pub fn says(mut self, text: &str) -> Self {
        self.wanted.push(no_part_of_an_address(text));
        self
    }
    pub fn never_says(mut self, text: &str) -> Self {
        self.unwanted.push(no_part_of_an_address(text));
        self
    }

    /// Runs it; every command must have succeeded.
    pub fn ok(self) -> Transcript {
        self.dies(0)
    }

    /// Runs it; it must end with this status, by itself.
    pub fn dies(mut self, status: i32) -> Transcript {
        let _slot = slots::take();
        let mut command = self.command();
        let asked = format!("{command:?}");
        let typed = self.typed.take();
        let mut child = command
            .stdin(if typed.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the boot tool starts");
        if let Some(input) = typed {
            let mut keys = child.stdin.take().expect("a pipe");
            // An error: the machine has ended before it took all. What it says is judged, not this.
            std::thread::spawn(move || drop(keys.write_all(&input)));
        }
        let mut errors = child.stderr.take().expect("a pipe");
        let errors = std::thread::spawn(move || {
            let mut said = Vec::new();
            errors.read_to_end(&mut said).map(|_| said)
        });
        let mut said = Said::default();
        let mut out = child.stdout.take().expect("a pipe");
        let mut buffer = [0; 4096];
        while let n @ 1.. = out.read(&mut buffer).expect("the machine's output can be read") {
            said.add(&buffer[..n]);
        }
        let ended = Instant::now();
        let got = child.wait().expect("the boot tool can be waited for").code();
        let errors = errors.join().expect("the reader lives").expect("its errors can be read");

        let transcript = Transcript {
            text: said.text(),
            said,
            ended,
            errors: String::from_utf8_lossy(&errors).into(),
        };
        assert_eq!(got, Some(status), "{asked}\nended with the wrong status\n{transcript}");
        self.check(&asked, &transcript);
        transcript
    }

    fn check(&self, asked: &str, transcript: &Transcript) {
        let mut rest = transcript.text.as_str();
        for wanted in &self.wanted {
            match rest.split_once(wanted.as_str()) {
                Some((_, after)) => rest = after,
                None => panic!("{asked}\ndid not say {wanted:?} (in this order)\n{transcript}"),
            }
        }
        for unwanted in &self.unwanted {
            assert!(
                !transcript.text.contains(unwanted.as_str()),
                "{asked}\nsaid {unwanted:?}\n{transcript}"
            );
        }
    }

    /// Starts it for a test that types at its console.
    pub fn console(self) -> Console {
        self.started(PROMPT)
    }

    /// Starts a machine without our console, which says this when it is ready.
    pub fn started(self, ready: &str) -> Console {
        Console::start(slots::take(), self.command(), ready)
    }

    /// Starts it for a test that looks at its screen and presses keys. It has no serial port, and
    /// stays when it has ended. `name` is this test's own.
    pub fn screen(self, name: &str) -> Screen {
        let monitor = Socket::new(name);
        let place = monitor.place();
        let boot = self.qemu(&["-serial", "none", "-no-shutdown", "-monitor", &place]);
        Screen::start(slots::take(), boot.command(), monitor, name)
    }

    fn command(&self) -> Command {
        let built = build::built(self.example);
        let mut command = Command::new(built.boot);
        command
            .arg("--kernel")
            .arg(built.kernel)
            .args(["--timeout", &self.limit.to_string()])
            .args(&self.args);
        if let Some(commands) = &self.run {
            command.args(["--run", commands]);
        }
        if !self.qemu.is_empty() {
            command.arg("--").args(&self.qemu);
        }
        command
    }

    fn arg(mut self, arg: impl ToString) -> Self {
        self.args.push(arg.to_string());
        self
    }
}

/// The text, which must be more than a number, decimal or hexadecimal.
fn no_part_of_an_address(text: &str) -> String {
    let is_number = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(!is_number, "{text:?} may be a part of an address: say the words beside it");
    text.into()
}

/// What a machine said, and when.
#[derive(Default)]
pub(crate) struct Said {
    bytes: Vec<u8>,
    /// Up to which byte, by when.
    when: Vec<(usize, Instant)>,
}

impl Said {
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.when.push((self.bytes.len(), Instant::now()));
    }
    /// With plain line ends.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).replace('\r', "")
    }
}

/// The output of a machine that has ended.
pub struct Transcript {
    said: Said,
    ended: Instant,
    errors: String,
    /// All that came over its serial line.
    pub text: String,
}

impl Transcript {
    /// How long the machine ran on after it had said this.
    pub fn end_after(&self, text: &str) -> Duration {
        let at = self.said.bytes.windows(text.len()).position(|w| w == text.as_bytes());
        let at = at.unwrap_or_else(|| panic!("it did not say {text:?}\n{self}"));
        let when = self
            .said
            .when
            .iter()
            .find(|(upto, _)| *upto > at)
            .expect("every byte came at some time")
            .1;
        self.ended - when
    }
    /// A column of numbers in the table that `cpus` prints, a line for each CPU.
    pub fn column(&self, name: &str) -> Vec<u64> {
        let mut lines = self.text.lines().skip_while(|line| !line.trim_start().starts_with("cpu "));
        let head = lines.next().unwrap_or_else(|| panic!("no table of CPUs\n{self}"));
        let nth = head.split_whitespace().position(|word| word == name);
        let nth = nth.unwrap_or_else(|| panic!("no column {name:?}\n{self}"));
        let rows = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.take_while(|row| row.first().is_some_and(|cpu| cpu.parse::<usize>().is_ok()))
            .map(|row| {
                row[nth].parse().unwrap_or_else(|_| panic!("{:?} is no number\n{self}", row[nth]))
            })
            .collect()
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "--- it said:\n{}\n--- and the boot tool:\n{}---", self.text, self.errors)
    }
}
