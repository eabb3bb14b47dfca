//! The interrupt descriptor table, one for all CPUs, and the stubs that its gates lead to.
//!
//! Every gate turns interrupts off and switches to an interrupt stack (gdt.rs). Each vector has a
//! stub that pushes its number. The common part saves every register into a [`Frame`] and calls
//! [`dispatch`], which may change the frame before it is restored: so a goroutine is preempted.
//! Of the vector registers it saves xmm0 to xmm15 (VECTOR-CLEAN): handlers use no others, and
//! the instructions of SSE leave what lies above these 128 bits alone.
//! Rejected: `extern "x86-interrupt"`, which is not stable, and hides the registers.
//!
//! ```text
//! pushed by:  CPU (ss rsp rflags cs rip [error])   stub ([0] vector)   common (rax .. r15, xmm)
//! addresses:  high ---------------------------------------------------------> low = &Frame
//! ```
#![allow(unsafe_code)] // Naked functions and the table that the CPU jumps through.

use crate::gdt::Ist;
use crate::trap::{Frame, dispatch, exception};
use crate::vectors;
use core::arch::naked_asm;
use core::mem::size_of;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::idt::{Entry, HandlerFunc, InterruptDescriptorTable};

const _: () = assert!(size_of::<Frame>().is_multiple_of(16));

/// The stubs jump here with the vector on top of an error code. Saves all registers, calls
/// `dispatch`, which may change them, restores them, and returns to where the frame then says. The
/// direction flag is cleared, as the ABI wants; the interrupted code's comes back with rflags.
///
/// Alignment: the CPU aligns an interrupt stack's top to 16 before its pushes; 22 words follow, an
/// even number.
#[unsafe(naked)]
extern "C" fn common() {
    naked_asm!(
        "push rax", "push rbx", "push rcx", "push rdx", "push rsi", "push rdi", "push rbp",
        "push r8", "push r9", "push r10", "push r11",
        "push r12", "push r13", "push r14", "push r15",
        "cld",
        #[cfg(target_feature = "sse2")]
        "sub rsp, 256
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movaps [rsp + 16 * \\n], xmm\\n
        .endr",
        "mov rdi, rsp",
        "call {dispatch}",
        #[cfg(target_feature = "sse2")]
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movaps xmm\\n, [rsp + 16 * \\n]
        .endr
        add rsp, 256",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop r11", "pop r10", "pop r9", "pop r8",
        "pop rbp", "pop rdi", "pop rsi", "pop rdx", "pop rcx", "pop rbx", "pop rax",
        "add rsp, 16", // the vector and the error code
        "iretq",
        dispatch = sym dispatch,
    )
}

/// The gate of a vector without an error code: pushes 0 for it.
#[unsafe(naked)]
extern "C" fn plain<const VECTOR: u8>() {
    naked_asm!("push 0", "push {v}", "jmp {common}", v = const VECTOR, common = sym common)
}

/// The gate of a vector for which the CPU pushes an error code.
#[unsafe(naked)]
extern "C" fn with_error<const VECTOR: u8>() {
    naked_asm!("push {v}", "jmp {common}", v = const VECTOR, common = sym common)
}

/// The stubs of the vectors from `16 * $high`, in order.
macro_rules! sixteen {
    ($high:literal) => {
        [
            stub::<{ $high * 16 }>(),
            stub::<{ $high * 16 + 1 }>(),
            stub::<{ $high * 16 + 2 }>(),
            stub::<{ $high * 16 + 3 }>(),
            stub::<{ $high * 16 + 4 }>(),
            stub::<{ $high * 16 + 5 }>(),
            stub::<{ $high * 16 + 6 }>(),
            stub::<{ $high * 16 + 7 }>(),
            stub::<{ $high * 16 + 8 }>(),
            stub::<{ $high * 16 + 9 }>(),
            stub::<{ $high * 16 + 10 }>(),
            stub::<{ $high * 16 + 11 }>(),
            stub::<{ $high * 16 + 12 }>(),
            stub::<{ $high * 16 + 13 }>(),
            stub::<{ $high * 16 + 14 }>(),
            stub::<{ $high * 16 + 15 }>(),
        ]
    };
}

/// The gate of the exception that says that vector registers cannot be used now: lets `common` use
/// them.
#[unsafe(naked)]
extern "C" fn device_not_available() {
    naked_asm!(
        "clts",
        "push 0",
        "push {v}",
        "jmp {common}",
        v = const exception::DEVICE_NOT_AVAILABLE,
        common = sym common
    )
}

fn stub<const VECTOR: u8>() -> extern "C" fn() {
    if VECTOR == exception::DEVICE_NOT_AVAILABLE {
        return device_not_available;
    }
    if exception::has_error_code(VECTOR) { with_error::<VECTOR> } else { plain::<VECTOR> }
}

const fn ist(vector: u8) -> Ist {
    match vector {
        exception::NMI => Ist::Nmi,
        exception::DOUBLE_FAULT => Ist::DoubleFault,
        exception::PAGE_FAULT => Ist::PageFault,
        exception::MACHINE_CHECK => Ist::MachineCheck,
        0..vectors::FIRST_IRQ => Ist::Fault,
        _ => Ist::Interrupt,
    }
}

static IDT: Once<InterruptDescriptorTable> = Once::new();

/// Makes the calling CPU use the table, which the first call makes. After GS is set and after
/// `gdt::load`, whose code segment and stacks the gates name.
pub fn load() {
    IDT.call_once(make).load();
}

fn make() -> InterruptDescriptorTable {
    let mut idt = InterruptDescriptorTable::new();
    // SAFETY: a table is 256 gates of one shape (Intel SDM vol. 3A, 7.14.1). The type gives some of
    // them other signatures, which the stubs do not need.
    let gates = unsafe { &mut *(&raw mut idt).cast::<[Entry<HandlerFunc>; 256]>() };
    let stubs = [
        sixteen!(0),
        sixteen!(1),
        sixteen!(2),
        sixteen!(3),
        sixteen!(4),
        sixteen!(5),
        sixteen!(6),
        sixteen!(7),
        sixteen!(8),
        sixteen!(9),
        sixteen!(10),
        sixteen!(11),
        sixteen!(12),
        sixteen!(13),
        sixteen!(14),
        sixteen!(15),
    ];
    for (vector, (gate, stub)) in gates.iter_mut().zip(stubs.as_flattened()).enumerate() {
        // SAFETY: the stub is an interrupt handler that ends in iretq; its IST entry is set up on
        // every CPU before the table is loaded there. (`set_stack_index` counts from 0.)
        unsafe {
            gate.set_handler_addr(VirtAddr::new(*stub as usize as u64))
                .set_stack_index(ist(vector as u8) as u16);
        }
    }
    idt
}
