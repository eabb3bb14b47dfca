//! `percpu.rs` where GS points nowhere: under the model checker, under Miri, and in this crate's
//! own unit tests. One CPU, number 0, always pinned.
//!
//! **Rule:** what a test could believe by mistake (a current g, an m, a p) throws.
#![allow(missing_docs, dead_code)]

use crate::tools::fatal::throw;

pub const G: usize = 0;
pub const G0: usize = 8;
pub const CURG: usize = 16;

macro_rules! nobody {
    ($($name:ident)*) => { $(
        pub(crate) fn $name() -> *const () {
            throw(concat!("model: there is no ", stringify!($name)))
        }
    )* };
}
nobody! { raw_g raw_curg raw_m }

pub(crate) fn is_g0(_: *const ()) -> bool {
    true
}

/// Stands for a CPU's block.
pub struct PerCpu(());
impl PerCpu {
    pub const FIELDS: (&[&str], &[usize]) = (&[], &[]);
    pub(crate) const fn new() -> Self {
        PerCpu(())
    }
    pub(crate) fn fill(&self, _: usize, _: *const (), _: *const ()) {}
    pub(crate) fn curg(&self) -> *mut () {
        core::ptr::null_mut()
    }
}
pub(crate) fn set_g(_: *const ()) {}
pub(crate) fn set_curg(_: *const ()) {}
pub(crate) fn want_preempt() {}
pub(crate) fn calm() {}
pub(crate) fn is_calm() -> bool {
    true
}
pub(crate) fn preempt() -> bool {
    false
}
pub(crate) fn pins() -> u64 {
    1
}
pub fn cpu() -> usize {
    0
}
pub fn is_foreign() -> bool {
    false
}
pub fn pin() {}
pub fn pin_times(_: u64) {}
pub(crate) fn unpin() {}
pub(crate) fn unpin_quietly() {}
pub fn point() {}
pub(crate) fn counts_down() -> bool {
    false
}
pub(crate) fn count_down_from(_: u64) {}
pub(crate) fn rank_taken(_: u32) -> bool {
    true
}
pub(crate) fn rank_released(_: u32) {}

pub struct Pin(());
impl Pin {
    #[expect(clippy::new_without_default, reason = "as in percpu.rs")]
    pub fn new() -> Self {
        Pin(())
    }
}
