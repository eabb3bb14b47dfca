//! Archives in memory, and what `files` says of paths.

use crate::Random;
use files::{ErrorKind, FileSystem, FileType, OpenOptions, Ramdisk};

/// A header, and what comes after it.
pub fn member(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    sign(&mut header);
    header.extend(data);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn sign(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn archive() -> Vec<u8> {
    let long = "long/".to_owned() + &"n".repeat(200);
    [
        member("./", b'5', b""),
        member("./a.txt", b'0', b"one"),
        member("d/", b'5', b""),
        member("deep/er/x", b'0', &[7; 1000]),
        member("link", b'2', b""),
        member("././@LongLink", b'L', (long + "\0").as_bytes()),
        member("long/nnn", b'0', b"two"),
        member("a.txt", b'0', b"three"), // in place of the first
        vec![0; 1024],
    ]
    .concat()
}

fn all_of(bytes: Vec<u8>) -> Result<Ramdisk, String> {
    Ramdisk::new(bytes.leak()).map_err(|error| error.to_string())
}

pub fn an_archive_is_a_tree() {
    files::mount("tree", all_of(archive()).unwrap()).unwrap();
    let listed = |path| -> Vec<_> {
        let entries = files::read_dir(path).unwrap().into_iter();
        entries.map(|entry| (entry.name, entry.kind)).collect()
    };
    let names = [("a.txt", FileType::File), ("d", FileType::Dir), ("deep", FileType::Dir)];
    let names = names.into_iter().chain([("long", FileType::Dir)]);
    assert_eq!(listed("/tree"), names.map(|(n, k)| (n.to_owned(), k)).collect::<Vec<_>>());
    assert_eq!(listed("tree/d"), []);
    assert_eq!(listed("/"), [("tree".to_owned(), FileType::Dir)]);
    assert_eq!(files::read("/tree/./d/../a.txt").unwrap(), b"three");
    assert_eq!(files::read("/tree/deep/er/x").unwrap(), [7; 1000]);
    assert_eq!(files::read(&format!("/tree/long/{}", "n".repeat(200))).unwrap(), b"two");
    assert_eq!(files::metadata("/tree/a.txt").unwrap().length, 5);
}

pub fn an_archive_may_be_damaged() {
    let whole = archive();
    for (damage, told) in [
        (whole[..whole.len() - 1024 - 600].to_vec(), "ends in the middle"),
        (whole[..1536 + 100].to_vec(), "ends in the middle"),
        (whole[..2560 + 500].to_vec(), "at byte 2048: a file is longer"),
        ([&whole[..100], b"x", &whole[101..]].concat(), "at byte 0: the checksum"),
        (member("x", b'0', b"")[..200].to_vec(), "ends in the middle"),
        (member("../x", b'0', b"").to_vec(), "a name is none"),
        (
            [member("x", b'0', b""), member("x/y", b'0', b"")].concat(),
            "both a file and a directory",
        ),
    ] {
        let error = all_of(damage).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
    let (mut random, mut good, mut bad) = (Random(1), 0, 0);
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }
        bytes.truncate(bytes.len() - random.below(3) * random.below(bytes.len()) / 2);
        // So that more than the checksum is tried.
        for header in (0..bytes.len() / 512).map(|n| n * 512) {
            if &bytes[header + 257..header + 262] == b"ustar" && random.below(10) != 0 {
                sign(&mut bytes[header..header + 512]);
            }
        }
        match all_of(bytes) {
            Ok(disk) => {
                good += 1;
                walk(&disk, &mut Vec::new());
            }
            Err(_) => bad += 1,
        }
    }
    assert!(good > 100 && bad > 100, "{good} {bad}");
}

/// Reads everything.
fn walk(system: &dyn FileSystem, path: &mut Vec<String>) {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    for entry in system.read_dir(&names).unwrap() {
        path.push(entry.name);
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        match entry.kind {
            FileType::Dir => walk(system, path),
            _ => {
                let file = system.open(&names, OpenOptions::new().read(true)).unwrap();
                let length = file.length().unwrap();
                assert_eq!(file.read_at(&mut vec![0; 4096], 0).unwrap() as u64, length.min(4096));
            }
        }
        path.pop();
    }
}

pub fn what_goes_wrong_is_told() {
    use ErrorKind::*;
    let long = "x".repeat(256);
    for (result, kind, told) in [
        (files::read("/tree/none"), NotFound, "open /tree/none: no such file or directory"),
        (files::read("/nowhere/x"), NotFound, "open /nowhere/x: no such"),
        (files::read("/tree/a.txt/x"), NotADirectory, "not a directory"),
        (files::read("/tree/d"), IsADirectory, "it is a directory"),
        (files::read("/tree"), IsADirectory, "it is a directory"),
        (files::read(""), IsADirectory, "open : it is a directory"),
        (files::read(&long), InvalidFilename, "xx..: no file can have this name"),
        (files::read("/tree/\x1b[2J\n"), NotFound, r"open /tree/\u{1b}[2J\n: no such"),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.to_string().contains(told), "{error}");
    }
    for result in [
        files::write("/tree/new", b""),
        files::create_dir("/tree/new"),
        files::remove("/tree/a.txt"),
    ] {
        assert_eq!(result.unwrap_err().kind, ReadOnlyFilesystem);
    }
    let again = files::mount("tree", all_of(vec![]).unwrap()).unwrap_err();
    assert_eq!(again.kind, AlreadyExists);
    for name in ["", ".", "..", "a/b", "/", &long] {
        let error = files::mount(name, all_of(vec![]).unwrap()).unwrap_err();
        assert_eq!(error.kind, InvalidFilename, "{name}");
    }
    assert_eq!(OpenOptions::new().open("/tree/a.txt").unwrap_err().kind, InvalidInput);
}
