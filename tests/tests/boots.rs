//! The machine comes up: from both firmwares, with any number of CPUs, in little memory.

use tests::{Boot, Transcript, boots};

/// What every machine must be able to do, and what comes of it.
fn works(machine: Boot) -> Transcript {
    machine
        .run("sieve 500; skynet 10000; spawn 5000; cpus")
        .says("is 3571")
        .says("is 49995000")
        .says("5000 goroutines parked")
        .never_says("did not start")
        .ok()
}

#[test]
fn from_bios_every_cpu_runs_goroutines() {
    every_cpu_ran(&works(boots()), 4);
}

#[test]
fn from_uefi_every_cpu_runs_goroutines() {
    every_cpu_ran(&works(boots().uefi()), 4);
}

#[test]
fn on_one_cpu_all_works() {
    works(boots().smp(1));
}

#[test]
fn on_2_cpus_all_works() {
    every_cpu_ran(&works(boots().smp(2)), 2);
}

#[test]
fn on_3_cpus_all_works() {
    every_cpu_ran(&works(boots().smp(3)), 3);
}

#[test]
fn on_8_cpus_all_works() {
    works(boots().smp(8).within_secs(120));
}

#[test]
fn on_64_cpus_all_works() {
    works(boots().smp(64).within_secs(240));
}

#[test]
fn on_64_cpus_from_uefi_all_works() {
    works(boots().smp(64).uefi().within_secs(240));
}

#[test]
fn in_64_mib_the_sieve_finds_the_100th_prime() {
    boots().mem("64M").run("sieve 100").says("is 541").ok();
}

#[test]
fn in_64_mib_from_uefi_the_sieve_finds_the_100th_prime() {
    boots().uefi().mem("64M").run("sieve 100").says("is 541").ok();
}

/// APIC ids 0, 2, 40, 1 and 41 to 60, of which those from 40 on never answer. (Were each waited for
/// alone, the machine would have no time left.)
#[test]
fn cpus_are_numbered_without_a_hole_where_some_do_not_come_up() {
    has_no_hole(boots().qemu(&["-smp", "4,maxcpus=24"]), "40-60");
}

#[test]
fn cpus_are_numbered_without_a_hole_from_uefi_too() {
    has_no_hole(boots().uefi(), "40");
}

fn has_no_hole(machine: Boot, missing: &str) {
    machine
        .example("odd_cpus")
        .says("of APIC has 0 bytes: the rest is left out\n")
        .says("ACPI: no HPET can be at 0x80000000fed00000\n")
        .says(&format!("CPUs that never answered and are not used: APIC ids {missing}\n"))
        .says("cpu 0 has apic id 0\ncpu 1 has apic id 2\ncpu 2 has apic id 1\n")
        .says("ok affinity::it_stays_there")
        .ok();
}

#[test]
fn apic_ids_with_gaps_are_numbers_without() {
    let said = boots().smp(6).qemu(&["-smp", "6,sockets=2,cores=3"]).run("spawn 5000; cpus").ok();
    assert_eq!(said.column("cpu"), [0, 1, 2, 3, 4, 5], "{said}");
    assert_eq!(said.column("apic"), [0, 1, 2, 4, 5, 6], "{said}");
}

/// By `cpus`, each of them ran goroutines.
fn every_cpu_ran(said: &Transcript, cpus: usize) {
    let runs = said.column("run");
    assert_eq!(runs.len(), cpus, "{said}");
    assert!(runs.iter().all(|&runs| runs > 0), "{said}");
}
