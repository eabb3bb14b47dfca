//! Virtio's transport over PCI (4.1 of its specification), with an interrupt of its own for each
//! queue.
//!
//! **Rule:** where a capability says that registers are, is a claim, and checked against the BAR.
#![allow(unsafe_code)] // What a driver promises (`Device::master`).

use crate::error::Error;
use crate::param::RESET_PATIENCE;
use alloc::vec::Vec;
use core::array;
use executive::time::Instant;
use kernel::device::{self, Device, Function, Irq, Place, Registers, Word};
use virtio_drivers::Error as VirtioError;
use virtio_drivers::PhysAddr;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The vendor of all virtio devices (4.1.2).
const VENDOR: u16 = 0x1af4;
/// Device numbers are this and the type's. Those of the first types also come as another number, if
/// the device serves drivers older than virtio 1 too.
const FIRST_DEVICE: u16 = 0x1040;

/// Kinds of capabilities (4.1.4): where which registers are.
const COMMON: u8 = 1;
const NOTIFY: u8 = 2;
const ISR: u8 = 3;
const DEVICE: u8 = 4;

/// The common registers (4.1.4.3).
mod common {
    pub const DEVICE_FEATURE_SELECT: usize = 0x00;
    pub const DEVICE_FEATURE: usize = 0x04;
    pub const DRIVER_FEATURE_SELECT: usize = 0x08;
    pub const DRIVER_FEATURE: usize = 0x0c;
    pub const CONFIG_VECTOR: usize = 0x10;
    pub const STATUS: usize = 0x14;
    pub const GENERATION: usize = 0x15;
    pub const QUEUE_SELECT: usize = 0x16;
    pub const QUEUE_SIZE: usize = 0x18;
    pub const QUEUE_VECTOR: usize = 0x1a;
    pub const QUEUE_ENABLE: usize = 0x1c;
    pub const QUEUE_NOTIFY_OFFSET: usize = 0x1e;
    pub const QUEUE_DESCRIPTORS: usize = 0x20;
    pub const QUEUE_DRIVER: usize = 0x28;
    pub const QUEUE_DEVICE: usize = 0x30;
    pub const LENGTH: usize = 0x38;
}

/// What a vector reads as if there is none.
const NO_VECTOR: u16 = 0xffff;
/// What the registers of a device that was pulled out read as.
const GONE: u8 = 0xff;
/// The device follows virtio 1 (feature 32, `VIRTIO_F_VERSION_1`).
const VERSION_1: u64 = 1 << 32;

/// A virtio device: a [`Transport`] for crate `virtio-drivers`. Dropped, it is reset.
#[derive(Debug)]
pub struct Pci {
    kind: DeviceType,
    common: Registers,
    notify: Registers,
    /// From one queue's doorbell to the next.
    notify_step: u32,
    isr: Registers,
    config: Option<Registers>,
    /// The last is for changes of the configuration, if there are several.
    irqs: Vec<Option<Irq>>,
    /// Whose the others are, in their order: numbers of queues.
    queues: Vec<u16>,
    by_message: bool,
    /// A queue's vector was refused.
    refused: bool,
    // Dropped last.
    device: Device,
}

/// What type of device the function is, if it is a virtio device.
fn kind_of(function: &Function) -> Option<DeviceType> {
    if function.vendor != VENDOR {
        return None;
    }
    match function.device {
        0x1000 => Some(DeviceType::Network),
        0x1001 => Some(DeviceType::Block),
        0x1003 => Some(DeviceType::Console),
        0x1004 => Some(DeviceType::ScsiHost),
        0x1005 => Some(DeviceType::EntropySource),
        0x1009 => Some(DeviceType::_9P),
        device => DeviceType::try_from(device.checked_sub(FIRST_DEVICE)?).ok(),
    }
}

/// Those of the functions that are virtio devices of this type.
pub fn devices(functions: &[Function], kind: DeviceType) -> impl Iterator<Item = Function> {
    functions.iter().copied().filter(move |function| kind_of(function) == Some(kind))
}

impl Pci {
    /// Takes the device, and resets it. It gets an interrupt for each of its first `queues` queues,
    /// and one for changes of its configuration; or fewer, if it has not so many.
    pub fn open(function: Function, queues: usize) -> Result<Pci, Error> {
        let kind = kind_of(&function).ok_or(device::Error::NotThere)?;
        let mut device = function.take()?;
        let mut bars: [Option<Registers>; 6] = array::from_fn(|_| None);
        let capabilities = device.vendor_capabilities();
        let mut find = |kind| registers(&device, &capabilities, &mut bars, kind);
        let (common, _) = find(COMMON)?.ok_or(Error::Old)?;
        let (notify, capability) = find(NOTIFY)?.ok_or(Error::Old)?;
        let (isr, _) = find(ISR)?.ok_or(Error::Old)?;
        let config = find(DEVICE)?.map(|(registers, _)| registers);
        let notify_step = device.config(capability + 16);
        if common.length() < common::LENGTH || isr.length() == 0 {
            return Err(device::Error::OutOfRange.into());
        }
        // SAFETY: it is told the addresses of rings, which `VirtQueue` has of `KernelHal`, and of
        // buffers, of which `Queue` promises the same. Both are dropped after the reset, or never.
        unsafe { device.master() };
        let irqs: Vec<_> = device.irqs(queues + 1)?.into_iter().map(Some).collect();
        let by_message = irqs.iter().flatten().all(Irq::is_message);
        let mut pci = Pci {
            kind,
            common,
            notify,
            notify_step,
            isr,
            config,
            irqs,
            queues: (0..queues as u16).collect(),
            by_message,
            refused: false,
            device,
        };
        pci.reset()?;
        let last = pci.irqs.len() - 1;
        if pci.by_message && last > 0 && !pci.take_vector(common::CONFIG_VECTOR, last as u16) {
            return Err(Error::Vectors);
        }
        Ok(pci)
    }

    /// Which function it is.
    pub fn function(&self) -> &Function {
        self.device.function()
    }

    fn reset(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + RESET_PATIENCE;
        self.set_status(DeviceStatus::empty());
        loop {
            match self.common.read::<u8>(common::STATUS) {
                0 => return Ok(()),
                GONE => return Err(Error::Gone),
                _ if Instant::now() > deadline => return Err(Error::TimedOut(RESET_PATIENCE)),
                _ => core::hint::spin_loop(),
            }
        }
    }

    /// Agrees with the device on its features: those of `wanted` that it offers, and virtio 1's.
    pub fn begin(&mut self, wanted: u64) -> Result<u64, Error> {
        let begun = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER;
        self.set_status(begun);
        let features = self.read_device_features() & (wanted | VERSION_1);
        if features & VERSION_1 == 0 {
            return Err(Error::Old);
        }
        self.write_driver_features(features);
        self.set_status(begun | DeviceStatus::FEATURES_OK);
        match self.get_status().contains(DeviceStatus::FEATURES_OK) {
            true => Ok(features),
            false => Err(Error::Features),
        }
    }

    /// The device may begin: all its queues are made.
    pub fn ready(&mut self) {
        self.finish_init();
    }

    /// How many queues can have an interrupt of their own.
    pub fn interrupts(&self) -> usize {
        (self.irqs.len() - 1).max(1)
    }

    /// These queues have the interrupts, as far as there are some. Before the queues are made.
    pub fn interrupts_are_for(&mut self, queues: &[u16]) {
        self.queues = queues.into();
    }

    /// Which interrupt the queue has.
    fn interrupt_of(&self, queue: u16) -> Option<usize> {
        let nth = self.queues.iter().position(|&other| other == queue);
        nth.filter(|&nth| nth < self.interrupts())
    }

    /// The interrupt of a queue, once. An error: it has none of its own.
    pub fn interrupt(&mut self, queue: u16) -> Result<Interrupt, Error> {
        if self.refused {
            return Err(Error::Vectors);
        }
        let nth = self.interrupt_of(queue).ok_or(device::Error::NoVector)?;
        self.take_interrupt(nth)
    }

    /// The interrupt that tells of changes of the configuration, once. An error: it has none of its
    /// own. If it is a pin's, [`Interrupt::quiet`] of the queue tells.
    pub fn config_interrupt(&mut self) -> Result<Interrupt, Error> {
        match self.irqs.len() - 1 {
            0 => Err(device::Error::NoVector.into()),
            last => self.take_interrupt(last),
        }
    }

    fn take_interrupt(&mut self, nth: usize) -> Result<Interrupt, Error> {
        let irq = self.irqs[nth].take().ok_or(device::Error::NoVector)?;
        let isr = if self.by_message { None } else { Some(self.isr.part(0, 1)?) };
        Ok(Interrupt { irq, isr })
    }

    /// Where the device is told that there is something in the queue.
    pub fn doorbell(&self, queue: u16) -> Result<Doorbell, Error> {
        self.common.write(common::QUEUE_SELECT, queue);
        let nth: u16 = self.common.read(common::QUEUE_NOTIFY_OFFSET);
        let offset = usize::from(nth).checked_mul(self.notify_step as usize);
        let offset = offset.filter(|offset| offset.is_multiple_of(2));
        let register = self.notify.part(offset.ok_or(device::Error::OutOfRange)?, 2)?;
        Ok(Doorbell { register, queue })
    }

    /// What the device says of itself.
    pub fn health(&self) -> Result<Health, Error> {
        let status = self.common.part(common::STATUS, 1)?;
        Ok(Health { function: *self.function(), status })
    }

    /// `false`: the device refuses it.
    fn take_vector(&self, register: usize, vector: u16) -> bool {
        self.common.write(register, vector);
        self.common.read::<u16>(register) != NO_VECTOR
    }

    fn write_address(&self, register: usize, address: PhysAddr) {
        self.common.write(register, address as u32);
        self.common.write(register + 4, (address >> 32) as u32);
    }
}

/// The registers of the first capability of this kind (4.1.4), and where the capability is.
fn registers(
    device: &Device,
    capabilities: &[u16],
    bars: &mut [Option<Registers>; 6],
    kind: u8,
) -> Result<Option<(Registers, u16)>, Error> {
    let is_kind = |&at: &u16| (device.config(at) >> 24) as u8 == kind;
    let Some(at) = capabilities.iter().copied().find(is_kind) else { return Ok(None) };
    let bar = device.config(at + 4) as u8;
    let (offset, length) = (device.config(at + 8) as usize, device.config(at + 12) as usize);
    let whole = bars.get_mut(usize::from(bar)).ok_or(device::Error::BadBar)?;
    if whole.is_none() {
        *whole = Some(device.bar(bar)?);
    }
    let part = whole.as_ref().expect("just mapped").part(offset, length)?;
    if !offset.is_multiple_of(4) {
        return Err(device::Error::OutOfRange.into());
    }
    Ok(Some((part, at)))
}

/// An interrupt of a device's.
#[derive(Debug)]
pub struct Interrupt {
    irq: Irq,
    /// A pin's: the device interrupts until this was read.
    isr: Option<Registers>,
}

impl Interrupt {
    /// To be called before the queue is looked at. `true`: the configuration has changed, and it is
    /// this interrupt that tells.
    pub fn quiet(&self) -> bool {
        const CONFIGURATION: u8 = 2;
        self.isr.as_ref().is_some_and(|isr| isr.read::<u8>(0) & CONFIGURATION != 0)
    }

    /// What a goroutine waits on that has looked at the device (`kernel::device::Irq::armed`).
    pub fn armed(&self) -> executive::irq::Irq {
        self.irq.armed()
    }

    /// Wakes who waits for it, as if the device had interrupted.
    pub fn send(&self) {
        self.irq.send();
    }
}

/// A queue's notification register.
#[derive(Debug)]
pub struct Doorbell {
    register: Registers,
    queue: u16,
}

impl Doorbell {
    /// Tells the device that there is something in the queue.
    pub fn ring(&self) {
        self.register.write(0, self.queue);
    }
}

/// Whether the device is there, and its status register.
#[derive(Debug)]
pub struct Health {
    function: Function,
    status: Registers,
}

impl Health {
    /// An error: no answer is to be waited for.
    pub fn check(&self) -> Result<(), Error> {
        if !self.function.is_there() {
            return Err(Error::Gone);
        }
        let status = DeviceStatus::from_bits_truncate(self.status.read::<u8>(0).into());
        match status.contains(DeviceStatus::DEVICE_NEEDS_RESET) {
            true => Err(Error::NeedsReset),
            false => Ok(()),
        }
    }

    /// Where the device is, or was.
    pub fn place(&self) -> Place {
        Place(self.function.address)
    }

    /// Stops the device, for good: it is reset.
    pub fn stop(&self) {
        self.status.write(0, 0u8);
    }
}

impl Transport for Pci {
    fn device_type(&self) -> DeviceType {
        self.kind
    }

    fn read_device_features(&mut self) -> u64 {
        let half = |n: u32| {
            self.common.write(common::DEVICE_FEATURE_SELECT, n);
            u64::from(self.common.read::<u32>(common::DEVICE_FEATURE))
        };
        half(0) | half(1) << 32
    }

    fn write_driver_features(&mut self, features: u64) {
        for (n, half) in [(0u32, features as u32), (1, (features >> 32) as u32)] {
            self.common.write(common::DRIVER_FEATURE_SELECT, n);
            self.common.write(common::DRIVER_FEATURE, half);
        }
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.common.write(common::QUEUE_SELECT, queue);
        self.common.read::<u16>(common::QUEUE_SIZE).into()
    }

    /// Nothing happens if the queue has no register within the device's.
    fn notify(&mut self, queue: u16) {
        if let Ok(doorbell) = self.doorbell(queue) {
            doorbell.ring();
        }
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_truncate(self.common.read::<u8>(common::STATUS).into())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.common.write(common::STATUS, status.bits() as u8);
    }

    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.common.write(common::QUEUE_SELECT, queue);
        self.common.write(common::QUEUE_SIZE, size as u16);
        self.write_address(common::QUEUE_DESCRIPTORS, descriptors);
        self.write_address(common::QUEUE_DRIVER, driver_area);
        self.write_address(common::QUEUE_DEVICE, device_area);
        // After the reset it has none.
        if self.by_message
            && let Some(vector) = self.interrupt_of(queue)
        {
            self.refused |= !self.take_vector(common::QUEUE_VECTOR, vector as u16);
        }
        self.common.write(common::QUEUE_ENABLE, 1u16);
    }

    /// Queues end when the device is reset.
    fn queue_unset(&mut self, _: u16) {}

    fn queue_used(&mut self, queue: u16) -> bool {
        self.common.write(common::QUEUE_SELECT, queue);
        self.common.read::<u16>(common::QUEUE_ENABLE) == 1
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::from_bits_retain(self.isr.read::<u8>(0).into())
    }

    fn read_config_generation(&self) -> u32 {
        self.common.read::<u8>(common::GENERATION).into()
    }

    /// Fields of 1, 2 and 4 bytes are read as a whole (4.1.3.1); others byte by byte.
    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, VirtioError> {
        let config = self.config_space(offset, size_of::<T>())?;
        let mut value = T::new_zeroed();
        let bytes = value.as_mut_bytes();
        match bytes.len() {
            2 if offset.is_multiple_of(2) => read(config, offset, bytes, u16::to_le_bytes),
            4 if offset.is_multiple_of(4) => read(config, offset, bytes, u32::to_le_bytes),
            _ => bytes.iter_mut().zip(offset..).for_each(|(byte, at)| *byte = config.read(at)),
        }
        Ok(value)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> Result<(), VirtioError> {
        let config = self.config_space(offset, size_of::<T>())?;
        match *value.as_bytes() {
            [a, b] if offset.is_multiple_of(2) => config.write(offset, u16::from_le_bytes([a, b])),
            [a, b, c, d] if offset.is_multiple_of(4) => {
                config.write(offset, u32::from_le_bytes([a, b, c, d]));
            }
            ref bytes => bytes.iter().zip(offset..).for_each(|(&byte, at)| config.write(at, byte)),
        }
        Ok(())
    }
}

fn read<W: Word, const N: usize>(
    from: &Registers,
    offset: usize,
    into: &mut [u8],
    bytes: fn(W) -> [u8; N],
) {
    into.copy_from_slice(&bytes(from.read(offset)));
}

impl Pci {
    fn config_space(&self, offset: usize, length: usize) -> Result<&Registers, VirtioError> {
        let config = self.config.as_ref().ok_or(VirtioError::ConfigSpaceMissing)?;
        match offset.checked_add(length) {
            Some(end) if end <= config.length() => Ok(config),
            _ => Err(VirtioError::ConfigSpaceTooSmall),
        }
    }
}

impl Drop for Pci {
    /// It uses no memory any more when it answers. Without an answer its `Device`, which is dropped
    /// next, keeps it from memory.
    fn drop(&mut self) {
        let _ = self.reset();
    }
}
