//! Skynet: a tree of goroutines, ten children each, whose leaves are summed on the way up.

use executive::{Builder, JoinHandle, SpawnError, chan, chan::Sender};

/// Children of a node.
const CHILDREN: u64 = 10;

/// What a node tells its parent: the sum of its leaves, or that memory ran out below it.
type Sum = Result<u64, SpawnError>;

/// The sum of `0..leaves`, each added by a goroutine of its own. All of them have ended when it
/// returns, also without memory for all.
pub fn skynet(leaves: u64) -> Sum {
    let (tx, sum) = chan(1);
    Builder::new().spawn(move || node(0, leaves, tx))?.join();
    sum.recv().expect("every node answers")
}

/// Sums `first..first + leaves`.
fn node(first: u64, leaves: u64, parent: Sender<Sum>) {
    if parent.is_closed() {
        return; // it has heard of an error, and waits for this to end
    }
    let sum = if leaves <= 1 { Ok(first * leaves) } else { sum_of_children(first, leaves) };
    let _ = parent.send(sum); // (its room is for all children)
}

fn sum_of_children(first: u64, leaves: u64) -> Sum {
    let (tx, sums) = chan(CHILDREN as usize);
    // As even as it goes; with fewer leaves than children some get none.
    let begin = |child| first + leaves * child / CHILDREN;
    let mut children = [const { None }; CHILDREN as usize];
    let mut spawned = Ok(());
    for (child, goroutine) in (0..).zip(&mut children) {
        let (tx, from, to) = (tx.clone(), begin(child), begin(child + 1));
        if from < to && spawned.is_ok() {
            spawned = Builder::new()
                .spawn(move || node(from, to - from, tx))
                .map(|handle| *goroutine = Some(handle));
        }
    }
    drop(tx); // the children's are the last: when they are gone, the channel is closed
    let sum = spawned.and_then(|()| sums.iter().sum());
    if sum.is_err() {
        drop(sums); // those that have yet to begin need not
        children.into_iter().flatten().for_each(JoinHandle::join);
    }
    sum
}
