//! A virtqueue that any number of goroutines use at the same time. Each parks until its own request
//! is answered.
//!
//! No goroutine serves the queue but those who wait. One of them leads: it waits for the device's
//! interrupt, looks what has been answered, and wakes whose that was. The others follow: each waits
//! for its answer, or to be made the leader. When the leader has its own answer it makes the one
//! leader whose patience ends first.
//!
//! So nobody waits for a device that has nothing to do, and a deadlock of others is seen. As long
//! as a request is out its leader waits for an interrupt, and so nobody of the queue is taken for
//! dead. Who sends later has patience for longer: so no other needs a timer.
//!
//! What the device reads and writes is copied into and out of a slot's memory, which a request has
//! for itself while it is out, and then the next one. A request that the device has not answered in
//! time leaves its slot behind until it does.
//!
//! A device that was pulled out says nothing. So the leader, once in a while, looks whether it is
//! there. If not, all who wait are told, and all who come later.
//!
//! **Rule:** only the leader looks what has been answered. So who is to lead next is not told
//! anything else meanwhile.
//!
//! **Rule:** a slot belongs to one goroutine, or to the device alone (`left_behind`), or lies in
//! the channel `free`.
#![allow(unsafe_code)] // What is sent to the device stays until it has answered.

use super::hal::KernelHal;
use super::pci::{Doorbell, Health, Interrupt, Pci};
use super::ring::{Buffers, Nonsense, Ring};
use crate::error::Error;
use crate::param::{AT_A_TIME, CHECK_EVERY};
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::time::Duration;
use executive::chan::{Receiver, Sender};
use executive::g::WaitReason;
use executive::lock::{Lock, Rank};
use executive::select;
use executive::time::Instant;
use executive::wait::Monitor;
use kernel::device::Dma;
use kernel::println;
use virtio_drivers::transport::Transport;

/// A device's queue of `SIZE` descriptors, in which half as many requests fit.
pub struct Queue<const SIZE: usize> {
    shared: Lock<Shared<SIZE>>,
    /// By the slot's number: what its goroutine waits for.
    turns: Vec<Monitor<Turn>>,
    free: Receiver<Slot>,
    give_back: Sender<Slot>,
    interrupt: Interrupt,
    doorbell: Doorbell,
    health: Health,
}

struct Shared<const SIZE: usize> {
    ring: Ring<KernelHal, SIZE>,
    /// By the slot's number: until when somebody waits for its answer.
    waiting: Vec<Option<Instant>>,
    /// By the slot's number: a slot whose request is out, and nobody waits any more.
    left_behind: Vec<Option<Slot>>,
    has_leader: bool,
    /// The device is not asked any more.
    broken: Option<Error>,
}

/// Memory for one request.
struct Slot {
    number: u16,
    memory: Option<Dma>,
}

/// What a goroutine whose request is out has to do.
#[derive(Clone, Copy)]
enum Turn {
    Wait,
    Lead,
    /// It is answered: so many bytes.
    Done(Result<usize, Error>),
}

impl<const SIZE: usize> Queue<SIZE> {
    /// Makes queue number `nth` of a device that is not [`ready`](Pci::ready) yet.
    pub fn new(pci: &mut Pci, nth: u16) -> Result<Self, Error> {
        if pci.queue_used(nth) || pci.max_queue_size(nth) < SIZE as u32 {
            return Err(Error::Queue);
        }
        let ring = Ring::new(pci, nth).map_err(|_| kernel::device::Error::NoMemory)?;
        let room = Ring::<KernelHal, SIZE>::ROOM;
        let (give_back, free) = executive::chan(room);
        for number in 0..room as u16 {
            let _ = give_back.try_send(Slot { number, memory: None });
        }
        let shared = Shared {
            ring,
            waiting: (0..room).map(|_| None).collect(),
            left_behind: (0..room).map(|_| None).collect(),
            has_leader: false,
            broken: None,
        };
        Ok(Queue {
            shared: Lock::new(Rank::User, shared),
            turns: (0..room).map(|_| Monitor::new(Turn::Wait)).collect(),
            free,
            give_back,
            interrupt: pci.interrupt(nth)?,
            doorbell: pci.doorbell(nth)?,
            health: pci.health()?,
        })
    }

    /// Has the device read `question`, one part after the other, and write into `answer`. Returns
    /// how many bytes it wrote, of which all are copied, whether they fill `answer` or not. Before
    /// it writes, the last byte is 0xff.
    ///
    /// Parks until the device has answered, and while the queue is full: in the order of the calls.
    /// An error: it has not within `patience` of being asked, or never will. It may still do what
    /// it was asked for.
    pub fn call(
        &self,
        patience: Duration,
        question: &[&[u8]],
        answer: &mut [&mut [u8]],
    ) -> Result<usize, Error> {
        let to_device = question.iter().map(|part| part.len()).sum();
        let from_device: usize = answer.iter().map(|part| part.len()).sum();
        let mut slot = self.slot(patience).ok_or_else(|| self.why_not(patience))?;
        let memory = match slot.room_for(to_device + from_device) {
            Ok(memory) => memory,
            Err(error) => {
                self.put_back(slot);
                return Err(error.into());
            }
        };
        let mut at = 0;
        for part in question {
            memory.write(at, part);
            at += part.len();
        }
        if from_device > 0 {
            memory.write(to_device + from_device - 1, &[0xff]);
        }
        let buffers = Buffers { at: memory.as_ptr(), to_device, from_device };
        let (slot, answered) = self.send_and_wait(slot, buffers, patience);
        let Some(slot) = slot else { return answered };
        let written = answered?;
        let memory = slot.memory.as_ref().expect("it was used");
        let mut at = to_device;
        for part in answer {
            memory.read(at, part);
            at += part.len();
        }
        self.put_back(slot);
        Ok(written)
    }

    /// A free slot. `None`: there is none within `patience`, or never again.
    fn slot(&self, patience: Duration) -> Option<Slot> {
        if let Ok(slot) = self.free.try_recv() {
            return Some(slot);
        }
        // Perhaps all were left behind, and nobody looks.
        if !mem::replace(&mut self.shared.lock().has_leader, true) {
            self.look(None);
            self.hand_over();
        }
        select! {
            recv(self.free) -> slot => slot,
            after(patience) => None,
        }
    }

    fn put_back(&self, slot: Slot) {
        let _ = self.give_back.try_send(slot); // there is room for all; or the device is broken
    }

    /// Why no slot became free, or no answer came.
    fn why_not(&self, patience: Duration) -> Error {
        let broken = self.shared.lock().broken;
        let health = || self.health.check().err();
        broken.or_else(health).unwrap_or(Error::TimedOut(patience))
    }

    /// Sends the request, and waits until it is answered. The slot is the device's if none comes
    /// back.
    fn send_and_wait(
        &self,
        slot: Slot,
        buffers: Buffers,
        patience: Duration,
    ) -> (Option<Slot>, Result<usize, Error>) {
        let me = slot.number;
        let turn = &self.turns[usize::from(me)];
        *turn.lock() = Turn::Wait;
        let deadline = Instant::now() + patience;
        let (leads, notify) = {
            let mut shared = self.shared.lock();
            if let Some(error) = shared.broken {
                return (None, Err(error)); // no slot is of use any more
            }
            // SAFETY: the memory is a `Dma`. It is the slot's, which nobody else gets before the
            // ring has given the number back: this call keeps it, or leaves it behind.
            let sent = unsafe { shared.ring.send(me, buffers) };
            let Ok(notify) = sent else {
                drop(shared);
                self.break_down(Error::Nonsense); // there are as many slots as there is room
                return (None, Err(Error::Nonsense));
            };
            shared.waiting[usize::from(me)] = Some(deadline);
            (!mem::replace(&mut shared.has_leader, true), notify)
        };
        if notify {
            self.doorbell.ring();
        }
        if !leads {
            let mut now = turn.lock();
            while let Turn::Wait = *now {
                now.wait(WaitReason::Irq);
                now = turn.lock();
            }
            if let Turn::Done(answered) = *now {
                drop(now);
                return self.answered(slot, answered);
            }
        }
        let answered = loop {
            self.interrupt.quiet();
            if let Some(answered) = self.look(Some(me)) {
                break answered;
            }
            let remaining = deadline.remaining();
            let in_time = select! {
                irq(self.interrupt.armed()) => true,
                after(remaining.min(CHECK_EVERY)) => false,
            };
            if in_time {
                continue;
            }
            if let Some(answered) = self.look(Some(me)) {
                break answered;
            }
            let why = self.why_not(patience);
            if !matches!(why, Error::TimedOut(_)) {
                self.break_down(why);
                return (None, Err(why));
            }
            if remaining > CHECK_EVERY {
                continue;
            }
            let mut shared = self.shared.lock();
            // If it is broken, this was its leader, and has broken it.
            shared.waiting[usize::from(me)] = None;
            shared.left_behind[usize::from(me)] = Some(slot);
            drop(shared);
            self.hand_over();
            return (None, Err(why));
        };
        self.hand_over();
        self.answered(slot, answered)
    }

    /// The slot is free again, if the device will not touch it any more.
    fn answered(
        &self,
        slot: Slot,
        answered: Result<usize, Error>,
    ) -> (Option<Slot>, Result<usize, Error>) {
        if answered.is_ok() {
            (Some(slot), answered)
        } else {
            mem::forget(slot); // its memory is the device's for good
            (None, answered)
        }
    }

    /// For the leader: looks what the device has answered, and wakes whose that was; but `me`,
    /// whose answer is returned.
    fn look(&self, me: Option<u16>) -> Option<Result<usize, Error>> {
        let mut mine = None;
        loop {
            let mut answered = [None; AT_A_TIME];
            let mut more = true;
            let mut nonsense = false;
            let mut left_behind = None;
            {
                let mut shared = self.shared.lock();
                if let Some(error) = shared.broken {
                    return Some(Err(error));
                }
                for place in &mut answered {
                    match shared.ring.take() {
                        None => {
                            more = false;
                            break;
                        }
                        Some(Ok((number, length))) => {
                            let nth = usize::from(number);
                            if shared.waiting[nth].take().is_some() {
                                *place = Some((number, length));
                            } else {
                                left_behind = shared.left_behind[nth].take();
                                break;
                            }
                        }
                        Some(Err(Nonsense)) => {
                            nonsense = true;
                            break;
                        }
                    }
                }
            }
            left_behind.into_iter().for_each(|slot| self.put_back(slot));
            for (number, length) in answered.into_iter().flatten() {
                if me == Some(number) {
                    mine = Some(Ok(length));
                } else {
                    self.tell(number, Turn::Done(Ok(length)));
                }
            }
            if nonsense {
                // What came before it was right.
                self.break_down(Error::Nonsense);
                return mine.or(Some(Err(Error::Nonsense)));
            }
            if !more {
                return mine;
            }
        }
    }

    fn tell(&self, number: u16, what: Turn) {
        let mut turn = self.turns[usize::from(number)].lock();
        *turn = what;
        turn.ready_first();
    }

    /// The caller leads no more: whose patience ends first does, if anybody waits.
    fn hand_over(&self) {
        let next = {
            let mut shared = self.shared.lock();
            let waiting = shared.waiting.iter().zip(0..);
            let next = waiting.filter_map(|(until, number)| Some(((*until)?, number))).min();
            shared.has_leader = next.is_some();
            next
        };
        if let Some((_, number)) = next {
            self.tell(number, Turn::Lead);
        }
    }

    /// The device is not asked any more. Whoever waits is told why.
    fn break_down(&self, why: Error) {
        self.health.stop();
        let (first, told): (bool, Vec<u16>) = {
            let mut shared = self.shared.lock();
            let first = shared.broken.is_none();
            shared.broken.get_or_insert(why);
            let waiting = shared.waiting.iter_mut().zip(0..);
            (first, waiting.filter_map(|(until, number)| until.take().map(|_| number)).collect())
        };
        if first {
            println!("virtio: {} is not used any more: {why}", self.health.place());
            self.give_back.close();
        }
        told.into_iter().for_each(|number| self.tell(number, Turn::Done(Err(why))));
    }
}

impl Slot {
    fn room_for(&mut self, bytes: usize) -> Result<&Dma, kernel::device::Error> {
        if self.memory.as_ref().is_none_or(|memory| memory.length() < bytes) {
            self.memory = None;
            self.memory = Some(Dma::new(bytes)?);
        }
        Ok(self.memory.as_ref().expect("just made"))
    }
}

impl<const SIZE: usize> fmt::Debug for Queue<SIZE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared.lock();
        let waiting = shared.waiting.iter().flatten().count();
        let left_behind = shared.left_behind.iter().flatten().count();
        write!(f, "{waiting} requests are out, {left_behind} were given up, ")?;
        write!(f, "interrupt: {:?}", self.interrupt)
    }
}
