//! The command-line tool: see [`boot::options::USAGE`]. People use it through qemu-run.sh.

use boot::{options, run};
use std::process::ExitCode;

/// The status when this tool fails: no such kernel, no QEMU.
const CANNOT: u8 = 126;
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("boot: {error} (--help tells the options)");
            return ExitCode::from(USAGE_ERROR);
        }
    };
    match run::run(&options) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(outcome)) => {
            if let Some(complaint) = outcome.complaint() {
                eprintln!("boot: {complaint}");
            }
            ExitCode::from(outcome.status())
        }
        Err(error) => {
            eprintln!("boot: {error:#}");
            ExitCode::from(CANNOT)
        }
    }
}
