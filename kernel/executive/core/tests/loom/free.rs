//! Models of the free lists.

use super::model::{Item, check, item, leak};
use crate::nouns::freelist::{Everyone, FreeList};
use loom::thread;

/// One P frees, another is born from what it freed: does each g have one user at a time, who sees
/// the last one's end?
#[test]
fn the_freed_is_reused_by_one() {
    check(|| {
        let everyone: &'static Everyone<Item> = leak(Everyone::new());
        // Uses one, for a new goroutine that ends at once.
        let use_one = |mine: &FreeList<Item>| mine.get(everyone).inspect(|item| item.run());
        let other = thread::spawn(move || {
            let mine = FreeList::new();
            let mut count = 0;
            for _ in 0..2 {
                count += use_one(&mine).iter().count();
            }
            count
        });
        let mine = FreeList::new();
        for id in 0..3 {
            let item = item(id);
            item.run();
            mine.put(item, everyone, |_| {}); // a P keeps one (GFREE_KEEP)
        }
        let mut count = other.join().unwrap();
        while use_one(&mine).is_some() {
            count += 1;
        }
        assert_eq!(count, 3);
    });
}
