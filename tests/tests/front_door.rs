//! qemu-run.sh, as a person meets it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

fn qemu_run(args: &[&str]) -> Output {
    Command::new(root().join("qemu-run.sh"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("qemu-run.sh starts")
}

#[test]
fn what_is_wrong_is_told_in_one_line_with_status_2() {
    for args in [
        &["--frob"][..],
        &["sieve"],
        &["--smp"],
        &["--smp", "0"],
        &["--smp", "many"],
        &["--smp", "257"],
        &["--smp", "99999999999999999999"],
        &["--net", "80:http"],
        &["--net", "80"],
        &["--tap", "no-such-device"],
        &["--disk"],
        &["--disk", "/no/such/file"],
        &["--mem", "0"],
        &["--mem", "64Q"],
        &["--timeout", "1e30"],
        &["--timeout", &"9".repeat(30)],
        &["--timeout", "0"],
        &["--run", &"sieve 30;".repeat(600)],
        &["--timeout", "soon"],
        &["--example", "no-such-example"],
        &["--image", "/no/such/directory/image"],
        &["--run"],
    ] {
        let got = qemu_run(args);
        let said = String::from_utf8_lossy(&got.stderr);
        assert_eq!(got.status.code(), Some(2), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(got.stdout.is_empty());
    }
}

#[test]
fn help_names_every_option() {
    let got = qemu_run(&["--help"]);
    let said = String::from_utf8_lossy(&got.stdout);
    assert!(got.status.success());
    for option in [
        "--smp",
        "--mem",
        "--uefi",
        "--run",
        "--timeout",
        "--net",
        "--tap",
        "--gdb",
        "--icount",
        "--bare",
        "--example",
        "--image",
        "--help",
        "-- ",
    ] {
        assert!(said.contains(option), "{option} is missing in\n{said}");
    }
}

#[test]
fn it_runs_commands_with_commas_and_hands_the_status_on() {
    let got = qemu_run(&["--smp", "2", "--timeout", "60", "--run", "sieve 100; exit 9"]);
    let said = String::from_utf8_lossy(&got.stdout);
    assert!(said.contains("is 541"), "{said}");
    assert_eq!(got.status.code(), Some(9), "{said}");
}

#[test]
fn an_input_that_cannot_be_read_is_told_and_ends_the_machine() {
    let got = Command::new(root().join("qemu-run.sh"))
        .args(["--timeout", "60"])
        .stdin(File::open("/").expect("there is a root directory"))
        .output()
        .expect("qemu-run.sh starts");
    let said = String::from_utf8_lossy(&got.stderr);
    assert_eq!(got.status.code(), Some(126), "{said}");
    assert!(said.contains("cannot read what is to be typed"), "{said}");
}

#[test]
fn a_machine_that_does_not_end_is_ended() {
    let got = qemu_run(&["--timeout", "0.5", "--run", "sieve 100"]);
    let said = String::from_utf8_lossy(&got.stderr);
    assert_eq!(got.status.code(), Some(124), "{said}");
    assert!(said.contains("--timeout"), "{said}");
}

/// A path of this process's own.
fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("executive-{}-{name}", std::process::id()))
}

#[test]
fn an_image_carries_its_command_line_to_a_machine_that_has_no_fw_cfg_item() {
    // Through a link, into a file that is there: both stay what they are.
    let (image, link) = (scratch("image"), scratch("link"));
    fs::write(&image, "old")
        .and_then(|()| fs::set_permissions(&image, Permissions::from_mode(0o600)))
        .unwrap();
    symlink(&image, &link).unwrap();
    let made = qemu_run(&["--image", link.to_str().expect("UTF-8"), "--run", "sieve 100; exit 3"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = String::from_utf8_lossy(&made.stdout);
    let file = fs::metadata(&image).expect("it is there");
    assert!(said.contains(&format!("{} bytes were written", file.len())), "{said}");
    assert_eq!(file.mode() & 0o777, 0o600);
    assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
    let drive = format!("format=raw,file={}", image.display());
    let got = Command::new("timeout")
        .args([
            "60",
            "qemu-system-x86_64",
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-m",
            "256M",
            "-no-reboot",
        ])
        .args([
            "-display",
            "none",
            "-serial",
            "stdio",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=4",
        ])
        .args(["-drive", &drive])
        .stdin(Stdio::null())
        .output()
        .expect("QEMU starts");
    for file in [image, link] {
        fs::remove_file(file).expect("it was there");
    }
    let said = String::from_utf8_lossy(&got.stdout);
    assert!(said.contains("is 541"), "{said}");
    assert_eq!(got.status.code(), Some((0x10 + 3) << 1 | 1), "{said}");
}

#[test]
fn an_image_does_not_take_the_place_of_a_device() {
    // Another /dev/null: should it be replaced, nobody misses it.
    let node = scratch("null");
    let made = Command::new("mknod")
        .arg(&node)
        .args(["c", "1", "3"])
        .output()
        .expect("coreutils has mknod");
    if !made.status.success() {
        return eprintln!("skipped: no device node can be made here");
    }
    let got = qemu_run(&["--image", node.to_str().expect("UTF-8")]);
    let left = fs::metadata(&node).expect("it was there").file_type();
    fs::remove_file(&node).expect("it was there");
    let said = String::from_utf8_lossy(&got.stderr);
    assert_eq!(got.status.code(), Some(126), "{said}");
    assert!(said.contains("a character device") && left.is_char_device(), "{said}");
}
