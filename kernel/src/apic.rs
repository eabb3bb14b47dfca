//! The local APIC: each CPU's own interrupt controller, by which CPUs interrupt each other. Also
//! which CPU has which APIC id: CPU 0 is the one that booted, whatever its id; the others get their
//! numbers as they come up (smp.rs).
//!
//! It stays in the mode that the firmware left the boot CPU's in, on every CPU: xAPIC (registers in
//! memory) or x2APIC (registers are MSRs; the same numbers, shifted). The rules of x2APIC are
//! stricter, and kept in both modes: reserved bits are written as 0, EOI and ESR only with 0 (Intel
//! SDM vol. 3A, 12.12.1.3). Rejected: switching to x2APIC ourselves. Firmware that stayed in xAPIC
//! mode may have had a reason, and there is no way back.
#![allow(unsafe_code)] // Device registers and MSRs.

use crate::acpi;
use crate::paging;
use crate::vectors;
use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use executive::param::MAX_CPUS;
use executive::percpu::cpu;
use executive::println;
use x86_64::instructions::interrupts::without_interrupts;
use x86_64::registers::model_specific::Msr;

/// Register offsets in xAPIC's page (Intel SDM vol. 3A, table 12-1); the MSR of x2APIC is `0x800 +
/// offset / 16`.
mod reg {
    pub const ID: u32 = 0x20;
    pub const TPR: u32 = 0x80;
    pub const EOI: u32 = 0xb0;
    pub const SPURIOUS: u32 = 0xf0;
    pub const ERROR_STATUS: u32 = 0x280;
    pub const ICR: u32 = 0x300;
    pub const ICR_HIGH: u32 = 0x310;
    pub const LVT_TIMER: u32 = 0x320;
    pub const LVT_LINT0: u32 = 0x350;
    pub const LVT_LINT1: u32 = 0x360;
    pub const INITIAL_COUNT: u32 = 0x380;
    pub const CURRENT_COUNT: u32 = 0x390;
    pub const DIVIDE: u32 = 0x3e0;
}

const IA32_APIC_BASE: u32 = 0x1b;
const BASE_X2APIC: u64 = 1 << 10;
const BASE_ENABLED: u64 = 1 << 11;
const IA32_TSC_DEADLINE: u32 = 0x6e0;

const SPURIOUS_ENABLE: u32 = 1 << 8;
const LVT_MASKED: u32 = 1 << 16;
const LVT_NMI: u32 = 0b100 << 8;
const LVT_ACTIVE_LOW: u32 = 1 << 13;
const LVT_TSC_DEADLINE: u32 = 0b10 << 17;
/// The timer counts at its input clock / 16. 2^32 counts last over half a minute even at 2 GHz, and
/// one count is still below a microsecond at 25 MHz.
const DIVIDE_BY_16: u32 = 0b0011;

/// Delivery modes and bits of the interrupt command register.
const ICR_NMI: u32 = 0b100 << 8;
const ICR_INIT: u32 = 0b101 << 8;
const ICR_STARTUP: u32 = 0b110 << 8;
const ICR_ASSERT: u32 = 1 << 14;
const ICR_PENDING: u32 = 1 << 12;

/// xAPIC: where its page is mapped. Null: x2APIC. Written once, by the boot CPU, before there is a
/// second.
static BASE: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
/// Whether the timer takes TSC values. Written together with BASE.
static TSC_DEADLINE: AtomicBool = AtomicBool::new(false);

/// The APIC id of each CPU. Written by that CPU, before it takes interrupts.
static IDS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];
/// CPUs whose APIC takes interrupts. Each CPU writes its own; one that is not seen here yet gets no
/// NMI, no more.
static ONLINE: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];

/// Makes this CPU's local APIC take interrupts of every priority, its timer being quiet. The boot
/// CPU does it first, after [`acpi::init`]; it also stops the others, and silences the old 8259s.
pub fn init_this_cpu() {
    if cpu() == 0 {
        find_mode();
        number(0, id());
        if let Some(line) = acpi::platform().unused(MAX_CPUS, is_x2apic()) {
            println!("{line}");
        }
        stop_others();
        silence_8259s();
    } else {
        join_mode();
        number(cpu(), id());
    }
    write(reg::TPR, 0);
    // First: until the APIC is enabled every LVT entry stays masked, whatever is written (Intel SDM
    // vol. 3A, 12.4.7.2), and INIT has disabled it.
    write(reg::SPURIOUS, SPURIOUS_ENABLE | u32::from(vectors::SPURIOUS));
    write(reg::LVT_LINT0, LVT_MASKED); // the 8259s' way in
    for pin in acpi::platform().nmi_pins_of(id()) {
        let polarity = if pin.active_low { LVT_ACTIVE_LOW } else { 0 };
        // An NMI is edge-triggered whatever the entry says (Intel SDM vol. 3A, 12.5.1).
        write(if pin.lint == 0 { reg::LVT_LINT0 } else { reg::LVT_LINT1 }, LVT_NMI | polarity);
    }
    write(reg::ERROR_STATUS, 0);
    timer_stop();
    let mode = if TSC_DEADLINE.load(Ordering::Relaxed) { LVT_TSC_DEADLINE } else { 0 };
    write(reg::LVT_TIMER, mode | u32::from(vectors::TIMER));
    write(reg::DIVIDE, DIVIDE_BY_16);
    // The timer's mode must be in force before its deadline is written (Intel SDM vol. 3A,
    // 12.5.4.1).
    fence_for_msrs();
    ONLINE[cpu()].store(true, Ordering::Release);
}

fn find_mode() {
    let mut base = read_msr(IA32_APIC_BASE);
    if base & BASE_ENABLED == 0 {
        base |= BASE_ENABLED;
        write_msr(IA32_APIC_BASE, base);
    }
    if base & BASE_X2APIC == 0 {
        // The address is in bits 12 to MAXPHYADDR; reserved zeroes lie above.
        BASE.store(paging::map_mmio(base & !0xfff, 0x1000), Ordering::Relaxed);
    }
    TSC_DEADLINE.store(__cpuid(1).ecx & (1 << 24) != 0, Ordering::Relaxed);
}

/// Brings an AP's APIC into the boot CPU's mode. It comes out of INIT in the mode that the firmware
/// left it in, which should be the same.
fn join_mode() {
    let found = read_msr(IA32_APIC_BASE);
    let kept = found & !(BASE_X2APIC | BASE_ENABLED);
    let want = if is_x2apic() { BASE_X2APIC | BASE_ENABLED } else { BASE_ENABLED };
    if found & (BASE_X2APIC | BASE_ENABLED) == want {
        return;
    }
    // Steps allowed (Intel SDM vol. 3A, figure 12-27): off -> xAPIC -> x2APIC -> off.
    if found & BASE_X2APIC != 0 {
        write_msr(IA32_APIC_BASE, kept);
    }
    write_msr(IA32_APIC_BASE, kept | BASE_ENABLED);
    write_msr(IA32_APIC_BASE, kept | want);
}

/// The APIC ids of all CPUs but the boot CPU, in the firmware's order: fewer than [`MAX_CPUS`].
pub fn others() -> impl Iterator<Item = u32> {
    let usable = |&id: &u32| id != id_of(0) && (is_x2apic() || id < 0xff);
    acpi::platform().cpus.iter().map(|cpu| cpu.apic_id).filter(usable).take(MAX_CPUS - 1)
}

/// From here on `cpu` is the CPU with this APIC id.
fn number(cpu: usize, apic_id: u32) {
    IDS[cpu].store(apic_id, Ordering::Relaxed);
}

/// From here on the other CPUs wait for [`send_startup`]. Until now they ran the firmware's waiting
/// loop, in memory that may be ours now. Under UEFI some do so without halting, which slows a small
/// host down.
fn stop_others() {
    others().for_each(send_init);
}

/// The APIC id of a CPU that runs.
pub fn id_of(cpu: usize) -> u32 {
    IDS[cpu].load(Ordering::Relaxed)
}

/// The APIC id of this CPU.
pub fn id() -> u32 {
    if is_x2apic() { read(reg::ID) } else { read(reg::ID) >> 24 }
}

/// Whether the APICs are used through MSRs.
pub fn is_x2apic() -> bool {
    BASE.load(Ordering::Relaxed).is_null()
}

/// Where xAPIC's registers are mapped; null in x2APIC mode.
pub fn registers() -> *mut u8 {
    BASE.load(Ordering::Relaxed)
}

/// Ends an interrupt: the next may come. Not for NMIs, exceptions and the spurious vector.
#[inline]
pub fn eoi() {
    write(reg::EOI, 0);
}

/// Interrupts `cpu` with `vector`. The handler there sees what was written before. May be called in
/// a handler.
pub fn send_ipi(cpu: usize, vector: u8) {
    command(id_of(cpu), ICR_ASSERT | u32::from(vector));
}

/// Sends an NMI to every other CPU that runs. Rejected: the "all but self" shorthand, which reaches
/// CPUs that were never started or given up.
pub fn send_nmi_others() {
    let own = id();
    for cpu in (0..MAX_CPUS).filter(|&cpu| ONLINE[cpu].load(Ordering::Acquire) && id_of(cpu) != own)
    {
        command(id_of(cpu), ICR_ASSERT | ICR_NMI);
    }
}

/// Sends an NMI to one CPU, if it runs. May be called in a handler.
pub fn send_nmi(cpu: usize) {
    if ONLINE[cpu].load(Ordering::Acquire) {
        command(id_of(cpu), ICR_ASSERT | ICR_NMI);
    }
}

/// From here on this CPU ignores the machine's NMI button.
pub fn mask_button() {
    write(reg::LVT_LINT0, LVT_MASKED);
    write(reg::LVT_LINT1, LVT_MASKED);
}

/// Puts the CPU with this APIC id into its state after power-on; it then waits for
/// [`send_startup`].
pub fn send_init(apic_id: u32) {
    command(apic_id, ICR_ASSERT | ICR_INIT);
}

/// Makes a CPU that waits after INIT start in real mode at the physical address `page`, a page
/// below 1 MiB.
pub fn send_startup(apic_id: u32, page: u64) {
    assert!(page < 0x10_0000 && page.is_multiple_of(0x1000));
    command(apic_id, ICR_ASSERT | ICR_STARTUP | (page / 0x1000) as u32);
}

fn command(apic_id: u32, low: u32) {
    let Some(page) = Page::mapped() else {
        // Unlike a store to a device page, this wrmsr may overtake our stores to memory (SDM
        // 12.12.3).
        fence_for_msrs();
        return write_msr(x2apic_msr(reg::ICR), u64::from(apic_id) << 32 | u64::from(low));
    };
    // A handler that sends between our two writes would redirect us.
    without_interrupts(|| {
        // Wait until the last command has left. It does within microseconds, unless the APIC is
        // broken.
        for _ in 0..1_000_000 {
            if page.read(reg::ICR) & ICR_PENDING == 0 {
                break;
            }
            core::hint::spin_loop();
        }
        page.write(reg::ICR_HIGH, apic_id << 24);
        page.write(reg::ICR, low);
    });
}

/// Whether the timer wants TSC values ([`timer_deadline`]) instead of counts ([`timer_count`]).
pub fn has_tsc_deadline() -> bool {
    TSC_DEADLINE.load(Ordering::Relaxed)
}

/// Asks for one interrupt [`vectors::TIMER`] on this CPU when the TSC reaches `tsc`, at once if it
/// has; 0 is never.
#[inline]
pub fn timer_deadline(tsc: u64) {
    write_msr(IA32_TSC_DEADLINE, tsc);
}

/// Asks for one interrupt [`vectors::TIMER`] on this CPU after `count` counts; 0 is never.
#[inline]
pub fn timer_count(count: u32) {
    write(reg::INITIAL_COUNT, count);
}

/// What is left of [`timer_count`].
pub fn timer_left() -> u32 {
    read(reg::CURRENT_COUNT)
}

fn timer_stop() {
    if has_tsc_deadline() {
        timer_deadline(0);
    }
    timer_count(0);
}

/// Masks the two 8259s, a PC's interrupt controllers at power-on. They can send a spurious
/// interrupt even with all inputs masked (IRQ 7 and 15: base + 7), which is moved to the APIC's
/// spurious vector, where nobody minds it.
fn silence_8259s() {
    const BASE: u8 = vectors::SPURIOUS & !7;
    // Intel 8259A data sheet: ICW1 to the command port, then ICW2 (vectors), ICW3 (wiring), ICW4
    // (8086 mode), mask.
    for (command, wiring) in [(0x20, 1 << 2), (0xa0, 2)] {
        for (port, value) in [
            (command, 0x11),
            (command + 1, BASE),
            (command + 1, wiring),
            (command + 1, 1),
            (command + 1, 0xff),
        ] {
            // SAFETY: these ports are the 8259s' on every PC; no other code of ours uses them.
            unsafe { x86_64::instructions::port::Port::<u8>::new(port).write(value) };
        }
    }
}

#[inline]
fn x2apic_msr(register: u32) -> u32 {
    0x800 + (register >> 4)
}

#[inline]
fn read(register: u32) -> u32 {
    match Page::mapped() {
        Some(page) => page.read(register),
        None => read_msr(x2apic_msr(register)) as u32,
    }
}

#[inline]
fn write(register: u32, value: u32) {
    match Page::mapped() {
        Some(page) => page.write(register, value),
        None => write_msr(x2apic_msr(register), value.into()),
    }
}

/// xAPIC's registers.
#[derive(Clone, Copy)]
struct Page(*mut u8);

impl Page {
    /// `None`: x2APIC.
    #[inline]
    fn mapped() -> Option<Self> {
        let base = registers();
        (!base.is_null()).then_some(Page(base))
    }

    #[inline]
    fn read(self, register: u32) -> u32 {
        // SAFETY: BASE is the mapped page of this CPU's own local APIC, and `reg` names only its
        // 32-bit registers.
        unsafe { self.0.add(register as usize).cast::<u32>().read_volatile() }
    }

    #[inline]
    fn write(self, register: u32, value: u32) {
        // SAFETY: as in `read`.
        unsafe { self.0.add(register as usize).cast::<u32>().write_volatile(value) }
    }
}

#[inline]
fn read_msr(msr: u32) -> u64 {
    // SAFETY: only APIC registers are read here, which exist in the mode we are in.
    unsafe { Msr::new(msr).read() }
}

#[inline]
fn write_msr(msr: u32, value: u64) {
    // SAFETY: only APIC registers are written here, with values the manual allows.
    unsafe { Msr::new(msr).write(value) }
}

/// All our memory accesses come before any wrmsr that follows, also before the few that do not
/// serialise.
#[inline]
fn fence_for_msrs() {
    // SAFETY: fences.
    unsafe { asm!("mfence", "lfence", options(nostack, preserves_flags)) };
}
