//! What an outsider must not guess, made of a seed that the machine gives.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A secret, and how often it was asked for a number.
pub(crate) struct Random {
    key: [u64; 4],
    asked: AtomicU64,
}

impl Random {
    pub(crate) fn new(seed: [u64; 4]) -> Self {
        Random { key: seed, asked: AtomicU64::new(0) }
    }

    /// The next number.
    pub(crate) fn next(&self) -> u64 {
        self.of([self.asked.fetch_add(1, Relaxed), u64::MAX, 0]) // only that each is another
    }

    /// The number that belongs to `words`: always the same one, and nobody else knows it. SipHash
    /// 1-3, shortened to words (Aumasson and Bernstein, 2012).
    #[inline]
    pub(crate) fn of<const N: usize>(&self, words: [u64; N]) -> u64 {
        let [a, b, c, d] = self.key;
        let mut v = [
            a ^ 0x736f_6d65_7073_6575,
            b ^ 0x646f_7261_6e64_6f6d,
            a ^ c ^ 0x6c79_6765_6e65_7261,
            b ^ d ^ 0x7465_6462_7974_6573,
        ];
        for word in words {
            v[3] ^= word;
            round(&mut v);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

#[inline]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}
