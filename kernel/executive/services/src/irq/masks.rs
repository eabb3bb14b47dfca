//! When an interrupt's handler masks it, and when the goroutines that look at the devices unmask
//! it. For machines: what masking means is theirs.
//!
//! [`Level`]: an interrupt that comes again until its device is quiet, which a goroutine alone can
//! make it. The handler masks it. Several devices may share it, so it is unmasked when each of them
//! has been looked at.
//!
//! [`Storm`]: a device that interrupts again and again while nobody looks. The handler masks it
//! after a while; whoever looks unmasks it.
//!
//! **Rule:** the handler masks, then says so, then raises the goroutines' lines. So a goroutine
//! that is woken finds what it has to undo, and an interrupt is never masked while no goroutine is
//! to come that unmasks it. A goroutine looks at its device, then says so here, then waits.
//!
//! (Words that both sides write are written by exchanges alone: loom takes a plain store for one
//! that may have come before an exchange that did not see it.)

use executive_core::atomic::{AtomicRef, AtomicU32, Ordering, const_fn};

/// Those who share a level-triggered interrupt: `N` at the most, up to 32.
pub struct Level<T: 'static, const N: usize> {
    sharers: [AtomicRef<T>; N],
    /// A bit for each that has not looked at its device since the last interrupt.
    unserved: AtomicU32,
}

impl<T: Sync, const N: usize> Level<T, N> {
    /// Nobody shares it.
    pub fn new() -> Self {
        Level { sharers: core::array::from_fn(|_| AtomicRef::new()), unserved: AtomicU32::new(0) }
    }

    /// `t` shares it from here on, and is this number. `None`: `N` others do. One caller at a time.
    /// The caller unmasks the interrupt: it may be masked since the last of the others has left.
    pub fn join(&self, t: &'static T) -> Option<usize> {
        let n = self.sharers.iter().position(|s| s.load(Ordering::Relaxed).is_none())?;
        self.sharers[n].store(Some(t), Ordering::Release); // partner: `present`
        Some(n)
    }

    fn present(&self) -> impl Iterator<Item = (usize, &'static T)> {
        // Acquire: partner of `join`.
        let sharers = self.sharers.iter().map(|s| s.load(Ordering::Acquire)).enumerate();
        sharers.filter_map(|(n, t)| Some((n, t?)))
    }

    /// It came: the handler. `raise` raises a sharer's line.
    pub fn came(&self, mask: impl FnOnce(), mut raise: impl FnMut(&'static T)) {
        mask();
        let bits = self.present().fold(0, |bits, (n, _)| bits | 1 << n);
        // Before the lines: whoever is woken finds its bit. Release: and that it is masked.
        // Partner: `served`.
        self.unserved.swap(bits, Ordering::Release);
        self.present().for_each(|(_, t)| raise(t));
    }

    /// Sharer `n` has looked at its device, which is quiet. The last to do so unmasks.
    pub fn served(&self, n: usize, unmask: impl FnOnce()) {
        let was = self.unserved.fetch_and(!(1 << n), Ordering::AcqRel); // partners: `came`, itself
        let others = self.present().filter(|&(other, _)| other != n);
        // The handler may have counted one that has left since.
        if was & 1 << n != 0 && others.fold(0, |bits, (n, _)| bits | 1 << n) & was == 0 {
            unmask();
        }
    }

    /// Sharer `n` shares it no longer; its device is quiet.
    pub fn leave(&self, n: usize, unmask: impl FnOnce()) {
        self.sharers[n].store(None, Ordering::Release);
        self.served(n, unmask);
    }
}

impl<T: Sync, const N: usize> Default for Level<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// How often an interrupt came while nobody looked.
pub struct Storm {
    unseen: AtomicU32,
    /// 1: the handler has masked it.
    masked: AtomicU32,
    /// How often that was.
    storms: AtomicU32,
}

impl Storm {
    const_fn! {
        /// A device that has not interrupted yet.
        pub fn new() -> Self {
            Storm {
                unseen: AtomicU32::new(0),
                masked: AtomicU32::new(0),
                storms: AtomicU32::new(0),
            }
        }
    }

    /// It came: the handler, which raises the line afterwards. After `limit` interrupts that nobody
    /// has looked for it masks.
    pub fn came(&self, limit: u32, mask: impl FnOnce()) {
        if self.unseen.fetch_add(1, Ordering::Relaxed) == limit {
            mask();
            self.storms.fetch_add(1, Ordering::Relaxed);
            self.masked.swap(1, Ordering::Release); // partner: `looked`
        }
    }

    /// The goroutine has looked. Returns whether it was masked and is not any more: then the device
    /// must be looked at once more.
    pub fn looked(&self, unmask: impl FnOnce()) -> bool {
        self.unseen.swap(0, Ordering::Relaxed);
        let masked = self.masked.swap(0, Ordering::Acquire) != 0; // partner: `came`
        if masked {
            unmask();
        }
        masked
    }

    /// How often it was masked.
    pub fn storms(&self) -> u32 {
        self.storms.load(Ordering::Relaxed)
    }
}

impl Default for Storm {
    fn default() -> Self {
        Self::new()
    }
}
