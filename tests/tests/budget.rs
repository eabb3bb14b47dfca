//! The instruction budget: what a switch, a spawn, a hand-over and a wake cost, held to what is
//! kept in tests/bench/instructions.txt.
//!
//! The machine's clock is the number of instructions executed (`--icount`), so the figures repeat
//! on any host, however busy. The console's `count` and `growth` take them.

use std::collections::BTreeMap;
use std::{env, fs};
use tests::{Transcript, boots};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/instructions.txt");
const UPDATE: &str = "BUDGET=update cargo test -p tests --test budget";
/// How much dearer an operation may become before the file must say so (percent).
const GROWTH: f64 = 2.0;
/// What a switch may cost while everything is recorded, in switches.
const TRACED: f64 = 1.3;
/// How far apart figures may lie that are called flat (percent).
const FLAT: f64 = 20.0;

/// Instructions by operation.
type Counts = BTreeMap<String, f64>;

fn counted(cpus: usize) -> Counts {
    let said = boots().smp(cpus).icount().within_secs(240).run("count").ok();
    let row = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [name, count, "instructions"] => Some((name.to_string(), count.parse().expect("a number"))),
        _ => None,
    };
    said.text.lines().filter_map(row).collect()
}

fn kept() -> Counts {
    let file = fs::read_to_string(KEPT).unwrap_or_default();
    let row = |line: &str| {
        line.split_once(' ').map(|(name, count)| (name.into(), count.parse().expect("a number")))
    };
    file.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
}

fn keep(counts: &Counts) {
    let rows: String = counts.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
    let head = format!(
        "# Instructions per operation; tests/tests/budget.rs counts them again.\n# {UPDATE}\n"
    );
    fs::write(KEPT, head + &rows).expect("the file can be written");
}

#[test]
fn no_operation_takes_more_instructions_than_is_kept() {
    let now = counted(2);
    if env::var_os("BUDGET").is_some_and(|word| word == "update") {
        keep(&now);
    }
    let kept = kept();
    let mut wrong = Vec::new();
    for (name, was) in &kept {
        match now.get(name) {
            None => wrong.push(format!("{name} is kept, and was not counted")),
            Some(is) if is * 100.0 > was * (100.0 + GROWTH) => {
                wrong.push(format!("{name} takes {is} instructions; kept are {was}"))
            }
            Some(is) if is * (100.0 + GROWTH) < was * 100.0 => {
                println!("{name} takes {is} instructions only; kept are {was}: keep the new figure")
            }
            Some(_) => {}
        }
    }
    if now["switch_traced"] > now["switch"] * TRACED {
        wrong.push(format!("a switch takes {now:#?}: too much while it is traced"));
    }
    wrong.extend(
        now.keys()
            .filter(|name| !kept.contains_key(*name))
            .map(|name| format!("{name} is not kept")),
    );
    assert!(
        wrong.is_empty() && !kept.is_empty(),
        "{}\nMake it cheaper again, or say why in the commit that keeps the new figures: {UPDATE}",
        wrong.join("\n")
    );
}

#[test]
fn with_64_cpus_no_operation_costs_its_cpu_more() {
    // One CPU has nobody to wake, so that row is compared with two.
    let (few, many) = (counted(2), counted(64));
    for (name, few) in &few {
        let many = many[name];
        assert!(
            (many - few).abs() * 100.0 <= few * FLAT,
            "{name}: {few} instructions on 2 CPUs, {many} on 64"
        );
    }
}

#[test]
fn beside_10000_goroutines_no_operation_costs_more() {
    let said = boots().smp(1).icount().within_secs(240).run("growth 10000").ok();
    let rows = growth(&said);
    let (first, last) = (&rows[0], &rows[rows.len() - 1]);
    assert_eq!((first[0], last[0]), (10.0, 10_000.0), "{said}");
    // Three beside so many, and three among so many: see docs/performance.md for those.
    for (few, many) in first[1..4].iter().zip(&last[1..4]) {
        assert!(
            (many - few).abs() * 100.0 <= few * FLAT,
            "{few} instructions grew to {many}\n{said}"
        );
    }
}

/// The lines of `growth`, as numbers.
fn growth(said: &Transcript) -> Vec<Vec<f64>> {
    let row = |line: &str| {
        line.split_whitespace().map(|word| word.parse().ok()).collect::<Option<Vec<f64>>>()
    };
    said.text.lines().filter_map(row).filter(|row| row.len() == 7).collect()
}

#[test]
fn where_time_is_not_instructions_none_are_told() {
    boots().smp(1).run("count").says("--icount").never_says("switch").dies(1);
}
