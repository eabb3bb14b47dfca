//! Disks in memory. The crate `fatfs` makes them, and reads what was written.

use crate::Random;
use executive::sync::Mutex;
use fatfs::{FatType, FormatVolumeOptions, FsOptions};
use files::fat::{BLOCK, Disk, Fat, Timestamp};
use files::{ErrorKind, FileSystem, OpenOptions};
use std::io::{Cursor, Read, Write};
use std::sync::Arc;

#[derive(Clone)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Disk for Memory {
    fn blocks(&self) -> u64 {
        (self.0.lock().len() / BLOCK) as u64
    }
    fn read(&self, block: u64, into: &mut [u8]) -> Result<(), ErrorKind> {
        let at = block as usize * BLOCK;
        into.copy_from_slice(&self.0.lock()[at..at + into.len()]);
        executive::yield_now();
        Ok(())
    }
    fn write(&self, block: u64, from: &[u8]) -> Result<(), ErrorKind> {
        let at = block as usize * BLOCK;
        self.0.lock()[at..at + from.len()].copy_from_slice(from);
        executive::yield_now();
        Ok(())
    }
    fn flush(&self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// An empty volume in so many MiB, perhaps behind a table of partitions.
fn made(mib: usize, kind: FatType, partition: bool) -> Memory {
    let bytes = vec![0; mib << 20];
    let mut disk = Cursor::new(bytes);
    let options = FormatVolumeOptions::new().fat_type(kind).bytes_per_cluster(512);
    fatfs::format_volume(&mut disk, options).unwrap();
    let mut volume = disk.into_inner();
    if partition {
        const BEFORE: usize = 63;
        let mut table = vec![0; BEFORE * BLOCK];
        // The second of four; the first is no FAT.
        table[446 + 4] = 0x83;
        table[462 + 4] = 0x0c;
        table[462 + 8..462 + 12].copy_from_slice(&(BEFORE as u32).to_le_bytes());
        let blocks = (volume.len() / BLOCK) as u32;
        table[462 + 12..462 + 16].copy_from_slice(&blocks.to_le_bytes());
        table[510..512].copy_from_slice(&[0x55, 0xaa]);
        table.append(&mut volume);
        volume = table;
    }
    Memory(Arc::new(Mutex::new(volume)))
}

fn now() -> Timestamp {
    Timestamp::from_calendar(2026, 11, 27, 13, 5, 58).unwrap()
}

fn mounted(disk: &Memory) -> Fat {
    Fat::mount(disk.clone(), now).unwrap()
}

fn content(of: usize, length: usize) -> Vec<u8> {
    let mut random = Random(of as u64);
    (0..length).map(|_| random.below(256) as u8).collect()
}

fn put(fat: &Fat, path: &[&str], bytes: &[u8]) -> Result<(), ErrorKind> {
    let file = fat.open(path, OpenOptions::new().write(true).create(true).truncate(true))?;
    let mut done = 0;
    while done < bytes.len() {
        let end = bytes.len().min(done + 700);
        done += file.write_at(&bytes[done..end], done as u64)?;
    }
    file.sync()
}

fn get(fat: &Fat, path: &[&str]) -> Result<Vec<u8>, ErrorKind> {
    let file = fat.open(path, OpenOptions::new().read(true))?;
    let mut bytes = vec![0; file.length()? as usize + 10];
    let mut done = 0;
    while let n @ 1.. = file.read_at(&mut bytes[done..], done as u64)? {
        done += n;
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// What another file system finds there.
fn read_by_fatfs(disk: &Memory, skip: usize, path: &str) -> Vec<u8> {
    let bytes = disk.0.lock()[skip..].to_vec();
    let volume = fatfs::FileSystem::new(Cursor::new(bytes), FsOptions::new()).unwrap();
    let mut read = Vec::new();
    volume.root_dir().open_file(path).unwrap().read_to_end(&mut read).unwrap();
    read
}

pub fn what_was_written_is_on_the_disk() {
    for (mib, kind, partition) in
        [(5, FatType::Fat16, false), (5, FatType::Fat16, true), (40, FatType::Fat32, true)]
    {
        let disk = made(mib, kind, partition);
        let fat = mounted(&disk);
        fat.create_dir(&["dir"]).unwrap();
        fat.create_dir(&["dir", "sub"]).unwrap();
        executive::scope(|s| {
            for n in 0..8 {
                let fat = &fat;
                s.go(move || {
                    let name = format!("f{n}.bin");
                    put(fat, &["dir", "sub", &name], &content(n, 3000 * n)).unwrap();
                    assert_eq!(get(fat, &["DIR", "Sub", &name]), Ok(content(n, 3000 * n)));
                });
            }
        });
        for n in 0..8 {
            let skip = if partition { 63 * BLOCK } else { 0 };
            let read = read_by_fatfs(&disk, skip, &format!("dir/sub/f{n}.bin"));
            assert!(read == content(n, 3000 * n), "file {n} is not what was written");
        }
        // What is written over it, and behind its end.
        let file = fat.open(&["dir", "hole"], OpenOptions::new().write(true).create(true)).unwrap();
        file.write_at(b"abc", 0).unwrap();
        file.write_at(b"X", 1).unwrap();
        file.write_at(b"end", 2000).unwrap();
        drop(file);
        let mut wanted = vec![0; 2003];
        wanted[..3].copy_from_slice(b"aXc");
        wanted[2000..].copy_from_slice(b"end");
        assert_eq!(get(&fat, &["dir", "hole"]), Ok(wanted));
        for (name, kind) in [
            ("a name", ErrorKind::InvalidFilename),
            ("123456789", ErrorKind::InvalidFilename),
            ("é", ErrorKind::InvalidFilename),
            ("dir", ErrorKind::IsADirectory),
        ] {
            assert_eq!(put(&fat, &[name], b"x"), Err(kind), "{name}");
        }
        assert_eq!(fat.create_dir(&["DIR"]), Err(ErrorKind::AlreadyExists));
        assert_eq!(get(&fat, &["dir", "hole", "x"]), Err(ErrorKind::NotADirectory));
    }
}

pub fn what_others_wrote_is_read() {
    let disk = made(5, FatType::Fat16, false);
    let names =
        ["A rather long name, with blanks.text", "größer ∑ than 13 letters", "short.txt", "LOUD"];
    {
        let mut bytes = std::mem::take(&mut *disk.0.lock());
        let volume = fatfs::FileSystem::new(Cursor::new(&mut bytes), FsOptions::new()).unwrap();
        let directory = volume.root_dir().create_dir("a directory, too").unwrap();
        for (n, name) in names.into_iter().enumerate() {
            let data = content(n, 1000);
            directory.create_file(name).unwrap().write_all(&data).unwrap();
        }
        drop(directory);
        volume.unmount().unwrap();
        *disk.0.lock() = bytes;
    }
    let fat = mounted(&disk);
    let mut listed: Vec<String> =
        fat.read_dir(&["A DIRECTORY, too"]).unwrap().into_iter().map(|entry| entry.name).collect();
    listed.sort_unstable();
    let mut wanted = names.map(str::to_owned);
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    for (n, name) in names.into_iter().enumerate() {
        assert_eq!(get(&fat, &["a directory, too", name]), Ok(content(n, 1000)), "{name}");
    }
    // It can be written to, and removed.
    put(&fat, &["a directory, too", names[1]], b"new").unwrap();
    let read = read_by_fatfs(&disk, 0, &format!("a directory, too/{}", names[1]));
    assert_eq!(read, b"new");
    assert_eq!(fat.remove(&["a directory, too"]), Err(ErrorKind::DirectoryNotEmpty));
    for name in names {
        fat.remove(&["a directory, too", name]).unwrap();
        assert_eq!(get(&fat, &["a directory, too", name]), Err(ErrorKind::NotFound));
    }
    fat.remove(&["a directory, too"]).unwrap();
    assert_eq!(fat.read_dir(&[]).unwrap(), []);
}

pub fn a_full_disk_stays_whole() {
    // Behind the volume is something else, which must stay.
    let disk = made(5, FatType::Fat16, false);
    let end = disk.0.lock().len();
    disk.0.lock().extend(vec![0xee; 100 * BLOCK]);
    let fat = mounted(&disk);
    put(&fat, &["small"], b"here before").unwrap();
    let file = fat.open(&["big"], OpenOptions::new().write(true).create(true)).unwrap();
    let (piece, mut length) = (content(1, 1000), 0);
    let error = loop {
        match file.write_at(&piece, length) {
            Ok(n) => length += n as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(error, ErrorKind::StorageFull);
    assert!(length > 4 << 20, "full at {length} bytes");
    drop(file);
    assert_eq!(put(&fat, &["more"], b"more"), Err(ErrorKind::StorageFull));
    assert_eq!(get(&fat, &["small"]).unwrap(), b"here before");
    assert_eq!(get(&fat, &["big"]).unwrap().len() as u64, length);
    assert_eq!(read_by_fatfs(&disk, 0, "big").len() as u64, length);
    assert!(disk.0.lock()[end..].iter().all(|&byte| byte == 0xee), "it wrote behind the volume");
}

pub fn what_is_removed_makes_room() {
    let disk = made(5, FatType::Fat16, false);
    let fat = mounted(&disk);
    for n in 0..40 {
        // Five times the disk in all.
        put(&fat, &["a"], &content(n, 300_000)).unwrap();
        put(&fat, &["b"], &content(n, 300_000)).unwrap();
        fat.create_dir(&["d"]).unwrap();
        fat.remove(&["a"]).unwrap();
        fat.remove(&["b"]).unwrap();
        fat.remove(&["d"]).unwrap();
    }
    put(&fat, &["all"], &content(1, 4_500_000)).unwrap();
    assert!(read_by_fatfs(&disk, 0, "all") == content(1, 4_500_000));
}

pub fn open_files_are_shared() {
    let disk = made(5, FatType::Fat16, false);
    let fat = mounted(&disk);
    put(&fat, &["x"], b"0123456789").unwrap();
    let read = OpenOptions::new().read(true);
    let write = read.write(true);
    let one = fat.open(&["x"], write).unwrap();
    let two = fat.open(&["X"], read).unwrap();
    one.write_at(b"ab", 9).unwrap();
    assert_eq!(two.length(), Ok(11));
    assert_eq!(fat.metadata(&["x"]).unwrap().length, 11);
    assert_eq!(get(&fat, &["x"]).unwrap(), b"012345678ab");
    assert_eq!(fat.remove(&["x"]), Err(ErrorKind::ResourceBusy));
    assert_eq!(put(&fat, &["x"], b""), Err(ErrorKind::ResourceBusy));
    drop((one, two));
    assert_eq!(read_by_fatfs(&disk, 0, "x"), b"012345678ab");
    put(&fat, &["x"], b"").unwrap();
    let most: Vec<_> = (0..files::fat::MOST_FILES)
        .map(|n| fat.open(&[&format!("f{n}")], write.create(true)).unwrap())
        .collect();
    assert_eq!(fat.open(&["x"], read).err(), Some(ErrorKind::TooManyOpenFiles));
    drop(most);
    fat.remove(&["x"]).unwrap();
}

/// Whatever the disk holds, each call has an end and an answer.
pub fn a_disk_may_be_damaged() {
    for (mib, kind, cases) in [(3, FatType::Fat16, 400), (34, FatType::Fat32, 60)] {
        let disk = made(mib, kind, false);
        let fat = mounted(&disk);
        fat.create_dir(&["dir"]).unwrap();
        for n in 0..20 {
            put(&fat, &["dir", &format!("f{n}")], &content(n, 1500)).unwrap();
        }
        drop(fat);
        let whole = disk.0.lock().clone();
        // What is not zero is what can be damaged to effect.
        let used: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] != 0).collect();
        let mut random = Random(mib as u64);
        let (mut good, mut bad) = (0, 0);
        for _ in 0..cases {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(30) {
                // The boot sector; the tables and directories; all.
                let among = [64, used.len() / 10, used.len()][random.below(3)];
                let at = used[random.below(among)];
                bytes[at] = random.below(256) as u8;
            }
            let damaged = Memory(Arc::new(Mutex::new(bytes)));
            let Ok(fat) = Fat::mount(damaged, now) else {
                bad += 1;
                continue;
            };
            let mut count = |ok: bool| if ok { good += 1 } else { bad += 1 };
            count(fat.read_dir(&[]).is_ok());
            count(fat.read_dir(&["dir"]).is_ok());
            count(fat.create_dir(&["dir", "new"]).is_ok());
            for n in 0..20 {
                let name = format!("f{n}");
                let path = ["dir", &name];
                count(fat.metadata(&path).is_ok());
                if let Ok(file) = fat.open(&path, OpenOptions::new().read(true)) {
                    let length = file.length().unwrap();
                    count(file.read_at(&mut [0; 3000], length / 2).is_ok());
                }
                count(put(&fat, &path, &content(n, 2000)).is_ok());
                count(fat.remove(&path).is_ok());
            }
        }
        assert!(good > 200 && bad > 200, "{good} {bad}");
    }
}
