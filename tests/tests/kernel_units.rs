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
#[path = "../../kernel/drivers/src/xhci/keys.rs"]
mod usb_keys;

#[allow(dead_code)]
#[path = "../../kernel/drivers/src/xhci/descriptors.rs"]
mod usb_descriptors;

#[allow(dead_code)]
#[path = "../../kernel/drivers/src/xhci/place.rs"]
mod usb_place;

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
    for (src, least) in [
        ("src", 20),
        ("files/src", 6),
        ("net/src", 12),
        ("drivers/src", 3),
        ("shell/src", 2),
        ("hosted/src", 9),
    ] {
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
    use std::cell::{Cell, RefCell};
    use std::collections::VecDeque;

    const DEPTH: usize = 16;
    const PIECE: [u8; 27] = *b"0123456789abcdefghijklmnopq";
    const PIECES: usize = 6;

    /// A 16550, as far as it sends.
    #[derive(Default)]
    struct Chip {
        buffer: VecDeque<u8>,
        sent: Vec<u8>,
        asked: bool,
        /// An edge of its interrupt that was not served yet.
        edge: bool,
    }

    /// A printer, the chip and the handler. Between any two uses of the chip by the one, the others
    /// may come, as a seed says: so the handler interrupts the printer, or runs on another CPU.
    struct World {
        ring: Outgoing<64>,
        chip: RefCell<Chip>,
        random: Cell<u64>,
        /// No other comes.
        alone: Cell<bool>,
        prints: Cell<bool>,
        handles: Cell<bool>,
        /// Pieces that were not printed yet.
        left: Cell<usize>,
    }

    impl World {
        fn new(seed: u64) -> World {
            World {
                ring: Outgoing::new(),
                chip: RefCell::default(),
                random: Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
                alone: Cell::new(false),
                prints: Cell::new(false),
                handles: Cell::new(false),
                left: Cell::new(PIECES),
            }
        }

        fn random(&self, below: u64) -> u64 {
            let mut x = self.random.get();
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            self.random.set(x);
            x % below
        }

        fn others_come(&self) {
            while !self.alone.get() && self.random(2) == 0 {
                match self.random(8) {
                    0 => _ = self.print(),
                    1 | 2 => _ = self.handle(),
                    _ => _ = self.shift(),
                }
            }
        }

        /// A byte leaves the chip; `false`: there is none.
        fn shift(&self) -> bool {
            let mut chip = self.chip.borrow_mut();
            let byte = chip.buffer.pop_front();
            chip.sent.extend(byte);
            chip.edge |= byte.is_some() && chip.buffer.is_empty() && chip.asked;
            byte.is_some()
        }

        /// The handler runs, if there is an edge, and it does not run yet.
        fn handle(&self) -> bool {
            if !self.chip.borrow().edge || self.handles.replace(true) {
                return false;
            }
            self.chip.borrow_mut().edge = false;
            let mut port = Line(self);
            port.ask(false);
            self.ring.on_interrupt(&mut port);
            self.handles.set(false);
            true
        }

        /// A piece is printed, if there is one, and room for it, and nobody prints yet.
        fn print(&self) -> bool {
            if self.left.get() == 0 || self.prints.replace(true) {
                return false;
            }
            if self.ring.put(PIECE.into_iter()) {
                self.left.set(self.left.get() - 1);
            }
            self.ring.feed(&mut Line(self));
            self.prints.set(false);
            true
        }
    }

    struct Line<'a>(&'a World);

    impl Line<'_> {
        /// A use of the chip. The others come before it, and after it.
        fn chip<T>(&self, act: impl FnOnce(&mut Chip) -> T) -> T {
            self.0.others_come();
            let done = act(&mut self.0.chip.borrow_mut());
            self.0.others_come();
            done
        }
    }

    impl Port for Line<'_> {
        fn is_ready(&mut self) -> bool {
            self.chip(|chip| chip.buffer.is_empty())
        }
        fn depth(&self) -> usize {
            DEPTH
        }
        fn send(&mut self, byte: u8) {
            self.chip(|chip| {
                chip.buffer.push_back(byte);
                assert!(chip.buffer.len() <= DEPTH, "a byte is lost");
            });
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

    /// When all is printed, what is left goes out by interrupts alone; and when nothing more
    /// happens, all has left, in order, and nobody asks for an interrupt.
    #[test]
    fn nothing_stays_in_the_ring_and_nothing_overtakes() {
        for seed in 0..50_000 {
            let world = World::new(seed);
            while world.left.get() > 0 {
                world.print();
                world.others_come();
            }
            while world.shift() || world.handle() {}
            let waiting = world.ring.len();
            assert_eq!(waiting, 0, "seed {seed}: {waiting} bytes wait, and no interrupt comes");
            let chip = world.chip.borrow();
            assert_eq!(chip.sent, PIECE.repeat(PIECES), "seed {seed}");
            assert!(!chip.asked, "seed {seed}: an interrupt for nothing");
        }
    }

    /// A line that takes nothing holds the ring full; who takes the port over sends the rest.
    #[test]
    fn who_takes_over_sends_the_rest_and_nobody_else_does() {
        let world = World::new(0);
        world.alone.set(true);
        let (ring, mut line) = (&world.ring, Line(&world));
        assert!(ring.put(b"0123456789abcdef".repeat(4).into_iter()));
        assert!(!ring.put([0].into_iter()), "it is full");
        ring.feed(&mut line);
        assert!(line.asked() && ring.len() == 48, "the port took what it can hold");
        ring.take_over(0, || false);
        while world.shift() {}
        assert!(world.handle());
        ring.feed(&mut line);
        assert_eq!(ring.len(), 48, "only who has taken the port over");
        while !ring.is_empty() {
            ring.fill(&mut line, usize::MAX);
            while world.shift() {}
        }
        assert_eq!(world.chip.borrow().sent, b"0123456789abcdef".repeat(4));
    }
}
