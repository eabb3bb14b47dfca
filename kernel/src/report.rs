//! What this machine is, for a person: in three lines, and whole, for somebody who is not there
//! (docs/hardware.md).
#![allow(unsafe_code)] // An MSR.

use crate::acpi::{self, Platform};
use crate::{apic, clock, device, frames, memory, mtrr, rtc, smp};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use executive::println;
use x86_64::registers::control::{Cr0, Cr4, Efer};
use x86_64::registers::model_specific::Msr;

/// What start-up has found: memory, CPUs, clocks.
pub fn summary() {
    let memory = memory::usage();
    println!("memory: {} MiB are ours, {} MiB free", memory.usable >> 20, memory.free >> 20);
    let mut ids: Vec<u32> = (0..smp::cpus()).map(apic::id_of).collect();
    ids.sort_unstable();
    ids.dedup();
    let mode = if apic::is_x2apic() { "x2APIC" } else { "xAPIC" };
    println!("CPUs: {mode}, APIC ids {}", smp::ranges(&ids));
    if let Some(rates) = clock::rates() {
        let agrees = match rates.witness {
            Some(witness) => format!("{witness} agrees"),
            None => "nothing agrees".into(),
        };
        let alarm = match apic::has_tsc_deadline() {
            true => "TSC deadlines".into(),
            false => format!("the APIC's timer at {} kHz", rates.apic_timer_hz / 1000),
        };
        println!(
            "clock: the TSC at {} kHz, says {}, and {agrees}; alarms: {alarm}",
            rates.tsc_hz / 1000,
            rates.source
        );
    }
}

/// All that somebody who does not have the machine may want to know of it.
pub fn whole() {
    println!(
        "kernel {} {}",
        env!("CARGO_PKG_VERSION"),
        if cfg!(debug_assertions) { "debug" } else { "release" }
    );
    match rtc::now() {
        Some(now) => println!("date: {now}"),
        None => println!("date: the clock chip has none"),
    }
    summary();
    cpu();
    comparisons();
    let platform = acpi::platform();
    tables(platform);
    interrupts(platform);
    println!("power: {:x?}, reset {:x?}", platform.power, platform.reset);
    println!("PCI, through {}:", if device::is_ecam() { "memory" } else { "ports" });
    device::functions().iter().for_each(|function| println!("  {function}"));
    device::tell_interrupts();
    println!("memory map:");
    for region in frames::map() {
        println!("  {:#014x}..{:#014x} {:?}", region.start, region.end, region.kind);
    }
}

/// The leaves of CPUID that say what a CPU can, and its control registers.
fn cpu() {
    let text = |leaves: &[u32], order: [usize; 4]| {
        let words = leaves.iter().flat_map(|&leaf| {
            let r = __cpuid(leaf);
            let r = [r.eax, r.ebx, r.ecx, r.edx];
            order.into_iter().filter(|&n| n < 4).map(move |n| r[n])
        });
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).filter(u8::is_ascii).collect();
        String::from_utf8_lossy(&bytes).trim_matches(['\0', ' ']).replace('\0', "")
    };
    let vendor = text(&[0], [1, 3, 2, 4]);
    let extended = __cpuid(0x8000_0000).eax;
    let brand = match extended {
        0x8000_0004.. => text(&[0x8000_0002, 0x8000_0003, 0x8000_0004], [0, 1, 2, 3]),
        _ => String::new(),
    };
    println!("cpu: {vendor}, {brand}");
    let hypervisor = __cpuid(1).ecx & 1 << 31 != 0;
    if hypervisor {
        println!("  hypervisor: {}", text(&[0x4000_0000], [1, 2, 3, 4]));
    }
    let wanted = [0, 1, 4, 6, 7, 0xb, 0xd, 0x15, 0x16];
    let wanted = wanted.into_iter().filter(|&leaf| leaf <= __cpuid(0).eax);
    let more = [0x8000_0001, 0x8000_0007, 0x8000_0008].into_iter().filter(|&l| l <= extended);
    for leaf in wanted.chain(more) {
        let r = __cpuid_count(leaf, 0);
        println!("  cpuid {leaf:08x}: {:08x} {:08x} {:08x} {:08x}", r.eax, r.ebx, r.ecx, r.edx);
    }
    // SAFETY: every CPU with an APIC, which we use, has this MSR.
    let apic_base = unsafe { Msr::new(0x1b).read() };
    println!(
        "  cr0 {:x}, cr4 {:x}, efer {:x}, apic base {apic_base:x}",
        Cr0::read_raw(),
        Cr4::read_raw(),
        Efer::read_raw()
    );
    if let Some(mtrrs) = mtrr::of_boot_cpu() {
        println!("  mtrr default {:x}, fixed {:x?}", mtrrs.default_type, mtrrs.fixed);
        for pair in mtrrs.variable.chunks(2).filter(|pair| pair[1] != 0) {
            println!("  mtrr {:x} mask {:x}", pair[0], pair[1]);
        }
    }
}

/// How the other CPUs differ from the boot CPU.
fn comparisons() {
    for cpu in 1..smp::cpus() {
        if let Some((ahead, way)) = smp::tsc_of(cpu) {
            println!("  cpu {cpu}: its TSC is {ahead} ns ahead of cpu 0's, give or take {way} ns");
        }
    }
    println!("  {} CPUs had other MTRRs than cpu 0", mtrr::differed());
}

fn tables(platform: &Platform) {
    println!("tables:");
    for table in &platform.tables {
        let name = String::from_utf8_lossy(&table.signature);
        println!("  {name} at {:#x}, {} bytes", table.address, table.length);
    }
    platform.ignored.iter().for_each(|line| println!("  {line}"));
}

fn interrupts(platform: &Platform) {
    println!("interrupts:");
    for io in &platform.io_apics {
        println!("  I/O APIC at {:#x}, from GSI {} on", io.address, io.first_gsi);
    }
    for wire in &platform.overrides {
        println!("  {wire:?}");
    }
    for pin in &platform.nmi_pins {
        println!("  {pin:?}");
    }
    println!("  HPET {:x?}, PM timer {:x?}", platform.hpet, platform.pm_timer);
}
