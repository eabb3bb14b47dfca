//! Do the scenarios hold on Linux? Each in a process of its own, with 1, 2 and 4 CPUs; a process
//! that hangs has failed.
//!
//! `cargo test -p hosted --test scenarios -- [--cpus LIST] [--stress SECONDS] [NAME..]`: names may
//! be parts of names.

mod runner;

use runner::{End, NEARLY_ASLEEP, PATIENCE, Run, report};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if let Ok(name) = std::env::var("SCENARIO") {
        return run_one(&name);
    }
    let mut option = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        let value = args.drain(at..(at + 2).min(args.len())).nth(1);
        Some(value.unwrap_or_else(|| panic!("{name} needs a value")))
    };
    let stress = option("--stress");
    let cpus: Vec<usize> = match option("--cpus") {
        Some(list) => list.split(',').map(|n| n.parse().expect("--cpus 1,2,4")).collect(),
        None => vec![1, 2, 4],
    };
    args.retain(|a| !a.starts_with("--")); // cargo's and libtest's

    let mut runs = Vec::new();
    if let Some(seconds) = stress {
        let patience =
            PATIENCE + 2 * Duration::from_secs(seconds.parse().expect("--stress SECONDS"));
        runs.extend(cpus.iter().map(|&cpus| Run {
            name: format!("stress={seconds}"),
            cpus,
            end: End::Well,
            patience,
        }));
    } else {
        let wanted = |name: &str| args.is_empty() || args.iter().any(|a| name.contains(a.as_str()));
        for (name, _) in scenarios::SCENARIOS.iter().chain(scenarios::ALONE).filter(|s| wanted(s.0))
        {
            runs.extend(cpus.iter().map(|&cpus| Run {
                name: name.to_string(),
                cpus,
                end: End::Well,
                patience: PATIENCE,
            }));
        }
        let debug = if cfg!(debug_assertions) { scenarios::DEBUG_DEATHS } else { &[] };
        for (name, _, words) in scenarios::DEATHS.iter().chain(debug) {
            let name = format!("deaths::{name}");
            if wanted(&name) {
                let end = End::Dead(words);
                runs.extend(cpus.iter().map(|&cpus| Run {
                    name: name.clone(),
                    cpus,
                    end,
                    patience: PATIENCE,
                }));
            }
        }
        for name in scenarios::SLEEPERS
            .iter()
            .map(|s| format!("sleepers::{}", s.0))
            .filter(|name| wanted(name))
        {
            let end = End::Asleep;
            runs.extend(cpus.iter().map(|&cpus| Run {
                name: name.clone(),
                cpus,
                end,
                patience: PATIENCE,
            }));
        }
    }
    report(runs)
}

/// In the process of its own: goroutine 1.
fn run_one(name: &str) -> ExitCode {
    static MAIN: std::sync::OnceLock<Box<dyn Fn() + Send + Sync>> = std::sync::OnceLock::new();
    let body: Box<dyn Fn() + Send + Sync> = if let Some(seconds) = name.strip_prefix("stress=") {
        let time = Duration::from_secs(seconds.parse().expect("SCENARIO=stress=SECONDS"));
        Box::new(move || println!("{} values", scenarios::stress(time)))
    } else {
        let scenario = scenarios::find(name).expect("a scenario's name");
        let sleeps = name.starts_with("sleepers::");
        Box::new(move || {
            if sleeps {
                println!("{NEARLY_ASLEEP}");
            }
            scenario()
        })
    };
    assert!(MAIN.set(body).is_ok());
    hosted::run(|| MAIN.get().expect("set above")())
}
