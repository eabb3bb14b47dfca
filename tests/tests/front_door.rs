//! qemu-run.sh, as a person meets it.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

fn qemu_run(args: &[&str]) -> Output {
    Command::new(root().join("qemu-run.sh")).args(args).stdin(Stdio::null()).output().expect("qemu-run.sh starts")
}

#[test]
fn what_is_wrong_is_told_in_one_line_with_status_2() {
    for args in [
        &["--frob"][..],
        &["sieve"],
        &["--smp"],
        &["--smp", "0"],
        &["--smp", "many"],
        &["--mem", "64Q"],
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
    for option in
        ["--smp", "--mem", "--uefi", "--run", "--timeout", "--gdb", "--icount", "--example", "--image", "--help", "-- "]
    {
        assert!(said.contains(option), "{option} is missing in\n{said}");
    }
}

#[test]
fn it_runs_commands_with_commas_and_hands_the_status_on() {
    let got = qemu_run(&["--smp", "2", "--timeout", "60", "--run", "sieve 100; exit 9"]);
    let said = String::from_utf8_lossy(&got.stdout);
    assert!(said.contains("541"), "{said}");
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

#[test]
fn an_image_carries_its_command_line_to_a_machine_that_has_no_fw_cfg_item() {
    let image = std::env::temp_dir().join(format!("executive-{}.img", std::process::id()));
    let made = qemu_run(&["--image", image.to_str().expect("UTF-8"), "--run", "sieve 100; exit 3"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let drive = format!("format=raw,file={}", image.display());
    let got = Command::new("timeout")
        .args(["60", "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "256M", "-no-reboot"])
        .args(["-display", "none", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .args(["-drive", &drive])
        .stdin(Stdio::null())
        .output()
        .expect("QEMU starts");
    std::fs::remove_file(&image).expect("the image was written");
    let said = String::from_utf8_lossy(&got.stdout);
    assert!(said.contains("541"), "{said}");
    assert_eq!(got.status.code(), Some((0x10 + 3) << 1 | 1), "{said}");
}
