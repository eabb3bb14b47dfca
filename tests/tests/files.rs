//! Files: those that were loaded with the kernel, a directory of the host, a FAT disk. On both
//! boards and both firmwares; the host finds what goroutines have written, byte for byte.

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tests::{Boot, boots};

/// A directory of this test's own. Dropped, it is removed.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("executive-{}.{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory can be made");
        Directory(path)
    }

    fn with(self, files: &[(&str, &[u8])]) -> Directory {
        for (name, bytes) in files {
            fs::write(self.0.join(name), bytes).expect("a file can be written");
        }
        self
    }

    /// A file in it that is an empty FAT disk, with clusters of so many bytes.
    fn disk(&self, mib: u64, cluster: u32) -> PathBuf {
        let path = self.0.join("disk.img");
        let options = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let mut file = options.expect("a file can be made");
        file.set_len(mib << 20).expect("it has room");
        let small = FormatVolumeOptions::new().fat_type(FatType::Fat16).bytes_per_cluster(cluster);
        fatfs::format_volume(&mut file, small).expect("it can be formatted");
        path
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What another file system finds on the disk.
fn on_disk(disk: &Path, name: &str) -> Vec<u8> {
    let file = fs::File::open(disk).expect("the disk is there");
    let volume = FileSystem::new(file, FsOptions::new()).expect("it is a FAT volume");
    let mut read = Vec::new();
    let mut file = volume.root_dir().open_file(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    file.read_to_end(&mut read).expect("it can be read");
    read
}

/// What the command `files` writes (kernel/shell/src/commands/files.rs).
fn content(n: u64, bytes: usize) -> Vec<u8> {
    let byte = |at: u64| ((at + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    (0..bytes as u64).map(byte).collect()
}

/// The board, with the device that ends it.
fn board(board: &str) -> Boot {
    boots()
        .bare()
        .qemu(&["-machine", board, "-cpu", "max", "-vga", "std"])
        .qemu(&["-device", "ide-hd,drive=image,bootindex=0"])
        .qemu(&["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
}

/// Goroutines read what was loaded, and write to the host and to the disk, under stress.
fn reads_and_writes(name: &str, boot: Boot) {
    const KIB: usize = 24;
    let long = "a name that is longer than thirteen letters";
    let loaded = Directory::new(&format!("{name}.ram"));
    fs::create_dir(loaded.0.join("below")).expect("a directory can be made");
    let loaded = loaded.with(&[("hello", b"from the host\n"), ("below/all", &content(9, 100_001))]);
    let share = Directory::new(&format!("{name}.share")).with(&[(long, b"in /share\n")]);
    let place = Directory::new(&format!("{name}.disk"));
    let disk = place.disk(16, 2048);
    boot.share(&share.0)
        .disk(&disk)
        .ramdisk(&loaded.0)
        .run(&format!(
            "ls; ls /ram; cat /ram/hello; ls /share; \
             cp /ram/below/all /share/all; cp /share/all /disk/all; \
             mkdir /disk/logs; mkdir /share/logs; write /disk/logs/1.txt on the disk; \
             cp /disk/logs/1.txt /share/logs/1; cat /share/logs/1; \
             beside-stress files /share 8 {KIB}; beside-stress files /disk 8 {KIB}; \
             rm /share/FILE0; rm /disk/FILE0; ls /disk"
        ))
        .says("disk/")
        .says("ram/")
        .says("share/")
        .says("below/\n")
        .says("14 hello")
        .says("from the host\n")
        .says(&format!("10 {long}"))
        .says("100001 bytes")
        .says("on the disk\n")
        .says(&format!("8 files of {} bytes", KIB << 10))
        .says("rounds of stress beside it")
        .says(&format!("8 files of {} bytes", KIB << 10))
        .says("100001 ALL\n")
        .never_says(" FILE0\n")
        .ok();
    for n in 1..8 {
        let wanted = content(n, KIB << 10);
        assert!(share.read(&format!("FILE{n}")) == wanted, "file {n} of the share is not right");
        assert!(on_disk(&disk, &format!("FILE{n}")) == wanted, "file {n} of the disk is not right");
    }
    assert!(share.read("all") == content(9, 100_001), "the copy in the share is not right");
    assert!(on_disk(&disk, "ALL") == content(9, 100_001), "the copy on the disk is not right");
    assert_eq!(share.read("logs/1"), b"on the disk\n");
    assert_eq!(on_disk(&disk, "logs/1.txt"), b"on the disk\n");
    assert!(!share.0.join("FILE0").exists());
}

#[test]
fn q35_reads_and_writes_files() {
    reads_and_writes("q35", boots().smp(4));
}

#[test]
fn q35_with_uefi_and_one_cpu_reads_and_writes_files() {
    reads_and_writes("q35-uefi", boots().smp(1).uefi());
}

#[test]
fn an_old_board_reads_and_writes_files() {
    reads_and_writes("pc", board("pc").smp(1));
}

#[test]
fn an_old_board_with_uefi_and_four_cpus_reads_and_writes_files() {
    reads_and_writes("pc-uefi", board("pc").smp(4).uefi());
}

/// Each is told in words, and the rest goes on.
#[test]
fn what_cannot_be_done_with_files_is_told() {
    let share = Directory::new("wrong.share").with(&[("x", b"1")]);
    let read_only = Directory::new("wrong.ro").with(&[("x", b"read only\n")]);
    let place = Directory::new("wrong.disk");
    let disk = place.disk(3, 512);
    {
        // Nearly full.
        let file = fs::OpenOptions::new().read(true).write(true).open(&disk).expect("it is there");
        let volume = FileSystem::new(file, FsOptions::new()).expect("it is a FAT volume");
        let mut big = volume.root_dir().create_file("big").expect("a file can be made");
        big.write_all(&vec![1; (3 << 20) - (250 << 10)]).expect("it has room");
    }
    let path = read_only.0.display();
    boots()
        .smp(2)
        .share(&share.0)
        .disk(&disk)
        .qemu(&["-fsdev", &format!("local,id=ro,security_model=none,readonly=on,path={path}")])
        .qemu(&["-device", "virtio-9p-pci,fsdev=ro,mount_tag=fixed"])
        .run(
            "cat /fixed/x; write /fixed/y no; mkdir /fixed/d; rm /fixed/x; \
             cat /share/none; ls /share/x/y; cat /share; mkdir /share/x; rm /share/none; \
             files /disk 2 300; rm /disk/FILE0; rm /disk/FILE1; write /disk/after room again; \
             cat /disk/after; write /disk/toolonganame x; cat /none/x; ls ../..; sieve 30",
        )
        .says("read only\n")
        .says("write: open /fixed/y: the file system is read-only")
        .says("mkdir: mkdir /fixed/d: the file system is read-only")
        .says("rm: remove /fixed/x: the file system is read-only")
        .says("cat: open /share/none: no such file or directory")
        .says("cat: open /share: it is a directory")
        .says("mkdir: mkdir /share/x: it exists already")
        .says("rm: remove /share/none: no such file or directory")
        .says("goroutines failed; write /disk/FILE")
        .says("no space is left")
        .says("room again\n")
        .says("write: open /disk/toolonganame: no file can have this name")
        .says("cat: open /none/x: no such file or directory")
        .says("is 113")
        .dies(1);
}

/// A file is removed by the host while the kernel uses it; then the directory is.
#[test]
fn what_the_host_takes_away_is_told() {
    let share = Directory::new("gone").with(&[("x", b"here\n")]);
    let mut console = boots().smp(2).share(&share.0).console();
    assert!(console.does("cat /share/x").contains("here"));
    fs::remove_file(share.0.join("x")).expect("it was there");
    assert!(console.does("cat /share/x").contains("open /share/x: no such file"));
    fs::remove_dir_all(&share.0).expect("it was there");
    console.does("ls /share"); // empty, or an error: the host's choice
    for command in ["write /share/y no", "mkdir /share/d"] {
        let said = console.does(command);
        assert!(said.contains("/share/") && said.contains("no such file"), "{command}: {said}");
    }
    assert!(console.does("sieve 30").contains("is 113"));
    console.ends_with("exit 0", 0);
}

/// Neither an archive that is none nor a disk that has something else on it is in the way.
#[test]
fn a_disk_with_something_else_is_left_alone() {
    let place = Directory::new("else").with(&[("disk", &content(3, 1 << 20))]);
    boots()
        .smp(1)
        .disk(&place.0.join("disk"))
        .run("ls; cat /disk/x; sieve 30")
        .says("cat: open /disk/x: no such file or directory")
        .says("is 113")
        .dies(1);
    assert!(place.read("disk") == content(3, 1 << 20), "it was written to");
}
