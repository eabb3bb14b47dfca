//! What a deque costs in instructions: `course/grade` starts this as a machine of its own.
//!
//! QEMU counts (`-icount shift=0`): the machine's time stamp counter is then the number of
//! instructions executed. There is one CPU, no kernel and no interrupt, so the figures are exact,
//! and the same on every host.
//!
//! **Rule:** an operation is done N times and 3 N times, and the difference is divided. So what
//! both have in common drops out; the loop around the operation does not.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![allow(unsafe_code)] // The machine's beginning, two ports, a counter.

/// On a host nothing counts instructions.
#[cfg(not(target_os = "none"))]
fn main() {
    println!("course/grade builds this for x86_64-unknown-none, and starts it in QEMU");
}

#[cfg(target_os = "none")]
mod machine {
    use core::arch::asm;
    use core::arch::x86_64::_rdtsc;
    use core::fmt::{self, Write};
    use core::hint::black_box;
    use core::panic::PanicInfo;
    use deque::stealing::{Deque, Steal};

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
    3:  call {main}
        ud2

        .section .rodata._start, "a", @progbits
        .balign 8
    1:  .quad 0, 0x00209a0000000000 // none; 64-bit code
    2:  .word 15
        .long 1b
        .text
        "#,
        stack = sym STACK,
        stack_size = const size_of::<Space>(),
        tables = sym TABLES,
        main = sym main,
    );

    #[repr(align(4096))]
    struct Space(#[allow(dead_code)] [u8; 8 * 4096]);
    static mut STACK: Space = Space([0; _]);
    static mut TABLES: Space = Space([0; _]);

    /// How often an operation is done for a figure.
    const TIMES: u32 = 1000;

    extern "C" fn main() -> ! {
        assert_eq!(counted(&two_instructions), 20, "time is not instructions: -icount shift=0");
        let deque = &Deque::new();
        // Called by pointer, so that each is counted as it is, whatever stands around it.
        let push = black_box(Deque::push as fn(&Deque, u32) -> Result<(), u32>);
        let pop = black_box(Deque::pop as fn(&Deque) -> Option<u32>);
        let steal = black_box(Deque::steal as fn(&Deque) -> Steal);
        let figures = [
            (
                "push and pop",
                counted(&|n| {
                    for i in 0..n {
                        assert_eq!((push(deque, i), pop(deque)), (Ok(()), Some(i)));
                    }
                }),
            ),
            (
                "push and steal",
                counted(&|n| {
                    for i in 0..n {
                        assert_eq!((push(deque, i), steal(deque)), (Ok(()), Steal::Item(i)));
                    }
                }),
            ),
        ];
        for (name, tenths) in figures {
            say(format_args!("instructions {}.{} {name}\n", tenths / 10, tenths % 10));
        }
        exit(0)
    }

    /// Instructions for one of what `run` does so many times, in tenths.
    fn counted(run: &dyn Fn(u32)) -> u64 {
        let run = black_box(run); // one body for both numbers
        let cost = |times| {
            let begin = now();
            run(times);
            now() - begin
        };
        (cost(3 * TIMES) - cost(TIMES)) * 10 / u64::from(2 * TIMES)
    }

    fn now() -> u64 {
        // SAFETY: every x86-64 has a time stamp counter.
        unsafe { _rdtsc() }
    }

    /// Twice so many, and a few more.
    fn two_instructions(times: u32) {
        // SAFETY: it changes its own register and the flags.
        unsafe { asm!("2: dec {0:e}", "jnz 2b", inout(reg) times => _, options(nomem, nostack)) };
    }

    struct Serial;

    impl Write for Serial {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                // SAFETY: COM1; QEMU's takes whatever comes.
                unsafe {
                    asm!("out dx, al", in("dx") 0x3f8, in("al") byte, options(nomem, nostack))
                };
            }
            Ok(())
        }
    }

    fn say(words: fmt::Arguments) {
        _ = Serial.write_fmt(words);
    }

    /// Ends QEMU, with twice this and 33 (isa-debug-exit).
    fn exit(status: u32) -> ! {
        loop {
            // SAFETY: the device ends this machine.
            unsafe {
                asm!("out dx, eax", in("dx") 0xf4, in("eax") 16 + status, options(nomem, nostack))
            };
        }
    }

    #[panic_handler]
    fn panicked(info: &PanicInfo) -> ! {
        say(format_args!("{info}\n"));
        exit(1)
    }
}
