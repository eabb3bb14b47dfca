//! Where this host keeps OVMF, QEMU's UEFI firmware. Distributions do not agree, so this is a list.

use anyhow::{Context, Result};
use std::path::Path;

/// Code and variable store as two flash chips.
const FLASH: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"), // Debian, Ubuntu
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),       // older ones; Fedora
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"), // Arch
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"), // Fedora
];

/// QEMU's arguments for UEFI. The host's files are not written: the store is a throw-away copy.
pub fn uefi() -> Result<Vec<String>> {
    let (code, vars) = FLASH
        .iter()
        .find(|(code, vars)| Path::new(code).exists() && Path::new(vars).exists())
        .context("no UEFI firmware found: `apt-get install ovmf`")?;
    Ok(vec![
        "-drive".into(),
        format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"),
        "-drive".into(),
        format!("if=pflash,unit=1,format=raw,snapshot=on,file={vars}"),
    ])
}
