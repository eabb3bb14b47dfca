//! A machine that has nothing but a CPU: its beginning, the executive's hooks, memory, a port.
#![allow(unsafe_code)] // All of this.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::asm;
use core::arch::x86_64::_rdtsc;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use executive::machine::{Machine, Stack};

// QEMU starts an ELF file with this note in 32-bit mode, without paging (Xen's "PVH"). One page
// of 1 GiB maps all that we have, each address to itself.
core::arch::global_asm!(
    r#"
    .section .note.Xen, "aR", @note
    .balign 4
    .long 4, 8, 18              // the lengths of name and value; XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad _start

    .section .text._start, "ax", @progbits
    .code32
    .global _start
_start:
    mov esp, offset {stack} + {stack_size}
    mov eax, offset {tables} + 4096
    or eax, 3                   // present, writable
    mov [{tables}], eax
    mov dword ptr [{tables} + 4096], 0x83 // and a page of 1 GiB
    mov eax, cr4
    or eax, 1 << 5              // PAE
    mov cr4, eax
    mov eax, offset {tables}
    mov cr3, eax
    mov ecx, 0xc0000080         // EFER
    rdmsr
    or eax, 1 << 8              // long mode
    wrmsr
    mov eax, cr0
    or eax, 1 << 31             // paging
    mov cr0, eax
    lgdt [2f]
    push 8
    lea eax, [3f]
    push eax
    retf
    .code64
3:  call {begin}
    ud2

    .section .rodata._start, "a", @progbits
    .balign 8
1:  .quad 0, 0x00209a0000000000 // none; 64-bit code
2:  .word 15
    .long 1b
    .text
    "#,
    stack = sym STACK,
    stack_size = const size_of::<Space<G0_STACK>>(),
    tables = sym TABLES,
    begin = sym begin,
);

const PAGE: usize = 4096;
const G0_STACK: usize = 128 << 10;
const MEMORY: usize = 64 << 20;

#[repr(align(4096))]
struct Space<const BYTES: usize>(#[allow(dead_code)] [u8; BYTES]);
static mut STACK: Space<G0_STACK> = Space([0; _]);
static mut TABLES: Space<{ 2 * PAGE }> = Space([0; _]);
static mut SPACE: Space<MEMORY> = Space([0; _]);

unsafe extern "C" {
    /// [`table`](crate::table) defines it.
    safe fn course_table();
}

extern "C" fn begin() -> ! {
    let block = executive::percpu_block(0).addr();
    // SAFETY: IA32_GS_BASE. Nothing uses GS but the executive, and CPU 0's block is this CPU's.
    unsafe { asm!("wrmsr", in("ecx") 0xc000_0101u32, in("eax") block, in("edx") block >> 32) };
    executive::start(|| course_table())
}

struct Counting;
executive::machine!(Counting);

// SAFETY: each hook keeps its promise for one CPU that nothing interrupts. No page below a stack
// faults: what overruns one would spoil the figures of this run, which nothing else depends on.
unsafe impl Machine for Counting {
    unsafe fn start_cpu(_: usize, _: *const (), entry: extern "C" fn() -> !) -> bool {
        entry() // CPU 0 is the caller, and has set GS
    }

    fn now() -> u64 {
        instructions()
    }

    fn alloc_stack(size: usize) -> Option<Stack> {
        let size = size.checked_next_multiple_of(PAGE)?;
        let lo = taken(size, PAGE)?;
        Some(Stack { lo, hi: lo + size })
    }

    /// The executive keeps those of goroutines that have ended, for others.
    unsafe fn free_stack(_: Stack) {}

    fn write(bytes: &[u8]) {
        for byte in bytes {
            // SAFETY: COM1; QEMU's takes whatever comes.
            unsafe { asm!("out dx, al", in("dx") 0x3f8, in("al") *byte, options(nomem, nostack)) };
        }
    }

    fn exit(code: i32) -> ! {
        loop {
            // SAFETY: isa-debug-exit ends QEMU, with twice this and 1.
            unsafe {
                asm!("out dx, eax", in("dx") 0xf4, in("eax") 16 + code, options(nomem, nostack))
            };
        }
    }
}

/// So many bytes that nobody has had before.
fn taken(size: usize, align: usize) -> Option<usize> {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let at = TAKEN.load(Relaxed).next_multiple_of(align); // one CPU: nobody comes between
    TAKEN.store(at.checked_add(size).filter(|&end| end <= MEMORY)?, Relaxed);
    Some((&raw const SPACE).addr() + at)
}

/// Takes a few instructions for each block, always the same, and nothing back: a run is short.
struct Heap;
#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: blocks are within SPACE, aligned, and each is given once. No holder can be preempted.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let at = taken(layout.size(), layout.align()).unwrap_or(0);
        core::ptr::with_exposed_provenance_mut(at)
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// How often an operation is done for a figure. A multiple of 61: at every 61st switch the
/// scheduler looks at its global queue first.
const TIMES: u32 = 16 * 61;

/// Prints what each of these costs, as `course/grade` reads it.
pub fn tell(rows: &[crate::Row]) {
    assert_eq!(counted(two_instructions), 20, "time is not instructions: -icount shift=0");
    for &(name, run) in rows {
        let tenths = counted(run);
        executive::println!("instructions {}.{} {name}", tenths / 10, tenths % 10);
    }
}

/// Instructions for one of what `run` does so many times, in tenths, to the nearest.
fn counted(run: fn(u32)) -> u64 {
    let run = core::hint::black_box(run); // one body for all numbers
    let cost = |times| {
        let begin = instructions();
        run(times);
        instructions() - begin
    };
    cost(TIMES); // what is done at the first time alone
    let more = cost(3 * TIMES) - cost(TIMES);
    let operations = u64::from(2 * TIMES);
    (more * 10 + operations / 2) / operations
}

fn instructions() -> u64 {
    // SAFETY: every x86-64 has a time stamp counter.
    unsafe { _rdtsc() }
}

/// Twice so many, and a few more.
fn two_instructions(times: u32) {
    // SAFETY: it changes its own register and the flags.
    unsafe { asm!("2: dec {0:e}", "jnz 2b", inout(reg) times => _, options(nomem, nostack)) };
}

#[panic_handler]
fn panicked(info: &PanicInfo) -> ! {
    executive::crash::panicked(info)
}
