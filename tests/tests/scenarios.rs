//! The one list of scenarios, on the bare machine. kernel/hosted/tests runs the same list as Linux
//! processes.

use hosted as _; /* some machine: the list's functions are not called here, but they are
 * linked */
use scenarios::{DEATHS, SCENARIOS, says};
use tests::{Boot, boots};

fn all_hold(machine: Boot) {
    let held = format!("{} scenarios: all claims hold", SCENARIOS.len());
    machine.within_secs(240).run("scenario all").says(&held).ok();
}

#[test]
fn on_one_cpu_every_scenario_holds() {
    all_hold(boots().smp(1));
}

#[test]
fn on_2_cpus_every_scenario_holds() {
    all_hold(boots().smp(2));
}

#[test]
fn on_4_cpus_every_scenario_holds() {
    all_hold(boots().smp(4));
}

#[test]
fn every_death_has_its_words() {
    std::thread::scope(|all| {
        for (name, _, words) in DEATHS {
            all.spawn(move || {
                let said = boots().smp(2).run(&format!("scenario {name}")).dies(2);
                assert!(says(&said.text, words), "it must say `{words}`\n{said}");
            });
        }
    });
}
