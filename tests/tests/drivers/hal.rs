//! Memory for devices that tests play.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// Memory of the host, whose addresses the device is told.
pub struct Host;

// SAFETY: pages of the host's heap, which are the caller's until it gives them back.
unsafe impl Hal for Host {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let layout = Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap();
        // SAFETY: it has bytes.
        let at = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
        (at.as_ptr().expose_provenance() as PhysAddr, at)
    }
    unsafe fn dma_dealloc(_: PhysAddr, at: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: `dma_alloc` gave it, by this layout.
        unsafe {
            dealloc(at.as_ptr(), Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap());
        }
        0
    }
    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!()
    }
    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().expose_provenance() as PhysAddr
    }
    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
