//! The first instructions of a CPU that another one starts: from 16-bit real mode to 64-bit code in
//! the kernel.
//!
//! They run from a page below 1 MiB, which also holds their GDT and the [`Letter`] with all that
//! they need to know. Which page that is, is not known at link time. Real mode addresses are
//! relative to CS; `Trampoline::invite` writes the others into the letter.
//!
//! On the way the CPU uses page tables of its own (`map_page`). They map this page at its physical
//! address, executable and writable, as no page is in the kernel's own tables. They lie below 4
//! GiB, because 32-bit code loads them. With its jump into the kernel the CPU leaves the page and
//! the tables.
//!
//! ```text
//! page:  0          code, then the GDT          0x800    Letter             0x1000
//! ```
#![allow(unsafe_code)] // Assembly, and the page it is copied to.

use crate::apic;
use crate::frames;
use crate::paging;
use crate::tsc::Rally;
use crate::window::phys_to_virt;
use crate::xsave;
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use x86_64::registers::control::EferFlags;

/// Where the letter lies in the page.
const LETTER: usize = 0x800;

/// What the starting CPU must know, and how it answers. One CPU reads it, the one that claims it.
#[repr(C)]
pub struct Letter {
    gdt_pointer: GdtPointer,
    start_32: FarPointer,
    start_64: FarPointer,
    /// Physical address of the low tables.
    low_tables: u32,
    /// EFER as it must be before paging is on: long mode, and NX, which the kernel's tables use.
    efer: u32,
    /// Where xAPIC's registers are mapped; 0 in x2APIC mode.
    pub apic: u64,
    /// The APIC id of the CPU that may come, or one of the states below. A CPU claims the letter by
    /// a compare-exchange that expects its own id, or else [`ANYBODY`], and the boot CPU withdraws
    /// the letter by another: one of them wins. So a CPU that comes too late, or was not called,
    /// halts, even if the letter is for another CPU by then.
    addressee: AtomicU64,
    /// What `addressee` was when the letter was written.
    invited: u64,
    /// 1: the CPU runs kernel code, and is set up.
    pub arrived: AtomicU32,
    /// The stack to begin on, and the function to call there, which leaves this page.
    pub stack: usize,
    pub main: extern "C" fn(&'static Letter) -> !,
    /// This letter's address in the physical window, for `main`.
    this: *const Letter,

    // The assembly does not use what follows.
    /// Physical address of the kernel's own top-level table.
    pub tables: u64,
    pub cpu: usize,
    pub block: *const (),
    pub entry: extern "C" fn() -> !,
    pub rally: Rally,
}

impl Letter {
    /// The APIC id of the CPU that has come, if one has.
    pub fn claimed_by(&self) -> Option<u32> {
        let state = self.addressee.load(Ordering::Relaxed);
        (state & !u64::from(u32::MAX) == CLAIMED).then_some(state as u32)
    }

    /// From here on the addressee cannot come any more. `false`: it has come.
    pub fn withdraw(&self) -> bool {
        self.addressee
            .compare_exchange(self.invited, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// As `lgdt` takes it in 32-bit form: limit, and the base's two halves.
#[repr(C)]
struct GdtPointer([u16; 3]);

/// As an indirect far jump takes it.
#[repr(C)]
struct FarPointer {
    offset: u32,
    selector: u16,
}

/// Nobody is expected. (APIC ids have 32 bits.)
const WITHDRAWN: u64 = 1 << 32;
/// The CPU whose id is added to this has come. Set by the trampoline.
const CLAIMED: u64 = 2 << 32;
/// The first to come is the addressee.
const ANYBODY: u64 = 4 << 32;

const CODE_32: u16 = 0x08;
const CODE_64: u16 = 0x10;
const DATA: u16 = 0x18;

global_asm!(r#"
    .pushsection .rodata.trampoline, "a"
    .balign 16
trampoline_begin:

    # Real mode, at offset 0 of segment CS; every register but CS and IP holds what INIT left.
    .code16
    cli
    cld
    mov     ax, cs
    mov     ds, ax
    movzx   ebx, ax
    shl     ebx, 4                          # ebx: physical address of this page, to the end
    lgdtd   [{gdt_pointer}]
    mov     eax, cr0
    or      eax, 1                          # protected mode
    mov     cr0, eax
    jmp     fword ptr [{start_32}]

    # 32-bit protected mode, flat segments, no paging.
    .code32
trampoline_32:
    mov     ax, {DATA}                       # data
    mov     ds, ax
    mov     es, ax
    mov     ss, ax
    mov     eax, {CR4}                      # CR4: PAE, for long mode, and SSE; cpu.rs sets the rest
    mov     cr4, eax
    mov     eax, [ebx + {low_tables}]
    mov     cr3, eax
    mov     ecx, 0xc0000080                 # EFER: long mode, and NX, which the tables use
    mov     eax, [ebx + {efer}]
    xor     edx, edx
    wrmsr
    mov     eax, 0x80010033                 # CR0: PG WP NE ET MP PE; not CD and NW: caches on
    mov     cr0, eax
    jmp     fword ptr [ebx + {start_64}]

    # 64-bit code, still in this page, in the low tables.
    .code64
trampoline_64:
    mov     ebx, ebx                        # the upper half was undefined so far
    mov     rdx, [rbx + {apic}]
    test    rdx, rdx
    jz      2f
    mov     eax, [rdx + 0x20]               # xAPIC: id register, bits 24..32
    shr     eax, 24
    jmp     3f
2:  mov     ecx, 0x1b                       # IA32_APIC_BASE: on, x2APIC, as the boot CPU's
    rdmsr
    or      eax, 0xc00
    wrmsr
    mov     ecx, 0x802                      # x2APIC: id register
    rdmsr
3:  mov     rcx, {CLAIMED}
    or      rcx, rax
    lock cmpxchg [rbx + {addressee}], rcx   # from this CPU's id: rax
    je      5f
    mov     rax, {ANYBODY}
    lock cmpxchg [rbx + {addressee}], rcx
    jne     4f
5:  mov     rsp, [rbx + {stack}]
    mov     rdi, [rbx + {this}]
    xor     ebp, ebp                        # backtraces end here
    push    rbp                             # as after a call
    jmp     [rbx + {main}]

    # Not for us, or too late.
4:  cli
    hlt
    jmp     4b

    .balign 8
trampoline_gdt:
    .quad   0
    .quad   0x00cf9b000000ffff              # 0x08: 32-bit code, flat
    .quad   0x00af9b000000ffff              # 0x10: 64-bit code
    .quad   0x00cf93000000ffff              # 0x18: data, flat
trampoline_end:
    .popsection
"#,
    CR4 = const 0x20 | xsave::CR4,
    DATA = const DATA,
    CLAIMED = const CLAIMED,
    ANYBODY = const ANYBODY,
    gdt_pointer = const LETTER + offset_of!(Letter, gdt_pointer),
    start_32 = const LETTER + offset_of!(Letter, start_32),
    start_64 = const LETTER + offset_of!(Letter, start_64),
    low_tables = const LETTER + offset_of!(Letter, low_tables),
    efer = const LETTER + offset_of!(Letter, efer),
    apic = const LETTER + offset_of!(Letter, apic),
    addressee = const LETTER + offset_of!(Letter, addressee),
    stack = const LETTER + offset_of!(Letter, stack),
    main = const LETTER + offset_of!(Letter, main),
    this = const LETTER + offset_of!(Letter, this),
);

unsafe extern "C" {
    // Labels: only their addresses mean something.
    static trampoline_begin: u8;
    static trampoline_32: u8;
    static trampoline_64: u8;
    static trampoline_gdt: u8;
    static trampoline_end: u8;
}

/// The offset of a label in the page.
fn offset_in_page(label: *const u8) -> usize {
    label as usize - &raw const trampoline_begin as usize
}

/// The page, and the low tables: everything a starting CPU needs below 4 GiB.
pub struct Trampoline {
    /// Physical address of the page.
    pub page: u64,
    letter: *mut Letter,
    low_tables: u32,
    /// The three lower tables.
    tables: [u64; 3],
}

// SAFETY: plain addresses of frames that belong to the trampoline.
unsafe impl Send for Trampoline {}

impl Trampoline {
    /// Finds two frames below 1 MiB and three anywhere, and lays everything out. `None`: there are
    /// not that many.
    pub fn new() -> Option<Trampoline> {
        let page = frames::take_low_frame()?;
        let low_tables = frames::take_low_frame()?;
        let tables = [frames::alloc()?, frames::alloc()?, frames::alloc()?];
        map_page(page, low_tables, tables);
        let code = &raw const trampoline_begin;
        let bytes = offset_in_page(&raw const trampoline_end);
        assert!(bytes <= LETTER);
        // SAFETY: the frame is ours, seen through the window; the code's bytes lie between its
        // labels.
        unsafe { code.copy_to_nonoverlapping(phys_to_virt(page), bytes) };
        let letter = phys_to_virt(page + LETTER as u64).cast();
        Some(Trampoline { page, letter, low_tables: low_tables as u32, tables })
    }

    /// Writes the letter; from here on its addressee may come. The CPU that has claimed the letter
    /// before, if any, is done with it.
    pub fn invite(&mut self, addressee: Addressee) -> &'static Letter {
        let invited = addressee.apic_id.map_or(ANYBODY, u64::from);
        let at = |label| self.page as u32 + offset_in_page(label) as u32;
        let gdt = at(&raw const trampoline_gdt);
        let gdt_bytes =
            offset_in_page(&raw const trampoline_end) - offset_in_page(&raw const trampoline_gdt);
        let letter = Letter {
            gdt_pointer: GdtPointer([gdt_bytes as u16 - 1, gdt as u16, (gdt >> 16) as u16]),
            start_32: FarPointer { offset: at(&raw const trampoline_32), selector: CODE_32 },
            start_64: FarPointer { offset: at(&raw const trampoline_64), selector: CODE_64 },
            low_tables: self.low_tables,
            efer: (EferFlags::LONG_MODE_ENABLE | EferFlags::NO_EXECUTE_ENABLE).bits() as u32,
            apic: apic::registers() as u64,
            addressee: AtomicU64::new(WITHDRAWN),
            invited,
            arrived: AtomicU32::new(0),
            stack: addressee.stack,
            main: addressee.main,
            this: self.letter,
            tables: paging::top_table(),
            cpu: addressee.cpu,
            block: addressee.block,
            entry: addressee.entry,
            rally: Rally::new(),
        };
        // SAFETY: ours, aligned, within the page. The last addressee is done with it (tsc.rs), or
        // has not come and cannot claim it any more.
        let letter = unsafe {
            self.letter.write(letter);
            &*self.letter
        };
        // Release: partner of the locked compare-exchange in the trampoline.
        letter.addressee.store(invited, Ordering::Release);
        letter
    }

    /// Frees the tables that can be freed. Every CPU has come, and none may come any more.
    pub fn retire(self) {
        for table in self.tables {
            // SAFETY: reached from the low tables only, which no CPU uses now: all have loaded the
            // kernel's.
            unsafe { frames::free(table) };
        }
    }
}

/// A CPU to start, and what it needs.
pub struct Addressee {
    /// `None`: whichever comes first.
    pub apic_id: Option<u32>,
    /// The number that it gets.
    pub cpu: usize,
    pub block: *const (),
    pub stack: usize,
    pub main: extern "C" fn(&'static Letter) -> !,
    pub entry: extern "C" fn() -> !,
}

/// Makes the low tables: the kernel's top-level table, in which the lowest 512 GiB map the page
/// alone, at its physical address. The kernel has nothing there, and its top-level table never
/// changes (layout.rs).
fn map_page(page: u64, low_tables: u64, tables: [u64; 3]) {
    const PRESENT_WRITABLE: u64 = 0b11;
    let table = |frame| phys_to_virt(frame).cast::<u64>();
    // SAFETY: five tables of 512 entries: the kernel's, mapped in the window and not changing, and
    // four frames of ours.
    unsafe {
        table(paging::top_table()).copy_to_nonoverlapping(table(low_tables), 512);
        let mut parent = low_tables;
        for child in tables {
            table(parent).write(child | PRESENT_WRITABLE); // entry 0: addresses from 0 on
            parent = child;
        }
        table(parent).add((page / 4096) as usize).write(page | PRESENT_WRITABLE);
    }
}
