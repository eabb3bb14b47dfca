//! A disk behind NVM Express: commands go into a ring in memory, answers come out of another, and
//! an interrupt says that there are some.
//!
//! **Rule:** (yours: who may touch the rings, and how does a goroutine learn that its command is
//! done?)
//!
//! **Rule:** memory that the controller was told of lives until it has answered.

use crate::Controller;
use alloc::string::String;
use alloc::sync::Arc;
use kernel::device::Dma;

/// Bytes of a block.
pub const BLOCK: usize = 512;

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The controller did not start, or says that it has failed.
    Failed,
    /// There is no memory.
    NoMemory,
    /// The controller refused a command, and this is its status: code and type, 11 bits.
    Refused(u16),
}

/// A disk; to be shared by any number of goroutines.
pub struct Disk {
    _controller: Controller,
    // Your fields.
}

impl Disk {
    /// Starts the controller, its admin queues, and a pair of queues for reading.
    pub fn start(controller: Controller) -> Result<Arc<Disk>, Error> {
        let _version: u32 = controller.registers.read(0x08);
        let _ring = Dma::new(4096).map_err(|_| Error::NoMemory)?;
        let _ = Disk { _controller: controller };
        todo!("enable it")
    }

    /// Its serial number, without the spaces that fill the field.
    pub fn serial(&self) -> Result<String, Error> {
        todo!("Identify Controller")
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> Result<u64, Error> {
        todo!("Identify Namespace 1")
    }

    /// Reads a block. Parks meanwhile; others may read at the same time.
    pub fn read(&self, block: u64, into: &mut [u8; BLOCK]) -> Result<(), Error> {
        let _ = (block, into);
        todo!("Read")
    }
}
