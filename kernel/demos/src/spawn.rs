//! Many goroutines that all park, and are then woken at once.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use executive::{Builder, SpawnError, affinity, chan, percpu};

/// Starts `n` goroutines that park at a gate, opens it, and waits until each has counted itself on
/// the CPU that it went on on. Returns the counts, one for each CPU. If memory runs out those that
/// were started end, and the error is returned.
pub fn spawn(n: usize) -> Result<Vec<usize>, SpawnError> {
    let counts: Arc<[AtomicUsize]> =
        (0..affinity::num_cpus()).map(|_| AtomicUsize::new(0)).collect();
    let parked = Arc::new(AtomicUsize::new(0));
    let (gate_keeper, gate) = chan::<()>(0);
    let (done, all_done) = chan::<()>(0);
    let mut started = Ok(());
    for _ in 0..n {
        let (counts, parked, gate, done) =
            (counts.clone(), parked.clone(), gate.clone(), done.clone());
        let goroutine = Builder::new().name("spawned").spawn(move || {
            parked.fetch_add(1, Relaxed);
            gate.recv(); // `None`: it is open
            counts[percpu::cpu()].fetch_add(1, Relaxed);
            drop(done);
        });
        if let Err(error) = goroutine {
            started = Err(error);
            break;
        }
    }
    drop(done);
    while started.is_ok() && parked.load(Relaxed) < n {
        executive::yield_now();
    }
    gate_keeper.close();
    // `None`: the last `done` is gone. Whatever they did before is seen by us from here on.
    all_done.recv();
    started.map(|()| counts.iter().map(|count| count.load(Relaxed)).collect())
}
