//! What the bootloader loads beside the kernel: the command line, and files.
//!
//! The command line comes first. If there are files, a NUL follows it, and behind that a tar of
//! them. The kernel takes the two apart (kernel/src/fwcfg.rs).

use anyhow::{Context, Result, ensure};
use std::path::Path;
use tar::{Builder, HeaderMode};

/// `None`: there is nothing to be loaded.
pub fn make(command_line: Option<&str>, files: Option<&Path>) -> Result<Option<Vec<u8>>> {
    let mut ramdisk: Vec<u8> = command_line.unwrap_or_default().into();
    if let Some(files) = files {
        ramdisk.push(0);
        ramdisk = archive(files, ramdisk)
            .with_context(|| format!("cannot make a ramdisk of {}", files.display()))?;
    }
    Ok((!ramdisk.is_empty()).then_some(ramdisk))
}

/// All that is in the directory; of a symbolic link, what it leads to.
fn archive(directory: &Path, into: Vec<u8>) -> Result<Vec<u8>> {
    ensure!(directory.is_dir(), "it is no directory");
    let mut tar = Builder::new(into);
    tar.mode(HeaderMode::Deterministic);
    tar.append_dir_all("", directory)?;
    Ok(tar.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramdisk_is_the_command_line_and_an_archive() {
        assert_eq!(make(None, None).unwrap(), None);
        assert_eq!(make(Some("sieve 1"), None).unwrap(), Some(b"sieve 1".to_vec()));
        let files = std::env::temp_dir().join(format!("ramdisk-{}", std::process::id()));
        std::fs::create_dir_all(files.join("empty")).unwrap();
        std::fs::write(files.join("a"), "one").unwrap();
        let made = make(Some("x"), Some(&files)).unwrap().unwrap();
        std::fs::remove_dir_all(&files).unwrap();
        assert_eq!(&made[..2], b"x\0");
        let mut tar = tar::Archive::new(&made[2..]);
        let entries =
            tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned());
        let mut names: Vec<_> = entries.filter(|path| path != Path::new("")).collect();
        names.sort();
        assert_eq!(names, [Path::new("a"), Path::new("empty")]);
        let error = make(None, Some(Path::new("/nowhere"))).unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere: it is no directory"), "{error:#}");
    }
}
