//! `lock.rs` as the model checker sees it: the same face over `loom`'s mutex, which it understands.
//! No pins and no ranks: there are no CPUs.

/// As in lock.rs.
#[allow(missing_docs)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    User,
    Timers,
    Chan,
    Wait,
    Sched,
}

/// A lock around a `T`.
pub struct Lock<T>(loom::sync::Mutex<T>);

/// Nothing is counted here.
pub type CountedLock<T> = Lock<T>;

/// The lock is held while this lives.
pub type LockGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

impl<T> Lock<T> {
    /// The model forgets the rank.
    pub fn new(_: Rank, value: T) -> Self {
        Lock(loom::sync::Mutex::new(value))
    }
    /// As `new`.
    pub fn counted(rank: Rank, value: T) -> Self {
        Self::new(rank, value)
    }
    /// Takes the lock; blocks while another has it.
    pub fn lock(&self) -> LockGuard<'_, T> {
        self.0.lock().unwrap()
    }
    /// Takes the lock if nobody has it.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.0.try_lock().ok()
    }
    /// Nothing was counted.
    pub fn stats(&self) -> (u64, u64) {
        (0, 0)
    }
}
