//! Models of a goroutine that waits in two queues at once.

use super::model::{Channel, Item, Ready, check, item, leak};
use crate::nouns::g::G;
use crate::nouns::waitq::Waiter;
use loom::thread;

fn channel() -> &'static Channel {
    leak(Channel::new())
}

/// The selecting goroutine's stack, and its being readied.
struct Selecting {
    stack: Item,
    readied: Ready,
}

/// Both channels become ready at once: does one win, does only it write to the selecting
/// goroutine's stack, and is the goroutine readied once?
#[test]
fn one_of_two_wins() {
    check(|| {
        let channels = [channel(), channel()];
        let g: &'static G = leak(G::new());
        let me: &'static Selecting = leak(Selecting { stack: Item::new(0), readied: Ready::new() });
        let waiters = [(); 2].map(|_| Waiter::of_select(g, core::ptr::null_mut()));
        me.stack.run(); // saved
        for (channel, waiter) in channels.iter().zip(&waiters) {
            // SAFETY: the waiters stay here until they are removed, below.
            unsafe { channel.waiters.lock().enqueue(waiter) };
        }
        let senders =
            channels.map(|channel| thread::spawn(move || channel.send(&me.stack, &me.readied)));
        me.readied.wait();
        me.stack.run(); // runs again
        let mut gone = 0;
        for (channel, waiter) in channels.iter().zip(&waiters) {
            gone += u32::from(!channel.waiters.lock().remove(waiter));
        }
        assert!(gone >= 1);
        drop(waiters);
        let won = senders.map(|sender| sender.join().unwrap());
        assert!(won[0] != won[1]);
    });
}

/// A close and a sender race for a plain waiter that stands behind a select that was won: is the
/// plain one found?
#[test]
fn a_dead_select_is_passed_over() {
    check(|| {
        let channels = [channel(), channel()];
        let [selecting, plain] = [(); 2].map(|_| -> &'static G { leak(G::new()) });
        let on_stack = item(0);
        let waiters = [(); 2].map(|_| Waiter::of_select(selecting, core::ptr::null_mut()));
        let behind = Waiter::new(plain, core::ptr::null_mut());
        on_stack.run();
        // SAFETY: the waiters stay here until both threads are done.
        unsafe {
            for (channel, waiter) in channels.iter().zip(&waiters) {
                channel.waiters.lock().enqueue(waiter);
            }
            channels[1].waiters.lock().enqueue(&behind);
        }
        let other = thread::spawn(move || channels[0].waiters.lock().dequeue().is_some());
        let mut got = Vec::new();
        while !got.contains(&core::ptr::from_ref(plain)) {
            let w = channels[1].waiters.lock().dequeue().map(|w| core::ptr::from_ref(w.g));
            got.push(w.expect("the plain one is there"));
        }
        let other = other.join().unwrap();
        // The select went to one of us, and the plain one to us.
        assert_eq!(got.contains(&core::ptr::from_ref(selecting)), !other);
    });
}
