//! A global allocator that goroutines and the scheduler may share; and one of whose blocks somebody
//! hears.
#![allow(unsafe_code)] // It is an allocator.

use core::alloc::{GlobalAlloc, Layout};
use executive_core::atomic::AtomicRef;
use executive_core::atomic::Ordering::{Acquire, Release};
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

/// Who hears of blocks. Both are called by whoever allocates: they allocate nothing, and take no
/// lock.
pub struct HearsOfBlocks {
    /// A block was made: its address, and its size.
    pub allocated: fn(usize, usize),
    /// The block of this address will be freed.
    pub freed: fn(usize),
}

static HEARER: AtomicRef<HearsOfBlocks> = AtomicRef::new();

/// From here on `hearer` is told of the blocks of the program's allocator, if that is [`Heard`].
pub fn hear_of_blocks(hearer: &'static HearsOfBlocks) {
    HEARER.store(Some(hearer), Release); // partner: the Acquires below
}

/// A global allocator of whose blocks somebody may hear ([`hear_of_blocks`]). It wraps any other.
/// Until then a call costs a load and a branch more. (For heap profiles: `diagnostics::heap`.)
pub struct Heard<A>(pub A);

#[inline]
fn told(block: *mut u8, size: usize) -> *mut u8 {
    if let Some(hearer) = HEARER.load(Acquire)
        && !block.is_null()
    {
        (hearer.allocated)(block.addr(), size);
    }
    block
}

#[inline]
fn tell_freed(block: *mut u8) {
    if let Some(hearer) = HEARER.load(Acquire) {
        (hearer.freed)(block.addr());
    }
}

// SAFETY: every call is passed on unchanged to the inner allocator, which keeps the promises.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Heard<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        told(unsafe { self.0.alloc(layout) }, layout.size())
    }
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        told(unsafe { self.0.alloc_zeroed(layout) }, layout.size())
    }
    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        tell_freed(block); // before another may get it
        // SAFETY: as above.
        unsafe { self.0.dealloc(block, layout) }
    }
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        tell_freed(block); // if it stays, it is not heard of any more
        // SAFETY: as above.
        told(unsafe { self.0.realloc(block, layout, new_size) }, new_size)
    }
}
