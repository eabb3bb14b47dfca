//! Atomics: `core`'s, or `loom`'s when a model checker runs us (`--cfg loom`).
//!
//! Nothing else in the executive names either, but for what the instruction set does better (arch).
#![allow(unsafe_code)] // A pointer back as the reference that it was.

pub use super::arch::{
    full_fence, full_fence_after_exchange, prefetch_for_write, relax, sub_release,
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
        #[allow(clippy::new_without_default, reason = "const is what it is for")]
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
pub struct Owned<T: Plain>(T::Atomic);

/// What fits into one.
pub trait Plain: Copy {
    /// As an atomic.
    type Atomic;
    /// At first.
    #[allow(clippy::declare_interior_mutable_const)] // each use makes one
    const ZERO: Self::Atomic;
}

macro_rules! plain {
    ($($Value:ty: $Atomic:ty = $zero:expr;)*) => { $(
        impl Plain for $Value {
            type Atomic = $Atomic;
            const ZERO: $Atomic = <$Atomic>::new($zero);
        }
        impl Owned<$Value> {
            /// What it is.
            #[inline(always)]
            pub fn get(&self) -> $Value {
                self.0.load(core::sync::atomic::Ordering::Relaxed)
            }
            #[inline(always)]
            pub(crate) fn set(&self, value: $Value) {
                self.0.store(value, core::sync::atomic::Ordering::Relaxed);
            }
        }
    )* };
}
plain! {
    bool: core::sync::atomic::AtomicBool = false;
    u32: core::sync::atomic::AtomicU32 = 0;
    u64: core::sync::atomic::AtomicU64 = 0;
    usize: core::sync::atomic::AtomicUsize = 0;
    *mut (): core::sync::atomic::AtomicPtr<()> = core::ptr::null_mut();
}

impl<T: Plain> Owned<T> {
    pub(crate) const fn new() -> Self {
        Owned(T::ZERO)
    }
}
impl Owned<bool> {
    /// Exchanges it.
    pub(crate) fn replace(&self, value: bool) -> bool {
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
}

/// A mark, or a `&'static T`.
pub enum Word<T: 'static> {
    /// Up to 3, where no `T` lies.
    Mark(usize),
    /// A `T`.
    Ref(&'static T),
}

/// An atomic [`Word`].
pub struct AtomicWord<T: 'static>(AtomicPtr<T>);

impl<T: Sync> AtomicWord<T> {
    const_fn! {
        /// Mark 0.
        pub fn new() -> Self {
            AtomicWord(AtomicPtr::new(core::ptr::null_mut()))
        }
    }

    #[inline(always)]
    fn pointer(word: Word<T>) -> *mut T {
        const { assert!(align_of::<T>() > 3, "a `T` could lie at a mark") };
        match word {
            Word::Mark(n) => core::ptr::without_provenance_mut(n),
            Word::Ref(t) => core::ptr::from_ref(t).cast_mut(),
        }
    }
    #[inline(always)]
    fn word(t: *mut T) -> Word<T> {
        // SAFETY: no mark, so `pointer` made it from a `&'static T`.
        if t.addr() <= 3 { Word::Mark(t.addr()) } else { Word::Ref(unsafe { &*t }) }
    }

    /// Reads it.
    #[inline(always)]
    pub fn load(&self, order: Ordering) -> Word<T> {
        Self::word(self.0.load(order))
    }
    /// Writes it.
    #[inline(always)]
    pub fn store(&self, to: Word<T>, order: Ordering) {
        self.0.store(Self::pointer(to), order);
    }
    /// Exchanges it.
    #[inline(always)]
    pub fn swap(&self, to: Word<T>, order: Ordering) -> Word<T> {
        Self::word(self.0.swap(Self::pointer(to), order))
    }
    /// Exchanges `from` for `to`; `false`: it is another.
    #[inline(always)]
    pub fn replace(&self, from: Word<T>, to: Word<T>, on: Ordering, otherwise: Ordering) -> bool {
        self.0.compare_exchange(Self::pointer(from), Self::pointer(to), on, otherwise).is_ok()
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
            /// Its fields' names, and the offsets at which a debugger finds them.
            #[allow(dead_code)]
            pub const FIELDS: (&[&str], &[usize]) =
                (&[$(stringify!($field)),*], &[$(core::mem::offset_of!(Self, $field)),*]);

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
