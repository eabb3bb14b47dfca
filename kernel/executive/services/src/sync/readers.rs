//! The words of a lock for many readers or one writer. Go: `sync.RWMutex` (rwmutex.go), and its arithmetic.
//!
//! **Rule:** a writer announces itself by making the count of readers negative. From then on new readers wait for it, so writers do not starve; it waits for those that read, which it
//! has counted in the same step. When it unlocks, all readers that have come meanwhile go before the next writer, so readers do not starve either.
//! One writer at a time calls what writers call.

use executive_core::atomic::{AtomicU32, Ordering, const_fn};

/// What a writer subtracts: more readers there cannot be.
const WRITER: u32 = 1 << 30;

/// So many may read: half, because those who come at the same time are counted before one of them is
/// refused. Guards can be forgotten, so a loop can get here; a reader too many would be let in beside a
/// writer. (Unit tests want to get here.)
const MOST: u32 = if cfg!(test) { 4 } else { WRITER / 2 };

/// What [`Readers::enter`] came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entered {
    /// It reads.
    Reads,
    /// It has to wait for the writer to let it in.
    Waits,
    /// It is counted as one that reads, and has to leave again: there are too many.
    TooMany,
}

/// See the head of this file.
pub struct Readers {
    /// Readers, those that wait for a writer included; less WRITER while there is a writer. Wraps below 0.
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

    /// One reads, or will.
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

    /// As `enter`, if there is no writer and there are not too many.
    #[must_use]
    pub fn try_enter(&self) -> bool {
        self.readers
            .try_update(Ordering::Acquire, Ordering::Relaxed, |n| (n < MOST).then(|| n + 1))
            .is_ok()
    }

    /// One reads no more; `true`: it was the last that a writer waits for, and has to let it in.
    #[inline]
    #[must_use]
    pub fn leave(&self) -> bool {
        // Release: partner of the AcqRel in `begin_write`. If a writer waits, AcqRel: what all of those it waits for did is seen by the last, and by it.
        (self.readers.fetch_sub(1, Ordering::Release).wrapping_sub(1) as i32) < 0
            && self.leaving.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// One wants to write; `false`: when it has waited for the last reader to let it in.
    #[must_use]
    pub fn begin_write(&self) -> bool {
        // AcqRel: partner of the readers' in `enter` and `leave`.
        let reading = self.readers.fetch_sub(WRITER, Ordering::AcqRel);
        // Some of them may have left already, and counted `leaving` below 0.
        reading == 0 || self.leaving.fetch_add(reading, Ordering::AcqRel).wrapping_add(reading) == 0
    }

    /// How many readers the writer still waits for. A moment's truth, for reports.
    pub fn left(&self) -> usize {
        self.leaving.load(Ordering::Relaxed) as usize
    }

    /// As `begin_write`, if nobody reads.
    #[must_use]
    pub fn try_begin_write(&self) -> bool {
        let none = 0u32.wrapping_sub(WRITER);
        self.readers.compare_exchange(0, none, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// It writes no more; so many readers wait to be let in.
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
