//! How a run ended. The kernel tells by QEMU's device isa-debug-exit: it writes `code + 0x10`, and
//! QEMU ends with status `(value << 1) | 1`. So the kernel's statuses are odd and at least 0x21.
//! QEMU's own are 0 (the machine reset or was closed) and 1 (QEMU could not start).

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// What the kernel adds to its code.
const BASE: i32 = 0x10;

/// How the machine's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel called `exit(code)`.
    Exited(u8),
    /// The machine ended without a status: it was switched off, a triple fault, or somebody closed
    /// QEMU.
    Died,
    /// QEMU itself failed; it has said why.
    QemuFailed(ExitStatus),
    /// This tool ended it, at its time limit.
    TimedOut(Duration),
}

impl Outcome {
    pub fn of(status: ExitStatus) -> Outcome {
        match status.code() {
            Some(0) => Outcome::Died,
            Some(n) if n & 1 == 1 && n >> 1 >= BASE => Outcome::Exited(((n >> 1) - BASE) as u8),
            None if status.signal() == Some(libc::SIGINT) => Outcome::Died,
            _ => Outcome::QemuFailed(status),
        }
    }

    /// The status to end with: the kernel's code, or a number that no kernel uses (taken from
    /// `timeout` and `env`).
    pub fn status(self) -> u8 {
        match self {
            Outcome::Exited(code) => code,
            Outcome::TimedOut(_) => 124,
            Outcome::Died => 125,
            Outcome::QemuFailed(_) => 126,
        }
    }

    /// One line for the person, unless the kernel has said enough.
    pub fn complaint(self) -> Option<String> {
        match self {
            Outcome::Exited(_) => None,
            Outcome::TimedOut(limit) => Some(format!(
                "no end after {} s: stopped the machine (--timeout SECONDS gives it longer)",
                limit.as_secs_f64()
            )),
            Outcome::Died => Some(
                "the machine is gone without an exit code: \
                 switched off, a triple fault, or QEMU was closed"
                    .into(),
            ),
            Outcome::QemuFailed(status) => Some(format!("QEMU failed: {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32) -> Outcome {
        Outcome::of(ExitStatus::from_raw(code << 8))
    }

    #[test]
    fn every_code_of_the_kernel_comes_back() {
        for code in 0..=0x5f {
            let written = code + BASE;
            assert_eq!(ended(written << 1 | 1), Outcome::Exited(code as u8));
        }
    }

    #[test]
    fn qemus_own_statuses_are_not_the_kernels() {
        assert_eq!(ended(0), Outcome::Died);
        assert!(matches!(ended(1), Outcome::QemuFailed(_)));
        assert!(
            matches!(ended(127), Outcome::Exited(_)),
            "127 is code 47, not a shell's complaint"
        );
        assert!(matches!(Outcome::of(ExitStatus::from_raw(libc::SIGKILL)), Outcome::QemuFailed(_)));
    }

    #[test]
    fn only_success_is_status_0() {
        assert_eq!(Outcome::Exited(0).status(), 0);
        for bad in
            [Outcome::Exited(2), Outcome::Died, Outcome::TimedOut(Duration::from_secs(1)), ended(1)]
        {
            assert_ne!(bad.status(), 0);
        }
    }
}
