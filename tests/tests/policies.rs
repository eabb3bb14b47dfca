//! Scheduling policies: what each promises holds on a machine, and not by another one; and under
//! each nothing is lost.

use std::collections::BTreeMap;
use tests::boots;

/// The rows of `bench policy`, on one CPU by a clock that counts instructions: so they are the same
/// on any host.
fn measured(policy: &str) -> BTreeMap<String, f64> {
    let commands = format!("policy {policy}; bench policy");
    let said = boots().smp(1).icount().within_secs(120).run(&commands).ok();
    let row = |line: &str| {
        let mut words = line.split(',');
        let name = words.next()?.strip_prefix("policy_")?;
        Some((name.to_string(), words.next()?.parse().ok()?))
    };
    let rows: BTreeMap<_, _> = said.text.lines().filter_map(row).collect();
    assert_eq!(rows.len(), 5, "{said}");
    rows
}

#[test]
fn each_policy_keeps_its_promise_and_go_does_not() {
    let [go, fifo, priorities, fair] = ["go", "fifo", "priorities", "fair"].map(measured);
    // Equal shares, whatever the goroutines' habits.
    assert!(fair["jain"] > 0.98, "{fair:?}");
    assert!(go["jain"] < 0.8 && fifo["jain"] < 0.8, "{go:?} {fifo:?}");
    // The urgent, and those who sleep, go before those who compute.
    assert!(priorities["late_p99"] < 1000.0, "{priorities:?}");
    assert!(fair["late_p99"] < 1000.0, "{fair:?}");
    assert!(go["late_p99"] > 1000.0, "{go:?}");
    // First come, first served: sleepers wait, too, and who talks waits for everybody each time.
    assert!(fifo["late_p50"] > 10.0 * go["late_p50"], "{fifo:?} {go:?}");
    assert!(fifo["trips"] * 100.0 < go["trips"], "{fifo:?} {go:?}");
}

/// (All scenarios: tests/long.sh.)
#[test]
fn under_each_policy_nothing_is_lost() {
    for (policy, cpus) in [("fifo", 2), ("priorities", 1), ("fair", 2)] {
        let commands = format!("policy {policy}; scenario affinity:: sync:: futures::; stress 1");
        boots().smp(cpus).within_secs(240).run(&commands).ok();
    }
}

#[test]
fn a_policy_is_set_once() {
    boots().smp(1).run("policy fair; policy fair; policy").says("\nfair\nfair\nfair\n").ok();
    boots().smp(1).run("policy fair; policy fifo").says("another policy was set before").dies(1);
    boots().smp(1).run("policy unfair").says("go fifo priorities fair").dies(1);
}
