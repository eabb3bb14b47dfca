//! Skynet: a tree of goroutines, ten children each, whose leaves are summed on the way up.

use executive::{Builder, SpawnError, chan, chan::Sender};

/// Children of a node.
const CHILDREN: u64 = 10;

/// What a node tells its parent: the sum of its leaves, or that memory ran out below it.
type Sum = Result<u64, SpawnError>;

/// The sum of `0..leaves`, each added by a goroutine of its own.
pub fn skynet(leaves: u64) -> Sum {
    let (tx, sum) = chan(0);
    Builder::new().spawn(move || node(0, leaves, tx))?;
    sum.recv().expect("every node answers")
}

/// Sums `first..first + leaves`.
fn node(first: u64, leaves: u64, parent: Sender<Sum>) {
    if parent.is_closed() {
        return; // it has heard of an error, and does not wait
    }
    let sum = if leaves <= 1 { Ok(first * leaves) } else { sum_of_children(first, leaves) };
    let _ = parent.send(sum); // (nor does it now, perhaps)
}

fn sum_of_children(first: u64, leaves: u64) -> Sum {
    let (tx, sums) = chan(CHILDREN as usize);
    // As even as it goes; with fewer leaves than children some get none.
    let begin = |child| first + leaves * child / CHILDREN;
    for child in 0..CHILDREN {
        let (tx, from, to) = (tx.clone(), begin(child), begin(child + 1));
        if from < to {
            Builder::new().spawn(move || node(from, to - from, tx))?;
        }
    }
    drop(tx); // the children's are the last: when they are gone, the channel is closed
    sums.iter().sum()
}
