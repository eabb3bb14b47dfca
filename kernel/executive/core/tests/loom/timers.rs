//! Models of a timer's hand-over: it lies on a goroutine's stack, its own CPU or an idle one fires
//! it, and its owner takes it back.

use super::model::{Item, Ready, check, leak, race};
use crate::ground::machine::NEVER;
use crate::nouns::timers::{Timer, Timers};
use loom::thread;

/// A goroutine with a timer on its stack.
struct Sleeper {
    timer: Timer,
    stack: Item,
    fired: Ready,
}

fn sleeper(fire: crate::nouns::timers::Fire) -> &'static Sleeper {
    let place = Box::leak(Box::new(core::mem::MaybeUninit::<Sleeper>::uninit()));
    let at = place.as_ptr();
    // SAFETY: `fire` casts `arg` back to what it is, which is never freed.
    let timer = unsafe { Timer::new(fire, at.cast()) };
    place.write(Sleeper { timer, stack: Item::new(0), fired: Ready::new() })
}

unsafe fn of(timer: *const Timer) -> &'static Sleeper {
    // SAFETY: see `sleeper`.
    unsafe { &*(*timer).arg.get().cast::<Sleeper>() }
}

/// Readies a sleeping goroutine.
unsafe fn fire_ready(timer: *const Timer, _: u64) -> Option<u64> {
    // SAFETY: see `sleeper`.
    let sleeper = unsafe { of(timer) };
    sleeper.stack.run();
    sleeper.fired.ready();
    None
}

/// Touches its owner and comes back.
unsafe fn fire_again(timer: *const Timer, now: u64) -> Option<u64> {
    // SAFETY: see `sleeper`.
    unsafe { of(timer) }.stack.run();
    Some(now + 10)
}

fn heap() -> &'static Timers {
    leak(Timers::new())
}

/// A goroutine takes its timer back as another CPU fires it: once it is told "gone" or "not there",
/// does nobody touch its stack any more?
#[test]
fn removed_means_over() {
    check(|| {
        let (heap, sleeper) = (heap(), sleeper(fire_ready));
        // SAFETY: it stays where it is; one CPU adds.
        unsafe { heap.add(0, &sleeper.timer, 5) };
        let remove = move || {
            let removed = heap.remove(0, &sleeper.timer) == Some(true);
            sleeper.stack.run(); // it goes on, and its frame is gone
            removed
        };
        let (fired, removed) = race(move || heap.run(5), remove);
        assert_eq!(fired, usize::from(!removed));
        assert_eq!(heap.next(), NEVER);
    });
}

/// Its own CPU and an idle one both find it due: does it fire once, and is what comes after seen to
/// be after?
#[test]
fn it_fires_once() {
    check(|| {
        let (heap, sleeper) = (heap(), sleeper(fire_ready));
        // SAFETY: as above.
        unsafe { heap.add(0, &sleeper.timer, 5) };
        let others = [(); 2].map(|_| thread::spawn(move || heap.run(5)));
        sleeper.fired.wait();
        sleeper.stack.run();
        assert_eq!(others.map(|t| t.join().unwrap()).iter().sum::<usize>(), 1);
    });
}

/// One that comes back is stopped as it fires: does it stay stopped?
#[test]
fn a_stopped_ticker_stays_stopped() {
    check(|| {
        let (heap, ticker) = (heap(), sleeper(fire_again));
        // SAFETY: as above.
        unsafe { heap.add(0, &ticker.timer, 5) };
        let other = thread::spawn(move || heap.run(5));
        assert_eq!(heap.remove(0, &ticker.timer), Some(true), "it is always in the heap");
        ticker.stack.run();
        other.join().unwrap();
        assert_eq!((heap.run(1000), heap.next()), (0, NEVER));
    });
}

/// Another CPU empties this one's heap: who sees no timer any more sees what firing did.
#[test]
fn who_sees_no_timer_sees_that_it_fired() {
    check(|| {
        let (heap, sleeper) = (heap(), sleeper(fire_ready));
        // SAFETY: as above.
        unsafe { heap.add(0, &sleeper.timer, 5) };
        let look = move || {
            if heap.next() == NEVER {
                assert_eq!(sleeper.stack.runs(), 1);
            }
        };
        race(move || heap.run(5), look);
    });
}

/// A CPU is switched off, and its timers move to CPU 0 as a goroutine takes its own back, and as
/// CPU 0 fires what is due: is it one or the other, and once it is told, does nobody touch its
/// stack any more?
#[test]
fn a_timer_on_its_way_is_found() {
    check(|| {
        let (heaps, sleeper) = ([heap(), heap()], sleeper(fire_ready));
        // SAFETY: it stays where it is; one CPU adds.
        unsafe { heaps[1].add(1, &sleeper.timer, 5) };
        let moves_and_fires = move || {
            heaps[1].move_to(heaps[0], 0);
            heaps[0].run(5)
        };
        let remove = move || {
            let removed = loop {
                let cpu = sleeper.timer.cpu();
                if let Some(removed) = heaps[cpu].remove(cpu, &sleeper.timer) {
                    break removed;
                }
            };
            sleeper.stack.run(); // it goes on, and its frame is gone
            removed
        };
        let (fired, removed) = race(moves_and_fires, remove);
        assert_eq!(fired, usize::from(!removed));
        assert_eq!((heaps[0].next(), heaps[1].next()), (NEVER, NEVER));
    });
}
