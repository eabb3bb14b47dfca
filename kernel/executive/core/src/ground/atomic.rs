//! Atomics: `core`'s, or `loom`'s when a model checker runs us (`--cfg loom`).
//!
//! Nothing else in the executive names either, but for what the instruction set does better (arch).

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

/// A struct whose fields say what they begin with, `field: Type = value`, and its `new`, a
/// [`const_fn`]. (RFC 3681 gives Rust such fields; they are not stable yet.)
macro_rules! with_new {
    (
        $(#[$meta:meta])* $vis:vis struct $Name:ident $(<$T:ident: $Bound:ident>)? {
            $($(#[$about:meta])* $access:vis $field:ident: $ty:ty = $value:expr,)*
        }
    ) => {
        $(#[$meta])*
        $vis struct $Name $(<$T: $Bound + 'static>)? {
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
