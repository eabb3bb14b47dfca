//! Skynet: a tree of goroutines, ten children each, whose leaves are summed on the way up.

use executive::{chan, chan::Sender, go};

/// Children of a node.
const CHILDREN: u64 = 10;

/// The sum of `0..leaves`, each added by a goroutine of its own.
pub fn skynet(leaves: u64) -> u64 {
    let (tx, sum) = chan(0);
    go(move || node(0, leaves, tx));
    sum.recv().expect("every node answers")
}

/// Tells its parent the sum of `first..first + leaves`.
fn node(first: u64, leaves: u64, parent: Sender<u64>) {
    let sum = if leaves <= 1 {
        first * leaves
    } else {
        let (tx, sums) = chan(CHILDREN as usize);
        // As even as it goes; with fewer leaves than children some get none.
        let begin = |child| first + leaves * child / CHILDREN;
        for child in 0..CHILDREN {
            let (tx, from, to) = (tx.clone(), begin(child), begin(child + 1));
            if from < to {
                go(move || node(from, to - from, tx));
            }
        }
        drop(tx); // the children's are the last: when they are gone, the channel is closed
        sums.iter().sum()
    };
    // The parent waits for us.
    let _ = parent.send(sum);
}
