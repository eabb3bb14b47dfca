//! A model of a report that looks at a g while its goroutine ends and the next one is born
//! (SEEN-WHOLE).

use super::model::{check, leak, race};
use crate::ground::machine::Stack;
use crate::nouns::g::{G, Seen};
use core::panic::Location;

/// What goroutine `id` is known by.
fn papers(id: u64) -> Seen {
    #[track_caller]
    fn here() -> &'static Location<'static> {
        Location::caller()
    }
    let started_at = if id == 1 { here() } else { here() };
    let name = ["a", "a longer name"][id as usize - 1];
    Seen {
        id,
        name: Some(name),
        started_at,
        stack: Stack { lo: id as usize, hi: 10 * id as usize },
    }
}

fn is_born(g: &G, id: u64) {
    let Seen { name, started_at, stack, .. } = papers(id);
    g.set_stack(stack);
    g.is_born(id, name, false, started_at);
}

/// Is everything that is seen one goroutine's?
#[test]
fn what_is_seen_is_one_goroutine_s() {
    check(|| {
        let g: &'static G = leak(G::new());
        is_born(g, 1);
        let next = move || {
            g.is_nobody();
            is_born(g, 2);
        };
        let look = move || {
            let Some(seen) = g.seen() else { return };
            let right = papers(seen.id);
            assert_eq!(
                (seen.name, seen.started_at, seen.stack),
                (right.name, right.started_at, right.stack)
            );
        };
        race(next, look);
        assert_eq!(g.seen().unwrap().id, 2);
    });
}
