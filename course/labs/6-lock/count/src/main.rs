//! What the lock costs in instructions, when nobody waits for it.
#![cfg_attr(target_os = "none", no_std, no_main)]

use rwlock::preferring::ReaderLock;

counting::table!(&[
    ("read, and let go", |times| (0..times).for_each(|_| drop(LOCK.read()))),
    ("write, and let go", |times| (0..times).for_each(|_| drop(LOCK.write()))),
]);

static LOCK: ReaderLock = ReaderLock::new();
