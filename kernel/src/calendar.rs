//! Dates: the clock chip's registers as a date, and dates as seconds since 1970, UTC. It depends on
//! nothing of the machine, and is tested on the host (tests/tests/kernel_units.rs).

use core::fmt;

/// A second of the Gregorian calendar, from 1970 on. The order of the fields is that of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    pub year: u64,
    pub month: u64,
    pub day: u64,
    pub hour: u64,
    pub minute: u64,
    pub second: u64,
}

/// The clock chip's registers, as they are read (Motorola MC146818 data sheet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    pub second: u8,
    pub minute: u8,
    pub hour: u8,
    pub day: u8,
    pub month: u8,
    pub year: u8,
    /// Not all chips have it.
    pub century: Option<u8>,
    /// Register B: which format the others have.
    pub status_b: u8,
}

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from year 1 to the first of January of `year`.
fn days_before(year: u64) -> u64 {
    let past = year - 1;
    365 * past + past / 4 - past / 100 + past / 400
}

impl Registers {
    /// `None`: they make no date. Without a century the year is one of 2000 to 2099.
    pub fn date(self) -> Option<Date> {
        const BINARY: u8 = 1 << 2;
        const HOURS_TO_24: u8 = 1 << 1;
        const AFTERNOON: u8 = 1 << 7;
        let number = |register: u8| match (register >> 4, register & 0xf) {
            _ if self.status_b & BINARY != 0 => Some(u64::from(register)),
            (tens @ 0..10, ones @ 0..10) => Some(u64::from(tens * 10 + ones)),
            _ => None,
        };
        let hour = if self.status_b & HOURS_TO_24 != 0 {
            number(self.hour)?
        } else {
            // 12 is the first hour of each half of the day.
            let hour = number(self.hour & !AFTERNOON).filter(|hour| (1..=12).contains(hour))?;
            hour % 12 + if self.hour & AFTERNOON != 0 { 12 } else { 0 }
        };
        let century = self.century.and_then(number).filter(|c| (19..=21).contains(c));
        let date = Date {
            year: century.unwrap_or(20) * 100 + number(self.year)?,
            month: number(self.month)?,
            day: number(self.day)?,
            hour,
            minute: number(self.minute)?,
            second: number(self.second)?,
        };
        let valid = (1970..2200).contains(&date.year)
            && (1..=12).contains(&date.month)
            && (1..=days_in(date.year, date.month)).contains(&date.day)
            && date.hour < 24
            && date.minute < 60
            && date.second < 60;
        valid.then_some(date)
    }
}

impl Date {
    /// Seconds since 1970.
    pub fn unix(self) -> u64 {
        let months = (1..self.month).map(|month| days_in(self.year, month));
        let days = days_before(self.year) - days_before(1970) + months.sum::<u64>() + self.day - 1;
        days * SECONDS_PER_DAY + (self.hour * 60 + self.minute) * 60 + self.second
    }

    pub fn of_unix(seconds: u64) -> Date {
        let (days, rest) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
        let since_1 = days + days_before(1970);
        // A year has at least 365 days: that is never too early, and too late by a few at most.
        let mut year = since_1 / 365 + 1;
        while days_before(year) > since_1 {
            year -= 1;
        }
        let (mut month, mut day) = (1, since_1 - days_before(year));
        while day >= days_in(year, month) {
            day -= days_in(year, month);
            month += 1;
        }
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        Date { year, month, day: day + 1, hour, minute, second }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC",
            self.year, self.month, self.day, self.hour, self.minute, self.second
        )
    }
}
