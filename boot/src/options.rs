//! What the person asked for. qemu-run.sh passes most of its options on, so these are its options
//! too.

use lexopt::prelude::*;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

/// How long a run without a person may take, by default.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(300);

pub const USAGE: &str = "\
usage: boot --kernel ELF [OPTIONS] [-- QEMU-ARGUMENTS]
  --kernel ELF      the kernel to boot
  --smp N           CPUs (default: twice the host's, at most 4)
  --mem SIZE        memory, as QEMU writes it: 64M, 2G (default 512M)
  --uefi            boot from UEFI (default: BIOS)
  --run \"A; B\"      run these console commands, then power off; status 0 only if all succeeded
  --timeout SECONDS end the machine after so long, status 124
                    (default: 300 without a person, otherwise never)
  --disk FILE       a disk more, which holds what the file does; may be given more than once
  --share DIR       a directory of this machine, which the kernel reads and writes: /share
  --net [HOSTPORT:PORT...]
                    a network card (virtio): the kernel reaches this machine (10.0.2.2) and the
                    outside, and HOSTPORT here leads to the kernel's PORT
  --tap NAME        a network card (virtio) at this TAP device, with a queue for each CPU if the
                    device has several
  --ramdisk DIR     load what is in this directory with the kernel: its files are in /ram
  --gdb             wait for a debugger on port 1234
  --icount          its time is the instructions executed, 1 ns each, and repeats: for `count`
  --bare            QEMU's machine is what follows --: its board, CPUs' kind, devices, and how it
                    sees the disk, a drive called `image`
  --image PATH      only write the disk image, to a file or to a whole disk that nobody uses;
                    --run and --ramdisk go into it";

#[derive(Debug, Default, PartialEq)]
pub struct Options {
    pub kernel: PathBuf,
    /// 0: not given.
    pub smp: usize,
    pub mem: Option<String>,
    pub uefi: bool,
    pub run: Option<String>,
    pub timeout: Option<Duration>,
    /// Disks beside the image.
    pub disks: Vec<PathBuf>,
    /// A directory that the kernel reads and writes.
    pub share: Option<PathBuf>,
    /// A network card: ports of this machine, and the kernel's that they lead to.
    pub net: Option<Vec<(u16, u16)>>,
    /// A network card at a TAP device.
    pub tap: Option<String>,
    /// A directory whose files are loaded with the kernel.
    pub ramdisk: Option<PathBuf>,
    pub gdb: bool,
    pub icount: bool,
    pub bare: bool,
    pub image: Option<PathBuf>,
    /// Passed to QEMU unchanged.
    pub rest: Vec<OsString>,
}

/// `None`: the person wants [`USAGE`].
pub fn parse(
    args: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Option<Options>, lexopt::Error> {
    let mut o = Options::default();
    let mut args = lexopt::Parser::from_iter(args);
    loop {
        if let Some(raw) = args.try_raw_args()
            && raw.peek().is_some_and(|a| a == "--")
        {
            o.rest = raw.skip(1).collect();
            break;
        }
        let Some(arg) = args.next()? else { break };
        match arg {
            Long("kernel") => o.kernel = args.value()?.into(),
            Long("smp") => o.smp = args.value()?.parse_with(cpus)?,
            Long("mem") => o.mem = Some(args.value()?.parse_with(memory)?),
            Long("uefi") => o.uefi = true,
            Long("run") => o.run = Some(commands(args.value()?.string()?)?),
            Long("timeout") => o.timeout = Some(args.value()?.parse_with(seconds)?),
            Long("disk") => o.disks.push(args.value()?.into()),
            Long("share") => o.share = Some(args.value()?.into()),
            Long("net") => {
                let all = o.net.get_or_insert_default();
                let mut raw = args.try_raw_args().ok_or("--net: ports follow without `=`")?;
                while let Some(word) = raw.next_if(|word| forwards(word).is_some()) {
                    all.push(forward(&word)?);
                }
            }
            Long("tap") => o.tap = Some(args.value()?.string()?),
            Long("ramdisk") => o.ramdisk = Some(args.value()?.into()),
            Long("gdb") => o.gdb = true,
            Long("icount") => o.icount = true,
            Long("bare") => o.bare = true,
            Long("image") => o.image = Some(args.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    if o.kernel.as_os_str().is_empty() {
        return Err("which kernel? (--kernel ELF)".into());
    }
    Ok(Some(o))
}

/// The longest command line that the kernel keeps (kernel/src/fwcfg.rs).
const MOST: usize = 4096;

fn commands(line: String) -> Result<String, lexopt::Error> {
    match line.len() {
        _ if line.trim().is_empty() => Err("--run needs a command".into()),
        ..=MOST => Ok(line),
        n => Err(format!("--run: {n} bytes are more than the {MOST} that the kernel keeps").into()),
    }
}

/// The most CPUs that the kernel starts (`MAX_CPUS` of the executive); QEMU does not have many
/// more.
const MOST_CPUS: usize = 256;

fn cpus(s: &str) -> Result<usize, String> {
    let n = s.parse().ok().filter(|n| (1..=MOST_CPUS).contains(n));
    n.ok_or(format!("a number of CPUs from 1 to {MOST_CPUS} is needed"))
}

/// The two words of `HOSTPORT:PORT`, if that is what it is meant to be.
fn forwards(word: &OsStr) -> Option<(&str, &str)> {
    word.to_str().filter(|word| !word.starts_with('-'))?.split_once(':')
}

fn forward(word: &OsStr) -> Result<(u16, u16), String> {
    let port = |s: &str| s.parse().ok().filter(|&port| port > 0);
    let (here, there) = forwards(word).unwrap_or_default();
    let ports = port(here).zip(port(there));
    ports.ok_or(format!("two ports such as 8080:80 are needed, not {word:?}"))
}

fn memory(s: &str) -> Result<String, String> {
    let number = s.strip_suffix(['K', 'M', 'G', 'k', 'm', 'g']).unwrap_or(s);
    match number.parse::<u32>() {
        Ok(n) if n > 0 => Ok(s.into()),
        _ => Err("a size such as 64M or 2G is needed".into()),
    }
}

fn seconds(s: &str) -> Result<Duration, String> {
    let n = s.parse().ok().filter(|&n: &f64| n > 0.0);
    n.and_then(|n| Duration::try_from_secs_f64(n).ok())
        .ok_or("a number of seconds is needed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &[&str]) -> Result<Option<Options>, String> {
        parse(["boot", "--kernel", "k"].iter().chain(line).copied()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_follows_two_dashes_is_qemus() {
        let o = of(&["--smp", "3", "--", "-display", "gtk", "--smp"]).unwrap().unwrap();
        assert_eq!((o.smp, o.rest), (3, ["-display", "gtk", "--smp"].map(OsString::from).to_vec()));
    }

    #[test]
    fn there_may_be_several_disks() {
        let o = of(&["--disk", "a", "--disk", "b,c"]).unwrap().unwrap();
        assert_eq!(o.disks, ["a", "b,c"].map(PathBuf::from));
    }

    #[test]
    fn ports_follow_net() {
        let net = |line: &[&str]| of(line).unwrap().unwrap().net;
        assert_eq!(net(&["--smp", "1"]), None);
        assert_eq!(net(&["--net", "--smp", "1"]), Some(vec![]));
        assert_eq!(net(&["--net", "8080:80", "7:7"]), Some(vec![(8080, 80), (7, 7)]));
        assert_eq!(net(&["--net", "--", "a:b"]), Some(vec![]));
    }

    #[test]
    fn a_command_may_hold_anything() {
        let o = of(&["--run", "spawn 5, 6; --smp=\"x\""]).unwrap().unwrap();
        assert_eq!(o.run.unwrap(), "spawn 5, 6; --smp=\"x\"");
        assert!(of(&["--run", " "]).is_err() && of(&["--run", &"é".repeat(2049)]).is_err());
        assert!(of(&["--run", &"é".repeat(2048)]).is_ok());
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        for line in [
            &["--frob"][..],
            &["stray"],
            &["--smp"],
            &["--smp", "0"],
            &["--smp", "257"],
            &["--smp", "18446744073709551616"],
            &["--smp", "x"],
            &["--disk"],
            &["--share"],
            &["--net", "80"],
            &["--net", "80:"],
            &["--net", "0:80"],
            &["--net", "80:65536"],
            &["--net=80:80"],
            &["--tap"],
            &["--ramdisk"],
            &["--mem", "0"],
            &["--mem", "M"],
            &["--mem", "64Q"],
            &["--timeout", "-1"],
            &["--timeout", "soon"],
            &["--timeout", "inf"],
            &["--timeout", "nan"],
            &["--timeout", "0"],
            &["--timeout", "1e30"],
            &["--uefi=yes"],
        ] {
            let told = of(line).expect_err(&format!("{line:?} was taken"));
            assert!(!told.is_empty() && !told.contains('\n'), "{told}");
        }
        assert!(parse(["boot"]).is_err(), "no kernel");
    }
}
