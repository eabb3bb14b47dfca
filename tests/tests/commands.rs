//! Every command of the console, with arguments that nobody would mean.

use tests::boots;

/// A command, as `help` tells it.
struct Command {
    name: String,
    /// Its words, without brackets and dots.
    words: usize,
    required: usize,
    /// The last word may be any number of words.
    open: bool,
}

/// All commands of this kernel but `exit`, whose arguments end the run (deaths.rs).
fn commands() -> Vec<Command> {
    let said = boots().smp(1).run("help").ok();
    let command = |line: &str| {
        let (form, _) = line.split_once("  ")?;
        let (name, usage) = form.split_once(' ').unwrap_or((form, ""));
        let words: Vec<&str> = usage.split_whitespace().collect();
        Some(Command {
            name: name.into(),
            words: words.len(),
            required: words.iter().filter(|word| !word.starts_with('[')).count(),
            open: usage.contains("..."),
        })
    };
    let all: Vec<_> = said.text.lines().filter_map(command).filter(|c| c.name != "exit").collect();
    assert!(
        all.len() > 20 && all.iter().any(|c| c.name == "hogs" && c.words == 3),
        "not the list\n{said}"
    );
    all
}

/// Each of its words in turn is each of these, while the other words are 1; too few; too many.
fn lines_of(command: &Command) -> Vec<String> {
    let (nines, names) = ("9".repeat(900), "q".repeat(900));
    #[rustfmt::skip]
    let odd = [
        "0", "1", "2147483648", "9223372036854775808", "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999", "-1", "1.5", "qq", &nines, &names,
    ];
    let line = |words: &[&str]| format!("{} {}", command.name, words.join(" "));
    let mut lines = Vec::new();
    for nth in 0..command.words {
        for value in odd {
            let mut words = vec!["1"; command.required.max(nth + 1)];
            words[nth] = value;
            lines.push(line(&words));
        }
    }
    if command.required > 0 {
        lines.push(line(&vec!["1"; command.required - 1]));
    }
    if !command.open {
        lines.push(line(&vec!["1"; command.words + 1]));
    }
    lines
}

/// It does it, or says in one line what it accepts; and in either case the kernel goes on.
fn no_argument_of_any_command_ends_the_kernel(cpus: usize) {
    const ALIVE: &str = "prime 30 is 113\n";
    let lines: Vec<String> = commands().iter().flat_map(lines_of).collect();
    let typed: String = lines.iter().map(|line| format!("{line}\nsieve 30\n")).collect();
    // 1: some of the commands fail, as they should.
    let said = boots().smp(cpus).mem("128M").within_secs(300).typed(typed).dies(1);
    let answers: Vec<&str> =
        said.text.split_inclusive(ALIVE).filter(|part| part.ends_with(ALIVE)).collect();
    assert_eq!(answers.len(), lines.len(), "the console did not do all\n{said}");
    for (line, answer) in lines.iter().zip(answers) {
        // The line itself, as it is drawn: in pieces, if it is long.
        assert!(
            answer.contains(&format!("> {}", &line[..line.len().min(70)])),
            "{line:?} became\n{answer}"
        );
        let (name, _) = line.split_once(' ').expect("there is one");
        let complaints =
            answer.lines().filter(|told| told.starts_with(&format!("{name}: "))).count();
        assert!(complaints <= 1, "{line:?} complains at length\n{answer}");
    }
}

#[test]
fn no_argument_of_any_command_ends_a_kernel_with_1_cpu() {
    no_argument_of_any_command_ends_the_kernel(1);
}

#[test]
fn no_argument_of_any_command_ends_a_kernel_with_2_cpus() {
    no_argument_of_any_command_ends_the_kernel(2);
}

#[test]
fn no_argument_of_any_command_ends_a_kernel_with_4_cpus() {
    no_argument_of_any_command_ends_the_kernel(4);
}

/// Where a limit is memory's, the command says it, and keeps to it.
#[test]
fn the_most_that_a_command_accepts_ends_no_kernel() {
    let said = boots().smp(2).mem("128M").run("divers 0 1; heap 0; growth 0").dies(1);
    let most = |command: &str| {
        let told = said.text.lines().find(|line| line.starts_with(command)).expect("it complains");
        let (_, most) = told.split_once(" to ").expect("it says the most");
        most.split(' ').next().expect("a number").to_owned()
    };
    let (divers, heap, growth) = (most("divers"), most("heap"), most("growth"));
    let commands = format!(
        "divers {divers} 1; divers 1 {heap}; heap {heap}; spawn 10000000; skynet 10000000; sieve 30"
    );
    boots()
        .smp(2)
        .mem("128M")
        .within_secs(120)
        .run(&commands)
        .says("on their stacks")
        .says("is 113")
        .dies(1);
    let said = boots()
        .smp(1)
        .mem("128M")
        .icount()
        .within_secs(300)
        .run(&format!("growth {growth}; sieve 30"));
    said.says("10000 ").says("is 113").ok();
}

#[test]
fn commands_within_commands_have_an_end() {
    let deep = "time ".repeat(800);
    boots()
        .run(&format!("{deep} sieve 10; sieve 100"))
        .never_says("is 29")
        .says("8 others")
        .says("is 541")
        .dies(1);
    boots().run("time time trace sieve 10").says("is 29").ok();
}
