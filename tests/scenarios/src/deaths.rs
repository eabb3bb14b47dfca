//! Ways to die: each must end the run with status 2 and with these words. In a process, or a boot,
//! of its own.

use crate::help::{MS, until_waits};
use alloc::sync::Arc;
use alloc::vec::Vec;
use contract::provoke;
use core::future::poll_fn;
use core::hint::black_box;
use core::task::{Poll, Waker};
use executive::cancel::Token;
use executive::g::WaitReason;
use executive::irq::{Irq, LINES, Line};
use executive::kit::systemstack;
use executive::lock::{Lock, Rank};
use executive::sync::{Barrier, Mutex, RwLock, WaitGroup};
use executive::time::{Ticker, Timer, after_func};
use executive::wait::{Monitor, may_park, may_park_holding, park, park_unlock};
use executive::{Builder, block_on, chan, go, go_future, goexit, recover, scope};

/// Name, what must not return, and what must be said, as [`says`] reads it.
pub type Death = (&'static str, fn(), &'static str);

/// Whether a text says these words: lines that come in this order, with anything between them. ` ..
/// ` in one stands for anything within that line.
pub fn says(text: &str, words: &str) -> bool {
    let has = |line: &str, parts: &str| {
        parts
            .split(" .. ")
            .try_fold(line, |rest, part| rest.split_once(part).map(|(_, after)| after))
            .is_some()
    };
    let mut lines = text.lines();
    words.lines().all(|parts| lines.by_ref().any(|line| has(line, parts)))
}

/// All of them.
pub static DEATHS: &[Death] = &[
    ("panic_in_main", || panic!("with these words"), "panic: with these words"),
    ("panic_in_a_goroutine", panic_in_doomed, "(doomed) [running on CPU"),
    ("panic_names_its_place", || panic!("x"), "deaths.rs:"),
    ("panic_whose_message_panics", || panic!("{Unspeakable}"), "from within a message"),
    (
        "panic_whose_message_panics_is_reported",
        || panic!("{Unspeakable}"),
        "1 (main) [running on CPU",
    ),
    (
        "panic_beside_a_recover_in_another_goroutine",
        || _ = recover(|| go(|| panic!("not caught here")).join()),
        "panic: not caught here\nat tests/scenarios/src/deaths.rs:",
    ),
    ("panic_of_a_child_that_nobody_catches", panic_in_a_child, "(child) [running on CPU"),
    (
        "recover_on_g0",
        || _ = recover(|| systemstack(|| panic!("on g0"))),
        "panic: on g0\ncannot be recovered: it was raised on g0\n1 (main) [running on",
    ),
    (
        "recover_pinned",
        || _ = recover(|| pinned(|| panic!("pinned"))),
        "panic: pinned\ncannot be recovered: it was raised pinned, or with a spin lock held",
    ),
    (
        "recover_with_a_spin_lock_held",
        || _ = recover(spin_locked),
        "cannot be recovered: it was raised pinned, or with a spin lock held",
    ),
    (
        "recover_through_extern_c",
        || _ = recover(|| through_c(|| panic!("beyond C"))),
        "cannot be recovered: it met a function that cannot unwind (extern \"C\")\nthrough_c",
    ),
    (
        "recover_of_a_panic_in_a_destructor",
        || _ = recover(|| unwound_by(|| panic!("the second"), || panic!("the first"))),
        "panic: the second\ncannot be recovered: it was raised in a destructor, while the",
    ),
    (
        "recover_of_a_message_that_panics",
        || _ = recover(|| panic!("{Unspeakable}")),
        "from within a message",
    ),
    (
        "recover_of_memory_that_runs_out",
        || _ = recover(|| drop(black_box(Vec::<u8>::with_capacity(black_box(1 << 46))))),
        "memory allocation of 70368744177664 bytes failed\n1 (main) [running on CPU",
    ),
    (
        "recover_of_a_stack_overflow",
        || _ = recover(overflow),
        "fatal error: stack overflow in goroutine 1 (main)",
    ),
    (
        "goexit_in_a_destructor",
        || _ = recover(|| unwound_by(|| goexit(), || panic!("the first"))),
        "panic: goexit: cannot unwind: it was raised in a destructor, while the goroutine unwinds",
    ),
    (
        "panic_in_a_destructor_of_who_exits",
        || unwound_by(|| panic!("too late"), || goexit()),
        "panic: too late\ncannot be recovered: it was raised in a destructor, while the goroutine",
    ),
    (
        "goexit_pinned",
        || pinned(|| goexit()),
        "panic: goexit: cannot unwind: it was raised pinned, or with a spin lock held",
    ),
    (
        "goexit_through_extern_c",
        || through_c(|| goexit()),
        "cannot be recovered: it met a function that cannot unwind (extern \"C\")",
    ),
    (
        "goexit_of_main_alone",
        || exit_as_main(|| ()),
        "fatal error: no goroutines (main called runtime.Goexit) - deadlock!",
    ),
    ("goexit_of_main_beside_one_that_waits", || exit_as_main(receive_for_ever), DEADLOCK),
    (
        "goexit_of_main_lets_the_others_go_on",
        || exit_as_main(|| panic!("still here")),
        "panic: still here",
    ),
    (
        "join_of_who_exited",
        || _ = go(|| -> u64 { goexit() }).join(),
        "panic: join: the goroutine has ended without a result",
    ),
    ("close_of_closed_channel", close_twice, "panic: close of closed channel"),
    ("select_of_too_many_arms", select_of_65536, "panic: select: too many arms"),
    (
        "network_of_two_who_wait",
        crate::network::two_who_wait_for_each_other,
        "all goroutines are asleep - deadlock!",
    ),
    ("negative_wait_group", || WaitGroup::new().done(), "panic: sync: negative WaitGroup counter"),
    ("wait_group_of_too_many", add_too_many, "panic: sync: negative WaitGroup counter"),
    (
        "semaphore_released_too_often",
        || executive::sync::Semaphore::new(usize::MAX).release(),
        "panic: semaphore: released more than held",
    ),
    (
        "monitor_waits_for_a_mutex",
        || Monitor::new(()).lock().wait(WaitReason::MutexLock),
        "panic: monitor: only Mutex and RwLock wait for this reason",
    ),
    (
        "park_for_a_mutex",
        || park(may_park(), WaitReason::MutexLock, |_| None),
        "panic: park: only Mutex and RwLock wait for this reason",
    ),
    (
        "park_unlock_for_a_mutex",
        park_unlock_for_a_mutex,
        "panic: park: only Mutex and RwLock wait for this reason",
    ),
    ("chan_too_large", || drop(chan::<u64>(usize::MAX)), "panic: makechan: size out of range"),
    (
        "chan_larger_than_memory",
        || drop(chan::<[u64; 512]>(1 << 50)),
        "panic: makechan: size out of range",
    ),
    (
        "chan_of_too_many_nothings",
        || drop(chan::<()>(usize::MAX)),
        "panic: makechan: size out of range",
    ),
    (
        "ticker_of_no_period",
        || drop(executive::time::Ticker::new(core::time::Duration::ZERO)),
        "panic: non-positive interval for NewTicker",
    ),
    (
        "ticker_reset_to_no_period",
        reset_to_nothing,
        "panic: non-positive interval for Ticker.Reset",
    ),
    (
        "lock_to_no_cpu",
        || drop(executive::lock_to_cpu(executive::affinity::cpus())),
        "panic: lock_to_cpu: no CPU",
    ),
    ("irq_line_out_of_range", || Irq::new(core::hint::black_box(LINES)).wait(), "panic: assertion"),
    (
        "two_wait_on_one_line",
        || two_wait_on(Irq::new(63)),
        "two goroutines wait on interrupt line 63",
    ),
    (
        "two_wait_on_one_own_line",
        || two_wait_on(Irq::of(&OWN)),
        "two goroutines wait on interrupt line 0x",
    ),
    ("deadlock_receive", receive_for_ever, DEADLOCK),
    ("deadlock_send", send_for_ever, DEADLOCK),
    ("deadlock_select", || executive::select! {}, DEADLOCK),
    ("deadlock_mutex", lock_twice, DEADLOCK),
    ("deadlock_once_in_itself", once_in_itself, DEADLOCK),
    ("deadlock_switched_off_select", select_nothing, DEADLOCK),
    ("deadlock_with_cpus_off", switch_off_and_receive, DEADLOCK),
    ("deadlock_future_without_wakers", || block_on(core::future::pending()), DEADLOCK_OF_A_FUTURE),
    (
        "deadlock_future_started_without_wakers",
        || go_future(core::future::pending()).join(),
        DEADLOCK,
    ),
    ("deadlock_future_that_woke_itself", woken_by_itself, DEADLOCK),
    (
        "deadlock_future_whose_waker_a_goroutine_drops",
        || waker_is_dropped_by(|drop| drop()),
        DEADLOCK,
    ),
    ("deadlock_future_whose_waker_a_timer_drops", || waker_is_dropped_by(after_a_time), DEADLOCK),
    ("deadlock_future_in_a_future", pending_in_a_poll, DEADLOCK),
    (
        "deadlock_beside_a_system_goroutine_that_waits",
        || beside_a_driver(WaitReason::Irq, || Irq::of(&OWN).wait()),
        DEADLOCK_BESIDE_A_DRIVER,
    ),
    (
        "deadlock_beside_a_system_goroutine_in_a_select",
        || beside_a_driver(WaitReason::Select, select_of_lines),
        DEADLOCK_BESIDE_A_DRIVER,
    ),
    (
        "deadlock_beside_a_system_goroutine_that_served",
        served_and_deadlocked,
        DEADLOCK_BESIDE_A_DRIVER,
    ),
    (
        "deadlock_beside_a_system_goroutine_with_a_future",
        || beside_a_driver(WaitReason::Future, keep_its_waker),
        DEADLOCK_BESIDE_A_DRIVER,
    ),
    ("deadlock_after_interrupts", interrupts_are_over, DEADLOCK),
    ("deadlock_after_timers", timers_are_over, DEADLOCK),
    ("deadlock_names_the_reason", receive_for_ever, "[chan receive"),
    ("deadlock_lists_every_goroutine", deadlock_of_many, "(tenth) [chan send"),
    (
        "report_of_400_shows_who_holds_the_mutex",
        two_of_400,
        "(left) [sync.Mutex.Lock 0x .. , held by .. (right), ",
    ),
    (
        "report_shows_which_writer_a_reader_is_behind",
        rwlocks,
        "(late) [sync.RWMutex.RLock 0x .. , behind .. (writer) when it queued, ",
    ),
    (
        "report_shows_which_writer_a_writer_is_behind",
        rwlocks,
        "(second) [sync.Mutex.Lock 0x .. , held by .. (writer), ",
    ),
    (
        "report_shows_how_many_readers_hold_an_rwlock",
        rwlocks,
        "(writer) [sync.RWMutex.Lock 0x .. , held by 2 readers when it queued, ",
    ),
    (
        "report_of_400_folds_those_that_are_alike",
        two_of_400,
        "398 @ .. (one of many) [chan receive 0x",
    ),
    ("report_of_400_begins_with_who_waits_longest", two_of_400, IN_ORDER),
    ("report_of_400_has_a_stack_for_each_line", two_of_400, WITH_STACKS),
    ("stack_overflow", overflow, "stack overflow in goroutine"),
    ("report_of_a_recursion_counts_its_frames", overflow, " more of this frame"),
    ("mcall_on_g0", || provoke::mcall_on_g0(), "fatal error: mcall: called on g0"),
    ("mcall_returns", || provoke::mcall_returns(), "fatal error: mcall: function returned"),
    (
        "systemstack_wrong_g",
        || provoke::systemstack_wrong_g(),
        "fatal error: systemstack: called from unexpected goroutine",
    ),
    (
        "schedule_holding_locks",
        || provoke::schedule_holding_locks(1),
        "fatal error: schedule: holding locks",
    ),
    // A loop that forgets a `Pin` each time holds so many within seconds.
    (
        "schedule_holding_2_31_locks",
        || provoke::schedule_holding_locks(1 << 31),
        "fatal error: schedule: holding locks",
    ),
    ("park_with_a_spin_lock_held", park_with_lock, "fatal error: schedule: holding locks"),
    (
        "ready_not_waiting",
        || provoke::ready_not_waiting(),
        "fatal error: ready: goroutine is not waiting",
    ),
];

/// Those that only a build with debug assertions notices.
pub static DEBUG_DEATHS: &[Death] =
    &[("lock_out_of_rank", lock_out_of_rank, "fatal error: lock: taken out of rank order")];

const DEADLOCK: &str = "fatal error: all goroutines are asleep - deadlock!";
const DEADLOCK_OF_A_FUTURE: &str =
    "fatal error: all goroutines are asleep - deadlock!\n1 (main) [future";

const IN_ORDER: &str = "goroutines:\n(main) [join, \n(left) [\n(right) [\n(one of many) [";
const WITH_STACKS: &str =
    "(left) [\ntwo_of_400\n(right) [\ntwo_of_400\n(one of many) [\ntwo_of_400";

/// Two readers keep a writer waiting, who is in front of another writer and of a third reader.
fn rwlocks() {
    static LOCK: RwLock<()> = RwLock::new(());
    let (_one, _two) = (LOCK.read(), LOCK.read());
    let waits = |name, reason, f: fn()| {
        let h = Builder::new().name(name).spawn(f).unwrap();
        until_waits(&h, reason);
        h
    };
    let writer = waits("writer", WaitReason::RwLockWrite, || drop(LOCK.write()));
    waits("second", WaitReason::MutexLock, || drop(LOCK.write()));
    waits("late", WaitReason::RwLockRead, || drop(LOCK.read()));
    writer.join();
}

/// Two wait for each other's mutex, and main for them; 398 wait for work that will not come. These
/// began to wait last, though they are older.
fn two_of_400() {
    static LOCKS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
    let (open, gate) = chan::<()>(0);
    let (_never, work) = chan::<()>(0);
    for _ in 0..398 {
        let (gate, work) = (gate.clone(), work.clone());
        drop(Builder::new().name("one of many").spawn(move || (gate.recv(), work.recv())));
    }
    let both = Arc::new(Barrier::new(2));
    let two = [("left", 0), ("right", 1)].map(|(name, n)| {
        let (both, (go_on, turn)) = (both.clone(), chan::<()>(0));
        let lock_both = move || {
            let _mine = LOCKS[n].lock();
            both.wait();
            turn.recv();
            let _other_s = LOCKS[1 - n].lock();
        };
        (Builder::new().name(name).spawn(lock_both).unwrap(), go_on)
    });
    let two = two.map(|(h, go_on)| {
        go_on.send(()).expect("it waits for its turn");
        until_waits(&h, WaitReason::MutexLock);
        executive::time::sleep(50 * MS); // the clock by which waits are told moves
        h
    });
    drop(open);
    two.into_iter().for_each(|h| h.join());
}

/// Panics when it is shown.
struct Unspeakable;
impl core::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        panic!("from within a message")
    }
}

fn panic_in_doomed() {
    let doomed = Builder::new().name("doomed").spawn(|| {
        if executive::goid() != 1 {
            panic!("in here")
        }
    });
    doomed.unwrap().join();
}

fn panic_in_a_child() {
    scope(|s| {
        s.go_with(Builder::new().name("child"), || panic!("nobody catches"));
    });
}

#[inline(never)]
fn pinned(f: fn()) {
    let _pin = executive::percpu::Pin::new();
    f()
}

fn spin_locked() {
    let lock = Lock::new(Rank::User, ());
    let _held = lock.lock();
    panic!("with a lock")
}

fn through_c(f: fn()) {
    #[allow(improper_ctypes_definitions)] // no C is meant
    extern "C" fn c(f: fn()) {
        f()
    }
    core::hint::black_box(c as extern "C" fn(fn()))(f)
}

/// Something with that destructor is dropped because of a panic.
fn unwound_by(destructor: fn(), f: fn()) {
    struct Doomed(fn());
    impl Drop for Doomed {
        fn drop(&mut self) {
            (self.0)()
        }
    }
    let _doomed = Doomed(destructor);
    f()
}

/// The other goroutine does this when main has ended.
fn exit_as_main(other: fn()) {
    let (ended, end) = chan::<()>(0);
    drop(go(move || {
        end.recv();
        executive::time::sleep(MS);
        other()
    }));
    let _ended = ended;
    goexit()
}

fn switch_off_and_receive() {
    executive::affinity::set_procs(1);
    receive_for_ever();
}

fn receive_for_ever() {
    let (_tx, rx) = chan::<u8>(0);
    rx.recv();
}

fn send_for_ever() {
    let (tx, _rx) = chan(0);
    let _ = tx.send(1);
}

fn close_twice() {
    let (tx, _rx) = chan::<u8>(0);
    tx.close();
    tx.close();
}

fn add_too_many() {
    let group = WaitGroup::new();
    (0..3).for_each(|_| group.add(isize::MAX));
}

fn reset_to_nothing() {
    let ticker = executive::time::Ticker::new(core::time::Duration::from_secs(1));
    ticker.reset(core::time::Duration::ZERO);
}

static OWN: Line = Line::new();

fn two_wait_on(line: Irq) {
    let h = go(move || line.wait());
    until_waits(&h, WaitReason::Irq);
    line.wait();
}

/// The user's goroutines come first.
const DEADLOCK_BESIDE_A_DRIVER: &str = "all goroutines are asleep - deadlock!
goroutines:
1 (main) [chan receive
(driver) [ .. , system] started at";

/// A system goroutine serves one interrupt after the other; main waits for a value that does not
/// come. The driver waits before main does.
fn beside_a_driver(reason: WaitReason, serve: fn()) {
    let driver = Builder::new().system("driver");
    let driver = driver.spawn(move || {
        loop {
            serve();
        }
    });
    until_waits(&driver.unwrap(), reason);
    receive_for_ever();
}

fn select_of_lines() {
    executive::select! {
        irq(Irq::of(&OWN)) => {}
        irq(Irq::of(&OWN)) => {}
        irq(Irq::new(200)) => {}
    }
}

/// Interrupts came before: parked for, pending, and lost to another arm.
fn served_and_deadlocked() {
    let (tx, rx) = chan(0);
    let driver = Builder::new().system("driver");
    let driver = driver.spawn(move || {
        loop {
            executive::select! {
                irq(Irq::of(&OWN)) => {}
                recv(rx) -> _ => {}
            }
            Irq::of(&OWN).wait();
        }
    });
    let driver = driver.unwrap();
    for n in 0..200 {
        until_waits(&driver, WaitReason::Select);
        if n % 2 == 0 {
            OWN.raise();
        }
        let _ = tx.try_send(());
        OWN.raise();
        while driver.waiting() != Some(WaitReason::Select) {
            if driver.waiting() == Some(WaitReason::Irq) {
                OWN.raise();
            }
            executive::yield_now();
        }
    }
    receive_for_ever();
}

fn keep_its_waker() {
    static KEPT: Mutex<Option<Waker>> = Mutex::new(None);
    block_on(poll_fn(|context| {
        *KEPT.lock() = Some(context.waker().clone());
        Poll::<()>::Pending
    }));
}

/// Nobody waits for an interrupt any more: one has come, was pending, or another arm was taken.
fn interrupts_are_over() {
    let line = executive::irq::Irq::new(52);
    let h = go(move || line.wait());
    until_waits(&h, WaitReason::Irq);
    executive::on_irq(52);
    h.join();
    executive::on_irq(52);
    line.wait();
    executive::select! {
        irq(line) => unreachable!("it has been taken"),
        after(core::time::Duration::from_millis(1)) => {}
    }
    executive::select! {}
}

/// No timer is left to wake anybody: each was dropped or stopped, another arm was taken, or the
/// token is cancelled already, by itself or from above.
fn timers_are_over() {
    let hour = core::time::Duration::from_secs(3600);
    drop(Timer::new(hour));
    drop(Ticker::new(hour));
    drop(Token::new().child_for(hour));
    let cancelled = Token::new().child_for(hour);
    cancelled.cancel();
    let _born_cancelled = cancelled.child_for(hour / 2);
    let above = Token::new();
    let _cancelled_from_above = (above.child_for(hour), above.child().child_for(hour));
    above.cancel();
    after_func(hour, || ()).stop();
    let (tx, rx) = chan(0);
    let h = go(move || rx.recv_timeout(hour));
    until_waits(&h, WaitReason::Select);
    tx.send(()).unwrap();
    h.join().unwrap();
    executive::select! {}
}

fn select_of_65536() {
    let mut select = executive::select::Select::new();
    (0..=u16::MAX).for_each(|_| _ = select.after(core::time::Duration::ZERO));
    select.poll();
}

fn lock_twice() {
    let lock = executive::sync::Mutex::new(());
    let _first = lock.lock();
    let _second = lock.lock();
}

fn once_in_itself() {
    static ONCE: executive::sync::Once = executive::sync::Once::new();
    ONCE.call_once(|| ONCE.call_once(|| {}));
}

/// All its wakers are used up, one way or the other, before it waits for nothing.
fn woken_by_itself() {
    let mut polls = 0;
    block_on(poll_fn(|context| {
        polls += 1;
        let clones: [Waker; 3] = core::array::from_fn(|_| context.waker().clone());
        if polls < 3 {
            clones.into_iter().for_each(Waker::wake);
        }
        Poll::<()>::Pending
    }));
}

/// A goroutine waits for a future, and the last of its wakers is dropped by what is given to `by`.
fn waker_is_dropped_by(by: fn(fn())) {
    static WAKERS: Mutex<Vec<Waker>> = Mutex::new(Vec::new());
    let waits = go_future(poll_fn(|context| {
        WAKERS.lock().extend([context.waker().clone(), context.waker().clone()]);
        Poll::<()>::Pending
    }));
    until_waits(&waits, WaitReason::Future);
    drop(WAKERS.lock().pop());
    by(|| WAKERS.lock().clear());
    waits.join();
}

fn after_a_time(f: fn()) {
    drop(executive::time::after_func(MS, f));
}

/// The outer future's wakers are gone, too.
fn pending_in_a_poll() {
    block_on(poll_fn(|context| {
        drop(context.waker().clone());
        block_on(core::future::pending::<()>());
        Poll::Ready(())
    }));
}

fn select_nothing() {
    let off: Option<executive::chan::Receiver<u8>> = None;
    executive::select! { recv(off) -> _ => {} }
}

fn deadlock_of_many() {
    let (tx, rx) = chan(0);
    for n in 0..10 {
        let tx = tx.clone();
        let name = if n == 9 { "tenth" } else { "one of ten" };
        drop(Builder::new().name(name).spawn(move || tx.send(n)));
    }
    let (_never, forever) = chan::<u8>(0);
    forever.recv();
    drop(rx);
}

fn overflow() {
    #[inline(never)]
    fn deeper(n: u64) -> u64 {
        let frame = core::hint::black_box([n; 64]);
        if frame[0] == u64::MAX { 0 } else { deeper(n + 1) + frame[0] }
    }
    core::hint::black_box(deeper(0));
}

/// No owner's word stands in front of this lock, where a report would look for it.
fn park_unlock_for_a_mutex() {
    let lock = Lock::new(Rank::Wait, ());
    let (parking, guard) = may_park_holding(lock.lock());
    park_unlock(parking, WaitReason::MutexLock, guard);
}

fn park_with_lock() {
    let lock = Lock::new(Rank::User, ());
    let _held = lock.lock();
    let (_tx, rx) = chan::<u8>(0);
    rx.recv();
}

fn lock_out_of_rank() {
    let (first, second) = (Lock::new(Rank::Sched, ()), Lock::new(Rank::Chan, ()));
    let _first = first.lock();
    let _second = second.lock();
}
