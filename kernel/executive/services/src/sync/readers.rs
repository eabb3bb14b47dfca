//! The words of a lock for many readers or one writer, with the arithmetic of Go: `sync.RWMutex`
//! (rwmutex.go).
//!
//! **Rule:** a writer announces itself by making the count of readers negative. From then on new
//! readers wait for the writer, so writers do not starve. The writer waits for the goroutines that
//! read already, whose number it has got in the same step. When it unlocks, all readers that have
//! come meanwhile go before the next writer, so readers do not starve either. The functions for
//! writers are called by one writer at a time.

use executive_core::atomic::{AtomicU32, Ordering, const_fn};

/// A writer subtracts this number, and there are always fewer readers.
const WRITER: u32 = 1 << 30;

/// This many may read: half of what could be counted, because readers that come at the same time
/// are all counted before one of them is rejected. Guards can be forgotten, so a loop can reach
/// this number; one reader too many would be let in beside a writer. (Unit tests reach it, too.)
const MOST: u32 = if cfg!(test) { 4 } else { WRITER / 2 };

/// The outcome of [`Readers::enter`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entered {
    /// The reader is in.
    Reads,
    /// The reader has to wait until the writer lets it in.
    Waits,
    /// There are too many readers. This one is counted nevertheless, and has to leave again.
    TooMany,
}

/// See the head of this file.
pub struct Readers {
    /// The readers, including those that wait for a writer; less WRITER while there is a writer.
    /// Wraps below 0.
    readers: AtomicU32,
    /// Readers that the writer waits for.
    leaving: AtomicU32,
}

impl Readers {
    const_fn! {
        /// Neither reader nor writer.
        pub fn new() -> Self {
            Readers { readers: AtomicU32::new(0), leaving: AtomicU32::new(0) }
        }
    }

    /// A reader comes.
    #[inline]
    #[must_use]
    pub fn enter(&self) -> Entered {
        // Acquire: partner of the Release in `end_write`.
        match self.readers.fetch_add(1, Ordering::Acquire) {
            0..MOST => Entered::Reads,
            n if (n as i32) < 0 => Entered::Waits,
            _ => Entered::TooMany,
        }
    }

    /// As `enter`, if there is no writer and there are not too many readers.
    #[must_use]
    pub fn try_enter(&self) -> bool {
        self.readers
            .try_update(Ordering::Acquire, Ordering::Relaxed, |n| (n < MOST).then(|| n + 1))
            .is_ok()
    }

    /// A reader leaves. `true`: it was the last that a writer waits for, and has to let the writer
    /// in.
    #[inline]
    #[must_use]
    pub fn leave(&self) -> bool {
        // Release: partner of the AcqRel in `begin_write`. If a writer waits, AcqRel: the last
        // reader, and after it the writer, sees what all readers did that the writer waits for.
        (self.readers.fetch_sub(1, Ordering::Release).wrapping_sub(1) as i32) < 0
            && self.leaving.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// A writer comes. `false`: it has to wait until the last reader lets it in.
    #[must_use]
    pub fn begin_write(&self) -> bool {
        // AcqRel: partner of the readers' in `enter` and `leave`.
        let reading = self.readers.fetch_sub(WRITER, Ordering::AcqRel);
        // Some of them may have left already, and have counted `leaving` below 0.
        reading == 0 || self.leaving.fetch_add(reading, Ordering::AcqRel).wrapping_add(reading) == 0
    }

    /// How many readers the writer still waits for: a snapshot, for reports.
    pub fn left(&self) -> usize {
        self.leaving.load(Ordering::Relaxed) as usize
    }

    /// As `begin_write`, if nobody reads.
    #[must_use]
    pub fn try_begin_write(&self) -> bool {
        let none = 0u32.wrapping_sub(WRITER);
        self.readers.compare_exchange(0, none, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// The writer leaves. Returns how many readers wait to be let in.
    #[must_use]
    pub fn end_write(&self) -> u32 {
        // Release: partner of the Acquire in `enter`.
        self.readers.fetch_add(WRITER, Ordering::Release).wrapping_add(WRITER)
    }
}

impl Default for Readers {
    fn default() -> Self {
        Self::new()
    }
}
