//! catch and raise: a goroutine's stack is unwound by the crate `unwinding`, along the tables that
//! the compiler has made for it.
//!
//! The unwinder takes no lock, allocates nothing, and keeps all it needs in the exception and on
//! the goroutine's stack. So a goroutine can be preempted in it, and go on on another CPU; but not
//! in its last step ([`reads_below_rsp`]).
#![allow(unsafe_code)] // The unwinder's interface, and our own ELF header.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr::null_mut;
use core::slice;
use core::sync::atomic::{AtomicUsize, Ordering};
use executive::machine::Raised;
use spin::Once;
use unwinding::abi::*;
use unwinding::custom_eh_frame_finder::{
    EhFrameFinder, FrameInfo, FrameInfoKind, set_custom_eh_frame_finder,
};
use unwinding::panicking;

/// An exception as the unwinder sees it, and its value.
#[repr(C)]
struct Exception {
    head: MaybeUninit<UnwindException>,
    value: Raised,
}

/// An exception of ours, as `catch_unwind` gets it.
struct Caught(Box<Exception>);

// SAFETY: `CLASS` is nobody else's, so what is unwrapped was made by `raise`.
unsafe impl panicking::Exception for Caught {
    const CLASS: [u8; 8] = *b"GOEXKERN";

    fn wrap(this: Self) -> *mut UnwindException {
        Box::into_raw(this.0).cast()
    }
    unsafe fn unwrap(exception: *mut UnwindException) -> Self {
        // SAFETY: see above; the unwinder has done with it.
        Caught(unsafe { Box::from_raw(exception.cast()) })
    }
}

pub fn catch(body: &mut dyn FnMut()) -> Option<Raised> {
    let caught = panicking::catch_unwind::<Caught, (), _>(body).err()?;
    Some(caught.expect("nobody else raises").0.value)
}

pub fn raise(value: Raised, to_the_end: bool) -> Raised {
    if LAST_STEPS.call_once(last_steps).is_empty() {
        return value; // the unwinder is another than we know
    }
    let exception = Exception { head: MaybeUninit::zeroed(), value };
    let exception = Box::into_raw(Box::new(exception)).cast::<UnwindException>();
    // SAFETY: an exception as the unwinder wants it: zeros, and a class. It comes back only if no
    // frame was left.
    unsafe {
        (*exception).exception_class = u64::from_ne_bytes(<Caught as panicking::Exception>::CLASS);
        // A frame that must not be unwound counts as a handler, and panics: so it is found even on
        // the way to the end, before the unwinding that asks nobody.
        if _Unwind_RaiseException(exception) == UnwindReasonCode::END_OF_STACK && to_the_end {
            _Unwind_ForcedUnwind(exception, stop, null_mut());
        }
        Box::from_raw(exception.cast::<Exception>()).value
    }
}

/// Called for each frame of an unwinding to the end.
unsafe extern "C" fn stop(
    _version: c_int,
    actions: UnwindAction,
    _class: u64,
    exception: *mut UnwindException,
    context: &mut UnwindContext<'_>,
    _arg: *mut c_void,
) -> UnwindReasonCode {
    if !actions.contains(UnwindAction::END_OF_STACK) {
        return UnwindReasonCode::NO_REASON;
    }
    // SAFETY: `raise`'s exception, which nobody needs any more.
    drop(unsafe { Box::from_raw(exception.cast::<Exception>()) });
    executive::unwound(_Unwind_GetIP(context))
}

/// The unwinder's last step into a landing pad, at each place where the compiler has put it. They
/// are looked for before the first unwinding: our code is long, and most runs unwind nothing.
static LAST_STEPS: Once<Vec<Range<usize>>> = Once::new();

/// Whether the instruction at `pc` reads memory below the stack pointer. The unwinder's last step
/// sets that first and reads the other registers then, from where the stack was deeper. A goroutine
/// that yielded there would save its registers over them. In handlers.
pub fn reads_below_rsp(pc: usize) -> bool {
    LAST_STEPS.get().is_some_and(|steps| steps.iter().any(|step| step.contains(&pc)))
}

/// Finds them in our code (crate `unwinding`, `restore_context`): up to the RET, and with it.
fn last_steps() -> Vec<Range<usize>> {
    // mov rsp, [rdi + 0x38]; ldmxcsr [rdi + 0x88]; fldcw [rdi + 0x90]
    const BEGIN: [u8; 17] =
        [0x48, 0x8b, 0x67, 0x38, 0x0f, 0xae, 0x97, 0x88, 0, 0, 0, 0xd9, 0xaf, 0x90, 0, 0, 0];
    const RET: u8 = 0xc3;
    let code = *CODE.get().expect("`init` has found it");
    let start = code.as_ptr().addr();
    let mut steps = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].windows(BEGIN.len()).position(|bytes| *bytes == BEGIN) {
        let begin = from + at;
        from = begin + BEGIN.len();
        from += code[from..].iter().position(|byte| *byte == RET).expect("it ends with RET") + 1;
        steps.push(start + begin..start + from);
    }
    steps
}

/// All of our code.
static CODE: Once<&[u8]> = Once::new();
/// Where the tables' index lies.
static TABLES: AtomicUsize = AtomicUsize::new(0);

struct Finder;

// SAFETY: the linker has made the tables, and nobody writes them.
unsafe impl EhFrameFinder for Finder {
    fn find(&self, pc: usize) -> Option<FrameInfo> {
        // The stack's end is there, in no index: the unwinder would look through all tables for it.
        if executive::kit::in_switch(pc) {
            return None;
        }
        let kind = FrameInfoKind::EhFrameHdr(TABLES.load(Ordering::Relaxed));
        Some(FrameInfo { text_base: None, kind })
    }
}

/// Finds the tables by our own program headers (System V ABI, chapter 5).
pub fn init() {
    const PT_LOAD: u32 = 1;
    const PF_X: u32 = 1;
    const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
    unsafe extern "C" {
        /// The file's first bytes in memory. Addresses in the file count from there.
        static __ehdr_start: u8;
    }
    let start = &raw const __ehdr_start;
    // SAFETY: the linker has put the headers there, and the bootloader has loaded them.
    let (first, size, count) = unsafe {
        let at = |offset| start.add(offset);
        (
            at(0x20).cast::<u64>().read(),
            at(0x36).cast::<u16>().read(),
            at(0x38).cast::<u16>().read(),
        )
    };
    for n in 0..usize::from(count) {
        let header = start.wrapping_add(first as usize + n * usize::from(size));
        // SAFETY: as above.
        let (kind, flags, address, bytes) = unsafe {
            let words = header.cast::<u32>();
            let longs = header.cast::<u64>();
            (words.read(), words.add(1).read(), longs.add(2).read(), longs.add(5).read())
        };
        if kind == PT_LOAD && flags & PF_X != 0 {
            let code = start.wrapping_add(address as usize);
            // SAFETY: our own code, which nobody writes.
            let code = unsafe { slice::from_raw_parts(code, bytes as usize) };
            CODE.call_once(|| code);
        }
        if kind == PT_GNU_EH_FRAME {
            TABLES.store(start.wrapping_add(address as usize).addr(), Ordering::Relaxed);
            set_custom_eh_frame_finder(&Finder).expect("called once");
        }
    }
}
