//! Devices, as a person uses them (package `drivers`).

use super::{Args, Outcome, by_goroutines, words};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use drivers::blk::{self, BLOCK, Disk};
use drivers::random;
use executive::{go, machine};
use kernel::{print, println};

/// Shown in hexadecimal, 32 in a line.
fn dump(bytes: &[u8]) {
    for line in bytes.chunks(32) {
        line.iter().for_each(|byte| print!("{byte:02x}"));
        println!();
    }
}

pub fn random(args: &Args) -> Outcome {
    let mut bytes = vec![0; args.number(0, 16, 1..=65536)? as usize];
    let source = random::fill(&mut bytes);
    dump(&bytes);
    println!("{} bytes from {source}", bytes.len());
    Ok(())
}

pub fn disks(_: &Args) -> Outcome {
    for (nth, disk) in blk::disks().into_iter().enumerate() {
        println!("{nth}: {disk}");
        println!("   {:?}", disk.queue());
    }
    Ok(())
}

fn disk(args: &Args) -> Result<&'static Disk, String> {
    let disks = blk::disks();
    let nth = args.number(0, 0, 0..=u64::MAX)? as usize;
    disks.get(nth).copied().ok_or_else(|| format!("there are {} disks", disks.len()))
}

pub fn read(args: &Args) -> Outcome {
    let disk = disk(args)?;
    let block = args.number(1, 0, 0..=u64::MAX)?;
    let mut bytes = [0; BLOCK];
    disk.read(block, &mut bytes).map_err(words)?;
    dump(&bytes);
    Ok(())
}

pub fn patience(args: &Args) -> Outcome {
    disk(args)?.set_patience(args.seconds(1, 1)?);
    Ok(())
}

/// Blocks that one goroutine writes in a row.
const RUN: u64 = 40;

/// What block `block` holds, by a formula that the tests know too.
fn pattern(block: u64, into: &mut [u8]) {
    for (word, n) in into.chunks_mut(8).zip(0..) {
        let value = (block * (BLOCK as u64 / 8) + n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word.copy_from_slice(&value.to_le_bytes());
    }
}

/// The whole disk is written, in runs of blocks, each goroutine its own runs and each run in pieces
/// of different lengths, and read again as a whole. Every goroutine goes on when another fails.
pub fn write(args: &Args) -> Outcome {
    let disk = disk(args)?;
    let goroutines = args.number(1, 1, 1..=10_000)?;
    let blocks = disk.blocks();
    by_goroutines(goroutines, move |me| {
        for run in (me..blocks.div_ceil(RUN)).step_by(goroutines as usize) {
            let first = run * RUN;
            rewrite(disk, first, RUN.min(blocks - first))
                .map_err(|why| format!("blocks {first} to {}: {why}", first + RUN))?;
        }
        Ok(())
    })?;
    disk.flush().map_err(words)?;
    println!("{blocks} blocks written, read and found the same, by {goroutines} goroutines");
    Ok(())
}

fn rewrite(disk: &Disk, first: u64, blocks: u64) -> Outcome {
    let mut wanted = vec![0; blocks as usize * BLOCK];
    wanted.chunks_mut(BLOCK).zip(first..).for_each(|(block, n)| pattern(n, block));
    let (mut at, mut length) = (0, BLOCK);
    while at < wanted.len() {
        let end = wanted.len().min(at + length);
        disk.write(first + (at / BLOCK) as u64, &wanted[at..end]).map_err(words)?;
        (at, length) = (end, length * 3);
    }
    let mut found = vec![0; wanted.len()];
    disk.read(first, &mut found).map_err(words)?;
    if found == wanted { Ok(()) } else { Err("read other bytes than were written".into()) }
}

/// How many reads of 4 KiB there are in a second: one after the other, and anywhere; by 1 goroutine
/// and by 64.
pub fn bench(args: &Args) -> Outcome {
    const READ: u64 = 4096 / BLOCK as u64;
    let disk = disk(args)?;
    let span = args.seconds(1, 3)?;
    let reads = disk.blocks() / READ;
    if reads == 0 {
        return Err("the disk is too short".into());
    }
    for (name, goroutines, random) in [
        ("blk_seq_1", 1, false),
        ("blk_seq_64", 64, false),
        ("blk_rand_1", 1, true),
        ("blk_rand_64", 64, true),
    ] {
        let next = Arc::new(AtomicU64::new(0));
        let begin = machine::now();
        let end = begin + span.as_nanos() as u64;
        let workers: Vec<_> = (0..goroutines)
            .map(|_| {
                let next = next.clone();
                go(move || {
                    let mut bytes = [0; 4096];
                    let mut done = 0;
                    while machine::now() < end {
                        let n = next.fetch_add(1, Relaxed);
                        // Knuth's multiplier, and the upper bits.
                        let at =
                            if random { n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20 } else { n };
                        disk.read(at % reads * READ, &mut bytes).map_err(words)?;
                        done += 1;
                    }
                    Ok::<u64, String>(done)
                })
            })
            .collect();
        let done = workers.into_iter().map(|worker| worker.join()).sum::<Result<u64, _>>()?;
        let taken = Duration::from_nanos(machine::now() - begin);
        println!("{name},{:.0},IOPS", done as f64 / taken.as_secs_f64());
        if args.stopped() {
            break;
        }
    }
    Ok(())
}
