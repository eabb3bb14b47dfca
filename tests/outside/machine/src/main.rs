//! A kernel of your own with a machine of your own, of which only the scheduler is ours: `cargo
//! run`.
//!
//! One CPU, which takes interrupts only while it sleeps: so nothing is preempted, and handlers meet
//! no goroutine.
#![no_std]
#![no_main]

extern crate alloc;

mod machine;

use bootloader_api::config::{BootloaderConfig, Mapping};
use bootloader_api::{BootInfo, entry_point};
use executive::lock::Pinned;
use executive::time::{Duration, sleep};
use executive::{chan, go, println};
use linked_list_allocator::LockedHeap;
use x86_64::VirtAddr;
use x86_64::instructions::interrupts;
use x86_64::registers::model_specific::GsBase;

const BOOT: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config.kernel_stack_size = 128 << 10; // becomes g0's
    config
};
entry_point!(boot, config = &BOOT);

#[global_allocator]
static HEAP: Pinned<LockedHeap> = Pinned(LockedHeap::empty());
const HEAP_BYTES: usize = 1 << 20;

fn boot(info: &'static mut BootInfo) -> ! {
    static mut BYTES: [u8; HEAP_BYTES] = [0; HEAP_BYTES];
    interrupts::disable();
    GsBase::write(VirtAddr::from_ptr(executive::percpu_block(0))); // GS first: locks need it
    // SAFETY: once, and nobody else has these bytes.
    unsafe { HEAP.0.lock().init((&raw mut BYTES).cast(), HEAP_BYTES) };
    machine::init(info.physical_memory_offset.into_option().expect("BOOT asks for it"));
    executive::start(main)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    executive::crash::panicked(info)
}

/// Goroutine 1.
fn main() {
    let (tx, rx) = chan(0);
    for n in [3u64, 1, 2] {
        let tx = tx.clone();
        go(move || {
            sleep(Duration::from_millis(10 * n));
            tx.send(n).unwrap();
        });
    }
    drop(tx);
    rx.iter().for_each(|n| println!("slept {n}0 ms"));
    println!("a machine of my own: done");
}
