//! The word of a mutex: whether it is locked, how many wait, and who is let in next.
//! Go: `sync.Mutex` (internal/sync/mutex.go), with its two modes.
//!
//! *Normally* an unlock wakes the first waiter, but a running goroutine that wants the lock may get
//! it first: that costs no switch. A waiter that has lost in this way for more than a millisecond
//! makes the mutex *starving*. From then on each unlock hands the lock to the first waiter, and
//! newcomers queue. The mode ends when the waiter that gets the lock is the last one, or has waited
//! for less than a millisecond.
//!
//! **Rule:** the word says everything; the queue only carries permits to waiters that the word
//! counts.

use super::param::{MUTEX_SPIN_PAUSES, MUTEX_SPINS, STARVATION_NS};
use core::cmp;
use executive_core::atomic::{AtomicU32, Ordering, const_fn, relax, sub_release};

/// A goroutine has the lock.
const LOCKED: u32 = 1;
/// A waiter is awake and tries to get the lock: an unlock need not wake another.
const WOKEN: u32 = 2;
/// One waiter; the bits up to STARVING count them.
const WAITER: u32 = 4;
/// Hand the lock over. This is the highest bit, so that an unlock sees it in the CPU's sign flag.
const STARVING: u32 = 1 << 31;

fn waiters(state: u32) -> u32 {
    (state & !STARVING) / WAITER
}

/// Where in the queue a goroutine waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Position {
    /// Behind all others: the goroutine has just come.
    Back,
    /// Before all others: the goroutine was woken, but another one got the lock.
    Front,
}

/// The queue in which waiters wait, and what else the word needs. Models bring their own.
pub trait Queue {
    /// Parks until there is a permit, and takes it.
    fn acquire(&self, position: Position);
    /// Gives a permit, to the first waiter if there is one.
    fn release(&self);
    /// Called when the lock is taken and the caller may have to wait, before the word is changed:
    /// so it may panic.
    fn may_park(&self) {}
    /// Whether the holder may be done soon and nobody waits for this CPU. Go: `canSpin`.
    #[doc(alias = "canSpin")]
    fn may_spin(&self) -> bool;
    /// The time in nanoseconds.
    fn now(&self) -> u64;
}

/// See the head of this file.
pub struct LockWord(AtomicU32);

impl LockWord {
    const_fn! {
        /// An unlocked word.
        pub fn new() -> Self {
            LockWord(AtomicU32::new(0))
        }
    }

    /// For models: 0 if the lock is free, nobody waits and nobody was woken.
    #[cfg(loom)]
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether a goroutine has the lock: a snapshot.
    pub fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & LOCKED != 0
    }

    /// Locks; waits while another goroutine has the lock.
    #[inline]
    pub fn lock(&self, queue: &impl Queue) {
        // Acquire: partner of the Release in `unlock`.
        if self.0.compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.lock_slow(queue);
        }
    }

    /// Locks if that can be done at once; never before starving waiters.
    pub fn try_lock(&self) -> bool {
        let old = self.0.load(Ordering::Relaxed);
        old & (LOCKED | STARVING) == 0 && self.swap(old, old | LOCKED)
    }

    #[cold]
    fn lock_slow(&self, queue: &impl Queue) {
        let (mut since, mut starving, mut awoke, mut spins) = (0, false, false, 0);
        let mut old = self.0.load(Ordering::Relaxed);
        loop {
            if old & (LOCKED | STARVING) != 0 {
                queue.may_park();
            }
            if old & (LOCKED | STARVING) == LOCKED && spins < MUTEX_SPINS && queue.may_spin() {
                // Say that we are awake, so that the unlock need not wake another waiter.
                if !awoke && old & WOKEN == 0 && waiters(old) != 0 {
                    awoke = self.swap(old, old | WOKEN);
                }
                (0..MUTEX_SPIN_PAUSES).for_each(|_| relax());
                spins += 1;
                old = self.0.load(Ordering::Relaxed);
                continue;
            }
            let mut new = old;
            if old & STARVING == 0 {
                new |= LOCKED;
            }
            if old & (LOCKED | STARVING) != 0 {
                new += WAITER;
            }
            if starving && old & LOCKED != 0 {
                new |= STARVING;
            }
            if awoke {
                new &= !WOKEN;
            }
            if !self.swap(old, new) {
                old = self.0.load(Ordering::Relaxed);
                continue;
            }
            if old & (LOCKED | STARVING) == 0 {
                return;
            }
            if since == 0 {
                since = queue.now();
                queue.acquire(Position::Back);
            } else {
                queue.acquire(Position::Front);
            }
            starving |= queue.now() - since > STARVATION_NS;
            old = self.0.load(Ordering::Relaxed);
            if old & STARVING != 0 {
                // The unlocker has handed the lock to us, and leaves it to us to update the word.
                let over = if !starving || waiters(old) == 1 { STARVING } else { 0 };
                // Acquire: partner of the Release in `unlock`.
                self.0.fetch_add(LOCKED.wrapping_sub(WAITER + over), Ordering::Acquire);
                return;
            }
            awoke = true;
            spins = 0;
        }
    }

    /// Unlocks; called by the holder. `true`: the lock was handed to a waiter, to which the caller
    /// should yield.
    #[inline]
    pub fn unlock(&self, queue: &impl Queue) -> bool {
        // Release: partner of the Acquire in `lock`.
        match sub_release::<LOCKED>(&self.0) {
            cmp::Ordering::Equal => false,
            cmp::Ordering::Greater => {
                self.wake_waiter(queue);
                false
            }
            cmp::Ordering::Less => {
                hand_over(queue);
                true
            }
        }
    }

    #[cold]
    fn wake_waiter(&self, queue: &impl Queue) {
        let mut old = self.0.load(Ordering::Relaxed);
        // Not if nobody waits, if a waiter is awake, if a goroutine has the lock already, or if the
        // mutex was made starving and unlocked by another goroutine meanwhile.
        while waiters(old) != 0 && old & (LOCKED | WOKEN | STARVING) == 0 {
            if self.swap(old, (old - WAITER) | WOKEN) {
                queue.release();
                break;
            }
            old = self.0.load(Ordering::Relaxed);
        }
    }

    fn swap(&self, old: u32, new: u32) -> bool {
        self.0.compare_exchange(old, new, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

#[cold]
fn hand_over(queue: &impl Queue) {
    queue.release();
}

impl Default for LockWord {
    fn default() -> Self {
        Self::new()
    }
}
