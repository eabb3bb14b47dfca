//! A global allocator that goroutines and the scheduler may share.
#![allow(unsafe_code)] // It is an allocator.

use core::alloc::{GlobalAlloc, Layout};
use executive_core::percpu::Pin;

/// A global allocator whose holder is not preempted. It wraps one that knows nothing of goroutines.
///
/// The machine contract asks for such an allocator ([`machine`](mod@executive_core::machine) says
/// why). A goroutine is pinned while it is in the inner allocator, so that others spin for that
/// one's lock only while its holder runs. Like every lock of this module it needs GS: a CPU's GS
/// base is set before the first allocation. (This is why the example is not run: a Linux process
/// allocates before it has set GS.)
///
/// ```no_run,standalone_crate
/// use executive::lock::Pinned;
/// # use std::alloc::System as Heap;
///
/// #[global_allocator]
/// static HEAP: Pinned<Heap> = Pinned(Heap); // `Heap` may be any `GlobalAlloc`
/// ```
pub struct Pinned<A>(pub A);

// SAFETY: every call is passed on unchanged to the inner allocator, which keeps the promises.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Pinned<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _pin = Pin::new();
        // SAFETY: the caller's promise, passed on.
        unsafe { self.0.alloc(layout) }
    }
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let _pin = Pin::new();
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }
    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let _pin = Pin::new();
        // SAFETY: as above.
        unsafe { self.0.dealloc(block, layout) }
    }
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let _pin = Pin::new();
        // SAFETY: as above.
        unsafe { self.0.realloc(block, layout, new_size) }
    }
}
