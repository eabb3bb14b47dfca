//! Where the pins of PCI devices lead. The firmware's code says it (aml.rs), and is run once, when
//! the first driver wants a pin: most never do, and start-up does not wait for it.
//!
//! **Rule:** the code is run by a goroutine of its own, whose panic is its result. It is locked to
//! the CPU of the goroutine that waits for it, whose timer so preempts it in time: if it has not
//! ended by then, or wants more memory than there is, it is given up. Then pins are taken to lead
//! where the firmware has written.
#![allow(unsafe_code)] // Ports, and the firmware's memory.

use super::aml::{Machine, Place, Routing};
use super::config::Config;
use super::header::{self, Space};
use crate::acpi;
use crate::clock::busy_wait_ns;
use executive::machine;
use executive::sync::OnceLock;
use pci_types::PciAddress;
use x86_64::instructions::port::Port;

static ROUTING: OnceLock<Routing> = OnceLock::new();

/// The global interrupt that a function's pin (0 to 3: INTA to INTD) leads to, and whether it is
/// active low there. `None`: the firmware's code does not say.
pub fn input(address: PciAddress, pin: u8) -> Option<(u32, bool)> {
    let routing = ROUTING.get_or_init(run);
    let above = |below: PciAddress| header::bridge_to(&Config, below);
    let (gsi, active_low) = routing.input(address, pin, above)?;
    // How an ISA interrupt is wired that has the same input.
    let wire = acpi::platform().overrides.iter().find(|o| o.gsi == gsi && o.level);
    Some((gsi, wire.map_or(active_low, |o| o.active_low)))
}

/// A panic would be the end of the run.
#[cfg(not(panic = "unwind"))]
fn run() -> Routing {
    Routing::default()
}

#[cfg(panic = "unwind")]
fn run() -> Routing {
    use executive::println;
    let code = acpi::code();
    if code.is_empty() || !executive::wait::can_park() {
        return Routing::default();
    }
    match isolated::run(code) {
        Ok(routing) => {
            routing.ignored.iter().for_each(|line| println!("AML: left out: {line}"));
            routing
        }
        Err(why) => {
            println!("AML: {why}; pins are taken to lead where the firmware has written");
            Routing::default()
        }
    }
}

#[cfg(panic = "unwind")]
mod isolated {
    use super::Pc;
    use crate::device::aml::{self, Routing};
    use crate::given_up;
    use crate::param::{AML_PATIENCE, AML_STACK};
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;
    use executive::affinity::lock_to_this_cpu;
    use executive::{Builder, chan, lock_to_cpu, percpu, recover};

    pub fn run(code: Vec<&'static [u8]>) -> Result<Routing, String> {
        let _here = lock_to_this_cpu();
        let cpu = percpu::cpu();
        let (tell, told) = chan(1);
        let interpreter = Builder::new().system("AML").stack_bytes(AML_STACK).spawn(move || {
            let _there = lock_to_cpu(cpu);
            given_up::expend();
            let found = recover(|| aml::routing(Pc, &code));
            let _ = tell.send(found.map_err(|panic| panic.message().to_string()));
        });
        let interpreter = interpreter.map_err(|error| error.to_string())?;
        match told.recv_timeout(AML_PATIENCE) {
            Ok(found) => found.map_err(|what| format!("the firmware's code fails: {what}")),
            Err(_) => {
                given_up::give_up(interpreter.id());
                Err(format!("the firmware's code has not ended within {AML_PATIENCE:?}"))
            }
        }
    }
}

/// This machine, as the firmware's code sees it.
#[derive(Clone, Copy)]
struct Pc;

/// What lies in a register's 32 bits from `offset` on: a shift, and a mask before it.
fn part(offset: u16, bytes: usize) -> (u32, u32) {
    let at = usize::from(offset % 4);
    assert!(bytes <= 4 && at + bytes <= 4, "it reads {bytes} bytes at {offset:#x} of a function");
    (8 * at as u32, u32::MAX >> (32 - 8 * bytes))
}

impl Machine for Pc {
    fn read(&self, place: Place, bytes: usize) -> u64 {
        match place {
            Place::Config(at, offset) => {
                let (shift, mask) = part(offset, bytes);
                (Config.get(at, offset & !3) >> shift & mask).into()
            }
            // SAFETY: the firmware's code reads its own machine's ports.
            Place::Port(port) => unsafe {
                match bytes {
                    1 => Port::<u8>::new(port).read().into(),
                    2 => Port::<u16>::new(port).read().into(),
                    _ => Port::<u32>::new(port).read().into(),
                }
            },
            Place::Memory(at) => {
                let memory = acpi::firmware(at, bytes);
                let memory = memory.unwrap_or_else(|| panic!("it reads memory at {at:#x}"));
                let mut value = [0; 8];
                for (n, byte) in value.iter_mut().enumerate().take(bytes) {
                    // SAFETY: within the firmware's memory, which the window maps.
                    *byte = unsafe { memory.add(n).read_volatile() };
                }
                u64::from_le_bytes(value)
            }
        }
    }

    fn write(&self, place: Place, bytes: usize, value: u64) {
        match place {
            Place::Config(at, offset) => {
                let (shift, mask) = part(offset, bytes);
                let was = Config.get(at, offset & !3) & !(mask << shift);
                Config.set(at, offset & !3, was | (value as u32 & mask) << shift);
            }
            // SAFETY: the firmware's code drives its own machine, as it does under every system.
            Place::Port(port) => unsafe {
                match bytes {
                    1 => Port::new(port).write(value as u8),
                    2 => Port::new(port).write(value as u16),
                    _ => Port::new(port).write(value as u32),
                }
            },
            Place::Memory(at) => {
                let memory = acpi::firmware(at, bytes);
                let memory = memory.unwrap_or_else(|| panic!("it writes memory at {at:#x}"));
                for (n, byte) in value.to_le_bytes().into_iter().enumerate().take(bytes) {
                    // SAFETY: within the firmware's memory, which is none of ours; tables that we
                    // borrow are not in use while they are run, but for the code's own constants.
                    unsafe { memory.add(n).write_volatile(byte) };
                }
            }
        }
    }

    fn now_ns(&self) -> u64 {
        machine::now()
    }

    fn pause_us(&self, us: u64) {
        busy_wait_ns(us.saturating_mul(1000));
    }
}
