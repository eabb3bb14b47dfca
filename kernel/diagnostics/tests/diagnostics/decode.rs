//! A decoder of profiles: enough of protocol buffers, and of `profile.proto`.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub struct Frame {
    pub function: String,
    pub file: String,
    pub line: u64,
}

#[derive(Debug, Default)]
pub struct Sample {
    /// The innermost first.
    pub stack: Vec<Frame>,
    pub values: Vec<u64>,
    /// A name, and a text or a number.
    pub labels: Vec<(String, String, u64)>,
}

#[derive(Debug, Default)]
pub struct Profile {
    pub types: Vec<(String, String)>,
    pub samples: Vec<Sample>,
    pub period_type: (String, String),
    pub period: u64,
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn number(&self) -> u64 {
        match self {
            Value::Number(number) => *number,
            Value::Bytes(_) => panic!("a number is needed"),
        }
    }
    fn bytes(&self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => panic!("bytes are needed"),
        }
    }
    /// Of a field that may come again, or packed.
    fn numbers(&self) -> Vec<u64> {
        match *self {
            Value::Number(number) => vec![number],
            Value::Bytes(mut rest) => {
                let mut all = Vec::new();
                while !rest.is_empty() {
                    all.push(varint(&mut rest));
                }
                all
            }
        }
    }
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().expect("a number that ends");
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a number of more than 64 bits")
}

fn fields(mut rest: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut all = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut rest)),
            2 => {
                let length = varint(&mut rest) as usize;
                let (bytes, tail) = rest.split_at(length);
                rest = tail;
                Value::Bytes(bytes)
            }
            wire => panic!("wire type {wire}"),
        };
        all.push((key >> 3, value));
    }
    all
}

/// The fields of a message that are numbers.
fn numbers(message: &[u8]) -> BTreeMap<u64, u64> {
    let number = |(field, value): (u64, Value<'_>)| match value {
        Value::Number(number) => Some((field, number)),
        Value::Bytes(_) => None,
    };
    fields(message).into_iter().filter_map(number).collect()
}

pub fn profile(bytes: &[u8]) -> Profile {
    let all = fields(bytes);
    let of = |field: u64| all.iter().filter(move |(is, _)| *is == field).map(|(_, value)| value);
    let strings: Vec<String> =
        of(6).map(|text| String::from_utf8(text.bytes().to_vec()).expect("UTF-8")).collect();
    assert_eq!(strings[0], "", "the first string is empty");
    let string = |number: Option<&u64>| strings[*number.unwrap_or(&0) as usize].clone();
    let value_type = |message: &[u8]| {
        let numbers = numbers(message);
        (string(numbers.get(&1)), string(numbers.get(&2)))
    };
    let functions: BTreeMap<u64, (String, String)> = of(5)
        .map(|function| {
            let numbers = numbers(function.bytes());
            (numbers[&1], (string(numbers.get(&2)), string(numbers.get(&4))))
        })
        .collect();
    let locations: BTreeMap<u64, Frame> = of(4)
        .map(|location| {
            let line = fields(location.bytes()).into_iter().find(|(field, _)| *field == 4);
            let line = numbers(line.expect("a line").1.bytes());
            let (function, file) = functions[&line[&1]].clone();
            let frame = Frame { function, file, line: *line.get(&2).unwrap_or(&0) };
            (numbers(location.bytes())[&1], frame)
        })
        .collect();
    let sample = |message: &Value<'_>| {
        let mut sample = Sample::default();
        for (field, value) in fields(message.bytes()) {
            match field {
                1 => {
                    let stack = value.numbers().into_iter().map(|id| locations[&id].clone());
                    sample.stack.extend(stack);
                }
                2 => sample.values.extend(value.numbers()),
                3 => {
                    let label = numbers(value.bytes());
                    let number = *label.get(&3).unwrap_or(&0);
                    sample.labels.push((string(label.get(&1)), string(label.get(&2)), number));
                }
                _ => panic!("field {field} of a sample"),
            }
        }
        sample
    };
    let single = |field| of(field).next().map_or(0, Value::number);
    Profile {
        types: of(1).map(|one| value_type(one.bytes())).collect(),
        samples: of(2).map(sample).collect(),
        period_type: of(11).next().map(|one| value_type(one.bytes())).unwrap_or_default(),
        period: single(12),
    }
}

/// An event of Go's execution trace: its number, and its words behind the time.
pub type Event = (u8, Vec<u64>);

/// A trace of Go 1.22.
#[derive(Debug, Default)]
pub struct GoTrace {
    /// By M.
    pub events: BTreeMap<u64, Vec<Event>>,
    pub strings: BTreeMap<u64, String>,
    /// By number, the innermost frame first.
    pub stacks: BTreeMap<u64, Vec<Frame>>,
}

impl GoTrace {
    /// How many events there are of this number.
    pub fn count(&self, number: u8) -> usize {
        self.of(number).count()
    }

    /// The words of the events of this number.
    pub fn of(&self, number: u8) -> impl Iterator<Item = &[u64]> {
        self.events
            .values()
            .flatten()
            .filter(move |event| event.0 == number)
            .map(|event| &event.1[..])
    }

    pub fn says(&self, what: impl Fn(&str) -> bool) -> bool {
        self.strings.values().any(|text| what(text))
    }

    /// Whether a function with this in its name is in the stack that is an event's last word.
    pub fn is_in(&self, function: &str, words: &[u64]) -> bool {
        let stack = self.stacks.get(words.last().expect("a word"));
        stack.is_some_and(|stack| stack.iter().any(|frame| frame.function.contains(function)))
    }
}

pub fn go_trace(bytes: &[u8]) -> GoTrace {
    let mut rest = bytes.strip_prefix(b"go 1.22 trace\0\0\0").expect("a header");
    let (mut trace, mut stacks) = (GoTrace::default(), Vec::new());
    while let Some((&number, tail)) = rest.split_first() {
        rest = tail;
        assert_eq!(number, 1, "a batch");
        let [generation, m, _, size] = [(); 4].map(|()| varint(&mut rest));
        assert_eq!(generation, 1);
        assert!(size <= 64 << 10);
        let (mut data, tail) = rest.split_at(size as usize);
        rest = tail;
        while let Some((&number, tail)) = data.split_first() {
            data = tail;
            // How many words each event has, with its time.
            let words = match number {
                2 | 4 => 0,
                8 => 1,
                3 => {
                    let [id, frames] = [(); 2].map(|()| varint(&mut data));
                    let frame = |_| [(); 4].map(|()| varint(&mut data));
                    stacks.push((id, (0..frames).map(frame).collect::<Vec<_>>()));
                    continue;
                }
                5 => {
                    let [id, length] = [(); 2].map(|()| varint(&mut data));
                    let (text, tail) = data.split_at(length as usize);
                    data = tail;
                    let text = String::from_utf8(text.to_vec()).expect("UTF-8");
                    assert_eq!(trace.strings.insert(id, text), None, "two strings {id}");
                    continue;
                }
                11 | 17 => 1,
                9 | 10 | 13 | 16 | 19 | 20 => 3,
                14 | 21 | 25 | 42 | 43 => 4,
                44 => 5,
                other => panic!("event {other}"),
            };
            let words: Vec<u64> = (0..words).map(|_| varint(&mut data)).collect();
            trace.events.entry(m).or_default().push((number, words.into_iter().skip(1).collect()));
        }
    }
    for (id, frames) in stacks {
        let string = |id| trace.strings[&id].clone();
        let frame = |[_, function, file, line]: [u64; 4]| Frame {
            function: string(function),
            file: string(file),
            line,
        };
        let frames = frames.into_iter().map(frame).collect();
        assert!(trace.stacks.insert(id, frames).is_none(), "two stacks {id}");
    }
    trace
}
