//! The least that is a machine: a Linux thread with the six hooks that have no default. It keeps
//! the contract, as far as it offers anything, and goroutines run on it.
//!
//! It is no example of how to do it well: `hosted` is.

use executive::machine::{Machine, Stack, up};
use executive::{chan, go, select, sync, time, yield_now};
use std::io::Write;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

struct First;
executive::machine!(First);

const PAGE: usize = 4096;
static FREE: Mutex<Vec<Stack>> = Mutex::new(Vec::new());
static EPOCH: Mutex<Option<Instant>> = Mutex::new(None);

// SAFETY: as said at each hook.
unsafe impl Machine for First {
    unsafe fn start_cpu(cpu: usize, _: *const (), entry: extern "C" fn() -> !) -> bool {
        assert_eq!(cpu, 0, "there is one CPU, the default");
        entry() // `main` has set GS
    }

    fn now() -> u64 {
        EPOCH.lock().unwrap().get_or_insert_with(Instant::now).elapsed().as_nanos() as u64
    }

    fn alloc_stack(size: usize) -> Option<Stack> {
        let size = size.checked_next_multiple_of(PAGE).filter(|&size| size < 1 << 40)?;
        let mut free = FREE.lock().unwrap();
        if let Some(at) = free.iter().position(|stack| stack.size() == size) {
            return Some(free.swap_remove(at));
        }
        let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let none = core::ptr::null_mut();
        // SAFETY: new pages.
        let guard = unsafe { libc::mmap(none, size + PAGE, libc::PROT_NONE, anonymous, -1, 0) };
        if guard == libc::MAP_FAILED {
            return None;
        }
        let lo = guard as usize + PAGE;
        // SAFETY: the same pages, but for the guard.
        let got = unsafe { libc::mprotect(lo as _, size, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(got, 0);
        // SAFETY: within them; the topmost is committed at once.
        unsafe { ((lo + size - 8) as *mut u64).write_volatile(0) };
        Some(Stack { lo, hi: lo + size })
    }

    unsafe fn free_stack(stack: Stack) {
        FREE.lock().unwrap().push(stack);
    }

    fn write(bytes: &[u8]) {
        let _ = std::io::stderr().write_all(bytes);
    }

    fn exit(code: i32) -> ! {
        std::process::exit(code)
    }
}

fn main() {
    const ARCH_SET_GS: libc::c_int = 0x1001; // asm/prctl.h
    // SAFETY: nothing else in a Linux process uses GS, and block 0 is for this thread.
    let set = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, up::percpu_block(0)) };
    assert_eq!(set, 0);
    match std::env::args().nth(1).as_deref() {
        Some("ask") => ask(),
        Some("run") => up::start(goroutines),
        _ => ["ask", "run"].into_iter().for_each(in_a_process_of_its_own),
    }
}

fn in_a_process_of_its_own(what: &str) {
    let me = std::env::current_exe().unwrap();
    assert!(Command::new(me).arg(what).status().unwrap().success(), "{what}");
}

fn ask() {
    let defaulted = ["tick_at", "kick", "symbol", "stack_committed", "catch"];
    let mut not_offered = 0;
    let wrong = contract::run(&defaulted, &mut |question, verdict| {
        println!("{}", contract::Line(question, verdict));
        not_offered += verdict.is_none() as u32;
    });
    assert_eq!((wrong, not_offered), (0, 7));
}

/// Goroutines meet, sleep, and wait for the first of several things, though nothing ever interrupts
/// their CPU.
fn goroutines() {
    let (tx, rx) = chan(0);
    let sender = go(move || (1..=100).for_each(|n| tx.send(n).unwrap()));
    assert_eq!(rx.iter().sum::<u32>(), 5050);
    sender.join();

    let begun = executive::machine::now();
    time::sleep(Duration::from_millis(20));
    assert!(executive::machine::now() - begun >= 20_000_000);

    // Beside two that never leave the CPU: no tick tells of the timer, so they look at the clock.
    let (ping, pings) = chan(0);
    let (pong, pongs) = chan(0);
    go(move || pings.iter().for_each(|()| pong.send(()).unwrap()));
    let sleeper = go(|| time::sleep(Duration::from_millis(5)));
    let begun = executive::machine::now();
    while !sleeper.is_finished() {
        assert!(executive::machine::now() - begun < 10_000_000_000, "it sleeps for ever");
        ping.send(()).unwrap();
        pongs.recv();
    }

    let (_tx, silent) = chan::<()>(0);
    select! {
        recv(silent) -> _ => panic!("nobody sends"),
        after(Duration::from_millis(5)) => {}
    }

    let counter = std::sync::Arc::new(sync::Mutex::new(0));
    let adders: Vec<_> = (0..10)
        .map(|_| {
            let counter = counter.clone();
            go(move || {
                for _ in 0..10 {
                    let mut counter = counter.lock();
                    *counter += 1;
                    drop(counter);
                    yield_now();
                }
            })
        })
        .collect();
    adders.into_iter().for_each(|adder| adder.join());
    assert_eq!(*counter.lock(), 100);
    println!("test result: ok. 1 passed; 0 failed; 0 ignored");
}
