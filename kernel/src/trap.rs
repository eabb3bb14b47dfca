//! Exceptions and interrupts, after the stubs of idt.rs have saved every register.
//!
//! **Rule (IRQ-CLEAN):** nothing here takes a lock that interrupted code could hold, allocates, or
//! yields. It runs on one of this CPU's interrupt stacks, and never touches a goroutine's stack.
#![allow(unsafe_code)] // Control registers; the frame belongs to the interrupted code.

use crate::pages::PAGE;
use crate::stacks::{self, Growth};
use crate::vectors;
use crate::{apic, clock, device, flush, frames, hold, power, serial};
use core::arch::asm;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use executive::machine::{self, Interrupted};
use executive::param::MAX_CPUS;
use executive::percpu::cpu;
use executive::{sampling, trace};
use x86_64::registers::control::Cr2;

/// The registers of the interrupted code, in the order in which the stubs push them. The CPU itself
/// pushes the last five (Intel SDM vol. 3A, figure 7-9).
#[repr(C)]
#[derive(Debug)]
pub struct Frame {
    #[cfg(target_feature = "sse2")]
    pub xmm: [u128; 16],
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub vector: u64,
    /// The CPU's error code, or 0 where it pushes none.
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

impl Frame {
    fn interrupted(&self) -> Interrupted {
        Interrupted { pc: self.rip as usize, sp: self.rsp as usize, fp: self.rbp as usize }
    }

    /// Calls `up`, which may make the interrupted goroutine yield.
    fn may_yield(&mut self, up: fn(&mut Interrupted)) {
        let mut at = self.interrupted();
        #[cfg(panic = "unwind")]
        if crate::unwind::reads_below_rsp(at.pc) {
            at.pc = executive::kit::NEVER_PREEMPTED.addr();
        }
        let pc = at.pc;
        up(&mut at);
        if at.pc != pc {
            self.rip = at.pc as u64;
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  rip {:016x}  rsp {:016x}  rflags {:08x}  error {:#x}",
            self.rip, self.rsp, self.rflags, self.error
        )?;
        writeln!(
            f,
            "  rax {:016x}  rbx {:016x}  rcx {:016x}  rdx {:016x}",
            self.rax, self.rbx, self.rcx, self.rdx
        )?;
        writeln!(
            f,
            "  rsi {:016x}  rdi {:016x}  rbp {:016x}  r8  {:016x}",
            self.rsi, self.rdi, self.rbp, self.r8
        )?;
        writeln!(
            f,
            "  r9  {:016x}  r10 {:016x}  r11 {:016x}  r12 {:016x}",
            self.r9, self.r10, self.r11, self.r12
        )?;
        #[cfg(target_feature = "sse2")]
        for (n, pair) in self.xmm.chunks(2).enumerate() {
            let (even, odd) = (2 * n, 2 * n + 1);
            writeln!(f, "  xmm{even:<2} {:032x}  xmm{odd:<2} {:032x}", pair[0], pair[1])?;
        }
        write!(
            f,
            "  r13 {:016x}  r14 {:016x}  r15 {:016x}  cr2 {:016x}",
            self.r13,
            self.r14,
            self.r15,
            Cr2::read_raw()
        )
    }
}

/// The stubs call this. On return they restore what is in the frame.
pub extern "C" fn dispatch(frame: &mut Frame) {
    match frame.vector as u8 {
        exception::NMI => nmi(frame),
        exception::PAGE_FAULT => page_fault(frame),
        vector @ 0..vectors::FIRST_IRQ => fault(vector, frame),
        vector => interrupt(vector, frame),
    }
}

fn interrupt(vector: u8, frame: &mut Frame) {
    match vector {
        vectors::TIMER | vectors::KICK => {
            // Before the call: if the goroutine is made to yield, the next timer interrupt must not
            // wait for it.
            apic::eoi();
            if vector == vectors::TIMER && !clock::rings() {
                return; // it was set for what is not wanted any more
            }
            sampling::interrupted(&frame.interrupted());
            frame.may_yield(executive::on_tick);
            sampling::goes_on(clock::arm_timer);
        }
        // It has ended the `hlt`, which was its purpose.
        vectors::WAKE => apic::eoi(),
        vectors::FLUSH => {
            flush::on_interrupt();
            apic::eoi();
        }
        vectors::HOLD => {
            apic::eoi();
            hold::on_interrupt(&frame.interrupted());
        }
        vectors::ISA..vectors::ISA_END => {
            match vector - vectors::ISA {
                vectors::ISA_COM1 => serial::on_interrupt(),
                irq if power::is_sci(irq) => {
                    if power::on_interrupt() {
                        button_pressed();
                    }
                }
                // A driver's (`ioapic::isa_irq`).
                irq => trace::interrupt(vector.into(), || executive::on_irq(irq.into())),
            }
            apic::eoi();
        }
        vectors::DEVICES..vectors::DEVICES_END => {
            trace::interrupt(vector.into(), || device::on_interrupt(vector));
            apic::eoi();
        }
        // The APIC has it not in service: an EOI would end another interrupt.
        vectors::SPURIOUS => {}
        _ => executive::crash::fault(
            format_args!("unexpected interrupt {vector:#x}\n{frame}"),
            &frame.interrupted(),
        ),
    }
}

/// The power button was pressed. Its words go where a crash report goes, and as a crash report
/// does: whoever was interrupted, or stands still now, may hold any lock.
fn button_pressed() -> ! {
    freeze_others();
    machine::write(b"\nthe power button was pressed\n");
    machine::exit(0)
}

fn page_fault(frame: &mut Frame) {
    /// Error code bits (Intel SDM vol. 3A, 5.7).
    const PRESENT: u64 = 1 << 0;
    const WRITE: u64 = 1 << 1;
    const RESERVED: u64 = 1 << 3;
    const FETCH: u64 = 1 << 4;
    let address = Cr2::read_raw() as usize;
    let missing = frame.error & (PRESENT | RESERVED) == 0;
    let growth =
        if missing && frame.error & FETCH == 0 { stacks::grow(address) } else { Growth::NotAStack };
    let access = match frame.error {
        e if e & FETCH != 0 => "executing",
        e if e & WRITE != 0 => "writing",
        _ => "reading",
    };
    let why = match growth {
        Growth::Done => {
            executive::on_growth(address & !(PAGE - 1));
            if frames::are_low() {
                frame.may_yield(executive::on_low_memory);
            }
            return;
        }
        Growth::OutOfMemory => "a stack page, but there is no memory",
        Growth::Guard => "a stack's guard page",
        Growth::NotAStack if missing => "a page that is not there",
        Growth::NotAStack => "a page that does not allow it",
    };
    executive::crash::page_fault(
        address,
        format_args!("page fault at {address:#x}: {access} {why}\n{frame}"),
        &frame.interrupted(),
    )
}

fn fault(vector: u8, frame: &Frame) -> ! {
    let name = exception::NAMES[vector as usize];
    executive::crash::fault(
        format_args!("{name} (exception {vector})\n{frame}"),
        &frame.interrupted(),
    )
}

/// The CPU (plus one) that reports, or is about to: the others stop where they are. 0: none.
static STOPPING: AtomicUsize = AtomicUsize::new(0);
/// How many have stopped. Each adds itself (Release); the CPU that reports waits for them
/// (Acquire).
static STOPPED: AtomicUsize = AtomicUsize::new(0);

/// Stops the other CPUs by an interrupt that cannot be masked, and waits for them, but not for
/// long: the report must come out even if one never stops.
pub fn freeze_others() {
    /// About a fifth of a second. Counted, because the clock may be what failed.
    const PATIENCE: usize = 2_000_000;
    if flush::online() == 0 {
        return; // no APIC is there yet, and nobody else runs
    }
    STOPPING.store(cpu() + 1, Ordering::SeqCst);
    // A handler's `iret` would let an NMI in, on the stack that the report may be using.
    apic::mask_button();
    apic::send_nmi_others();
    let others = flush::online().saturating_sub(1);
    for _ in 0..PATIENCE {
        if STOPPED.load(Ordering::Acquire) >= others {
            break;
        }
        core::hint::spin_loop();
    }
}

/// CPUs to which an NMI is on its way that only asks where they stand.
static ASKED: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];
/// How many such NMIs have come.
static ANSWERED: AtomicUsize = AtomicUsize::new(0);

/// Asks a CPU by an NMI where it stands, for a profile, also if its interrupts are off. It answers
/// soon ([`answered`]), and goes on. May be called in a handler.
pub fn ask(cpu: usize) {
    let crashes = STOPPING.load(Ordering::Relaxed) != 0 || executive::crash::reporter().is_some();
    if !crashes && !ASKED[cpu].swap(true, Ordering::Relaxed) {
        apic::send_nmi(cpu);
    }
}

/// How many of such questions were answered, by all CPUs.
pub fn answered() -> usize {
    ANSWERED.load(Ordering::Relaxed)
}

/// Answers [`ask`]. It may have interrupted anything, other handlers too, and may not fault: the
/// `iret` of that would let in another NMI, on this one's stack.
fn answer(frame: &mut Frame) {
    /// The interrupt flag (Intel SDM vol. 1, figure 3-8), and the instruction `hlt`.
    const INTERRUPTS_ON: u64 = 1 << 9;
    const HLT: u8 = 0xf4;
    ANSWERED.fetch_add(1, Ordering::Relaxed);
    let sleeps = !sampling::answers(&frame.interrupted());
    // Between `sti` and `hlt` (pc.rs, `wait`) no interrupt was to come. One that waits for the
    // `sti` would come behind our `iret`, and the `hlt` after it would not hear of it.
    // SAFETY: the CPU was in `wait`, and its next instruction is code of ours.
    if sleeps && frame.rflags & INTERRUPTS_ON != 0 && unsafe { *(frame.rip as *const u8) } == HLT {
        frame.rip += 1;
    }
}

/// An NMI comes from another CPU, to stop this one, or to ask where it stands; or from a person (a
/// server's button, QEMU's `nmi`) who wants to know where a machine that does not answer stands; or
/// because memory or a bus has failed. (Two that come at once are one: if one of them asks, it is
/// taken for that, unless somebody reports. A button can be pressed again.)
fn nmi(frame: &mut Frame) {
    let (me, reporter) = (cpu(), executive::crash::reporter());
    let stopping = STOPPING.load(Ordering::SeqCst);
    if reporter == Some(me) || stopping == me + 1 {
        return; // this CPU reports
    }
    if reporter.is_none() && stopping == 0 && ASKED[me].swap(false, Ordering::Relaxed) {
        return answer(frame);
    }
    // A button's NMI reaches all CPUs at once: the first reports.
    let first = || STOPPING.compare_exchange(0, me + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    if reporter.is_some() || !first() {
        executive::crash::stopped(&frame.interrupted());
        STOPPED.fetch_add(1, Ordering::Release);
        halt();
    }
    fault(exception::NMI, frame)
}

/// This CPU stops for good.
pub fn halt() -> ! {
    loop {
        // SAFETY: no code of ours runs on this CPU again. An NMI can end the `hlt`; hence the loop.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// The CPU's exceptions (Intel SDM vol. 3A, table 7-1).
pub mod exception {
    pub const NMI: u8 = 2;
    pub const DEVICE_NOT_AVAILABLE: u8 = 7;
    pub const DOUBLE_FAULT: u8 = 8;
    pub const PAGE_FAULT: u8 = 14;
    pub const MACHINE_CHECK: u8 = 18;

    /// Whether the CPU pushes an error code for it.
    pub const fn has_error_code(vector: u8) -> bool {
        matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30)
    }

    pub const NAMES: [&str; 32] = [
        "divide error",
        "debug exception",
        "non-maskable interrupt",
        "breakpoint",
        "overflow",
        "bound range exceeded",
        "invalid opcode",
        "device not available",
        "double fault",
        "coprocessor segment overrun",
        "invalid TSS",
        "segment not present",
        "stack fault",
        "general protection fault",
        "page fault",
        "reserved exception",
        "x87 floating-point error",
        "alignment check",
        "machine check",
        "SIMD floating-point error",
        "virtualization exception",
        "control protection exception",
        "reserved exception",
        "reserved exception",
        "reserved exception",
        "reserved exception",
        "reserved exception",
        "reserved exception",
        "hypervisor injection exception",
        "VMM communication exception",
        "security exception",
        "reserved exception",
    ];
}
