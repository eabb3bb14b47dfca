//! A wire in memory: a switch, into which interfaces are plugged. Frames get lost, come twice, late
//! or before others, as a seed says.

use crate::device::{Capabilities, Device, Segmented};
use crate::frame::{Frame, read};
use crate::random::Random;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use executive::g::WaitReason;
use executive::lock::{Lock, Rank};
use executive::time::Instant;
use executive::wait::Monitor;

/// What happens to frames on their way. By default nothing does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Makes the accidents: the same seed, the same accidents.
    pub seed: u64,
    /// Of a thousand frames so many are lost ..
    pub lost: u32,
    /// .. come twice ..
    pub twice: u32,
    /// .. stay behind for [`late`](Self::late), so that others overtake them ..
    pub overtaken: u32,
    /// .. and have a byte changed.
    pub damaged: u32,
    /// What every frame takes ..
    pub delay: Duration,
    /// .. and those that are overtaken take longer by this.
    pub late: Duration,
}

/// The switch. A clone is the same one.
#[derive(Clone)]
pub struct Wire(Arc<Switch>);

struct Switch {
    ends: Lock<Vec<Arc<Queues>>>,
    faults: Lock<Faults>,
    plugged: AtomicBool,
    random: Random,
    frames: AtomicU64,
    lost: AtomicU64,
    next_address: AtomicU64,
}

/// Where a device is plugged in: all that comes for it.
struct Queues {
    address: Option<[u8; 6]>,
    queues: Vec<Monitor<Queue>>,
    /// Which queue a flow comes by.
    spread: Random,
}

#[derive(Default)]
struct Queue {
    /// What has come, in order.
    here: VecDeque<Box<[u8]>>,
    /// What is on its way, by when it comes (ns); and by a number, for two at once.
    coming: BTreeMap<(u64, u64), Box<[u8]>>,
    came: u64,
    closed: bool,
}

/// Frames that wait in one queue; more are lost.
const MOST: usize = 4096;

/// Bytes of an IP packet ..
const MTU: usize = 1500;

/// .. and on the loop: a buffer's worth.
const LOOP_MTU: usize = 16 << 10;

/// Bytes of a frame's header.
const ETHERNET: usize = 14;

/// A device on a [`Wire`].
pub struct WireEnd {
    /// `None`: it leads back to itself.
    switch: Option<Arc<Switch>>,
    own: Arc<Queues>,
    mtu: usize,
    checksums: bool,
    from_outside: bool,
}

impl Wire {
    /// A switch with these accidents.
    pub fn new(faults: Faults) -> Self {
        let seed = faults.seed;
        Wire(Arc::new(Switch {
            ends: Lock::new(Rank::User, Vec::new()),
            faults: Lock::new(Rank::User, faults),
            plugged: AtomicBool::new(true),
            random: Random::new([seed, seed ^ 1, seed ^ 2, seed ^ 3]),
            frames: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            next_address: AtomicU64::new(1),
        }))
    }

    /// A device with this many queues, plugged in.
    pub fn plug(&self, queues: usize) -> WireEnd {
        let nth = self.0.next_address.fetch_add(1, Relaxed) as u32; // only that each is another
        let [a, b, c, d] = nth.to_be_bytes();
        let address = [2, 0, a, b, c, d]; // locally administered
        let own = Queues::new(Some(address), queues);
        self.0.ends.lock().push(own.clone());
        let switch = Some(self.0.clone());
        WireEnd { switch, own, mtu: MTU, checksums: true, from_outside: false }
    }

    /// From here on these accidents happen. (The seed stays the first one.)
    pub fn set_faults(&self, faults: Faults) {
        *self.0.faults.lock() = faults;
    }

    /// Pulls the cable, or puts it back: what is sent meanwhile is lost.
    pub fn set_plugged(&self, plugged: bool) {
        self.0.plugged.store(plugged, Relaxed);
    }

    /// How many frames were sent, and how many of them did not arrive.
    pub fn frames(&self) -> (u64, u64) {
        (self.0.frames.load(Relaxed), self.0.lost.load(Relaxed))
    }
}

impl WireEnd {
    /// A device whose packets come back to itself: `lo`.
    pub fn looped() -> Self {
        let own = Queues::new(None, 1);
        WireEnd { switch: None, own, mtu: LOOP_MTU, checksums: false, from_outside: false }
    }

    /// Neither end looks at checksums, as with a card that does: for benchmarks.
    pub fn without_checksums(mut self) -> Self {
        self.checksums = false;
        self
    }

    /// As if it led to the outside: who waits for it is not dead.
    pub fn from_outside(mut self) -> Self {
        self.from_outside = true;
        self
    }

    /// Packets of up to so many bytes.
    pub fn with_mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }

    /// Puts a frame on the wire as it is, whoever it claims to come from: for a peer that is played
    /// by a test.
    pub fn inject(&self, frame: &[u8]) {
        self.carry(frame.into());
    }

    /// The oldest frame that has come, for such a peer; parks until there is one. `None`: the end
    /// was closed.
    pub fn next_frame(&self) -> Option<Box<[u8]>> {
        loop {
            if let Some(frame) = self.own.queues[0].lock().here.pop_front() {
                return Some(frame);
            }
            if !self.wait(0) {
                return None;
            }
        }
    }
}

impl WireEnd {
    fn carry(&self, frame: Box<[u8]>) {
        match &self.switch {
            Some(switch) => switch.carry(&self.own, frame),
            None => _ = self.own.put(frame, Duration::ZERO),
        }
    }
}

impl Switch {
    fn carry(&self, from: &Arc<Queues>, frame: Box<[u8]>) {
        self.frames.fetch_add(1, Relaxed);
        let Some(to) = frame.get(..6) else { return };
        let everybody = to[0] & 1 != 0;
        let ends: Vec<_> = {
            let ends = self.ends.lock();
            let reached = |end: &&Arc<Queues>| match everybody {
                true => !Arc::ptr_eq(end, from),
                false => end.address.is_some_and(|address| address == to),
            };
            ends.iter().filter(reached).cloned().collect()
        };
        let faults = *self.faults.lock();
        let happens = |of_a_thousand| {
            of_a_thousand > 0 && self.random.next() % 1000 < u64::from(of_a_thousand)
        };
        for end in ends {
            if !self.plugged.load(Relaxed) || happens(faults.lost) {
                self.lost.fetch_add(1, Relaxed);
                continue;
            }
            let mut frame = frame.clone();
            if happens(faults.damaged) {
                let random = self.random.next();
                let at = (random >> 8) as usize % frame.len();
                frame[at] ^= (random as u8).max(1);
            }
            for _ in 0..1 + usize::from(happens(faults.twice)) {
                let late =
                    if happens(faults.overtaken) { faults.late } else { Duration::default() };
                if !end.put(frame.clone(), faults.delay + late) {
                    self.lost.fetch_add(1, Relaxed);
                }
            }
        }
    }
}

impl Queues {
    fn new(address: Option<[u8; 6]>, queues: usize) -> Arc<Self> {
        let seed = address.map_or(0, |[_, _, a, b, c, d]| u32::from_be_bytes([a, b, c, d]));
        Arc::new(Queues {
            address,
            queues: (0..queues).map(|_| Monitor::new(Queue::default())).collect(),
            spread: Random::new([u64::from(seed); 4]),
        })
    }

    fn put(&self, frame: Box<[u8]>, delay: Duration) -> bool {
        let nth = match self.queues.len() {
            1 => 0,
            several => match read(&frame, ETHERNET) {
                Frame::Tcp(segment) => segment.flow.hash(&self.spread) as usize % several,
                _ => 0,
            },
        };
        let mut queue = self.queues[nth].lock();
        if queue.closed || queue.here.len() + queue.coming.len() >= MOST {
            return false;
        }
        if delay.is_zero() {
            queue.here.push_back(frame);
        } else {
            let due = (Instant::now() + delay).as_nanos();
            queue.came += 1;
            let nth = queue.came;
            queue.coming.insert((due, nth), frame);
        }
        queue.ready_first();
        true
    }
}

impl Device for WireEnd {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            address: self.own.address,
            mtu: self.mtu,
            queues: self.own.queues.len(),
            checksums_sent: !self.checksums,
            checksums_received: !self.checksums,
            segments: None,
            from_outside: self.from_outside,
        }
    }

    fn send(
        &self,
        _queue: usize,
        length: usize,
        _segmented: Segmented,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        let mut frame = vec![0; length].into_boxed_slice();
        fill(&mut frame);
        self.carry(frame);
        true
    }

    fn has_room(&self, _queue: usize) -> bool {
        true
    }

    fn receive(&self, queue: usize, take: &mut dyn FnMut(&[u8])) -> bool {
        let frame = {
            let mut queue = self.own.queues[queue].lock();
            queue.arrive();
            queue.here.pop_front()
        };
        frame.inspect(|frame| take(frame)).is_some()
    }

    fn wait(&self, queue: usize) -> bool {
        loop {
            let mut queue = self.own.queues[queue].lock();
            queue.arrive();
            if queue.closed {
                return false;
            }
            if !queue.here.is_empty() {
                return true;
            }
            match queue.coming.first_key_value() {
                Some((&(due, _), _)) => _ = queue.wait_until(due, WaitReason::Monitor),
                None => queue.wait(WaitReason::Monitor),
            }
        }
    }

    fn close(&self) {
        for queue in &self.own.queues {
            let mut queue = queue.lock();
            *queue = Queue { closed: true, ..Queue::default() };
            queue.ready_all();
        }
        if let Some(switch) = &self.switch {
            switch.ends.lock().retain(|end| !Arc::ptr_eq(end, &self.own));
        }
    }
}

impl Queue {
    /// What is due has come.
    fn arrive(&mut self) {
        let now = if self.coming.is_empty() { 0 } else { Instant::now().as_nanos() };
        while let Some(first) = self.coming.first_entry()
            && first.key().0 <= now
        {
            self.here.push_back(first.remove());
        }
    }
}
