//! How fast do the TSC and the local APIC's timer run? They are measured against clocks whose rate
//! is known, and a rate is believed when two sources agree. Each source is wrong on some machine:
//! overclocked CPUs misreport CPUID, emulators get the PIT wrong, chipsets the PM timer.
//!
//! A reading of a clock is bracketed by two of the TSC. Of several tries the tightest counts, so
//! that a hypervisor's interruption spoils nothing. Waits are ended by a clock, not by a count of
//! loops.
#![allow(unsafe_code)] // Device registers.

use crate::acpi::Platform;
use crate::apic;
use crate::paging;
use crate::tsc;
use alloc::vec::Vec;
use core::arch::x86_64::__cpuid;
use core::fmt;
use x86_64::instructions::port::{Port, PortReadOnly};

/// What [`measure`] found.
#[derive(Debug)]
pub struct Rates {
    pub tsc_hz: u64,
    /// Counts of the APIC timer per second, at the divider that apic.rs sets. Means nothing if it
    /// takes TSC values.
    pub apic_timer_hz: u64,
    /// The source that was believed for the TSC's rate, and the one that agreed, if any.
    pub source: Source,
    pub witness: Option<Source>,
}

/// What can tell the TSC's rate. The first is the most exact when it is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Cpuid,
    Hypervisor,
    Hpet,
    PmTimer,
    Pit,
}

/// The TSC's rate, as `source` tells it.
type Claim = (Source, u64);

/// Two agree if they differ by less than one part in 200: half a percent.
const AGREEMENT: u64 = 200;
/// The length of the first measurement. Each further one is twice as long, up to what the PIT can
/// count (55 ms).
const FIRST_NS: u64 = 10_000_000;
const LONGEST_NS: u64 = 40_000_000;
const ROUNDS: u32 = 8;
/// A clock that shows the same value for so many readings stands still, or is not there. Each takes
/// some 100 ns at least, and no clock of a PC ticks more slowly than once in a microsecond.
const READINGS: u32 = 10_000;

/// Measures until two sources agree. On the boot CPU, with interrupts off.
///
/// # Panics
/// When the machine has no clock that moves.
pub fn measure(platform: &Platform) -> Rates {
    let told: Vec<Claim> = cpuid().into_iter().chain(hypervisor()).collect();
    let hpet = platform.hpet.and_then(Clock::hpet);
    let pm_timer = platform.pm_timer.map(Clock::pm_timer);
    let mut clocks: Vec<Clock> = hpet.into_iter().chain(pm_timer).filter(Clock::moves).collect();
    let others = clocks.len();
    let mut best = None;
    for round in 0..ROUNDS {
        if round > 0 || told.len() + clocks.len() < 2 {
            // The PIT need not be in the firmware's tables. It is the last resort: slow to read,
            // and 16 bits wide.
            clocks.truncate(others);
            clocks.extend(Some(Clock::pit()).filter(Clock::moves));
        }
        assert!(
            told.len() + clocks.len() > 0,
            "this machine has no clock: no HPET, no ACPI timer, no PIT, and CPUID tells no rate"
        );
        let length = (FIRST_NS << round).min(LONGEST_NS);
        let (measured, apic_per_tsc) = compare(&clocks, told.first(), length);
        let claims: Vec<Claim> = told.iter().copied().chain(measured).collect();
        let rates = |(source, tsc_hz), witness| Rates {
            tsc_hz,
            apic_timer_hz: scale(tsc_hz, apic_per_tsc),
            source,
            witness,
        };
        if let Some((claim, witness)) = agreed(&claims) {
            return rates(claim, Some(witness));
        }
        best = claims.first().map(|&claim| rates(claim, None)).or(best);
    }
    best.expect("there is a claim, or the rounds would have ended")
}

/// The first claim that a later one confirms, and the source of that one.
fn agreed(claims: &[Claim]) -> Option<(Claim, Source)> {
    claims.iter().enumerate().find_map(|(i, &claim)| {
        let confirms = |other: &&Claim| claim.1.abs_diff(other.1) < claim.1 / AGREEMENT;
        claims[i + 1..].iter().find(confirms).map(|&(witness, _)| (claim, witness))
    })
}

/// Lets the clocks run for `ns`, or, if there are none, the TSC at the rate that was `told`.
/// Returns the TSC rate that follows from each, and the APIC timer's counts per TSC tick.
fn compare(clocks: &[Clock], told: Option<&Claim>, ns: u64) -> (Vec<Claim>, Fraction) {
    let apic = Clock::apic_timer();
    let begin: Vec<Sample> = clocks.iter().map(Clock::sample).collect();
    let apic_begin = apic.sample();
    // Long enough by any of them: a clock that stops must not hold us up.
    let ended = |(clock, begin): (&Clock, &Sample)| {
        u128::from(clock.since(begin, clock.read())) * 1_000_000_000
            > u128::from(ns) * u128::from(clock.hz)
    };
    // Clocks that moved and stop: more than any TSC counts meanwhile.
    const LONGEST_TICKS_PER_NS: u64 = 16;
    let ticks = match told {
        Some((_, hz)) if clocks.is_empty() => scale(ns, fraction(*hz, 1_000_000_000)),
        _ => ns * LONGEST_TICKS_PER_NS,
    };
    while !clocks.iter().zip(&begin).any(ended) && tsc::read().wrapping_sub(apic_begin.tsc) < ticks
    {
        core::hint::spin_loop();
    }
    let claims = clocks.iter().zip(&begin).filter_map(|(clock, begin)| {
        let end = clock.sample();
        let passed = clock.since(begin, end.value);
        (passed > 0).then(|| (clock.source, scale(clock.hz, fraction(end.tsc - begin.tsc, passed))))
    });
    let claims = claims.collect();
    let apic_end = apic.sample();
    let counts = apic.since(&apic_begin, apic_end.value);
    (claims, fraction(counts, apic_end.tsc - apic_begin.tsc))
}

/// A quotient, times 2^32.
type Fraction = u128;

fn fraction(a: u64, b: u64) -> Fraction {
    (u128::from(a) << 32) / u128::from(b.max(1))
}

fn scale(hz: u64, by: Fraction) -> u64 {
    ((u128::from(hz) * by) >> 32) as u64
}

/// A counter, and how fast it counts.
struct Clock {
    source: Source,
    hz: u64,
    /// It counts modulo this plus one.
    mask: u64,
    counter: Counter,
}

enum Counter {
    Hpet(*const u32),
    PmTimer(u16),
    Pit,
    ApicTimer,
}

/// A clock's value, and the TSC's when it was read.
struct Sample {
    value: u64,
    tsc: u64,
}

impl Clock {
    /// `None`: the registers make no sense. Starts the counter if it stands still (IA-PC HPET
    /// specification 1.0a, 2.3).
    fn hpet(address: u64) -> Option<Clock> {
        const PERIOD_FEMTOSECONDS: usize = 0x4;
        const CONFIGURATION: usize = 0x10;
        const COUNTER: usize = 0xf0;
        const SLOWEST_FEMTOSECONDS: u32 = 100_000_000;
        let registers = paging::map_mmio(address, 0x400);
        // SAFETY: ACPI says the HPET's registers are there, and they are mapped; 32-bit accesses
        // are allowed for all.
        let period = unsafe {
            let configuration = registers.add(CONFIGURATION).cast::<u32>();
            configuration.write_volatile(configuration.read_volatile() | 1);
            registers.add(PERIOD_FEMTOSECONDS).cast::<u32>().read_volatile()
        };
        // The lower half of the counter is enough, and has no torn reads.
        let counter = Counter::Hpet(registers.wrapping_add(COUNTER).cast());
        let hz = 1_000_000_000_000_000 / u64::from(period.max(1));
        (1..=SLOWEST_FEMTOSECONDS).contains(&period).then_some(Clock {
            source: Source::Hpet,
            hz,
            mask: u32::MAX.into(),
            counter,
        })
    }

    /// 24 bits count on every chipset; the bits above may read as anything (ACPI specification
    /// 4.8.3.3).
    fn pm_timer(port: u16) -> Clock {
        Clock {
            source: Source::PmTimer,
            hz: 3_579_545,
            mask: 0xff_ffff,
            counter: Counter::PmTimer(port),
        }
    }

    /// Starts channel 2 counting down from its maximum once, the speaker off (Intel 8254 data
    /// sheet, mode 0).
    fn pit() -> Clock {
        // SAFETY: the ports of the PIT and the speaker on every PC; no other code of ours uses
        // them.
        unsafe {
            let mut gate = Port::<u8>::new(0x61);
            let value = gate.read();
            gate.write(value & !0b11 | 0b01);
            Port::<u8>::new(0x43).write(0b1011_0000);
            let mut counter = Port::<u8>::new(0x42);
            counter.write(0xff);
            counter.write(0xff);
        }
        Clock { source: Source::Pit, hz: 1_193_182, mask: u64::MAX, counter: Counter::Pit }
    }

    fn apic_timer() -> Clock {
        apic::timer_count(u32::MAX);
        Clock { source: Source::Cpuid, hz: 0, mask: u32::MAX.into(), counter: Counter::ApicTimer }
    }

    /// Whether it counts.
    fn moves(&self) -> bool {
        let begin = self.read();
        (0..READINGS).any(|_| self.read() != begin)
    }

    /// Up-counting, modulo the mask.
    fn read(&self) -> u64 {
        match self.counter {
            // SAFETY: `hpet` mapped it.
            Counter::Hpet(counter) => unsafe { counter.read_volatile().into() },
            // SAFETY: ACPI says that this is the timer's port; reading it changes nothing.
            Counter::PmTimer(port) => unsafe { PortReadOnly::<u32>::new(port).read().into() },
            Counter::Pit => read_pit(),
            Counter::ApicTimer => (!apic::timer_left()).into(),
        }
    }

    fn since(&self, begin: &Sample, value: u64) -> u64 {
        value.wrapping_sub(begin.value) & self.mask
    }

    fn sample(&self) -> Sample {
        let tries = (0..8).map(|_| {
            let before = tsc::read();
            let value = self.read();
            let width = tsc::read().wrapping_sub(before);
            (width, Sample { value, tsc: before.wrapping_add(width / 2) })
        });
        tries.min_by_key(|(width, _)| *width).expect("8 tries").1
    }
}

/// Counts since [`Clock::pit`]. Past its end the PIT stands still, one count beyond its largest.
fn read_pit() -> u64 {
    const OUT: u8 = 1 << 5;
    // SAFETY: as in `Clock::pit`. The latch command holds both halves of the count for the two
    // reads.
    unsafe {
        if Port::<u8>::new(0x61).read() & OUT != 0 {
            return 0x1_0000;
        }
        Port::<u8>::new(0x43).write(0b1000_0000);
        let mut counter = Port::<u8>::new(0x42);
        let left = u16::from_le_bytes([counter.read(), counter.read()]);
        u64::from(u16::MAX - left)
    }
}

/// What CPUID says, exact if it knows the crystal (leaf 15h), else the nominal rate in MHz (leaf
/// 16h).
fn cpuid() -> Option<Claim> {
    let max = __cpuid(0).eax;
    if max < 0x15 {
        return None;
    }
    let ratio = __cpuid(0x15);
    let exact = u64::from(ratio.ecx) * u64::from(ratio.ebx) / u64::from(ratio.eax.max(1));
    let nominal = if max >= 0x16 { u64::from(__cpuid(0x16).eax & 0xffff) * 1_000_000 } else { 0 };
    [exact, nominal].into_iter().find(|&hz| hz != 0).map(|hz| (Source::Cpuid, hz))
}

/// The timing leaf that VMware introduced and KVM can show (QEMU's `vmware-cpuid-freq`): TSC kHz.
fn hypervisor() -> Option<Claim> {
    const PRESENT: u32 = 1 << 31;
    const TIMING: u32 = 0x4000_0010;
    if __cpuid(1).ecx & PRESENT == 0 || __cpuid(0x4000_0000).eax < TIMING {
        return None;
    }
    let khz = __cpuid(TIMING).eax;
    (khz != 0).then_some((Source::Hypervisor, u64::from(khz) * 1000))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Source::Cpuid => "CPUID",
            Source::Hypervisor => "the hypervisor",
            Source::Hpet => "the HPET",
            Source::PmTimer => "the PM timer",
            Source::Pit => "the PIT",
        })
    }
}
