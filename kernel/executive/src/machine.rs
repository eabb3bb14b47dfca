//! The machine contract, in both directions: the hooks that the executive calls ([`Machine`]), and
//! what the machine calls ([`up`]).
//!
//! # What a program needs besides the hooks
//!
//! - **GS first.** A CPU's GS base is its [`percpu_block`](up::percpu_block) before that
//!   CPU takes its first lock or makes its first allocation.
//! - **A global allocator that pins its holder, and may be called pinned and on g0**, where the
//!   array of timers grows and new g's are made. A goroutine that was preempted while it held a
//!   bare spin lock goes on when its CPU schedules. A CPU that spins for that lock pinned or on g0
//!   does not schedule: the two wait for each other for ever. `lock::Pinned` makes a right one of
//!   any allocator, and the crate `contract` finds a wrong one. A machine that never writes
//!   [`Interrupted::pc`] back, such as a Linux process, preempts nobody there, and needs no pin.
//! - **The same of every lock that a hook takes**, if goroutines take it too: a frame allocator's,
//!   a serial port's. Use [`lock::Lock`](crate::lock::Lock), or keep interrupts off while it
//!   is held.
//! - **Handlers on stacks of their own**: what interrupts a goroutine writes nothing below its
//!   stack pointer.
//! - **Frame pointers**, if crash reports shall have backtraces: `-C force-frame-pointers=yes` in
//!   the program's `rustflags`. A report says so where they are missing.

pub use executive_core::kit;
#[doc(inline)]
pub use executive_core::machine::*;

pub mod up {
    //! All that a machine calls: where CPUs, interrupts, memory and crashes enter the executive.
    //!
    //! | when | what it calls |
    //! | --- | --- |
    //! | a CPU's GS base must be set | [`percpu_block`], for CPU 0 before its first lock |
    //! | everything is ready, on CPU 0 | [`start`] |
    //! | the timer of `tick_at`, or a `kick`, interrupts | [`on_tick`] |
    //! | what it preempts may use vector registers | [`preempt_by`], before [`start`] |
    //! | around `on_tick`, and for `tick_at` and `wait` (optional) | [`sampling`], for profiles |
    //! | a device interrupts | [`on_irq`] |
    //! | around `on_irq` (optional) | [`interrupt`](trace::interrupt), for traces |
    //! | a stack grows (optional) | [`on_growth`], for reports of how deep stacks went |
    //! | memory is short (optional) | [`on_low_memory`], in the handler |
    //! | it wants memory back (optional) | [`give_back`]; [`resting`] for more of parked stacks |
    //! | CPUs can be made to stand still (optional) | [`offer`], [`Still`], [`stands_still`] |
    //! | a panic | [`panicked`]; or [`begin`], and if nobody catches it [`panicked_with`] |
    //! | a panic of a goroutine that can be spared (optional) | [`is_out_of_memory`] |
    //! | `raise` comes to a stack's end | [`unwound`] |
    //! | an exception, a page fault | [`fault`], [`page_fault`] |
    //! | `freeze_others` has stopped a CPU | [`stopped`] |
    //! | it must know whether, and where, a crash is reported | [`reporter`] |
    //! | it finds a bug of its own | [`throw`] |
    //! | a thread that is no CPU appears | [`Foreign`], for its GS base |

    pub use crate::report::{
        crash::{
            Still, fault, page_fault, panicked, panicked_with, reporter, stands_still, stopped,
        },
        depth::on_growth,
        resting::{Resting, resting},
        sampling,
        stacks::offer,
        trace,
    };
    pub use executive_core::{
        fatal::throw, foreign::Foreign, on_low_memory, on_tick, percpu::percpu_block, preempt_by,
        preempt_yield, reclaim::give_back, start, unwound,
    };
    pub use executive_services::{
        irq::on_irq,
        recover::{Panic, begin, is_out_of_memory},
    };
}
