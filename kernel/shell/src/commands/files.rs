//! Files, as a person uses them (package `files`).

use super::{Args, Outcome, by_goroutines, words};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use files::embedded_io::{Read, Write};
use files::{File, FileType, Metadata};
use kernel::{print, println};

/// A name in one line, whatever is in it.
fn shown(name: &str) -> impl core::fmt::Display + '_ {
    name.escape_debug()
}

pub fn ls(args: &Args) -> Outcome {
    let path = args.word(0).unwrap_or("/");
    let Metadata { kind, length } = files::metadata(path).map_err(words)?;
    if kind != FileType::Dir {
        println!("{length:>12} {}", shown(path));
        return Ok(());
    }
    for entry in files::read_dir(path).map_err(words)? {
        if args.stopped() {
            break;
        }
        let name = shown(&entry.name);
        match entry.kind {
            FileType::Dir => println!("{:>12} {name}/", ""),
            FileType::File => match files::metadata(&format!("{path}/{}", entry.name)) {
                Ok(Metadata { length, .. }) => println!("{length:>12} {name}"),
                Err(error) => println!("{:>12} {name} ({})", "?", error.kind),
            },
            FileType::Symlink => println!("{:>12} {name} (a symbolic link)", ""),
            FileType::Other => println!("{:>12} {name} (no file)", ""),
        }
    }
    Ok(())
}

/// Text as it is shown: what a terminal would take for an order is a dot.
pub fn text(bytes: &mut [u8]) -> Cow<'_, str> {
    for byte in bytes.iter_mut() {
        if byte.is_ascii_control() && !b"\n\t".contains(byte) {
            *byte = b'.';
        }
    }
    String::from_utf8_lossy(bytes)
}

pub fn cat(args: &Args) -> Outcome {
    let file = File::open(args.words[0]).map_err(words)?;
    let (mut piece, mut at) = (vec![0; 4096], 0);
    let mut last = b'\n';
    while !args.stopped() {
        let n = file.read_at(&mut piece, at).map_err(words)?;
        if n == 0 {
            break;
        }
        at += n as u64;
        last = piece[n - 1];
        print!("{}", text(&mut piece[..n]));
    }
    if last != b'\n' {
        println!();
    }
    Ok(())
}

pub fn write(args: &Args) -> Outcome {
    files::write(args.words[0], (args.words[1..].join(" ") + "\n").as_bytes()).map_err(words)
}

pub fn cp(args: &Args) -> Outcome {
    let length = files::copy(args.words[0], args.words[1]).map_err(words)?;
    println!("{length} bytes");
    Ok(())
}

pub fn mkdir(args: &Args) -> Outcome {
    files::create_dir(args.words[0]).map_err(words)
}

pub fn rm(args: &Args) -> Outcome {
    files::remove(args.words[0]).map_err(words)
}

/// How much a goroutine writes at a time, in bytes: no divisor of a block or a cluster.
const PIECE: usize = 3000;

/// Byte `at` of file `n`, by a formula that the tests know too.
fn byte(n: u64, at: usize) -> u8 {
    ((at as u64 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Each goroutine writes a file of its own, and reads it again. All go on when one fails.
pub fn fill(args: &Args) -> Outcome {
    let n = args.number(1, 1, 1..=1000)?;
    let bytes = args.number(2, 1, 1..=1 << 20)? as usize * 1024;
    let directory = String::from(args.words[0]);
    by_goroutines(n, move |n| fill_one(&format!("{directory}/FILE{n}"), n, bytes))?;
    println!("{n} files of {bytes} bytes written, read and found the same");
    Ok(())
}

fn fill_one(path: &str, n: u64, bytes: usize) -> Outcome {
    let piece =
        |at: usize| -> Vec<u8> { (at..bytes.min(at + PIECE)).map(|at| byte(n, at)).collect() };
    let mut file = File::create(path).map_err(words)?;
    for at in (0..bytes).step_by(PIECE) {
        Write::write_all(&mut file, &piece(at)).map_err(words)?;
    }
    file.sync_all().map_err(words)?;
    drop(file);
    let mut file = File::open(path).map_err(words)?;
    for at in (0..bytes).step_by(PIECE) {
        let wanted = piece(at);
        let mut found = vec![0; wanted.len()];
        let read = Read::read_exact(&mut file, &mut found);
        if read.is_err() || found != wanted {
            return Err(format!("{path}: other bytes than were written, from {at} on"));
        }
    }
    Ok(())
}
