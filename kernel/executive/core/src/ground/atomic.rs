//! Atomics: `core`'s, or `loom`'s when a model checker runs us (`--cfg loom`).
//!
//! Nothing else in the executive names either, but for what the instruction set does better (arch).
#![allow(unsafe_code)] // A pointer back as the reference that it was.

pub use super::arch::{
    Left, full_fence, full_fence_after_exchange, prefetch_for_write, relax, sub_release,
};
#[cfg(not(loom))]
pub use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(loom)]
pub use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// A `const fn`; for the model checker, whose atomics cannot be made at compile time, a `fn`.
#[doc(hidden)]
#[macro_export]
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> $ret:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$meta])*
        $vis const fn $name() -> $ret $body
        #[cfg(loom)]
        $(#[$meta])*
        $vis fn $name() -> $ret $body
    };
}
#[doc(hidden)]
pub use const_fn;

/// A word that one owner at a time writes, by plain loads and stores; 0 at first. Others may read
/// it, and see what it was a moment ago. (It orders nothing, so the model checker does not see it.)
pub struct Owned<T: Word>(T::Atomic);

/// What fits into one.
pub trait Word: Copy {
    /// As an atomic.
    type Atomic;
    /// At first.
    #[allow(clippy::declare_interior_mutable_const)] // each use makes one
    const ZERO: Self::Atomic;
    /// Relaxed.
    fn load(word: &Self::Atomic) -> Self;
    /// Relaxed.
    fn store(word: &Self::Atomic, value: Self);
}

macro_rules! words {
    ($($Value:ty: $Atomic:ty = $zero:expr;)*) => { $(
        impl Word for $Value {
            type Atomic = $Atomic;
            const ZERO: $Atomic = <$Atomic>::new($zero);
            #[inline(always)]
            fn load(word: &Self::Atomic) -> Self {
                word.load(core::sync::atomic::Ordering::Relaxed)
            }
            #[inline(always)]
            fn store(word: &Self::Atomic, value: Self) {
                word.store(value, core::sync::atomic::Ordering::Relaxed);
            }
        }
    )* };
}
words! {
    bool: core::sync::atomic::AtomicBool = false;
    u32: core::sync::atomic::AtomicU32 = 0;
    u64: core::sync::atomic::AtomicU64 = 0;
    usize: core::sync::atomic::AtomicUsize = 0;
    *mut (): core::sync::atomic::AtomicPtr<()> = core::ptr::null_mut();
}

impl<T: Word> Owned<T> {
    pub(crate) const fn new() -> Self {
        Owned(T::ZERO)
    }
    /// What it is.
    #[inline(always)]
    pub fn get(&self) -> T {
        T::load(&self.0)
    }
    #[inline(always)]
    pub(crate) fn set(&self, value: T) {
        T::store(&self.0, value);
    }
    #[inline(always)]
    pub(crate) fn replace(&self, value: T) -> T {
        let was = self.get();
        self.set(value);
        was
    }
}
impl Owned<u64> {
    /// Counts one more.
    #[inline(always)]
    pub(crate) fn bump(&self) {
        self.set(self.get() + 1);
    }
}

/// An atomic `Option<&'static T>`: a pointer that came from a reference, or null.
pub struct AtomicRef<T: 'static>(AtomicPtr<T>);

impl<T: Sync> AtomicRef<T> {
    const_fn! {
        /// None.
        pub fn new() -> Self {
            AtomicRef(AtomicPtr::new(core::ptr::null_mut()))
        }
    }

    #[inline(always)]
    fn pointer(t: Option<&'static T>) -> *mut T {
        t.map_or(core::ptr::null_mut(), |t| core::ptr::from_ref(t).cast_mut())
    }
    #[inline(always)]
    fn reference(t: *mut T) -> Option<&'static T> {
        // SAFETY: made by `pointer` from a `&'static T`, or null.
        unsafe { t.as_ref() }
    }

    /// Reads it.
    #[inline(always)]
    pub fn load(&self, order: Ordering) -> Option<&'static T> {
        Self::reference(self.0.load(order))
    }
    /// Writes it.
    #[inline(always)]
    pub fn store(&self, t: Option<&'static T>, order: Ordering) {
        self.0.store(Self::pointer(t), order);
    }
    /// Exchanges it.
    #[inline(always)]
    pub fn swap(&self, t: Option<&'static T>, order: Ordering) -> Option<&'static T> {
        Self::reference(self.0.swap(Self::pointer(t), order))
    }
    /// Exchanges `from`, this very one, for `to`; `false`: it is another.
    #[inline(always)]
    pub fn replace(
        &self,
        from: Option<&'static T>,
        to: Option<&'static T>,
        success: Ordering,
        failure: Ordering,
    ) -> bool {
        let (from, to) = (Self::pointer(from), Self::pointer(to));
        self.0.compare_exchange(from, to, success, failure).is_ok()
    }

    /// Puts `t` before the others of the list that begins here, and that goes on in `link(t)`.
    /// Lock-free: an attempt fails only if another one succeeded. Release, for those who Acquire.
    pub fn push(&self, t: &'static T, link: impl Fn(&T) -> &AtomicRef<T>) {
        loop {
            let first = self.load(Ordering::Relaxed);
            link(t).store(first, Ordering::Relaxed);
            if self.replace(first, Some(t), Ordering::Release, Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Where it lies, for debuggers.
    pub(crate) const fn as_ptr(&self) -> *const () {
        core::ptr::from_ref(self).cast()
    }
}

/// A struct whose fields say what they begin with, `field: Type = value`, and its `new`, a
/// [`const_fn`]. (RFC 3681 gives Rust such fields; they are not stable yet.)
macro_rules! with_new {
    (
        $(#[$meta:meta])* $vis:vis struct $Name:ident $(<$T:ident: $Bound:ident>)? {
            $($(#[$about:meta])* $access:vis $field:ident: $ty:ty = $value:expr,)*
        }
    ) => {
        $(#[$meta])*
        $vis struct $Name $(<$T: $Bound>)? {
            $($(#[$about])* $access $field: $ty,)*
        }

        impl$(<$T: $Bound>)? $Name $(<$T>)? {
            $crate::const_fn! {
                pub(crate) fn new() -> Self {
                    Self { $($field: $value,)* }
                }
            }
        }
    };
}
pub(crate) use with_new;

/// An array of atomics, for use in a [`const_fn`].
macro_rules! atomics {
    ($each:expr; $n:expr) => {{
        #[cfg(not(loom))]
        let array = [const { $each }; $n];
        #[cfg(loom)]
        let array: [_; $n] = core::array::from_fn(|_| $each);
        array
    }};
}
pub(crate) use atomics;
