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
    for (src, least) in [("src", 20), ("shell/src", 2), ("hosted/src", 9)] {
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
