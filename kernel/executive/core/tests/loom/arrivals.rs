//! Models of what handlers hand over.

use super::model::{Item, check, item, leak};
use crate::nouns::arrivals::Arrivals;
use loom::thread;

/// Handlers on two CPUs hand over while a third takes: does each come through once, with what its
/// handler wrote, and each handler's in order?
#[test]
fn each_comes_through_once() {
    check(|| {
        let stack: &'static Arrivals<Item> = leak(Arrivals::new());
        let hand_over = move |id| {
            let item = item(id);
            item.run();
            stack.push(item);
        };
        let handlers = [
            thread::spawn(move || {
                hand_over(10);
                hand_over(11);
            }),
            thread::spawn(move || hand_over(20)),
        ];
        let mut taken = Vec::new();
        let mut take = || {
            let mut list = stack.take_all();
            taken.extend(
                core::iter::from_fn(|| list.pop_front())
                    .inspect(|item| item.run())
                    .map(|item| item.id),
            );
        };
        take();
        handlers.into_iter().for_each(|h| h.join().unwrap());
        take();
        assert!(stack.is_empty());
        taken.retain(|&id| id != 20);
        assert_eq!(taken, [10, 11]);
    });
}
