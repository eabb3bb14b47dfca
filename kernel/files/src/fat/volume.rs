//! A FAT volume on a disk: where it is, what its directories say, which clusters follow each other
//! (Microsoft, "FAT: General Overview of On-Disk Format", 1.03).
//!
//! **Rule:** the disk may hold anything. What the boot sector says is checked against the disk's
//! length before it is used, a cluster's number before it is followed, and no walk is longer than
//! the longest that there can be.

use crate::error::ErrorKind;
use alloc::boxed::Box;
use alloc::string::String;
use core::cell::Cell;
use core::ops::ControlFlow;
use embedded_sdmmc::{Block, BlockCount, BlockDevice, BlockIdx};

/// A disk: blocks of [`BLOCK`] bytes. Every call may park.
pub trait Disk: Send + Sync {
    /// How many blocks there are.
    fn blocks(&self) -> u64;
    /// Reads whole blocks from `block` on.
    fn read(&self, block: u64, into: &mut [u8]) -> Result<(), ErrorKind>;
    /// Writes whole blocks from `block` on.
    fn write(&self, block: u64, from: &[u8]) -> Result<(), ErrorKind>;
    /// Returns when all that was written will survive a loss of power.
    fn flush(&self) -> Result<(), ErrorKind>;
}

/// A block's length in bytes.
pub const BLOCK: usize = Block::LEN;

/// A directory has at most 65,536 entries of 32 bytes.
const MOST_DIRECTORY: usize = (65_536 * ENTRY).div_ceil(BLOCK);
const ENTRY: usize = 32;

/// Where things are in a volume, in blocks from its boot sector on.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    blocks: u32,
    per_cluster: u32,
    fat: u32,
    fat_blocks: u32,
    fats: u32,
    /// The root directory, if it has a place of its own (FAT16).
    root: u32,
    root_blocks: u32,
    /// Its first cluster, if not (FAT32).
    root_cluster: u32,
    data: u32,
    clusters: u32,
    /// FAT32: an entry of the FAT has four bytes, not two.
    wide: bool,
}

fn u16_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(bytes[at]) | u32::from(bytes[at + 1]) << 8
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u16_at(bytes, at) | u16_at(bytes, at + 2) << 16
}

impl Geometry {
    /// What a boot sector says of a volume that has room for so many blocks; `None` if that cannot
    /// be, or is FAT12.
    fn of(boot: &[u8; BLOCK], room: u64) -> Option<Geometry> {
        let either = |short, long| if short != 0 { short } else { long };
        let per_cluster = u32::from(boot[13]);
        let (reserved, fats) = (u16_at(boot, 14), u32::from(boot[16]));
        let fat_blocks = either(u16_at(boot, 22), u32_at(boot, 36));
        let blocks = either(u16_at(boot, 19), u32_at(boot, 32));
        let root_blocks = (u16_at(boot, 17) * ENTRY as u32).div_ceil(BLOCK as u32);
        let sound = u16_at(boot, 510) == 0xaa55
            && u16_at(boot, 11) == BLOCK as u32
            && per_cluster.is_power_of_two()
            && reserved >= 1
            && (1..=2).contains(&fats)
            && fat_blocks >= 1
            && u64::from(blocks) <= room;
        if !sound {
            return None;
        }
        let root = u64::from(reserved) + u64::from(fats) * u64::from(fat_blocks);
        let data = root + u64::from(root_blocks);
        let clusters = u64::from(blocks).checked_sub(data)? as u32 / per_cluster;
        let wide = clusters >= 65_525;
        let entries = u64::from(fat_blocks) * (BLOCK as u64 / if wide { 4 } else { 2 });
        let root_cluster = if wide { u32_at(boot, 44) } else { 0 };
        let possible = (4085..0x0fff_fff0).contains(&clusters)
            && entries >= u64::from(clusters) + 2
            && (!wide
                || root_blocks == 0
                    && u16_at(boot, 42) == 0
                    && (2..clusters + 2).contains(&root_cluster)
                    && (1..reserved).contains(&u16_at(boot, 48)));
        possible.then_some(Geometry {
            blocks,
            per_cluster,
            fat: reserved,
            fat_blocks,
            fats,
            root: root as u32,
            root_blocks,
            root_cluster,
            data: data as u32,
            clusters,
            wide,
        })
    }

    fn has(&self, cluster: u32) -> bool {
        (2..self.clusters + 2).contains(&cluster)
    }

    fn width(&self) -> u32 {
        if self.wide { 4 } else { 2 }
    }
}

/// A volume as `embedded-sdmmc` sees it: block 0 is a table of one partition, which begins at 1.
/// So a disk without a table is one with it.
pub struct Volume {
    disk: Box<dyn Disk>,
    geometry: Geometry,
    /// The disk's block with the boot sector.
    at: u64,
    /// How many blocks may still be read in this call: a directory whose clusters go round in a
    /// circle has an end.
    left: Cell<u32>,
}

/// Something in a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The long name, if there is one.
    pub name: String,
    /// The name of at most 8 letters, a dot and 3 letters.
    pub short: String,
    pub is_dir: bool,
    pub read_only: bool,
    pub cluster: u32,
    pub length: u32,
    /// Where the entry is: the block, and the byte in it.
    pub place: (u32, u32),
}

impl Volume {
    /// The first volume of a disk that can be used.
    pub fn find(disk: Box<dyn Disk>) -> Result<Volume, ErrorKind> {
        const FAT: [u8; 5] = [0x04, 0x06, 0x0b, 0x0c, 0x0e];
        let mut first = [0; BLOCK];
        disk.read(0, &mut first)?;
        let mut found = Geometry::of(&first, disk.blocks()).map(|geometry| (0, geometry));
        if found.is_none() && u16_at(&first, 510) == 0xaa55 {
            for partition in first[446..510].as_chunks::<16>().0 {
                let (at, blocks) = (u32_at(partition, 8).into(), u32_at(partition, 12).into());
                let room = disk.blocks().saturating_sub(at).min(blocks);
                if FAT.contains(&partition[4]) && at > 0 && room > 0 && found.is_none() {
                    let mut boot = [0; BLOCK];
                    disk.read(at, &mut boot)?;
                    found = Geometry::of(&boot, room).map(|geometry| (at, geometry));
                }
            }
        }
        let (at, geometry) = found.ok_or(ErrorKind::InvalidData)?;
        let volume = Volume { disk, geometry, at, left: Cell::new(0) };
        volume.begin();
        Ok(volume)
    }

    /// A call begins: it may read so many blocks of directories and tables.
    pub fn begin(&self) {
        let tables = self.geometry.fat_blocks.saturating_mul(4);
        self.left.set(tables.saturating_add(8 * MOST_DIRECTORY as u32));
    }

    /// A call that reads or writes a file is bounded by the file's length.
    pub fn begin_unbounded(&self) {
        self.left.set(u32::MAX);
    }

    pub fn flush(&self) -> Result<(), ErrorKind> {
        self.disk.flush()
    }

    fn place_of(&self, block: u32) -> Result<u64, ErrorKind> {
        match block.checked_sub(1) {
            Some(n) if n < self.geometry.blocks => Ok(self.at + u64::from(n)),
            _ => Err(ErrorKind::InvalidData),
        }
    }

    fn read_block(&self, block: u32, into: &mut [u8; BLOCK]) -> Result<(), ErrorKind> {
        self.left.set(self.left.get().checked_sub(1).ok_or(ErrorKind::InvalidData)?);
        if block == 0 {
            *into = self.table();
            return Ok(());
        }
        self.disk.read(self.place_of(block)?, into)?;
        self.fill_up(block, into);
        Ok(())
    }

    fn write_block(&self, block: u32, from: &[u8; BLOCK]) -> Result<(), ErrorKind> {
        self.disk.write(self.place_of(block)?, from)
    }

    /// The table of one partition.
    fn table(&self) -> [u8; BLOCK] {
        let mut table = [0; BLOCK];
        table[450] = 0x0c;
        table[454..458].copy_from_slice(&1u32.to_le_bytes());
        table[458..462].copy_from_slice(&self.geometry.blocks.to_le_bytes());
        table[510..].copy_from_slice(&[0x55, 0xaa]);
        table
    }

    /// The last block of a FAT has room for more entries than there are clusters. They are shown as
    /// taken: `embedded-sdmmc` 0.10 would give these clusters away.
    fn fill_up(&self, block: u32, bytes: &mut [u8; BLOCK]) {
        let g = &self.geometry;
        let in_fats = (block - 1).wrapping_sub(g.fat);
        if in_fats >= g.fats * g.fat_blocks {
            return;
        }
        let first = u64::from(in_fats % g.fat_blocks) * (BLOCK as u64 / u64::from(g.width()));
        let there = (u64::from(g.clusters) + 2).saturating_sub(first) * u64::from(g.width());
        if there < BLOCK as u64 {
            bytes[there as usize..].fill(0xff);
        }
    }

    /// Where the entry of a cluster is in the FAT: the block, and the byte in it.
    fn fat_entry(&self, cluster: u32) -> (u32, usize) {
        let at = u64::from(cluster) * u64::from(self.geometry.width());
        (1 + self.geometry.fat + (at / BLOCK as u64) as u32, at as usize % BLOCK)
    }

    /// The cluster that follows this one; `None`: it is the last.
    fn next(&self, cluster: u32) -> Result<Option<u32>, ErrorKind> {
        let ((block, at), mut bytes) = (self.fat_entry(cluster), [0; BLOCK]);
        self.read_block(block, &mut bytes)?;
        let (next, end) = match self.geometry.wide {
            true => (u32_at(&bytes, at) & 0x0fff_ffff, 0x0fff_fff8),
            false => (u16_at(&bytes, at), 0xfff8),
        };
        match next {
            next if next >= end => Ok(None),
            next if self.geometry.has(next) => Ok(Some(next)),
            _ => Err(ErrorKind::InvalidData),
        }
    }

    /// Makes the clusters from this one on free, as far as they follow each other.
    pub fn free(&self, mut cluster: u32) -> Result<(), ErrorKind> {
        let g = &self.geometry;
        while g.has(cluster) {
            let next = self.next(cluster);
            let (block, at) = self.fat_entry(cluster);
            for block in (0..g.fats).map(|n| block + n * g.fat_blocks) {
                let mut bytes = [0; BLOCK];
                self.read_block(block, &mut bytes)?;
                bytes[at..at + g.width() as usize].fill(0);
                self.write_block(block, &bytes)?;
            }
            match next {
                Ok(Some(next)) => cluster = next,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Shows what is in a directory, which begins at this cluster; 0: the root.
    pub fn scan(
        &self,
        directory: u32,
        mut see: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), ErrorKind> {
        let g = &self.geometry;
        let mut cluster = if directory == 0 { g.root_cluster } else { directory };
        let mut long = LongName::default();
        let mut seen = 0;
        loop {
            let blocks = match cluster {
                0 => g.root..g.root + g.root_blocks,
                cluster if g.has(cluster) => {
                    let first = g.data + (cluster - 2) * g.per_cluster;
                    first..first + g.per_cluster
                }
                _ => return Err(ErrorKind::InvalidData),
            };
            for block in blocks.map(|n| n + 1) {
                seen += 1;
                if seen > MOST_DIRECTORY {
                    return Err(ErrorKind::InvalidData);
                }
                let mut bytes = [0; BLOCK];
                self.read_block(block, &mut bytes)?;
                for (n, raw) in bytes.as_chunks::<ENTRY>().0.iter().enumerate() {
                    match raw[0] {
                        0 => return Ok(()),
                        0xe5 => long = LongName::default(),
                        _ if raw[11] & 0x3f == 0x0f => long.add(raw),
                        _ => {
                            let name = core::mem::take(&mut long).of(raw);
                            let is_volume = raw[11] & 0x08 != 0;
                            let entry = Entry::of(raw, name, g.wide, (block, (n * ENTRY) as u32));
                            if !is_volume && raw[0] != b'.' && see(entry).is_break() {
                                return Ok(());
                            }
                        }
                    }
                }
            }
            match cluster {
                0 => return Ok(()),
                _ => match self.next(cluster)? {
                    Some(next) => cluster = next,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Whether a file or directory can begin there; 0: it has no cluster yet.
    pub fn can_begin_at(&self, cluster: u32) -> bool {
        cluster == 0 || self.geometry.has(cluster)
    }
}

impl Entry {
    fn of(raw: &[u8], long: Option<String>, wide: bool, place: (u32, u32)) -> Entry {
        let letters = |bytes: &[u8]| -> String {
            let end = bytes.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
            bytes[..end].iter().map(|&byte| char::from(byte)).collect()
        };
        let (mut short, kind) = (letters(&raw[..8]), letters(&raw[8..11]));
        if !kind.is_empty() {
            short = short + "." + &kind;
        }
        let high = if wide { u16_at(raw, 20) << 16 } else { 0 };
        Entry {
            name: long.unwrap_or_else(|| short.clone()),
            short,
            is_dir: raw[11] & 0x10 != 0,
            read_only: raw[11] & 0x01 != 0,
            cluster: high | u16_at(raw, 26),
            length: u32_at(raw, 28),
            place,
        }
    }
}

/// A long name, whose pieces stand before the entry that has it, the last piece first.
#[derive(Default)]
struct LongName {
    letters: alloc::vec::Vec<u16>,
    /// The number of the piece that is to come; 0: the name is whole.
    wanted: u8,
    sum: u8,
}

const PIECE: usize = 13;

impl LongName {
    fn add(&mut self, raw: &[u8]) {
        let (number, sum) = (raw[0] & 0x3f, raw[13]);
        if raw[0] & 0x40 != 0 && (1..=20).contains(&number) {
            let letters = alloc::vec![0; PIECE * usize::from(number)];
            *self = LongName { letters, wanted: number, sum };
        }
        if number == 0 || number != self.wanted || sum != self.sum {
            *self = LongName::default();
            return;
        }
        let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
        let piece = &mut self.letters[PIECE * usize::from(number - 1)..];
        for (letter, at) in piece.iter_mut().zip(places) {
            *letter = u16_at(raw, at) as u16;
        }
        self.wanted -= 1;
    }

    /// The name, if it is whole and this entry's.
    fn of(self, raw: &[u8]) -> Option<String> {
        let sum = raw[..11].iter().fold(0u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte));
        let letters = self.letters.split(|&letter| letter == 0).next()?;
        let name = String::from_utf16_lossy(letters);
        let whole = self.wanted == 0 && sum == self.sum && !name.is_empty();
        (whole && !name.contains('/')).then_some(name)
    }
}

impl BlockDevice for Volume {
    type Error = ErrorKind;

    fn read(&self, blocks: &mut [Block], first: BlockIdx) -> Result<(), ErrorKind> {
        (first.0..).zip(blocks).try_for_each(|(n, block)| self.read_block(n, &mut block.contents))
    }

    fn write(&self, blocks: &[Block], first: BlockIdx) -> Result<(), ErrorKind> {
        (first.0..).zip(blocks).try_for_each(|(n, block)| self.write_block(n, &block.contents))
    }

    fn num_blocks(&self) -> Result<BlockCount, ErrorKind> {
        Ok(BlockCount(self.geometry.blocks.saturating_add(1)))
    }
}
