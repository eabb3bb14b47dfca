//! What a driver for a disk promises, asked of a machine that has one.
//!
//! The command line is `CLAIM TOKEN SEED`. The seed is in the disk's serial number, and says what
//! its blocks hold, so who has not read them does not know.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use executive::sync::OnceLock;
use executive::{go, println, yield_now};
use nvme::disk::{BLOCK, Disk, Error};

/// Of the disk that the grader makes.
const BLOCKS: u64 = 256;

static SEED: OnceLock<u32> = OnceLock::new();

kernel::entry!(main);

fn main() {
    let claims: [(&str, fn()); 7] = [
        ("it_starts", || drop(disk())),
        ("its_serial_number", its_serial_number),
        ("its_size", its_size),
        ("a_block_is_read", a_block_is_read),
        ("queues_wrap", queues_wrap),
        ("many_read_at_once", many_read_at_once),
        ("what_is_not_there_is_refused", what_is_not_there_is_refused),
    ];
    let mut words = kernel::command_line().split(' ');
    let [name, token, seed] = core::array::from_fn(|_| words.next().unwrap_or_default());
    SEED.get_or_init(|| u32::from_str_radix(seed, 16).unwrap_or(0));
    let (_, claim) = claims.iter().find(|(known, _)| *known == name).expect("a claim's name");
    claim();
    println!("holds {token}");
}

fn disk() -> Arc<Disk> {
    Disk::start(nvme::find().expect("a controller")).expect("it starts")
}

fn seed() -> u32 {
    *SEED.get().expect("set at the beginning")
}

/// Byte `at` of a block, as course/grade writes it.
fn byte(block: u64, at: usize) -> u8 {
    (seed() >> (8 * (at % 4))) as u8 ^ (block as usize * 31 + at * 7) as u8
}

fn is_read(disk: &Disk, block: u64) {
    let mut bytes = [0; BLOCK];
    assert_eq!(disk.read(block, &mut bytes), Ok(()), "block {block}");
    for (at, found) in bytes.into_iter().enumerate() {
        assert_eq!(found, byte(block, at), "byte {at} of block {block}");
    }
}

fn its_serial_number() {
    assert_eq!(disk().serial(), Ok(format!("{:08x}", seed())));
}

fn its_size() {
    assert_eq!(disk().blocks(), Ok(BLOCKS));
}

fn a_block_is_read() {
    let disk = disk();
    [0, 1, BLOCKS - 1, 7, 7].map(|block| is_read(&disk, block));
}

/// A thousand commands of each kind go around any ring.
fn queues_wrap() {
    let disk = disk();
    for n in 0..1000 {
        is_read(&disk, n * 37 % BLOCKS);
    }
    for _ in 0..300 {
        assert_eq!(disk.blocks(), Ok(BLOCKS));
    }
}

/// More than any queue has room for; and each gets its own.
fn many_read_at_once() {
    let disk = disk();
    let all = (0..200).map(|n| {
        let disk = disk.clone();
        go(move || {
            for round in 0..5 {
                is_read(&disk, (n * 13 + round * 101) % BLOCKS);
                if (n + round).is_multiple_of(3) {
                    yield_now();
                }
            }
        })
    });
    all.collect::<Vec<_>>().into_iter().for_each(|one| one.join());
}

/// And what is there can be read afterwards.
fn what_is_not_there_is_refused() {
    const LBA_OUT_OF_RANGE: u16 = 0x80;
    let disk = disk();
    let mut bytes = [0; BLOCK];
    for block in [BLOCKS, BLOCKS + 1000] {
        assert_eq!(disk.read(block, &mut bytes), Err(Error::Refused(LBA_OUT_OF_RANGE)));
        is_read(&disk, 3);
    }
}
