//! Models of the note.

use super::model::{Bed, check, item};
use crate::ground::machine::NEVER;
use crate::tools::note::Note;
use loom::sync::Arc;
use loom::thread;

/// Is a wakeup lost that comes before, at, or after the sleep? And is what the waker did before it
/// seen?
#[test]
fn a_wakeup_is_not_lost() {
    check(|| {
        let (note, bed, work) = (Arc::new(Note::new()), Arc::new(Bed::new()), item(0));
        let waker = {
            let (note, bed) = (note.clone(), bed.clone());
            thread::spawn(move || {
                work.run();
                assert!(note.wakeup(&*bed));
            })
        };
        while !note.sleep(&*bed, NEVER) {}
        work.run();
        waker.join().unwrap();
    });
}

/// Of two wakers, is one and only one told that it did?
#[test]
fn one_waker_is_told() {
    check(|| {
        let (note, bed) = (Arc::new(Note::new()), Arc::new(Bed::new()));
        let other = {
            let (note, bed) = (note.clone(), bed.clone());
            thread::spawn(move || note.wakeup(&*bed))
        };
        let mine = note.wakeup(&*bed);
        assert!(mine != other.join().unwrap());
        assert!(note.sleep(&*bed, NEVER));
    });
}
