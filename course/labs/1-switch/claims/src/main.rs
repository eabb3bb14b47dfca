//! What a switch and a birth must do, asked of whole programs.
#![allow(unsafe_code)] // Registers are filled and read by assembly, frames by pointer.

use executive::{Builder, current, go, goid, yield_now};
use std::arch::{asm, naked_asm};
use std::hint::black_box;

fn main() {
    harness::answer(&[
        ("goroutine_one_runs", || ()),
        ("the_closure_arrives_whole", the_closure_arrives_whole),
        ("the_end_is_goexit", the_end_is_goexit),
        ("a_newborn_stack_is_aligned", a_newborn_stack_is_aligned),
        ("the_first_frame_is_the_last", the_first_frame_is_the_last),
        ("registers_are_kept", registers_are_kept),
        ("each_knows_who_it_is", each_knows_who_it_is),
    ]);
}

/// Closures of any size, on stacks that others have used before.
fn the_closure_arrives_whole() {
    fn pass<const N: usize>(round: u8) {
        let words = [round; N];
        let sum = go(move || words.iter().map(|&w| w as usize).sum::<usize>()).join();
        assert_eq!(sum, N * round as usize, "of a closure of {N} bytes");
    }
    for round in 1..=50 {
        pass::<0>(round);
        pass::<1>(round);
        pass::<8>(round);
        pass::<100>(round);
        pass::<4000>(round);
    }
}

/// What it returns arrives, and its stack can be used again, many times.
fn the_end_is_goexit() {
    for round in 0..10_000usize {
        let handles: [_; 3] = std::array::from_fn(|n| go(move || round * n));
        let results = handles.map(|h| h.join());
        assert_eq!(results, [0, round, 2 * round]);
    }
}

/// The compiler relies on it that rsp is 16-byte aligned before each call.
fn a_newborn_stack_is_aligned() {
    #[repr(align(16))]
    struct Aligned([u8; 16]);
    for size in 0..64usize {
        let aligned = move || {
            let here = black_box(Aligned([size as u8; 16]));
            black_box(&raw const here.0) as usize % 16 == 0
        };
        assert!(go(aligned).join(), "a local of 16 bytes, aligned to 16, lies elsewhere");
    }
}

/// A backtrace follows rbp from frame to frame, until it is 0.
fn the_first_frame_is_the_last() {
    fn frames() -> usize {
        let mut frame: usize;
        // SAFETY: reads a register.
        unsafe { asm!("mov {}, rbp", out(reg) frame) };
        let mut n = 0;
        while frame != 0 && n < 100 {
            assert!(frame.is_multiple_of(8), "rbp points at no frame");
            // SAFETY: with frame pointers rbp points at its caller's, down to the 0 of the first
            // frame. If that is missing this may end the process, which is an answer too.
            let next = unsafe { *(frame as *const usize) };
            assert!(next == 0 || next > frame, "the caller's frame lies below its callee's");
            frame = next;
            n += 1;
        }
        n
    }
    fn dirty() {
        // Leaves something in rbp's place for the next goroutine on this stack.
        black_box([0x5555_5555_5555_5555usize; 512]);
    }
    for _ in 0..100 {
        go(dirty).join();
        let n = go(frames).join();
        assert!((1..50).contains(&n), "{n} frames");
    }
}

/// Fills the registers that a call keeps (System V ABI for x86-64, 3.2.1) with `value` + 1 and so
/// on, calls `f`, and looks at them. 0: all were kept; else the first that was not.
#[unsafe(naked)]
extern "C" fn kept_over(f: extern "C" fn(), value: u64) -> usize {
    naked_asm!(
        "push rbp; push rbx; push r12; push r13; push r14; push r15",
        "push rsi", // and rsp is a multiple of 16, as a call wants it
        "lea rbx, [rsi + 1]; lea rbp, [rsi + 2]; lea r12, [rsi + 3]",
        "lea r13, [rsi + 4]; lea r14, [rsi + 5]; lea r15, [rsi + 6]",
        "call rdi",
        "pop rsi",
        "sub rbx, rsi; sub rbp, rsi; sub r12, rsi; sub r13, rsi; sub r14, rsi; sub r15, rsi",
        "mov eax, 1; cmp rbx, 1; jne 2f",
        "mov eax, 2; cmp rbp, 2; jne 2f",
        "mov eax, 3; cmp r12, 3; jne 2f",
        "mov eax, 4; cmp r13, 4; jne 2f",
        "mov eax, 5; cmp r14, 5; jne 2f",
        "mov eax, 6; cmp r15, 6; jne 2f",
        "xor eax, eax",
        "2:",
        "pop r15; pop r14; pop r13; pop r12; pop rbx; pop rbp",
        "ret",
    )
}

extern "C" fn yields() {
    yield_now();
}

fn registers_are_kept() {
    const NAMES: [&str; 6] = ["rbx", "rbp", "r12", "r13", "r14", "r15"];
    let many = (1..=8u64).map(|n| {
        go(move || {
            for round in 0..50 {
                let lost = kept_over(yields, (n << 32) | (round << 8));
                assert!(lost == 0, "{} is not what it was before the switch", NAMES[lost - 1]);
            }
        })
    });
    many.collect::<Vec<_>>().into_iter().for_each(|h| h.join());
}

/// A goroutine asks who it is, on whatever CPU it goes on.
fn each_knows_who_it_is() {
    let many = (0..8).map(|_| {
        Builder::new().name("one of eight").spawn(|| {
            let me = goid();
            for _ in 0..200 {
                assert_eq!(goid(), me, "after a switch");
                assert!(current().to_string().contains("one of eight"));
                yield_now();
            }
            me
        })
    });
    let handles: Vec<_> = many.map(|h| h.expect("there is memory")).collect();
    for handle in handles {
        let id = handle.id();
        assert_eq!(handle.join(), id);
    }
}
