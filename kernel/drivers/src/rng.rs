//! Virtio's source of random numbers (5.4 of its specification). QEMU: `-device virtio-rng-pci`.

use crate::error::Error;
use crate::param::RNG_PATIENCE;
use crate::virtio::{Pci, Queue};
use executive::sync::OnceLock;
use kernel::device::Function;

/// A device that gives random numbers.
#[derive(Debug)]
pub struct Rng {
    _pci: Pci,
    queue: Queue<8>,
}

static FIRST: OnceLock<Rng> = OnceLock::new();

impl Rng {
    /// Takes and starts the device.
    pub fn start(function: Function) -> Result<Rng, Error> {
        let mut pci = Pci::open(function, 1)?;
        pci.begin(0)?;
        let queue = Queue::new(&mut pci, 0)?;
        pci.ready();
        Ok(Rng { _pci: pci, queue })
    }

    /// Fills `bytes`, and parks meanwhile.
    pub fn fill(&self, mut bytes: &mut [u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let most = bytes.len().min(MOST);
            let given = self.queue.call(RNG_PATIENCE, &[], &mut [&mut bytes[..most]])?;
            if given == 0 {
                return Err(Error::Nonsense);
            }
            bytes = &mut bytes[given..];
        }
        Ok(())
    }
}

/// The host gives few bytes at a time.
const MOST: usize = 4096;

/// Makes `rng` the one that [`get`] returns, unless there is one.
pub(crate) fn provide(rng: Rng) {
    let _ = FIRST.set(rng);
}

/// The device, if there is one.
pub fn get() -> Option<&'static Rng> {
    FIRST.get()
}
