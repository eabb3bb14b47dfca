//! When memory is short: what is kept and not needed must come back, what is used must stay, and a
//! request for too much must be refused.

use super::{Args, Outcome, nap, run_command};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bench::network;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use drivers::network::HeapPages;
use executive::chan::Receiver;
use executive::time::{Instant, sleep};
use executive::{Builder, SpawnError, chan, go, yield_now};
use kernel::println;
use net::Stack;

const MIB: usize = 1 << 20;

/// Takes MIB MiB of the heap piece by piece and writes them, checks that all hold what was written,
/// and frees them after SECONDS.
pub fn heap(args: &Args) -> Outcome {
    let late = Instant::now() + args.seconds(1, 0)?;
    let pieces = take_heap(args.mib(0)?)?;
    println!("{} MiB of the heap were written and read", pieces.len());
    nap(late.remaining(), args.stop);
    Ok(())
}

/// Takes `mib` MiB of the heap in pieces of 1 MiB, each filled with its number. Fails when there is
/// not enough, but leaves the last of it to others.
fn take_heap(mib: usize) -> Result<Vec<Vec<usize>>, String> {
    let words = MIB / size_of::<usize>();
    let mut pieces = Vec::new();
    for n in 0..mib {
        let mut piece = Vec::new();
        piece.try_reserve_exact(words).map_err(|_| format!("only {n} MiB could be taken"))?;
        piece.resize(words, n);
        pieces.push(piece);
    }
    match pieces.iter().enumerate().all(|(n, piece)| piece.iter().all(|&word| word == n)) {
        true => Ok(pieces),
        false => Err("wrong: it does not hold what was written".into()),
    }
}

/// N connections to a web server, each with a goroutine there. When they are idle and take no more
/// than MOST bytes each, or 20 seconds have passed: what one takes. Then each is used again.
pub fn connections(args: &Args) -> Outcome {
    let n = args.number(0, 1000, 1..=3000)? as usize;
    // Each has at least a page, of stack.
    let most = args.number(1, 12_000, kernel::pages::PAGE as u64..=u64::MAX)? as usize;
    let used = || {
        let (memory, stacks) = (kernel::memory::usage(), kernel::stacks::usage());
        let free_stacks = (stacks.free - stacks.bare) * kernel::pages::PAGE;
        memory.heap_in_use as usize + memory.stacks as usize - free_stacks
    };
    let stacks = network::pair(Some(&HeapPages));
    let [client, server] = &stacks;
    network::served(server, || {
        let before = used();
        let mut streams = Vec::with_capacity(n);
        for _ in 0..n {
            let stream = network::connect(client);
            network::ask(&stream);
            streams.push(stream);
        }
        let each = || used().saturating_sub(before) / n;
        let late = Instant::now() + Duration::from_secs(20);
        while each() > most && !late.remaining().is_zero() && !args.stopped() {
            sleep(Duration::from_millis(10));
        }
        let bytes = each();
        streams.iter().for_each(network::ask);
        println!("{n} idle connections: {bytes} bytes each, both ends together");
    });
    stacks.iter().for_each(Stack::shut_down);
    Ok(())
}

/// Room for `n` handles of goroutines, taken before the goroutines take all memory.
fn room_for<T>(n: usize) -> Result<Vec<T>, String> {
    let mut room = Vec::new();
    room.try_reserve_exact(n).map_err(|_| "there is no memory to begin with")?;
    Ok(room)
}

/// Divers that go on diving until the heap was taken.
const BUSY: usize = 64;
/// How deep a diver dives, in the units of [`dive`]; and a little more than it then uses of its
/// stack, in bytes.
const DEPTH: usize = 36;
const DIVER: usize = 40 << 10;

/// Uses about a KiB of stack for each unit of depth; on the way up it sums what it wrote there.
fn dive(depth: usize, seed: usize) -> usize {
    let frame = black_box([seed + depth; 64]);
    let below = if depth == 0 { 0 } else { dive(depth - 1, seed) };
    below + black_box(&frame).iter().sum::<usize>()
}

/// The sum that [`dive`] must return.
fn sum(depth: usize, seed: usize) -> usize {
    (0..=depth).map(|depth| 64 * (seed + depth)).sum()
}

/// N goroutines dive down their stacks and come up again. Some go on doing so while the others are
/// parked, and MIB MiB of the heap are taken, if need be from the pages that the parked ones do not
/// use. Then the heap is freed, and all are woken and dive once more. Each must read on its stack
/// what it wrote.
pub fn divers(args: &Args) -> Outcome {
    // As many as fit before any has parked: a goroutine that dives needs its pages.
    let n = args.number(0, 1, 1..=(kernel::frames::total_bytes() / DIVER) as u64)? as usize;
    let mib = args.mib(1)?;
    let mut divers = room_for(n)?;
    let up = Arc::new(AtomicUsize::new(0));
    let enough = Arc::new(AtomicBool::new(false));
    let (gate_keeper, gate) = chan::<()>(0);
    let diver = |seed: usize, gate: Receiver<()>| {
        let (up, enough) = (up.clone(), enough.clone());
        move || {
            let mine = black_box([seed; 16]); // above where it parks
            let mut right = dive(DEPTH, seed) == sum(DEPTH, seed);
            up.fetch_add(1, Ordering::Relaxed);
            while seed < BUSY && !enough.load(Ordering::Relaxed) {
                yield_now();
                let depth = seed % DEPTH;
                right &= dive(depth, seed) == sum(depth, seed) && black_box(mine) == [seed; 16];
            }
            gate.recv(); // `None`: it is open
            right && black_box(mine) == [seed; 16] && dive(DEPTH, seed) == sum(DEPTH, seed)
        }
    };
    let spawned = |seed| Builder::new().name("diver").spawn(diver(seed, gate.clone()));
    let all = (0..n).try_for_each(|seed| {
        divers.push(spawned(seed)?);
        Ok::<_, SpawnError>(())
    });
    while all.is_ok() && up.load(Ordering::Relaxed) < n && !args.stopped() {
        yield_now();
    }
    let heap = take_heap(mib);
    enough.store(true, Ordering::Relaxed);
    let taken = heap.map(drop); // freed before the divers need memory again
    drop(gate_keeper);
    let right = divers.into_iter().fold(true, |right, diver| diver.join() & right);
    all.map_err(|e| format!("{e}"))?;
    taken?;
    println!(
        "{n} goroutines found on their stacks what they had left there; \
         {mib} MiB were taken meanwhile"
    );
    if right { Ok(()) } else { Err("wrong: a stack was changed".into()) }
}

/// Goroutines take blocks of the heap of 16 KiB to 2 MiB until one is refused, and then free half
/// of theirs, while crowds of goroutines come and go. A block must hold what was written until it
/// is freed, and every member of a crowd must wake. Fails too if either side never got memory.
pub fn churn(args: &Args) -> Outcome {
    const TAKERS: usize = 8;
    const CROWD: usize = 2000;
    let span = args.seconds(0, 5)?;
    // What this command needs is taken before the goroutines take all the rest.
    let mut crowd = room_for(CROWD)?;
    let rooms = (0..TAKERS).map(|_| room_for(BLOCKS)).collect::<Result<Vec<_>, _>>()?;
    let over = Arc::new(AtomicBool::new(false));
    let takers: Vec<_> = (1..)
        .zip(rooms)
        .map(|(seed, room)| {
            go({
                let over = over.clone();
                move || take_and_free(seed, room, &over)
            })
        })
        .collect();
    let end = Instant::now() + span;
    let (mut crowds, mut came) = (0, 0);
    let mut right = true;
    while Instant::now() < end && !args.stopped() {
        let (gate_keeper, gate) = chan::<()>(0);
        let member = || {
            let gate = gate.clone();
            move || gate.recv().is_none()
        };
        crowd.extend((0..CROWD).map_while(|_| Builder::new().name("crowd").spawn(member()).ok()));
        drop(gate_keeper);
        (crowds, came) = (crowds + 1, came + crowd.len());
        right = crowd.drain(..).fold(right, |right, member| member.join() & right);
    }
    over.store(true, Ordering::Relaxed);
    let counts: Option<Vec<_>> = takers.into_iter().map(|taker| taker.join()).collect();
    let Some(counts) = counts.filter(|_| right) else {
        return Err("wrong: a block or a stack was changed".into());
    };
    let (blocks, refused) = counts.iter().fold((0, 0), |(b, r), count| (b + count.0, r + count.1));
    println!(
        "{blocks} blocks held what was written, {refused} were refused; \
         {came} goroutines woke, of {crowds} crowds"
    );
    if blocks > 0 && came > 0 { Ok(()) } else { Err("one side got no memory".into()) }
}

/// The most blocks that a taker holds at a time.
const BLOCKS: usize = 1000;

/// How many blocks it took, and how many were refused. `None`: one did not hold what was written.
fn take_and_free(
    seed: u64,
    mut blocks: Vec<Vec<u64>>,
    over: &AtomicBool,
) -> Option<(usize, usize)> {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = |below: u64| {
        random ^= random << 13; // xorshift64 (Marsaglia 2003)
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let holds = |block: &Vec<u64>| block.iter().all(|&word| word == block.len() as u64 ^ seed);
    let (mut had, mut refused) = (0, 0);
    while !over.load(Ordering::Relaxed) {
        let words = (2048 << next(8)) - next(1000) as usize;
        let mut block = Vec::new();
        if blocks.len() < blocks.capacity() && block.try_reserve_exact(words).is_ok() {
            block.resize(words, words as u64 ^ seed);
            blocks.push(block);
            had += 1;
        } else {
            refused += 1;
            for _ in 0..blocks.len().div_ceil(2) {
                if !holds(&blocks.swap_remove(next(blocks.len() as u64) as usize)) {
                    return None;
                }
            }
            yield_now();
        }
    }
    blocks.iter().all(holds).then_some((had, refused))
}

/// Parks goroutines until there is no memory for one more, runs a command, and lets them go.
pub fn full(args: &Args) -> Outcome {
    let (gate_keeper, gate) = chan::<()>(0);
    // Each takes at least a frame, for its stack.
    let mut parked = room_for(kernel::frames::total_bytes() / kernel::frames::FRAME as usize)?;
    let refused = loop {
        if args.stopped() {
            return Err("stopped".into());
        }
        let gate = gate.clone();
        match Builder::new().name("filler").spawn(move || gate.recv().is_none()) {
            Ok(goroutine) => parked.push(goroutine),
            Err(refused) => break refused,
        }
    };
    println!("{} goroutines were started; one more is refused: {refused}", parked.len());
    let outcome = run_command(args.words[0], &args.rest());
    drop(gate_keeper);
    let all = parked.into_iter().fold(true, |all, goroutine| goroutine.join() & all);
    if all { outcome } else { Err("wrong: one was woken by something else".into()) }
}
