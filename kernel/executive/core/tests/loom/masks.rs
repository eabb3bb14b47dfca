//! Models of interrupts that are masked until goroutines have looked: is one ever masked while
//! nobody is to come who unmasks it?

use super::model::{check, leak};
use super::services::masks::{Level, Storm};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// Whether a goroutine's line is raised.
type Line = Mutex<bool>;

/// The interrupt's mask, and the lines of two goroutines. The mask is the hardware's: it has one
/// value at a time, hence the exchanges, and orders nothing.
struct Machine {
    level: Level<Line, 2>,
    storm: Storm,
    masked: AtomicBool,
    lines: [&'static Line; 2],
}

fn machine() -> &'static Machine {
    let lines = [leak(Line::new(false)), leak(Line::new(false))];
    let (level, storm, masked) = (Level::new(), Storm::new(), AtomicBool::new(false));
    leak(Machine { level, storm, masked, lines })
}

fn raise(line: &Line) {
    *line.lock().unwrap() = true;
}

/// Whether it was raised, and is not any more.
fn take(line: &Line) -> bool {
    core::mem::take(&mut line.lock().unwrap())
}

impl Machine {
    fn mask(&self, masked: bool) {
        self.masked.swap(masked, Ordering::Relaxed);
    }

    /// The hardware runs the handler, if the interrupt is not masked.
    fn interrupt(&self) {
        if !self.is_masked() {
            self.level.came(|| self.mask(true), raise);
        }
    }

    /// Goroutine `n`, if its line was raised, quiets its device.
    fn serve(&self, n: usize) {
        if take(self.lines[n]) {
            self.level.served(n, || self.mask(false));
        }
    }

    fn is_masked(&self) -> bool {
        self.masked.fetch_or(false, Ordering::Relaxed)
    }
}

/// Two devices share an interrupt that comes twice. When both goroutines have done all that their
/// lines ask for, can it come again?
#[test]
fn a_shared_level_is_unmasked_when_all_have_looked() {
    check(|| {
        let m = machine();
        assert_eq!(m.lines.map(|line| m.level.join(line)), [Some(0), Some(1)]);
        let handler = thread::spawn(move || {
            m.interrupt();
            m.interrupt();
        });
        let other = thread::spawn(move || m.serve(1));
        m.serve(0);
        handler.join().unwrap();
        other.join().unwrap();
        (0..2).for_each(|n| m.serve(n));
        assert!(!m.is_masked());
    });
}

/// One of the two leaves at any moment, also between the handler's look at who shares and its note
/// of them. Does the other still get it unmasked?
#[test]
fn a_sharer_that_leaves_leaves_nothing_masked() {
    check(|| {
        let m = machine();
        assert_eq!(m.lines.map(|line| m.level.join(line)), [Some(0), Some(1)]);
        let handler = thread::spawn(move || m.interrupt());
        let leaver = thread::spawn(move || m.level.leave(1, || m.mask(false)));
        m.serve(0);
        handler.join().unwrap();
        leaver.join().unwrap();
        m.serve(0);
        assert!(!m.is_masked());
    });
}

/// A device interrupts three times, one more than it may unseen, while its goroutine looks. When
/// the goroutine has looked for each time that its line was raised, can the device interrupt again?
#[test]
fn a_storm_ends_when_somebody_looks() {
    check(|| {
        let m = machine();
        let handler = thread::spawn(move || {
            for _ in 0..3 {
                if !m.is_masked() {
                    m.storm.came(1, || m.mask(true));
                    raise(m.lines[0]);
                }
            }
        });
        let look = || {
            if take(m.lines[0]) {
                m.storm.looked(|| m.mask(false));
            }
        };
        look();
        handler.join().unwrap();
        look();
        assert!(!m.is_masked());
    });
}
