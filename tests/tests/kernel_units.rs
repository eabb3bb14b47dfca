//! The kernel's and the shell's pure files, tested on the host, for which neither builds; and the
//! layers of the kernel, the shell and hosted.

extern crate alloc;

#[allow(dead_code)] // what only the kernel uses
#[path = "../../kernel/src/font.rs"]
mod font;

#[allow(dead_code)]
#[path = "../../kernel/src/terminal.rs"]
mod terminal;

#[allow(dead_code)]
#[path = "../../kernel/src/framebuffer.rs"]
mod framebuffer;

#[allow(dead_code)]
#[path = "../../kernel/src/keyboard.rs"]
mod keyboard;

#[allow(dead_code)]
#[path = "../../kernel/shell/src/console/keys.rs"]
mod keys;

#[allow(dead_code)]
#[path = "../../kernel/shell/src/console/screen.rs"]
mod screen;

#[allow(dead_code)]
#[path = "../../kernel/src/calendar.rs"]
mod calendar;

#[allow(dead_code)]
#[path = "../../kernel/src/outgoing.rs"]
mod outgoing;

extern crate std;

#[allow(dead_code)] // what only the executive's test uses
#[path = "../../kernel/executive/core/tests/unit/map.rs"]
mod map;

/// Nobody may name what stands below.
fn layers(src: &str, least: usize) -> map::Map {
    map::Map {
        src: std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel").join(src),
        upward: &[],
        least,
    }
}

#[test]
fn each_module_uses_only_what_stands_above_it() {
    for (src, least) in [("src", 20), ("drivers/src", 3), ("shell/src", 2), ("hosted/src", 9)] {
        let wrong = layers(src, least).wrong();
        assert!(wrong.is_empty(), "kernel/{src}: {wrong:#?}");
    }
}

mod dates {
    use super::calendar::{Date, Registers};

    /// 2026-11-27 13:05:59, in BCD, with 24 hours.
    const BCD: Registers = Registers {
        second: 0x59,
        minute: 0x05,
        hour: 0x13,
        day: 0x27,
        month: 0x11,
        year: 0x26,
        century: Some(0x20),
        status_b: 0b010,
    };

    #[test]
    fn each_format_of_the_clock_chip_is_the_same_date() {
        let date = BCD.date().expect("a date");
        assert_eq!(date.to_string(), "2026-11-27 13:05:59 UTC");
        let (hour, day) = (13, 27);
        let binary = Registers {
            second: 59,
            minute: 5,
            hour,
            day,
            month: 11,
            year: 26,
            century: Some(20),
            status_b: 0b110,
        };
        let afternoon = Registers { hour: 0x81, status_b: 0, ..BCD };
        for same in [binary, afternoon, Registers { century: None, ..BCD }] {
            assert_eq!(same.date(), Some(date), "{same:?}");
        }
        for (register, hour) in [(0x12, 0), (0x01, 1), (0x11, 11), (0x92, 12), (0x91, 23)] {
            let date = Registers { hour: register, status_b: 0, ..BCD }.date();
            assert_eq!(date.expect("a date").hour, hour, "{register:#x}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for odd in [
            Registers { second: 0x60, ..BCD },
            Registers { minute: 0x5a, ..BCD },
            Registers { hour: 0x24, ..BCD },
            Registers { hour: 0x00, status_b: 0, ..BCD },
            Registers { day: 0x31, ..BCD }, // of November
            Registers { day: 0x29, month: 0x02, ..BCD },
            Registers { month: 0, ..BCD },
            Registers { month: 0x13, ..BCD },
            Registers { second: 0xff, minute: 0xff, hour: 0xff, ..BCD },
        ] {
            assert_eq!(odd.date(), None, "{odd:?}");
        }
    }

    /// Every day of 230 years, against a calendar that counts them one by one.
    #[test]
    fn seconds_become_dates_and_dates_seconds() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0.. {
            let unix = days * 86_400 + 86_399;
            let date = Date { year, month, day, hour: 23, minute: 59, second: 59 };
            assert_eq!((date.unix(), Date::of_unix(unix)), (unix, date));
            let leap = year % 400 == 0 || year % 4 == 0 && year % 100 != 0;
            let lengths = [31, 28 + leap as u64, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            day += 1;
            if day > lengths[month as usize - 1] {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
            if year == 2200 {
                break;
            }
        }
        assert_eq!(Date::of_unix(1_709_208_000).to_string(), "2024-02-29 12:00:00 UTC");
    }
}

/// The ring of the serial line, fed to a port that is played here.
mod output {
    use super::outgoing::{Outgoing, Port};
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread;

    const DEPTH: usize = 16;

    /// A 16550, as far as it sends.
    #[derive(Default)]
    struct Chip {
        buffer: VecDeque<u8>,
        sent: Vec<u8>,
        asked: bool,
        /// An edge of its interrupt that was not served yet.
        edge: bool,
    }

    #[derive(Clone, Default)]
    struct Line(Arc<Mutex<Chip>>);

    impl Line {
        fn chip<T>(&self, act: impl FnOnce(&mut Chip) -> T) -> T {
            let done = act(&mut self.0.lock().unwrap());
            thread::yield_now();
            done
        }
        /// A byte leaves; `false`: there is none.
        fn shift(&self) -> bool {
            self.chip(|chip| {
                let byte = chip.buffer.pop_front();
                chip.sent.extend(byte);
                chip.edge |= byte.is_some() && chip.buffer.is_empty() && chip.asked;
                byte.is_some()
            })
        }
    }

    impl Port for Line {
        fn is_ready(&mut self) -> bool {
            self.chip(|chip| chip.buffer.is_empty())
        }
        fn depth(&self) -> usize {
            DEPTH
        }
        fn send(&mut self, byte: u8) {
            self.chip(|chip| chip.buffer.push_back(byte));
            assert!(self.chip(|chip| chip.buffer.len()) <= DEPTH, "a byte was lost");
        }
        fn ask(&mut self, on: bool) {
            self.chip(|chip| {
                chip.edge |= on && !chip.asked && chip.buffer.is_empty();
                chip.asked = on;
            });
        }
        fn asked(&self) -> bool {
            self.chip(|chip| chip.asked)
        }
    }

    /// The interrupt's handler, if there is an edge.
    fn handle<const N: usize>(ring: &Outgoing<N>, line: &Line) -> bool {
        let edge = line.chip(|chip| std::mem::take(&mut chip.edge));
        if edge {
            let mut port = line.clone();
            port.ask(false);
            ring.on_interrupt(&mut port);
        }
        edge
    }

    /// Printers, the handler and the line run at the same time. When the printers are done, what is
    /// left goes out by interrupts alone; and when nothing more happens, all has left, in order,
    /// and nobody asks for an interrupt.
    #[test]
    fn nothing_stays_in_the_ring_and_nothing_overtakes() {
        const PIECE: [u8; 7] = *b"0123456";
        const EACH: usize = 100;
        for _ in 0..30 {
            let (ring, line, printer) = (Outgoing::<64>::new(), Line::default(), Mutex::new(()));
            let printing = AtomicUsize::new(2);
            let rests = || !line.shift() && !handle(&ring, &line);
            thread::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| {
                        for _ in 0..EACH {
                            while {
                                let _lock = printer.lock().unwrap();
                                let put = ring.put(PIECE.into_iter());
                                ring.feed(&mut line.clone());
                                !put
                            } {
                                thread::yield_now();
                            }
                        }
                        printing.fetch_sub(1, Ordering::SeqCst);
                    });
                }
                s.spawn(|| {
                    while printing.load(Ordering::SeqCst) > 0 {
                        line.shift();
                    }
                });
                s.spawn(|| {
                    while printing.load(Ordering::SeqCst) > 0 {
                        handle(&ring, &line);
                    }
                });
            });
            while !rests() {}
            assert!(ring.is_empty(), "{} bytes wait for nobody", ring.len());
            let chip = line.0.lock().unwrap();
            assert_eq!(chip.sent, PIECE.repeat(2 * EACH));
            assert!(!chip.asked, "an interrupt for nothing");
        }
    }

    /// A line that takes nothing holds the ring full; who takes the port over sends the rest.
    #[test]
    fn who_takes_over_sends_the_rest_and_nobody_else_does() {
        let (ring, mut line) = (Outgoing::<64>::new(), Line::default());
        assert!(ring.put(b"0123456789abcdef".repeat(4).into_iter()));
        assert!(!ring.put([0].into_iter()), "it is full");
        ring.feed(&mut line);
        assert!(line.asked() && ring.len() == 48, "the port took what it can hold");
        ring.take_over(0, || false);
        while line.shift() {}
        handle(&ring, &line);
        ring.feed(&mut line);
        assert_eq!(ring.len(), 48, "only who has taken the port over");
        while !ring.is_empty() {
            ring.fill(&mut line, usize::MAX);
            while line.shift() {}
        }
        assert_eq!(line.0.lock().unwrap().sent, b"0123456789abcdef".repeat(4));
    }
}
