//! A disk with a FAT16 or FAT32 volume on it, with or without a table of partitions, by the crate
//! `embedded-sdmmc`.
//!
//! The crate reads and writes files, and makes directories. Directories are read here
//! (fat/volume.rs), for three reasons: the crate panics at some long names that a damaged disk can
//! have; it does not tell a file's first cluster, which is checked here; and it does not free the
//! clusters of what is removed.
//!
//! - Long names are read, and compared without regard to case of A to Z. A new file or directory
//!   has a name of at most 8 letters, a dot and 3 letters, which become capitals. Of a file that is
//!   removed the long name stays in its directory, without effect.
//! - A file is at most 4 GiB - 1 long. No more than [`MOST_FILES`] are open at a time.
//! - FAT12 (disks below 2 MiB or so) and exFAT are not read.
//!
//! **Rule:** one goroutine at a time is in a volume: it has the volume's mutex, for which others
//! park, also while the disk works for it.

mod volume;

pub use volume::{BLOCK, Disk};

use crate::error::ErrorKind;
use crate::system::{DirEntry, FileSystem, FileType, Metadata, OpenFile, OpenOptions};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use embedded_sdmmc::{
    Directory, Error, Mode, RawFile, RawVolume, ShortFileName, TimeSource, VolumeIdx, VolumeManager,
};
use executive::sync::Mutex;
use volume::{Entry, Volume};

pub use embedded_sdmmc::Timestamp;

/// How many files may be open at a time.
pub const MOST_FILES: usize = 64;
const MOST_DIRS: usize = 4;
const MOST_LENGTH: u64 = u32::MAX as u64;

type Manager = VolumeManager<Volume, Clock, MOST_DIRS, MOST_FILES, 1>;
type Dir<'a> = Directory<'a, Volume, Clock, MOST_DIRS, MOST_FILES, 1>;

/// The time that new files get.
struct Clock(fn() -> Timestamp);

impl TimeSource for Clock {
    fn get_timestamp(&self) -> Timestamp {
        (self.0)()
    }
}

/// A FAT volume, as a file system.
#[derive(Clone)]
pub struct Fat(Arc<Mutex<Mounted>>);

struct Mounted {
    manager: Manager,
    volume: RawVolume,
    open: Vec<Open>,
}

/// A file that is open, perhaps several times.
struct Open {
    /// Where its entry is.
    place: (u32, u32),
    file: RawFile,
    users: usize,
    read_only: bool,
}

impl Fat {
    /// The first FAT volume of the disk. `now` is the time that files get. Parks.
    ///
    /// # Errors
    /// [`InvalidData`](ErrorKind::InvalidData): there is none that can be used.
    pub fn mount(disk: impl Disk + 'static, now: fn() -> Timestamp) -> Result<Fat, ErrorKind> {
        let volume = Volume::find(Box::new(disk))?;
        let manager: Manager = VolumeManager::new_with_limits(volume, Clock(now), 1);
        let volume = manager.open_raw_volume(VolumeIdx(0)).map_err(kind)?;
        Ok(Fat(Arc::new(Mutex::new(Mounted { manager, volume, open: Vec::new() }))))
    }
}

/// A name that a new file can have.
fn short_name(name: &str) -> Result<ShortFileName, ErrorKind> {
    match ShortFileName::create_from_str(name) {
        Ok(short) if name.is_ascii() => Ok(short),
        _ => Err(ErrorKind::InvalidFilename),
    }
}

impl Mounted {
    /// Does something with the volume itself.
    fn with_volume<T>(&self, act: impl FnOnce(&Volume) -> T) -> T {
        self.manager.device(|volume| {
            volume.begin();
            act(volume)
        })
    }

    /// What is at this path; `None`: the root.
    fn find(&self, path: &[&str]) -> Result<Option<Entry>, ErrorKind> {
        let mut at: Option<Entry> = None;
        for name in path {
            let directory = match &at {
                None => 0,
                Some(entry) if entry.is_dir => entry.cluster,
                Some(_) => return Err(ErrorKind::NotADirectory),
            };
            let mut found = None;
            self.with_volume(|volume| {
                volume.scan(directory, |entry| {
                    let same = |other: &str| other.eq_ignore_ascii_case(name);
                    if same(&entry.name) || same(&entry.short) {
                        found = Some(entry);
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                })
            })?;
            let entry = found.ok_or(ErrorKind::NotFound)?;
            if !self.with_volume(|volume| volume.can_begin_at(entry.cluster))
                || entry.is_dir && entry.cluster == 0
            {
                return Err(ErrorKind::InvalidData);
            }
            at = Some(entry);
        }
        Ok(at)
    }

    /// The directory, for `embedded-sdmmc`.
    fn directory(&self, path: &[&str]) -> Result<Dir<'_>, ErrorKind> {
        let mut names = Vec::new();
        for n in 1..=path.len() {
            let entry = self.find(&path[..n])?.ok_or(ErrorKind::NotFound)?;
            if !entry.is_dir {
                return Err(ErrorKind::NotADirectory);
            }
            names.push(short_name(&entry.short)?);
        }
        self.with_volume(|_| ());
        let root = self.manager.open_root_dir(self.volume).map_err(kind)?;
        let mut directory = root.to_directory(&self.manager);
        names.iter().try_for_each(|name| directory.change_dir(name)).map_err(kind)?;
        Ok(directory)
    }

    fn open(
        &mut self,
        path: &[&str],
        how: OpenOptions,
    ) -> Result<((u32, u32), RawFile), ErrorKind> {
        let (name, parents) = path.split_last().ok_or(ErrorKind::IsADirectory)?;
        let (entry, file, read_only) = match self.find(path) {
            Ok(_) if how.create_new => return Err(ErrorKind::AlreadyExists),
            Ok(None) => return Err(ErrorKind::IsADirectory),
            Ok(Some(entry)) if entry.is_dir => return Err(ErrorKind::IsADirectory),
            Ok(Some(entry)) => {
                if entry.read_only && how.write {
                    return Err(ErrorKind::PermissionDenied);
                }
                if let Some(open) = self.open.iter_mut().find(|open| open.place == entry.place) {
                    if how.truncate || how.write && open.read_only {
                        return Err(ErrorKind::ResourceBusy);
                    }
                    open.users += 1;
                    return Ok((open.place, open.file));
                }
                // Open for reading only, it can be on a disk that is.
                let mode = match how {
                    OpenOptions { truncate: true, .. } => Mode::ReadWriteTruncate,
                    OpenOptions { write: true, .. } => Mode::ReadWriteAppend,
                    _ => Mode::ReadOnly,
                };
                let directory = self.directory(parents)?;
                // It is there, so looking for it has an end; and so has what it is emptied of.
                self.manager.device(|volume| volume.begin_unbounded());
                let file = directory.open_file_in_dir(short_name(&entry.short)?, mode);
                (entry, file.map_err(kind)?.to_raw_file(), mode == Mode::ReadOnly)
            }
            Err(ErrorKind::NotFound) if how.create || how.create_new => {
                let directory = self.directory(parents)?;
                let made = directory.open_file_in_dir(short_name(name)?, Mode::ReadWriteCreate);
                let file = made.map_err(kind)?.to_raw_file();
                drop(directory);
                match self.find(path) {
                    Ok(Some(entry)) => (entry, file, false),
                    wrong => {
                        let _ = self.manager.close_file(file);
                        return Err(wrong.err().unwrap_or(ErrorKind::InvalidData));
                    }
                }
            }
            Err(error) => return Err(error),
        };
        self.open.push(Open { place: entry.place, file, users: 1, read_only });
        Ok((entry.place, file))
    }

    fn close(&mut self, place: (u32, u32)) {
        if let Some(n) = self.open.iter().position(|open| open.place == place) {
            self.open[n].users -= 1;
            if self.open[n].users == 0 {
                self.with_volume(|_| ());
                // What the disk says now is lost: `sync` has asked before, if it mattered.
                let _ = self.manager.close_file(self.open.swap_remove(n).file);
            }
        }
    }

    fn read_at(&self, file: RawFile, into: &mut [u8], offset: u64) -> Result<usize, ErrorKind> {
        let length = self.manager.file_length(file).map_err(kind)?;
        match u32::try_from(offset) {
            Ok(offset) if offset < length => {
                self.manager.device(|volume| volume.begin_unbounded());
                self.manager.file_seek_from_start(file, offset).map_err(kind)?;
                self.manager.read(file, into).map_err(kind)
            }
            _ => Ok(0),
        }
    }

    fn write_at(&self, file: RawFile, from: &[u8], offset: u64) -> Result<usize, ErrorKind> {
        let room = MOST_LENGTH.checked_sub(offset).filter(|&room| room > 0);
        let room = room.ok_or(ErrorKind::FileTooLarge)?;
        let from = &from[..from.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        let offset = offset as u32;
        self.manager.device(|volume| volume.begin_unbounded());
        loop {
            let length = self.manager.file_length(file).map_err(kind)?;
            let gap = offset.saturating_sub(length) as usize;
            if gap == 0 {
                break;
            }
            self.manager.file_seek_from_start(file, length).map_err(kind)?;
            self.manager.write(file, &[0; BLOCK][..gap.min(BLOCK)]).map_err(kind)?;
        }
        self.manager.file_seek_from_start(file, offset).map_err(kind)?;
        let written = self.manager.write(file, from).map_err(kind);
        let now = self.manager.file_offset(file).map_err(kind)?;
        match written {
            Ok(()) => Ok(from.len()),
            // Some of it was.
            Err(_) if now > offset => Ok((now - offset) as usize),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, path: &[&str]) -> Result<(), ErrorKind> {
        let (_, parents) = path.split_last().ok_or(ErrorKind::InvalidInput)?;
        let entry = self.find(path)?.ok_or(ErrorKind::InvalidInput)?;
        if self.open.iter().any(|open| open.place == entry.place) {
            return Err(ErrorKind::ResourceBusy);
        }
        if entry.is_dir {
            let mut empty = true;
            self.with_volume(|volume| {
                volume.scan(entry.cluster, |_| {
                    empty = false;
                    ControlFlow::Break(())
                })
            })?;
            if !empty {
                return Err(ErrorKind::DirectoryNotEmpty);
            }
        }
        let directory = self.directory(parents)?;
        directory.delete_entry_in_dir(short_name(&entry.short)?).map_err(kind)?;
        drop(directory);
        // After the entry: should this fail, clusters are lost, and none is in two files.
        self.manager.device(|volume| {
            volume.begin_unbounded();
            volume.free(entry.cluster)
        })
    }
}

impl FileSystem for Fat {
    fn open(&self, path: &[&str], how: OpenOptions) -> Result<Box<dyn OpenFile>, ErrorKind> {
        let (place, file) = self.0.lock().open(path, how)?;
        Ok(Box::new(FatFile { volume: self.0.clone(), place, file }))
    }

    fn metadata(&self, path: &[&str]) -> Result<Metadata, ErrorKind> {
        let mounted = self.0.lock();
        Ok(match mounted.find(path)? {
            Some(entry) if !entry.is_dir => {
                // The entry is written when the file is closed.
                let open = mounted.open.iter().find(|open| open.place == entry.place);
                let length = match open {
                    Some(open) => mounted.manager.file_length(open.file).map_err(kind)?,
                    None => entry.length,
                };
                Metadata { kind: FileType::File, length: length.into() }
            }
            _ => Metadata { kind: FileType::Dir, length: 0 },
        })
    }

    fn read_dir(&self, path: &[&str]) -> Result<Vec<DirEntry>, ErrorKind> {
        let mounted = self.0.lock();
        let directory = match mounted.find(path)? {
            None => 0,
            Some(entry) if entry.is_dir => entry.cluster,
            Some(_) => return Err(ErrorKind::NotADirectory),
        };
        let mut all = Vec::new();
        mounted.with_volume(|volume| {
            volume.scan(directory, |entry| {
                let kind = if entry.is_dir { FileType::Dir } else { FileType::File };
                all.push(DirEntry { name: entry.name, kind });
                ControlFlow::Continue(())
            })
        })?;
        Ok(all)
    }

    fn create_dir(&self, path: &[&str]) -> Result<(), ErrorKind> {
        let (name, parents) = path.split_last().ok_or(ErrorKind::AlreadyExists)?;
        let mounted = self.0.lock();
        match mounted.find(path) {
            Ok(_) => return Err(ErrorKind::AlreadyExists),
            Err(ErrorKind::NotFound) => {}
            Err(error) => return Err(error),
        }
        let directory = mounted.directory(parents)?;
        directory.make_dir_in_dir(short_name(name)?).map_err(kind)
    }

    fn remove(&self, path: &[&str]) -> Result<(), ErrorKind> {
        self.0.lock().remove(path)
    }
}

struct FatFile {
    volume: Arc<Mutex<Mounted>>,
    place: (u32, u32),
    file: RawFile,
}

impl OpenFile for FatFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> Result<usize, ErrorKind> {
        self.volume.lock().read_at(self.file, into, offset)
    }

    fn write_at(&self, from: &[u8], offset: u64) -> Result<usize, ErrorKind> {
        self.volume.lock().write_at(self.file, from, offset)
    }

    fn length(&self) -> Result<u64, ErrorKind> {
        self.volume.lock().manager.file_length(self.file).map(u64::from).map_err(kind)
    }

    fn sync(&self) -> Result<(), ErrorKind> {
        let mounted = self.volume.lock();
        mounted.with_volume(|_| ());
        mounted.manager.flush_file(self.file).map_err(kind)?;
        mounted.with_volume(|volume| volume.flush())
    }
}

impl Drop for FatFile {
    fn drop(&mut self) {
        self.volume.lock().close(self.place);
    }
}

fn kind(error: Error<ErrorKind>) -> ErrorKind {
    match error {
        Error::DeviceError(kind) => kind,
        Error::NotFound => ErrorKind::NotFound,
        Error::FilenameError(_) => ErrorKind::InvalidFilename,
        Error::TooManyOpenFiles | Error::TooManyOpenDirs => ErrorKind::TooManyOpenFiles,
        Error::FileAlreadyOpen | Error::DirAlreadyOpen => ErrorKind::ResourceBusy,
        Error::OpenedDirAsFile => ErrorKind::IsADirectory,
        Error::OpenedFileAsDir => ErrorKind::NotADirectory,
        Error::DeleteNonEmptyDir => ErrorKind::DirectoryNotEmpty,
        Error::NotEnoughSpace | Error::DiskFull | Error::AllocationError => ErrorKind::StorageFull,
        Error::ReadOnly => ErrorKind::PermissionDenied,
        Error::FileAlreadyExists | Error::DirAlreadyExists => ErrorKind::AlreadyExists,
        Error::InvalidOffset => ErrorKind::InvalidInput,
        Error::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::InvalidData,
    }
}
