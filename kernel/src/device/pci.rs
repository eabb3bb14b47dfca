//! PCI functions, as their drivers have them.
#![allow(unsafe_code)] // What a driver promises (`Device::master`).

use super::config::Config;
use super::error::Error;
use super::header::{self, Bar, Function, Space};
use super::irq::Irq;
use super::pins;
use super::registers::Registers;
use crate::ioapic;
use alloc::vec;
use alloc::vec::Vec;
use executive::lock::{Lock, Rank};
use pci_types::capability::{MsixCapability, MultipleMessageSupport, PciCapability};
use pci_types::{CommandRegister, PciAddress, PciHeader};

/// Functions that somebody has taken.
static TAKEN: Lock<Vec<PciAddress>> = Lock::new(Rank::User, Vec::new());

/// All functions that are there now, in the order of their addresses.
pub fn functions() -> Vec<Function> {
    header::functions(&Config)
}

/// A function that is ours alone, until this is dropped: then it can neither interrupt nor reach
/// memory any more.
#[derive(Debug)]
pub struct Device {
    function: Function,
    /// It may reach memory.
    masters: bool,
}

impl Function {
    /// Takes the function for a driver. It answers at its BARs from here on; it cannot reach
    /// memory. Its interrupt pin is off.
    pub fn take(self) -> Result<Device, Error> {
        if !self.is_endpoint {
            return Err(Error::Kept); // bridges are the kernel's
        }
        {
            let mut taken = TAKEN.lock();
            if taken.contains(&self.address) {
                return Err(Error::Taken);
            }
            taken.push(self.address);
        }
        let device = Device { function: self, masters: false };
        device.command(|command| {
            command
                .union(CommandRegister::IO_ENABLE | CommandRegister::MEMORY_ENABLE)
                .union(CommandRegister::INTERRUPT_DISABLE)
                .difference(CommandRegister::BUS_MASTER_ENABLE)
        });
        Ok(device)
    }

    /// Whether it is still there. A function that was pulled out is not, and its registers read as
    /// ones, or as zeros in QEMU.
    pub fn is_there(&self) -> bool {
        PciHeader::new(self.address).id(Config) == (self.vendor, self.device)
    }
}

/// Takes the first function of that vendor and device number which nobody has.
pub fn take(vendor: u16, device: u16) -> Result<Device, Error> {
    let fits = |f: &Function| (f.vendor, f.device) == (vendor, device);
    let mut why = Error::NotThere;
    for function in functions().into_iter().filter(fits) {
        match function.take() {
            Ok(device) => return Ok(device),
            Err(error) => why = error,
        }
    }
    Err(why)
}

impl Device {
    /// What it says it is.
    pub fn function(&self) -> &Function {
        &self.function
    }

    fn command(&self, change: impl FnOnce(CommandRegister) -> CommandRegister) {
        PciHeader::new(self.function.address).update_command(Config, change);
    }

    /// Reads 32 bits of its configuration space; `offset` is in bytes.
    pub fn config(&self, offset: u16) -> u32 {
        Config.get(self.function.address, offset)
    }

    fn capabilities(&self) -> Vec<PciCapability> {
        header::capabilities(&Config, self.function.address)
    }

    /// Where in its configuration space the vendor's own capabilities are (id 9), such as virtio's.
    pub fn vendor_capabilities(&self) -> Vec<u16> {
        let own = |capability| match capability {
            PciCapability::Vendor(at) => Some(at.offset),
            _ => None,
        };
        self.capabilities().into_iter().filter_map(own).collect()
    }

    /// The registers behind base address register `n`, 0 to 5. Each call maps them anew; so call it
    /// once.
    pub fn bar(&self, n: u8) -> Result<Registers, Error> {
        match header::bar(&Config, self.function.address, n)? {
            Bar::Ports { first, length } => Ok(Registers::io(first, length)),
            Bar::Memory { address, length } => Ok(Registers::memory(address, length)),
        }
    }

    /// From here on the function can reach memory: it can read and write what it is told of, and
    /// send its interrupts as messages.
    ///
    /// # Safety
    /// Nobody tells the device an address but that of a [`Dma`](super::Dma), nor writes to its
    /// MSI-X table. When the `Dma` is dropped the device does not use it any more.
    pub unsafe fn master(&mut self) {
        self.masters = true;
        self.command(|command| command.union(CommandRegister::BUS_MASTER_ENABLE));
    }

    /// Up to `most` interrupts, at least one: messages by MSI-X, one by MSI, or, if the function
    /// has neither or does not [`master`](Device::master) the bus, its pin's. Call it once.
    pub fn irqs(&mut self, most: usize) -> Result<Vec<Irq>, Error> {
        let capabilities = if self.masters { self.capabilities() } else { vec![] };
        let mut refused = Error::NoPin;
        for capability in &capabilities {
            if let PciCapability::MsiX(msix) = *capability {
                match self.msix(msix, most) {
                    Ok(irqs) => return Ok(irqs),
                    Err(error) => refused = error,
                }
            }
        }
        for capability in capabilities {
            if let PciCapability::Msi(msi) = capability {
                msi.set_enabled(false, Config);
                msi.set_multiple_message_enable(MultipleMessageSupport::Int1, Config);
                match Irq::msi(msi) {
                    Ok(irq) => return Ok(vec![irq]),
                    Err(error) => refused = error,
                }
            }
        }
        match self.pin() {
            Ok(irq) => {
                self.command(|command| command.difference(CommandRegister::INTERRUPT_DISABLE));
                Ok(vec![irq])
            }
            Err(Error::NoPin) => Err(refused),
            Err(error) => Err(error),
        }
    }

    fn msix(&self, mut msix: MsixCapability, most: usize) -> Result<Vec<Irq>, Error> {
        const ENTRY: usize = 16;
        let Bar::Memory { address, length } =
            header::bar(&Config, self.function.address, msix.table_bar())?
        else {
            return Err(Error::BadBar);
        };
        let size = usize::from(msix.table_size());
        let begin = u64::from(msix.table_offset());
        if begin.saturating_add((size * ENTRY) as u64) > length {
            return Err(Error::BadBar);
        }
        let table = Registers::memory(address + begin, (size * ENTRY) as u64);
        // All are masked until each has its message.
        msix.set_function_mask(true, Config);
        msix.set_enabled(true, Config);
        (0..size).for_each(|n| table.write(n * ENTRY + 12, 1u32));
        let mut irqs = Vec::new();
        for n in 0..size.min(most) {
            match Irq::entry(table.part(n * ENTRY, ENTRY)?) {
                Ok(irq) => irqs.push(irq),
                // Fewer will do.
                Err(_) if !irqs.is_empty() => break,
                Err(error) => {
                    msix.set_enabled(false, Config);
                    return Err(error);
                }
            }
        }
        msix.set_function_mask(false, Config);
        Ok(irqs)
    }

    /// The interrupt that its pin is wired to: as the firmware's code says; else as the firmware
    /// has written, for the interrupt controllers of the first PCs, of which the I/O APIC has the
    /// inputs too.
    fn pin(&self) -> Result<Irq, Error> {
        let [line, pin, ..] = self.config(0x3c).to_le_bytes();
        let Some(pin @ 0..4) = pin.checked_sub(1) else { return Err(Error::NoPin) };
        let said = pins::input(self.function.address, pin);
        let written = (1..16).contains(&line).then(|| ioapic::isa_input(line));
        let mut irqs = said.into_iter().chain(written).map(|(gsi, low)| Irq::pin(gsi, low));
        let first = irqs.next().unwrap_or(Err(Error::NoPin));
        first.or_else(|error| irqs.next().unwrap_or(Err(error)))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.command(|command| {
            command
                .union(CommandRegister::INTERRUPT_DISABLE)
                .difference(CommandRegister::BUS_MASTER_ENABLE)
        });
        TAKEN.lock().retain(|&address| address != self.function.address);
    }
}
