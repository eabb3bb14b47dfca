//! A global allocator that goroutines and the scheduler may share; and one of whose blocks somebody
//! hears.
#![allow(unsafe_code)] // It is an allocator.

use core::alloc::{GlobalAlloc, Layout};
use core::marker::PhantomData;
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

/// Hears of blocks. It is called by whoever allocates: it allocates nothing, and takes no lock.
pub trait HearsOfBlocks {
    /// Whether it wants to. While it does not, a call of the allocator costs this one.
    fn wants_to() -> bool;
    /// A block of this size was made.
    fn allocated(address: usize, size: usize);
    /// It will be freed.
    fn freed(address: usize);
}

/// A global allocator that tells `H` of its blocks. It wraps any other. (For heap profiles:
/// `diagnostics::heap::Profiled`.)
pub struct Heard<A, H>(A, PhantomData<H>);

impl<A, H: HearsOfBlocks> Heard<A, H> {
    /// Around this one.
    pub const fn new(inner: A) -> Self {
        Heard(inner, PhantomData)
    }

    #[inline]
    fn told(block: *mut u8, size: usize) -> *mut u8 {
        if H::wants_to() && !block.is_null() {
            H::allocated(block.addr(), size);
        }
        block
    }
}

// SAFETY: every call is passed on unchanged to the inner allocator, which keeps the promises.
unsafe impl<A: GlobalAlloc, H: HearsOfBlocks> GlobalAlloc for Heard<A, H> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        Self::told(unsafe { self.0.alloc(layout) }, layout.size())
    }
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        Self::told(unsafe { self.0.alloc_zeroed(layout) }, layout.size())
    }
    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if H::wants_to() {
            H::freed(block.addr()); // before another may get it
        }
        // SAFETY: as above.
        unsafe { self.0.dealloc(block, layout) }
    }
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if H::wants_to() {
            H::freed(block.addr()); // if it stays, it is not heard of any more
        }
        // SAFETY: as above.
        Self::told(unsafe { self.0.realloc(block, layout, new_size) }, new_size)
    }
}
