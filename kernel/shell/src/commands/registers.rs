//! Does a preempted goroutine get back every register and flag that it had?
//!
//! Goroutines run a loop of assembly that keeps known values in every general register, in every
//! flag that a program may set, in every vector register that the CPU has, in x87's stack, and in
//! both control words. There are two for each CPU, which differ in all values but those of the
//! general registers, so that one gets the other's if any was not saved. Goroutines that sleep on
//! the same CPUs have them interrupted at any instruction.
//!
//! General registers and flags are checked in each round. Nothing in the loop changes the others,
//! so these are compared when it ends. The stack pointer is checked too: what ends the loop is
//! found by an address on top of the stack.
//!
//! Other goroutines do the same for one round, and touch pages of their stacks that are not there
//! yet, with all registers live.
#![allow(unsafe_code)] // The loops.

use super::{Args, Outcome};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::arch::{asm, naked_asm};
use core::fmt::Write;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use core::time::Duration;
use executive::census::cpu_reports;
use executive::{go, time};
use kernel::pages::{self, PAGE};
use kernel::{println, xsave};

/// CF PF AF ZF SF DF OF and IF set, and the bit that is always set (Intel SDM vol. 1, 3.4.3).
const FLAGS: u64 = 0xed7;

/// What is in the vector registers, in x87 and in the control words.
#[repr(C, align(64))]
#[derive(Clone, PartialEq)]
struct Values {
    /// Of which the low halves are the ymm registers, and their low halves xmm.
    zmm: [[u64; 8]; 32],
    k: [u64; 8],
    st: [[u64; 2]; 8],
    mxcsr: u32,
    fcw: u16,
}

/// How far this CPU's vector registers go, and the loop that uses all of them.
#[derive(Clone, Copy)]
struct Level {
    name: &'static str,
    registers: usize,
    words: usize,
    masks: bool,
    /// Runs until `*stop` is not 0, and touches so many pages of the stack before. Returns 0, or
    /// the number of the first register that had changed (16: the flags). What was in the others is
    /// then in `after`.
    hold: unsafe extern "C" fn(*const AtomicU64, *const Values, *mut Values, usize) -> u64,
}

static LEVELS: [Level; 3] = [
    Level { name: "xmm", registers: 16, words: 2, masks: false, hold: hold_xmm },
    Level { name: "ymm", registers: 16, words: 4, masks: false, hold: hold_ymm },
    Level { name: "zmm and k", registers: 32, words: 8, masks: true, hold: hold_zmm },
];

fn level() -> Level {
    const AVX: u64 = 1 << 2;
    const AVX_512: u64 = 0b111 << 5;
    let on = xsave::components();
    // Masks of 64 bits are moved by an instruction of AVX512BW, which no CPU of a PC lacks.
    match (on & AVX != 0, on & AVX_512 != 0) {
        (false, _) => LEVELS[0],
        (true, false) => LEVELS[1],
        (true, true) => LEVELS[2],
    }
}

impl Values {
    /// Others for each seed, and none that an instruction of the loop could object to.
    fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15); // splitmix64 (Vigna)
            let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        };
        Values {
            zmm: [(); 32].map(|()| [(); 8].map(|()| next())),
            k: [(); 8].map(|()| next()),
            // Numbers from 1 to 2: a mantissa of 64 bits, and the exponent's 16.
            st: [(); 8].map(|()| [next() | 1 << 63, 0x3fff]),
            // Rust's own, but for how they round.
            mxcsr: 0x1f80 | (next() as u32 & 0b11) << 13,
            fcw: 0x037f | (next() as u16 & 0b11) << 10,
        }
    }

    fn none() -> Self {
        Values { zmm: [[0; 8]; 32], k: [0; 8], st: [[0; 2]; 8], mxcsr: 0, fcw: 0 }
    }

    /// The registers that differ, of those that a CPU of this level has.
    fn differences(&self, other: &Values, level: &Level) -> String {
        let mut all = String::new();
        let mut tell = |differs: bool, name: &str, n: usize| {
            if differs {
                let _ = write!(all, " {name}{n}");
            }
        };
        let vectors = self.zmm.iter().zip(&other.zmm).take(level.registers).enumerate();
        for (n, (a, b)) in vectors {
            tell(a[..level.words] != b[..level.words], "vector register ", n);
        }
        for n in 0..8 {
            tell(level.masks && self.k[n] != other.k[n], "k", n);
            tell(self.st[n] != other.st[n], "st", n);
        }
        tell(self.mxcsr != other.mxcsr, "MXCSR ", other.mxcsr as usize);
        tell(self.fcw != other.fcw, "x87's control word ", other.fcw.into());
        all
    }
}

/// The loop for a level, of which `$load` and `$store` are what it has beside SSE's and x87's.
macro_rules! hold {
    ($name:ident, load $load:literal, store $store:literal) => {
        /// # Safety
        /// The CPU has this level. The pointers are good, and so many pages of the stack too.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            stop: *const AtomicU64,
            before: *const Values,
            after: *mut Values,
            pages: usize,
        ) -> u64 {
            naked_asm!(
                "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
                "push rdx",                        // [rsp + 8] = after
                "push rdi",                        // [rsp] = stop
                $load,
                "fninit",
                ".irp n, 7, 6, 5, 4, 3, 2, 1, 0",  // the last is st0
                "fld tbyte ptr [rsi + {st} + 16 * \\n]",
                ".endr",
                "fldcw [rsi + {fcw}]",
                "ldmxcsr [rsi + {mxcsr}]",
                "mov rax, rsp",
                "4:",
                "dec rcx",
                "js 5f",
                "sub rax, {page}",
                "mov byte ptr [rax], 1",
                "jmp 4b",
                "5:",
                "mov rax, 0x10101010", "mov rcx, 0x11111111", "mov rdx, 0x12121212",
                "mov rbx, 0x13131313", "mov rbp, 0x15151515", "mov rsi, 0x16161616",
                "mov rdi, 0x17171717", "mov r8,  0x18181818", "mov r9,  0x19191919",
                "mov r10, 0x1a1a1a1a", "mov r11, 0x1b1b1b1b", "mov r12, 0x1c1c1c1c",
                "mov r13, 0x1d1d1d1d", "mov r14, 0x1e1e1e1e", "mov r15, 0x1f1f1f1f",
                "2:",
                "push {flags}", "popfq",
                // A while in which neither registers nor flags change.
                ".rept 200", "nop", "lea rax, [rax + 0]", "mov r8, r8", ".endr",
                "pushfq",
                "cld",
                "cmp qword ptr [rsp], {flags}", "lea rsp, [rsp + 8]", "jne 36f",
                "cmp rax, 0x10101010", "jne 20f",
                "cmp rcx, 0x11111111", "jne 21f",
                "cmp rdx, 0x12121212", "jne 22f",
                "cmp rbx, 0x13131313", "jne 23f",
                "cmp rbp, 0x15151515", "jne 25f",
                "cmp rsi, 0x16161616", "jne 26f",
                "cmp rdi, 0x17171717", "jne 27f",
                "cmp r8,  0x18181818", "jne 28f",
                "cmp r9,  0x19191919", "jne 29f",
                "cmp r10, 0x1a1a1a1a", "jne 30f",
                "cmp r11, 0x1b1b1b1b", "jne 31f",
                "cmp r12, 0x1c1c1c1c", "jne 32f",
                "cmp r13, 0x1d1d1d1d", "jne 33f",
                "cmp r14, 0x1e1e1e1e", "jne 34f",
                "cmp r15, 0x1f1f1f1f", "jne 35f",
                "push rax",
                "mov rax, [rsp + 8]",
                "cmp qword ptr [rax], 0",
                "pop rax",
                "je 2b",
                "xor eax, eax", "jmp 3f",
                "20: mov eax, 100", "jmp 3f", // 0 is success
                "21: mov eax, 1", "jmp 3f", "22: mov eax, 2", "jmp 3f", "23: mov eax, 3", "jmp 3f",
                "25: mov eax, 5", "jmp 3f", "26: mov eax, 6", "jmp 3f", "27: mov eax, 7", "jmp 3f",
                "28: mov eax, 8", "jmp 3f", "29: mov eax, 9", "jmp 3f", "30: mov eax, 10", "jmp 3f",
                "31: mov eax, 11", "jmp 3f", "32: mov eax, 12", "jmp 3f",
                "33: mov eax, 13", "jmp 3f", "34: mov eax, 14", "jmp 3f",
                "35: mov eax, 15", "jmp 3f", "36: mov eax, 16",
                "3:",
                "pop rdi",
                "pop rdx",
                $store,
                "fnstcw [rdx + {fcw}]",
                "stmxcsr [rdx + {mxcsr}]",
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
                "fstp tbyte ptr [rdx + {st} + 16 * \\n]",
                ".endr",
                "fninit",
                "push {rust_mxcsr}",
                "ldmxcsr [rsp]",
                "pop rcx",
                "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
                "ret",
                flags = const FLAGS,
                page = const PAGE,
                rust_mxcsr = const MXCSR,
                st = const offset_of!(Values, st),
                mxcsr = const offset_of!(Values, mxcsr),
                fcw = const offset_of!(Values, fcw),
            )
        }
    };
}
hold! {
    hold_xmm,
    load ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups xmm\\n, [rsi + 64 * \\n]
    .endr",
    store ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups [rdx + 64 * \\n], xmm\\n
    .endr"
}
hold! {
    hold_ymm,
    load ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovups ymm\\n, [rsi + 64 * \\n]
    .endr",
    store ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vmovups [rdx + 64 * \\n], ymm\\n
    .endr
    vzeroupper"
}
hold! {
    hold_zmm,
    load ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
        21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vmovups zmm\\n, [rsi + 64 * \\n]
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    kmovq k\\n, [rsi + 2048 + 8 * \\n]
    .endr",
    store ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
        21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vmovups [rdx + 64 * \\n], zmm\\n
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    kmovq [rdx + 2048 + 8 * \\n], k\\n
    .endr
    vzeroupper"
}
const _: () = assert!(offset_of!(Values, k) == 2048);

/// Rust's MXCSR.
const MXCSR: u32 = 0x1f80;

/// Whether the control words are Rust's and x87's stack is empty, as every function expects.
fn is_sane() -> bool {
    let (mut mxcsr, mut x87) = (0u32, [0u32; 7]);
    // SAFETY: stores what is there. FNSTENV also masks x87's exceptions, which FLDENV puts right.
    unsafe {
        asm!(
            "stmxcsr [{mxcsr}]",
            "fnstenv [{x87}]",
            "fldenv [{x87}]",
            mxcsr = in(reg) &raw mut mxcsr,
            x87 = in(reg) &raw mut x87,
            options(nostack),
        );
    }
    let (control, tags) = (x87[0] as u16, x87[2] as u16);
    // The lowest six bits are what has happened.
    mxcsr & !0x3f == MXCSR && control == 0x037f && tags == 0xffff
}

/// Holds this seed's values until it is told to stop; what had changed is in the `Err`.
fn holds(level: Level, seed: u64, stop: *const AtomicU64, pages: usize) -> Result<(), String> {
    let (before, mut after) = (Values::new(seed), Box::new(Values::none()));
    // SAFETY: the CPU has this level; `stop` is alive; the stack has the pages (`PAGES_DEEP`).
    let register = unsafe { (level.hold)(stop, &before, &mut *after, pages) };
    let changed = before.differences(&after, &level);
    match register {
        0 if changed.is_empty() => Ok(()),
        0 => Err(format!("{changed} had changed")),
        16 => Err("the flags had changed".into()),
        n => Err(format!("register {} had changed", n % 100)),
    }
}

/// How many pages below its own frame a goroutine touches, of the 15 of its stack.
const PAGES_DEEP: usize = 10;

/// How many stacks grow at the same time.
const GROWERS: usize = 32;

/// Goroutines whose stacks grow while all their registers are live; counts the faults.
fn grow(level: Level, seed: u64, faults: &Arc<AtomicUsize>) -> Result<(), String> {
    static STOPPED: AtomicU64 = AtomicU64::new(1);
    let all: Vec<_> = (0..GROWERS as u64)
        .map(|n| {
            let faults = faults.clone();
            go(move || {
                let here = &raw const faults as usize & !(PAGE - 1);
                let missing = (1..=PAGES_DEEP).filter(|n| !pages::is_present(here - n * PAGE));
                faults.fetch_add(missing.count(), Relaxed);
                holds(level, seed + n, &STOPPED, PAGES_DEEP)
            })
        })
        .collect();
    let told: Vec<_> = all.into_iter().map(|grower| grower.join()).collect(); // all are joined
    told.into_iter().collect()
}

/// `registers [PREEMPTIONS] [MICROSECONDS]`.
pub fn registers(args: &Args) -> Outcome {
    let wanted = args.number(0, 1000, 1..=1_000_000)?;
    let slice = Duration::from_micros(args.number(1, 100, 1..=1_000_000)?);
    let level = level();
    let preemptions = || cpu_reports().map(|cpu| cpu.stats.preemptions.get()).sum::<u64>();
    let (stop, before) = (Arc::new(AtomicU64::new(0)), preemptions());
    let (faults, insane) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let cpus = cpu_reports().count() as u64;
    let holders: Vec<_> = (0..2 * cpus)
        .map(|n| {
            let stop = stop.clone();
            go(move || holds(level, n << 32, Arc::as_ptr(&stop), 0))
        })
        .collect();
    let pests: Vec<_> = (0..2 * cpus)
        .map(|_| {
            let (stop, insane) = (stop.clone(), insane.clone());
            go(move || {
                while stop.load(Relaxed) == 0 {
                    time::sleep(slice);
                    insane.fetch_add(usize::from(!is_sane()), Relaxed);
                }
            })
        })
        .collect();
    // The holders may end early, when a register has changed; then there is no further preemption.
    let (mut grown, mut round) = (Ok(()), 0);
    while preemptions() - before < wanted
        && !args.stopped()
        && grown.is_ok()
        && !holders.iter().any(|h| h.is_finished())
    {
        round += 1;
        grown = grow(level, round << 40, &faults);
        time::sleep(Duration::from_millis(10));
    }
    let seen = preemptions() - before;
    stop.store(1, Relaxed);
    pests.into_iter().for_each(|pest| pest.join());
    for holder in holders {
        holder.join()?;
    }
    grown.map_err(|why| format!("while a stack grew, {why}"))?;
    let (faults, insane) = (faults.load(Relaxed), insane.load(Relaxed));
    if insane != 0 {
        return Err(format!("{insane} times another goroutine's control words were found"));
    }
    if faults == 0 && !args.stopped() {
        return Err("no stack grew".into());
    }
    println!(
        "{seen} preemptions, and every register and flag was kept, {} too ({} bytes by {}), \
         also over {faults} page faults",
        level.name,
        xsave::area(),
        xsave::instruction(),
    );
    Ok(())
}
