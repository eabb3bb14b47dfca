//! Vector registers, x87 and floating point: kept over preemptions, page faults and interrupts, and
//! used by no handler beyond xmm.

use std::collections::BTreeSet;
use std::process::Command;
use tests::{boots, kernel};

/// On this CPU a preempted goroutine gets back every register and flag, of this kind too. A hundred
/// times as often: tests/long.sh. And crates find what the CPU has.
fn keeps(cpu: &str, cpus: usize, kind: &str) {
    let kept = format!("every register and flag was kept, {kind}");
    boots()
        .smp(cpus)
        .qemu(&["-cpu", cpu])
        .run("registers 1000; scenario registers::")
        .within_secs(240)
        .says(&kept)
        .says("also over ")
        .says("scenarios: all claims hold")
        .ok();
}

#[test]
fn a_cpu_without_xsave_keeps_xmm() {
    keeps("qemu64", 1, "xmm too (512 bytes by FXSAVE)");
}

#[test]
fn a_nehalem_keeps_xmm() {
    keeps("Nehalem", 2, "xmm too (512 bytes by FXSAVE)");
}

#[test]
fn a_haswell_keeps_ymm() {
    keeps("Haswell", 2, "ymm too (832 bytes by XSAVE)");
}

#[test]
fn whatever_the_emulator_has_is_kept() {
    keeps("max", 4, "ymm too (832 bytes by XSAVE)");
}

/// NMIs come at any instruction: in handlers, in switches, before a `hlt`. Nothing is lost, and
/// when one CPU crashes meanwhile the others stop, and the report is whole.
#[test]
fn a_storm_of_nmis_loses_nothing() {
    for cpus in [1, 2, 4] {
        let said = boots()
            .smp(cpus)
            .run("nmis registers 200; nmis stress 1; nmis crash panic")
            .within_secs(240)
            .says("every register and flag was kept")
            .says("panic: ")
            .says("last events, the latest first:")
            .dies(2);
        let nmis = said.text.lines().filter_map(|line| line.split_once(" NMIs, "));
        let nmis: Vec<u64> = nmis.map(|(nmis, _)| nmis.parse().expect("a number")).collect();
        assert!(nmis.len() == 2 && nmis.iter().sum::<u64>() > 1000, "{nmis:?}\n{said}");
    }
}

/// The command fails if the lanes compute another picture than numbers one by one.
#[test]
fn floating_point_draws_the_mandelbrot_set_in_lanes_too() {
    let drawn = |said: &tests::Transcript| said.text.matches('@').count();
    let with = boots().smp(4).run("mandelbrot").says("in 4 lanes").within_secs(120).ok();
    assert!((300..900).contains(&drawn(&with)), "{with}");
    let without = boots().qemu(&["-cpu", "qemu64"]).run("mandelbrot");
    let without = without.says("without lanes").within_secs(120).ok();
    assert_eq!(drawn(&with), drawn(&without));
}

/// The common stub gives back xmm alone, and SSE's instructions leave the upper halves as they are.
/// So nothing that a handler calls may use ymm, zmm or masks: only functions that a goroutine calls
/// after it has asked what the CPU has.
#[test]
fn handlers_use_no_wider_registers() {
    const MAY: [&str; 3] = ["registers::hold_", "mandelbrot::", "xsave::keep_by_"];
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc runs");
    let sysroot = String::from_utf8(sysroot.stdout).expect("a path");
    let tool = "lib/rustlib/x86_64-unknown-linux-gnu/bin/llvm-objdump";
    let objdump = Command::new(format!("{}/{tool}", sysroot.trim()))
        .args(["--disassemble", "--demangle", "--no-show-raw-insn"])
        .arg(kernel())
        .output()
        .expect("llvm-objdump runs");
    let text = String::from_utf8_lossy(&objdump.stdout);
    let (mut function, mut functions, mut wide) = ("", 0, BTreeSet::new());
    for line in text.lines() {
        if let Some((_, name)) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
            (function, functions) = (name, functions + 1);
        } else if ["%ymm", "%zmm", "%k1", "vzeroupper"].iter().any(|word| line.contains(word)) {
            wide.insert(function);
        }
    }
    assert!(functions > 1000, "{functions} functions were seen");
    assert!(wide.iter().any(|name| name.contains("hold_ymm")), "the test sees none: {wide:#?}");
    wide.retain(|name| !MAY.iter().any(|may| name.contains(may)));
    assert!(wide.is_empty(), "{wide:#?}");
}
