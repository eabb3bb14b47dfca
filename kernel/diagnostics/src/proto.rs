//! Protocol buffers, as far as a profile needs them: numbers, and what has a length
//! (<https://protobuf.dev/programming-guides/encoding>).

use alloc::vec::Vec;

/// Writes a number, seven bits in a byte, the lowest first. (Go's traces have them, too.)
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A message that is being written.
#[derive(Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    /// A field that is a number. 0 is the default, and not written.
    pub fn number(&mut self, field: u32, value: u64) -> &mut Self {
        if value != 0 {
            varint(&mut self.0, u64::from(field) << 3);
            varint(&mut self.0, value);
        }
        self
    }

    /// A field that is a string, or bytes, or a message.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) -> &mut Self {
        varint(&mut self.0, u64::from(field) << 3 | 2);
        varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A field that is a message.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Message)) -> &mut Self {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(field, &inner.0)
    }

    /// A field that is a list of numbers, packed.
    pub fn numbers(&mut self, field: u32, values: impl IntoIterator<Item = u64>) -> &mut Self {
        self.message(field, |inner| {
            values.into_iter().for_each(|value| varint(&mut inner.0, value))
        })
    }
}
