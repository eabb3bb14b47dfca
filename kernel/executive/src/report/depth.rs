//! How deep goroutines' stacks went, by the place where they were started. It tells whether a stack
//! is too small when the goroutine is long gone.
//!
//! **Rule:** the machine's page-fault handler fills the table, so that takes no lock and allocates
//! nothing: the size is fixed, and a place that was taken stays taken. What comes when the table is
//! full is not noted.

use crate::param::DEPTH_SITES;
use core::panic::Location;
use executive_core::atomic::{AtomicRef, AtomicUsize, Ordering};
use executive_core::g::G;
use executive_core::kit::curg;

struct Site {
    at: AtomicRef<Location<'static>>,
    deepest: AtomicUsize,
}

static TABLE: [Site; DEPTH_SITES] =
    [const { Site { at: AtomicRef::new(), deepest: AtomicUsize::new(0) } }; DEPTH_SITES];

/// A goroutine that was started at `at` has used this many bytes of its stack. Called by a handler.
fn note(at: &'static Location<'static>, bytes: usize) {
    let start = at.line() as usize * 31 + at.column() as usize;
    for n in 0..DEPTH_SITES {
        let site = &TABLE[(start + n) % DEPTH_SITES];
        // Release: partner of the Acquire in `sites`. Relaxed: a place is compared, not read.
        let taken = site.at.replace(None, Some(at), Ordering::Release, Ordering::Relaxed);
        let there = || site.at.load(Ordering::Relaxed);
        if taken || there().is_some_and(|there| core::ptr::eq(there, at)) {
            site.deepest.fetch_max(bytes, Ordering::Relaxed);
            return;
        }
    }
}

/// The places noted, each with the most bytes of stack that a goroutine started there has used. One
/// place in the source may come more than once.
pub fn sites() -> impl Iterator<Item = (&'static Location<'static>, usize)> {
    TABLE.iter().filter_map(|site| {
        let at = site.at.load(Ordering::Acquire)?; // partner: the Release in `note`
        Some((at, site.deepest.load(Ordering::Relaxed)))
    })
}

/// A page of a stack was committed because this CPU touched it: notes how deep the goroutine that
/// runs here has come. Called by the machine's page-fault handler, with interrupts off.
pub fn on_growth(page: usize) {
    // A goroutine may also touch the stack of another (to give it what it waits for); that one has
    // been there before.
    if let Some(g) = curg()
        && let Some(seen) = g.seen()
        && seen.stack.contains(page)
    {
        note_depth(g, seen.stack.hi - page);
        note(seen.started_at, seen.stack.hi - page);
    }
}

/// The unit of [`G::deepest`]'s low bits: up to 256 MiB.
const DEPTH_UNIT: usize = 4096;
const DEPTH_BITS: u32 = 16;

/// Notes a depth of the goroutine's stack: a high-water mark in pages, tagged with the goroutine's
/// number, so that a reused g needs no reset. By its CPU's page-fault handler, or while it stays
/// off its CPU.
pub(super) fn note_depth(g: &G, bytes: usize) {
    let deepest = bytes.max(noted_depth(g)) / DEPTH_UNIT;
    g.deepest().store(g.id() << DEPTH_BITS | deepest as u64, Ordering::Relaxed);
}

/// The high-water mark (bytes) as far as it was noted; 0: nothing was.
pub(super) fn noted_depth(g: &G) -> usize {
    let noted = g.deepest().load(Ordering::Relaxed);
    let mine = noted >> DEPTH_BITS == g.id() & (u64::MAX >> DEPTH_BITS);
    if mine { (noted & ((1 << DEPTH_BITS) - 1)) as usize * DEPTH_UNIT } else { 0 }
}
