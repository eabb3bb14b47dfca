//! `count OPERATION [TIMES]`: does one operation on one CPU and nothing else, for callgrind
//! (tests/bench/steps.sh). `count` and `count growth [MOST]`: nanoseconds, medians of nine; the
//! kernel's console tells instructions by the same names.

use bench::count::{GROWING, Meter, OPERATIONS, PERIODS};

fn main() {
    hosted::run_with(1, || {
        let args: Vec<_> = std::env::args().skip(1).collect();
        let number = |default| args.get(1).map_or(default, |n| n.parse().expect("a number"));
        let meter = Meter {
            read: || executive::machine::now(),
            times: 16 * PERIODS,
            repeats: 9,
            halt: || (),
        };
        match args.first().map(String::as_str) {
            None => OPERATIONS
                .iter()
                .for_each(|o| println!("{:<20} {:>9.1} ns", o.name, meter.cost_of(o))),
            Some("growth") => growth(&meter, number(1_000_000)),
            Some("nothing") => {}
            Some(name) => {
                let operation =
                    OPERATIONS.iter().find(|o| o.name == name).expect("no such operation");
                (operation.run)(number(PERIODS), operation.among);
            }
        }
    })
}

fn growth(meter: &Meter, most: usize) {
    let names = GROWING.map(|o| format!("{:>15}", o.name)).join(" ");
    println!("{:>10} {:^47} {:^47}", "ns", "beside so many that are parked", "among so many");
    println!("goroutines {names} {names}");
    let mut goroutines = 10;
    while goroutines <= most {
        let growth = meter.growth(goroutines);
        let costs: Vec<_> =
            growth.beside.iter().chain(&growth.among).map(|cost| format!("{cost:>15.1}")).collect();
        println!("{goroutines:>10} {}", costs.join(" "));
        goroutines *= 10;
    }
}
