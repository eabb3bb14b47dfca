//! Where a disk image is put: a file, or a disk.
//!
//! **Rule:** what is there stays what it is. A disk is written, a link is followed, a file keeps
//! its mode and its other names. Whatever else is there is refused, and the error says why.
//!
//! Whether a disk is in use, the host's kernel tells: `O_EXCL` opens a block device only if neither
//! it nor a partition of it is mounted, swapped to, or part of another device (open(2)), and keeps
//! others from it until it is closed. The users are looked up only for the error message.

use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A place that will take an image, open for it.
#[derive(Debug)]
pub struct Medium {
    file: File,
    path: PathBuf,
    /// A disk's size, in bytes.
    room: Option<u64>,
    /// The file is new: it is removed if no image is written to it.
    made: bool,
}

impl Medium {
    /// Opens it without changing it; creates a file if nothing is there.
    pub fn open(path: &Path) -> Result<Medium> {
        let found = match fs::metadata(path) {
            Ok(found) => Some(found.file_type()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(what) = found.and_then(unfit) {
            bail!("it is {what}: an image is written to a file or to a disk");
        }
        let is_disk = found.is_some_and(|what| what.is_block_device());
        // O_NONBLOCK: does not wait, should it have become a pipe meanwhile.
        let flags = libc::O_NONBLOCK | if is_disk { libc::O_EXCL } else { 0 };
        let file = match OpenOptions::new()
            .write(true)
            .create(!is_disk)
            .truncate(false)
            .custom_flags(flags)
            .open(path)
        {
            Err(error) if is_disk && error.raw_os_error() == Some(libc::EBUSY) => {
                bail!("it is in use: {}", users(fs::metadata(path)?.rdev()));
            }
            file => file?,
        };
        let opened = file.metadata()?;
        ensure!(
            found.is_none_or(|found| found == opened.file_type()),
            "it has just become something else"
        );
        let mut medium =
            Medium { file, path: fs::canonicalize(path)?, room: None, made: found.is_none() };
        if is_disk {
            ensure!(
                !sys(opened.rdev()).join("partition").exists(),
                "it is a partition: the image is one of a whole disk, partitions and all"
            );
            medium.room = Some(medium.file.seek(SeekFrom::End(0))?);
        }
        Ok(medium)
    }

    /// Writes the image, and waits until it is on the disk; returns its length in bytes.
    pub fn take(mut self, image: &Path) -> Result<u64> {
        let mut from = File::open(image)?;
        let bytes = from.metadata()?.len();
        if let Some(room) = self.room {
            ensure!(bytes <= room, "the image has {bytes} bytes, and the disk {room}");
        } else {
            self.file.set_len(0)?;
        }
        self.file.rewind()?;
        let written =
            io::copy(&mut from, &mut self.file).and_then(|n| self.file.sync_all().map(|()| n));
        let written = written.context("the image is not whole there")?;
        ensure!(written == bytes, "the image changed while it was written");
        self.made = false;
        Ok(bytes)
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        if self.made {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What is there, if it can take no image.
fn unfit(what: FileType) -> Option<&'static str> {
    match what {
        _ if what.is_file() || what.is_block_device() => None,
        _ if what.is_dir() => Some("a directory"),
        _ if what.is_char_device() => Some("a character device"),
        _ if what.is_fifo() => Some("a pipe"),
        _ => Some("a socket"),
    }
}

/// Where Linux tells about a block device (Documentation/ABI/stable/sysfs-block).
fn sys(device: u64) -> PathBuf {
    format!("/sys/dev/block/{}:{}", libc::major(device), libc::minor(device)).into()
}

/// Who uses a disk or a partition of it, as far as that can be found.
fn users(disk: u64) -> String {
    let numbers =
        |sys: &Path| fs::read_to_string(sys.join("dev")).ok().map(|text| text.trim().to_owned());
    let entries =
        |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let parts = entries(&sys(disk)).filter(|part| part.join("partition").exists());
    let all: Vec<PathBuf> = parts.chain([sys(disk)]).collect();
    let devices: Vec<String> = all.iter().filter_map(|sys| numbers(sys)).collect();
    let mut said = Vec::new();
    // proc(5), /proc/pid/mountinfo: its third field is the device, its fifth the place.
    for line in fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if let [_, _, device, _, place, ..] = fields[..]
            && devices.iter().any(|ours| ours == device)
        {
            said.push(format!("mounted at {place}"));
        }
    }
    for line in fs::read_to_string("/proc/swaps").unwrap_or_default().lines().skip(1) {
        let path = line.split_whitespace().next().unwrap_or_default();
        let rdev = fs::metadata(path).map_or(0, |m| m.rdev());
        if rdev != 0 && numbers(&sys(rdev)).is_some_and(|device| devices.contains(&device)) {
            said.push(format!("swap at {path}"));
        }
    }
    for holder in all.iter().flat_map(|sys| entries(&sys.join("holders"))) {
        said.push(format!("part of {}", holder.file_name().unwrap_or_default().display()));
    }
    if said.is_empty() {
        said.push("mounted elsewhere, or opened by another program".into());
    }
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;
    use std::sync::Mutex;

    /// A directory of the test's own.
    struct Dir(PathBuf);

    impl Dir {
        fn new(test: &str) -> Dir {
            let dir = std::env::temp_dir()
                .join(format!("executive-medium-{test}-{}", std::process::id()));
            fs::create_dir(&dir).unwrap();
            Dir(dir)
        }
        fn at(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
        /// An image of this length, no two blocks of it alike.
        fn image(&self, bytes: usize) -> (PathBuf, Vec<u8>) {
            let image: Vec<u8> = (0..bytes).map(|i| (i / 512 + i) as u8).collect();
            fs::write(self.at("image"), &image).unwrap();
            (self.at("image"), image)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// Puts the image there; the error is one line.
    fn put(image: &Path, to: &Path) -> Result<u64, String> {
        Medium::open(to).and_then(|medium| medium.take(image)).map_err(|e| format!("{e:#}"))
    }

    /// Runs a program; `None` if it fails.
    ///
    /// One at a time: until it has executed its program, a child has all files of this process
    /// open, such as one on a file system that another test unmounts.
    fn run(command: &[&str]) -> Option<String> {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
        let done = Command::new(command[0]).args(&command[1..]).output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    #[test]
    fn a_file_keeps_its_mode_its_names_and_its_links() {
        let dir = Dir::new("file");
        let (image, bytes) = dir.image(3000);
        fs::write(dir.at("file"), vec![7; 9000]).unwrap();
        fs::set_permissions(dir.at("file"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(dir.at("file"), dir.at("name")).unwrap();
        symlink("file", dir.at("link")).unwrap();
        assert_eq!(put(&image, &dir.at("link")), Ok(3000));
        assert!(fs::symlink_metadata(dir.at("link")).unwrap().is_symlink());
        assert_eq!(fs::metadata(dir.at("file")).unwrap().mode() & 0o777, 0o600);
        assert!(
            fs::read(dir.at("file")).unwrap() == bytes
                && fs::read(dir.at("name")).unwrap() == bytes
        );
    }

    #[test]
    fn where_nothing_is_comes_a_file_through_a_link_too_and_only_a_whole_one() {
        let dir = Dir::new("new");
        let (image, bytes) = dir.image(3000);
        symlink("new", dir.at("link")).unwrap();
        drop(Medium::open(&dir.at("link")).unwrap());
        assert!(!dir.at("new").exists() && fs::symlink_metadata(dir.at("link")).is_ok());
        assert_eq!(put(&image, &dir.at("link")), Ok(3000));
        assert!(fs::read(dir.at("new")).unwrap() == bytes);
        assert!(put(&image, &dir.at("no-such-directory/image")).is_err());
    }

    #[test]
    fn what_is_neither_file_nor_disk_is_refused_and_stays() {
        let dir = Dir::new("unfit");
        let (image, _) = dir.image(3000);
        assert!(put(&image, &dir.0).unwrap_err().contains("a directory"));
        run(&["mkfifo", dir.at("pipe").to_str().unwrap()]).expect("coreutils has mkfifo");
        assert!(put(&image, &dir.at("pipe")).unwrap_err().contains("a pipe"));
        assert!(fs::metadata(dir.at("pipe")).unwrap().file_type().is_fifo());
        symlink("/dev/full", dir.at("device")).unwrap();
        assert!(put(&image, &dir.at("device")).unwrap_err().contains("a character device"));
        assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_full_filesystem_is_told_and_no_half_image_is_left_as_a_new_file() {
        let dir = Dir::new("full");
        let (image, _) = dir.image(1 << 20);
        fs::create_dir(dir.at("small")).unwrap();
        let small = dir.at("small").to_str().unwrap().to_owned();
        if run(&["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", &small]).is_none() {
            return eprintln!("skipped: no file system can be mounted here");
        }
        let told = put(&image, &dir.at("small/image"));
        let left = dir.at("small/image").exists();
        run(&["umount", &small]).expect("it was mounted");
        assert!(told.unwrap_err().contains("not whole") && !left);
    }

    /// A loop device on a file; detached when dropped.
    struct Disk(String);

    impl Disk {
        fn new(contents: &Path) -> Option<Disk> {
            let disk = run(&["losetup", "--find", "--show", "--partscan", contents.to_str()?]);
            disk.map(Disk).filter(|disk| File::open(&disk.0).is_ok())
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            run(&["losetup", "--detach", &self.0]).expect("it was attached");
        }
    }

    /// Makes a node for a block device at `node`, for the test alone.
    fn make_node(node: &Path, sys: &Path) {
        let numbers = fs::read_to_string(sys.join("dev")).expect("Linux tells a device's numbers");
        let (major, minor) = numbers.trim().split_once(':').expect("two numbers");
        run(&["mknod", node.to_str().unwrap(), "b", major, minor])
            .expect("who can make a loop device can do that");
    }

    const SKIPPED: &str = "skipped: no loop device can be made here";

    #[test]
    fn a_disk_is_written_and_stays_a_disk_if_it_is_large_enough() {
        let dir = Dir::new("disk");
        let (image, bytes) = dir.image(100_000);
        for size in [4 << 20, 65536] {
            let (contents, node) = (dir.at(&format!("{size}.disk")), dir.at(&size.to_string()));
            fs::write(&contents, vec![0; size]).unwrap();
            let Some(disk) = Disk::new(&contents) else { return eprintln!("{SKIPPED}") };
            make_node(&node, &sys(fs::metadata(&disk.0).unwrap().rdev()));
            let told = put(&image, &node);
            assert!(fs::metadata(&node).unwrap().file_type().is_block_device());
            let there = fs::read(&node).unwrap();
            if size > bytes.len() {
                assert_eq!(told, Ok(100_000));
                assert!(
                    there.len() == size && there[..bytes.len()] == bytes,
                    "it is not what was written"
                );
            } else {
                assert!(told.unwrap_err().contains("100000 bytes, and the disk 65536"));
                assert!(there.iter().all(|&byte| byte == 0), "it was written in part");
            }
        }
    }

    #[test]
    fn a_disk_in_use_is_not_written_nor_is_a_partition() {
        let dir = Dir::new("used");
        let (image, _) = dir.image(100_000);
        fs::write(dir.at("contents"), vec![0; 4 << 20]).unwrap();
        let Some(disk) = Disk::new(&dir.at("contents")) else { return eprintln!("{SKIPPED}") };
        // By hand: the host's kernel may not read partition tables.
        run(&["addpart", &disk.0, "1", "2048", "4096"]).expect("util-linux has it");
        let whole = sys(fs::metadata(&disk.0).unwrap().rdev());
        let name = Path::new(&disk.0).file_name().unwrap().to_str().unwrap();
        let part = whole.join(format!("{name}p1"));
        make_node(&dir.at("disk"), &whole);
        make_node(&dir.at("part"), &part);
        assert!(put(&image, &dir.at("part")).unwrap_err().contains("a partition"));

        fs::create_dir(dir.at("place")).unwrap();
        let (part, place) = (dir.at("part"), dir.at("place"));
        let (part, place) = (part.to_str().unwrap(), place.to_str().unwrap());
        run(&["mkfs.ext4", "-q", part]).expect("e2fsprogs is there");
        run(&["mount", part, place])
            .expect("a disk can be mounted where a loop device can be made");
        let told = [put(&image, &dir.at("disk")), put(&image, &dir.at("part"))];
        run(&["umount", place]).expect("it was mounted");
        for told in told {
            assert!(
                told.as_ref().is_err_and(|t| t.contains(&format!("mounted at {place}"))),
                "{told:?}"
            );
        }
        assert_eq!(put(&image, &dir.at("disk")), Ok(100_000), "nobody uses it any more");
    }
}
