//! Is what nobody can see any more gone, to the byte? Tokens, timers and their channels, in
//! whatever order their owners drop them.

use executive as _;
use executive::cancel::Token;
use executive::time::{Duration, Ticker, Timer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;
static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator, and a count.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}
#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HOUR: Duration = Duration::from_secs(3600);

fn main() {
    hosted::run_with(1, || {
        let parent = Token::new();
        parent.child().done().clone().try_recv().expect_err("open");
        for (what, round) in [
            (
                "a token whose channel goes last",
                (|parent| {
                    let child = parent.child_for(HOUR);
                    let done = child.done().clone();
                    drop(child);
                    drop(done);
                }) as fn(&Token),
            ),
            ("a token whose channel goes first", |parent| {
                drop(parent.child_for(HOUR).done().clone())
            }),
            ("a token that a deadline below needs", |parent| {
                let child = parent.child_for(HOUR);
                let below = child.child().child();
                drop(child);
                assert!(below.deadline().is_some());
            }),
            ("a token between two others", |parent| {
                let child = parent.child();
                let (below, done) = (child.child(), child.done().clone());
                drop(child);
                drop((below, done));
            }),
            ("a token that was cancelled", |parent| {
                let child = parent.child_for(HOUR);
                let done = child.done().clone();
                child.cancel();
                drop(child);
                assert_eq!(done.recv(), None);
            }),
            ("a timer", |_| drop(Timer::new(HOUR))),
            ("a timer whose receiver goes last", |_| drop(Timer::new(HOUR).receiver().clone())),
            ("a ticker", |_| drop(Ticker::new(HOUR).receiver().clone())),
        ] {
            round(&parent); // queues and heaps keep what they once needed
            let before = IN_USE.load(Relaxed);
            (0..1000).for_each(|_| round(&parent));
            let after = IN_USE.load(Relaxed);
            assert_eq!(
                before,
                after,
                "{what}: {} bytes are left of each",
                (after as isize - before as isize) / 1000
            );
        }
        assert!(!parent.is_cancelled());
        the_channel_goes_before_the_token(&parent);
        println!("test result: ok. 1 passed; 0 failed;");
    })
}

/// A channel is freed with its last receiver, though its token's timer is needed by a token below.
fn the_channel_goes_before_the_token(parent: &Token) {
    let before = IN_USE.load(Relaxed);
    let channel = executive::chan::<()>(0);
    let bytes = IN_USE.load(Relaxed) - before;
    drop(channel);
    let child = parent.child_for(HOUR);
    let below = child.child();
    let before = IN_USE.load(Relaxed);
    drop(child);
    let freed = before - IN_USE.load(Relaxed);
    assert!(freed >= bytes, "{freed} bytes are freed, and a channel has {bytes}");
    assert!(below.deadline().is_some());
}
