//! A kernel on a machine whose firmware lists odd CPUs: those with APIC ids 0, 2, 40 and 1, of
//! which 40 never answers, nor do those from 41 on, if there is room for them. For a test, on a
//! machine with ids 0 to 3, so that 3 is not told of: `start` rewrites the firmware's table (the
//! MADT) before the kernel reads it. Status 0: the others are numbered without a hole, in the order
//! in which they came up.
//!
//! And some of the tables is damaged: the MADT ends in an entry of length 0, and the HPET is where
//! no CPU has addresses. That is told, and left out. The boot CPU's memory types (MTRRs) are not
//! those of the others, which must take them over.
#![no_std]
#![no_main]

use core::ptr::with_exposed_provenance_mut;
use executive::affinity::{cpus, lock_to_cpu};
use executive::percpu::cpu;
use kernel::bootloader_api::{BootInfo, entry_point};
use kernel::x86_64::registers::model_specific::Msr;
use kernel::{apic, println};

const LISTED: [u8; 4] = [0, 2, 40, 1];

entry_point!(start, config = &kernel::start::BOOT);

fn start(info: &'static mut BootInfo) -> ! {
    let tables =
        Tables { window: info.physical_memory_offset.into_option().expect("BOOT asks for it") };
    let rsdp = info.rsdp_addr.into_option().expect("the firmware has tables");
    tables.list_cpus(rsdp);
    // SAFETY: memory types mean nothing in QEMU, and the addresses have no memory.
    unsafe { Msr::new(MTRR).write(ODD_MTRR) };
    tables.change(tables.find(rsdp, *b"HPET"), 44 + 7, &[0x80]);
    kernel::start::start(info, main)
}

fn main() {
    assert_eq!(cpus(), 3);
    for n in 0..cpus() {
        let _here = lock_to_cpu(n);
        assert_eq!(cpu(), n);
        assert_eq!(apic::id(), apic::id_of(n), "as the report tells it");
        // SAFETY: it was there before.
        assert_eq!(unsafe { Msr::new(MTRR).read() }, ODD_MTRR, "the boot CPU's");
        println!("cpu {n} has apic id {}", apic::id());
    }
    for (name, holds) in
        scenarios::SCENARIOS.iter().filter(|(name, _)| name.starts_with("affinity::"))
    {
        holds();
        println!("ok {name}");
    }
}

/// The first variable memory type register that no firmware of QEMU's uses, and what the boot CPU
/// has there: 4 KiB, uncached, of which nobody has told the other CPUs.
const MTRR: u32 = 0x20e;
const ODD_MTRR: u64 = 0xf_f000_0000;

/// The firmware's tables, through the bootloader's window on physical memory (ACPI 6.5, 5.2).
struct Tables {
    window: u64,
}

impl Tables {
    fn at<T>(&self, physical: u64) -> *mut T {
        with_exposed_provenance_mut((self.window + physical) as usize)
    }

    fn read<T: Copy>(&self, physical: u64) -> T {
        // SAFETY: within a table of the firmware's, which the window shows.
        unsafe { self.at::<T>(physical).read_unaligned() }
    }

    /// Writes [`LISTED`] into the entries of local APICs, in their order. If there are more they
    /// get the ids from 41 on.
    fn list_cpus(&self, rsdp: u64) {
        let madt = self.find(rsdp, *b"APIC");
        let end = madt + u64::from(self.read::<u32>(madt + 4));
        let (mut entry, mut ids) = (madt + 44, LISTED.into_iter().chain(41..));
        while entry < end {
            let [kind, length] = self.read::<[u8; 2]>(entry);
            if kind == 0 {
                let id = ids.next().expect("there is no end");
                self.change(madt, entry + 3 - madt, &[id, 1]); // and it is enabled
            }
            if kind == 4 {
                self.change(madt, entry - madt, &[0x55, 0]); // the last one
            }
            entry += u64::from(length);
        }
    }

    /// Writes these bytes into a table. All its bytes must add up to 0 again.
    fn change(&self, table: u64, at: u64, new: &[u8]) {
        for (at, &byte) in (table + at..).zip(new) {
            // SAFETY: ours now: nobody else reads the tables yet.
            unsafe { self.at::<u8>(at).write(byte) };
        }
        let end = table + u64::from(self.read::<u32>(table + 4));
        let sum = (table..end).fold(0u8, |sum, at| sum.wrapping_add(self.read(at)));
        let checksum = self.read::<u8>(table + 9).wrapping_sub(sum);
        // SAFETY: as above.
        unsafe { self.at::<u8>(table + 9).write(checksum) };
    }

    fn find(&self, rsdp: u64, signature: [u8; 4]) -> u64 {
        let wide = self.read::<u8>(rsdp + 15) >= 2;
        let (root, size) = if wide {
            (self.read::<u64>(rsdp + 24), 8)
        } else {
            (self.read::<u32>(rsdp + 16).into(), 4)
        };
        let length = u64::from(self.read::<u32>(root + 4));
        let entry = |at| if wide { self.read::<u64>(at) } else { self.read::<u32>(at).into() };
        let mut tables = (root + 36..root + length).step_by(size).map(entry);
        tables
            .find(|&table| self.read::<[u8; 4]>(table) == signature)
            .expect("the firmware lists its CPUs")
    }
}
