//! Devices and their drivers (package `drivers`).

use tests::boots;

#[test]
fn random_numbers_come_from_the_device_if_the_cpu_has_none() {
    let said = boots()
        .smp(1)
        .qemu(&["-cpu", "max,rdrand=off", "-device", "virtio-rng-pci"])
        .run("random 32; random 32; random 10000")
        .says("32 bytes from virtio-rng")
        .says("32 bytes from virtio-rng")
        .says("10000 bytes from virtio-rng")
        .ok();
    let lines = said
        .text
        .lines()
        .filter(|line| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let mut lines: Vec<_> = lines.collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert!(all > 300 && lines.len() == all, "two lines are the same\n{said}");
    boots().smp(1).run("random").says("16 bytes from the CPU").ok();
    boots().smp(1).qemu(&["-cpu", "max,rdrand=off"]).run("random").says("the clock's jitter").ok();
}
