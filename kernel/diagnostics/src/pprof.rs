//! A profile as `go tool pprof` reads it: samples, each a stack with a value and labels
//! (`profile.proto` of github.com/google/pprof). It is not compressed, which the tool accepts, and
//! has all names inside, so the tool needs no binary.

use crate::place::Place;
use crate::proto::Message;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// What a sample's value counts: its name and unit.
pub type ValueType = (&'static str, &'static str);

/// One frame: an address (0: it has none, and is a place in the source alone).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    pub pc: usize,
    pub place: Place,
}

/// Of a sample.
pub enum Label<'a> {
    Text(&'static str, &'a str),
    Number(&'static str, u64),
}

/// A profile that is being written.
pub struct Profile {
    samples: Message,
    locations: BTreeMap<Frame, u64>,
    strings: Strings,
}

#[derive(Default)]
struct Strings {
    /// The number of each; 0 is the empty one.
    numbers: BTreeMap<String, u64>,
    in_order: Vec<String>,
}

impl Strings {
    fn number(&mut self, text: &str) -> u64 {
        if text.is_empty() {
            return 0;
        }
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        self.in_order.push(text.into());
        let number = self.in_order.len() as u64;
        self.numbers.insert(text.into(), number);
        number
    }
}

impl Profile {
    pub fn new() -> Self {
        Profile {
            samples: Message::default(),
            locations: BTreeMap::new(),
            strings: Strings::default(),
        }
    }

    /// Adds a sample: its stack, innermost frame first, and a value of each type.
    pub fn sample(&mut self, stack: Vec<Frame>, values: &[u64], labels: &[Label<'_>]) {
        let locations: Vec<u64> = stack
            .into_iter()
            .map(|frame| {
                let next = self.locations.len() as u64 + 1;
                *self.locations.entry(frame).or_insert(next)
            })
            .collect();
        let strings = &mut self.strings;
        self.samples.message(2, |sample| {
            sample.numbers(1, locations).numbers(2, values.iter().copied());
            for label in labels {
                match *label {
                    Label::Text(key, text) => {
                        let (key, text) = (strings.number(key), strings.number(text));
                        sample.message(3, |label| _ = label.number(1, key).number(2, text));
                    }
                    Label::Number(key, value) => {
                        let key = strings.number(key);
                        sample.message(3, |label| _ = label.number(1, key).number(3, value));
                    }
                }
            }
        });
    }

    /// All of it. `types`: what the values of each sample are, in their order. `period`: what there
    /// is between two samples. `took`: for how long samples were taken (ns).
    pub fn finish(mut self, types: &[ValueType], period: (ValueType, u64), took: u64) -> Vec<u8> {
        let mut out = Message::default();
        for &(name, unit) in types {
            let (name, unit) = (self.strings.number(name), self.strings.number(unit));
            out.message(1, |value_type| _ = value_type.number(1, name).number(2, unit));
        }
        out.0.append(&mut self.samples.0);
        // All code is in one mapping, of which the tool needs to know only that it has names.
        let file = self.strings.number("kernel");
        out.message(3, |mapping| {
            mapping.number(1, 1).number(3, u64::MAX).number(5, file);
            [7, 8, 9].into_iter().for_each(|has| _ = mapping.number(has, 1));
        });
        let mut functions: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (frame, &id) in &self.locations {
            let next = functions.len() as u64 + 1;
            let place = &frame.place;
            let function = *functions.entry((&place.function, &place.file)).or_insert(next);
            out.message(4, |location| {
                location.number(1, id).number(2, 1).number(3, frame.pc as u64);
                location.message(4, |line| _ = line.number(1, function).number(2, place.line));
            });
        }
        for ((name, file), id) in functions {
            let (name, file) = (self.strings.number(name), self.strings.number(file));
            out.message(5, |function| {
                // Without a mangled name, or the tool would take Rust's `<..>` out of this one.
                function.number(1, id).number(2, name).number(4, file);
            });
        }
        let ((name, unit), period) = period;
        let (name, unit) = (self.strings.number(name), self.strings.number(unit));
        out.message(11, |period_type| _ = period_type.number(1, name).number(2, unit));
        out.number(10, took).number(12, period);
        out.bytes(6, b"");
        self.strings.in_order.iter().for_each(|text| _ = out.bytes(6, text.as_bytes()));
        out.0
    }
}
