//! A kernel's ELF file -> a disk image that boots it, from BIOS and from UEFI alike.
//!
//! The disk has an MBR, the BIOS loader's second stage, and one FAT partition. The BIOS loader
//! reads the kernel there; UEFI firmware finds `EFI/BOOT/BOOTX64.EFI` there, as on any removable
//! medium. So the kernel is on the disk once. The partition's type is the BIOS loader's choice,
//! FAT with LBA. A type of 0xEF (an EFI system partition) would need a second partition with a
//! second kernel, and nobody asks for it: installation sticks of other systems have the same type.
//!
//! The BIOS reads the disk in small pieces, so the image must be small: debug information stays
//! out. What the kernel reads when it crashes comes in: the symbol table, and a line table of our
//! own (lines.rs).
//!
//! Rejected: the rewriter of the crate `object`, which moves sections of an executable. The
//! toolchain's llvm-objcopy, which `bootloader` needs anyway, does not.

use crate::lines;
use crate::medium::Medium;
use anyhow::{Context, Result, ensure};
use bootloader::{BootConfig, DiskImageBuilder};
use bootloader_boot_config::LevelFilter;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The image of `kernel`, beside it; made again only if the kernel or this tool is newer.
pub fn cached(kernel: &Path) -> Result<PathBuf> {
    let image = beside(kernel, "img");
    let tool = std::env::current_exe()?;
    if !(newer(&image, kernel) && newer(&image, &tool)) {
        // Moved there when it is whole, so that another run never sees half an image.
        make(kernel, None, |whole| Ok(fs::rename(whole, &image)?))
            .with_context(|| format!("cannot make the image {}", image.display()))?;
    }
    Ok(image)
}

/// A file beside `kernel`, whose whole name it keeps: `kernel.old` and `kernel.new` share none.
fn beside(kernel: &Path, what: &str) -> PathBuf {
    let mut name = kernel.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

fn newer(a: &Path, b: &Path) -> bool {
    let time = |p: &Path| fs::metadata(p).and_then(|m| m.modified()).ok();
    matches!((time(a), time(b)), (Some(a), Some(b)) if a > b)
}

/// Writes the image, with this ramdisk, to the file or disk at `path`. Returns its length in bytes.
pub fn write(kernel: &Path, ramdisk: Option<&[u8]>, path: &Path) -> Result<u64> {
    let written =
        Medium::open(path).and_then(|medium| make(kernel, ramdisk, |image| medium.take(image)));
    written.with_context(|| format!("cannot write the image to {}", path.display()))
}

/// Makes the image in a file beside the kernel; the file is removed after `take`.
pub fn make<T>(
    kernel: &Path,
    ramdisk: Option<&[u8]>,
    take: impl FnOnce(&Path) -> Result<T>,
) -> Result<T> {
    let part = |what: &str| beside(kernel, &format!("{}.{what}", std::process::id()));
    let (small, whole, loaded) = (part("elf"), part("part"), part("ramdisk"));
    let (table, uefi) = (part("lines"), part("uefi"));
    let taken = (|| {
        fs::write(&table, lines::table(kernel)?)?;
        strip_debug(kernel, &small, &table)?;
        let mut builder = DiskImageBuilder::new(small.clone());
        builder.set_boot_config(&quiet());
        if let Some(bytes) = ramdisk {
            fs::write(&loaded, bytes)?;
            builder.set_ramdisk(loaded.clone());
        }
        // The crate gives its UEFI loader away only so: in a folder, as for a network boot.
        DiskImageBuilder::empty().create_uefi_tftp_folder(&uefi)?;
        builder.set_file("efi/boot/bootx64.efi".into(), uefi.join("bootloader"));
        builder.create_bios_image(&whole)?;
        take(&whole)
    })();
    for leftover in [table, small, whole, loaded] {
        let _ = fs::remove_file(leftover); // some were not made, or were moved
    }
    let _ = fs::remove_dir_all(uefi);
    taken
}

/// The serial line belongs to the kernel: the bootloader writes there only when something is wrong.
fn quiet() -> BootConfig {
    let mut config = BootConfig::default();
    config.log_level = LevelFilter::Warn;
    config
}

/// Copies an ELF file without its debug information, but with its symbols, and with this file as
/// its line table.
pub fn strip_debug(from: &Path, to: &Path, table: &Path) -> Result<()> {
    ensure!(from.is_file(), "there is no kernel at {}", from.display());
    let objcopy = llvm_tools::LlvmTools::new()
        .ok()
        .and_then(|tools| tools.tool(&llvm_tools::exe("llvm-objcopy")))
        .context("llvm-objcopy is missing: `rustup component add llvm-tools`")?;
    let lines = format!("--add-section={}={}", lines::SECTION, table.display());
    let done = Command::new(objcopy).args(["--strip-debug", &lines]).args([from, to]).output()?;
    ensure!(done.status.success(), "llvm-objcopy: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kernel_has_an_image_of_its_own() {
        let image = |kernel: &str| beside(Path::new(kernel), "img");
        assert_eq!(image("out/kernel"), Path::new("out/kernel.img"));
        assert_eq!(image("out/kernel.old"), Path::new("out/kernel.old.img"));
    }
}
