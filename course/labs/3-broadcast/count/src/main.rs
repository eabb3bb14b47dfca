//! What a broadcast channel costs in instructions.
#![cfg_attr(target_os = "none", no_std, no_main)]

use broadcast::every::broadcast;

counting::table!(&[
    ("send and receive", |times| send_to::<0>(times)),
    ("send, and three receive", |times| send_to::<2>(times)),
]);

/// Nobody waits: there is room, and then a message.
fn send_to<const MORE: usize>(times: u32) {
    let (tx, rx) = broadcast(4);
    let more: [_; MORE] = core::array::from_fn(|_| tx.subscribe());
    for n in 0..times {
        assert_eq!(tx.send(n), Ok(()));
        assert_eq!(rx.recv(), Some(n));
        more.iter().for_each(|rx| assert_eq!(rx.recv(), Some(n)));
    }
}
