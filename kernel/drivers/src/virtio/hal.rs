//! What crate `virtio-drivers` asks of a kernel: memory for devices.
#![allow(unsafe_code)] // `Hal` is an unsafe trait: its promises are about memory.

use alloc::vec::Vec;
use core::ptr::NonNull;
use executive::lock::{Lock, Rank};
use kernel::device::Dma;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// [`Dma`] for `virtio-drivers`. It shares parts of a `Dma` with devices, and no other memory: so
/// sharing is free. Who has bytes elsewhere copies them ([`Queue::call`](super::Queue::call)).
#[derive(Debug)]
pub struct KernelHal;

/// What `dma_alloc` has given and not got back.
static GIVEN: Lock<Vec<Dma>> = Lock::new(Rank::User, Vec::new());

// SAFETY: each function says why.
unsafe impl Hal for KernelHal {
    /// A `Dma` is zeroed, begins at a page, and is nobody else's. Address 0: there is none left.
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let Ok(memory) = Dma::new(pages * PAGE_SIZE) else { return (0, NonNull::dangling()) };
        let given = (memory.address(), memory.as_ptr());
        GIVEN.lock().push(memory);
        given
    }

    unsafe fn dma_dealloc(address: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        let mut given = GIVEN.lock();
        let Some(nth) = given.iter().position(|memory| memory.address() == address) else {
            return -1;
        };
        let memory = given.swap_remove(nth);
        drop(given);
        drop(memory);
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("`Pci` maps a device's registers itself")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        Dma::address_of(buffer).expect("virtio: only parts of a `Dma` are shared with a device")
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
