//! Does every rule of docs/conformance.md name a scenario that exists, or the reason why it does
//! not apply?

use hosted as _; // a machine to be linked with

const LIST: &str = include_str!("../../../docs/conformance.md");

#[test]
fn every_rule_names_a_scenario_or_a_reason() {
    let mut rules = 0;
    for line in LIST.lines().filter(|line| {
        line.starts_with("| ") && !line.starts_with("| rule") && !line.starts_with("| ---")
    }) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_rule, shown] = cells[..] else { panic!("not a rule and what shows it: {line}") };
        rules += 1;
        let names: Vec<&str> = shown
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.contains("::") && name.starts_with(char::is_lowercase))
            .collect();
        for name in &names {
            let shown = scenarios::find(name).is_some() || is_tested_by_http(name);
            assert!(shown, "there is no scenario {name}: {line}");
        }
        assert!(
            !names.is_empty() || shown.starts_with("does not apply: "),
            "neither scenario nor reason: {line}"
        );
    }
    assert!(rules >= 120, "{rules} rules");
}

/// Package `http` has tests over bytes in memory: `refusals::chunks` is in refusals.rs.
fn is_tested_by_http(name: &str) -> bool {
    let Some((file, test)) = name.split_once("::") else { return false };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../http/tests/http");
    let source = std::fs::read_to_string(format!("{folder}/{file}.rs"));
    source.is_ok_and(|source| source.contains(&format!("\npub fn {test}()")))
}

#[test]
fn no_name_stands_for_two() {
    let deaths = scenarios::DEATHS.iter().chain(scenarios::DEBUG_DEATHS).map(|d| d.0);
    let mut names: Vec<&str> =
        scenarios::SCENARIOS.iter().chain(scenarios::ALONE).map(|s| s.0).chain(deaths).collect();
    let n = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), n);
}
