//! Who takes frames in: for each queue of a device a goroutine, and for a device with one queue
//! others, which other CPUs may run (Linux: receive packet steering).
//!
//! A frame that comes alone is taken in at once: to hand it on would take longer. So is the first
//! of a burst. The others go to the lane that their flow's hash names.
//!
//! **Rule:** the frames of a flow stay in order. A lane's buffers come back when their frames have
//! been taken in. If all are back then all that its flows have had before is done, and only then
//! the next frame of one of them may be taken in elsewhere.

use crate::device::Capabilities;
use crate::frame::{Frame, read};
use crate::link::Link;
use crate::param::{BURST, LANE};
use crate::state::State;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::mem;
use executive::affinity::num_cpus;
use executive::chan::{Receiver, Sender, chan};
use executive::{Builder, lock_to_cpu, yield_now};

/// Takes in what comes by a queue of a link, until the device is closed. The goroutine is the
/// system's, and lives as long as its link.
pub(crate) fn pump(state: &Weak<State>, link: &Arc<Link>, queue: usize) {
    // Of several queues each has a CPU, which sends by it too (`Link::port`) and is interrupted by
    // it. One queue is served wherever there is time.
    let several = link.capabilities.queues > 1;
    let _stays = several.then(|| lock_to_cpu(queue % num_cpus()));
    let mut lanes = Lanes::new(state, link);
    while link.device.wait(queue) {
        let Some(state) = state.upgrade() else { return };
        let mut taken = 0;
        while link.device.receive(queue, &mut |frame| lanes.take(&state, link, frame, taken == 0)) {
            lanes.hand_over();
            taken += 1;
            if taken % BURST == 0 {
                yield_now();
            }
        }
    }
}

/// The lanes of a device with one queue: one for each CPU.
#[doc(alias = "RPS")]
struct Lanes {
    /// None: there are several queues, or one CPU, or no memory. Nor on the loop, where whoever
    /// sends has a CPU already.
    lanes: Vec<Lane>,
    /// Frames may be under way.
    busy: bool,
    /// The frame that is to be handed over, and its lane.
    frame: Vec<u8>,
    to: Option<usize>,
}

/// A goroutine that takes frames in, and its buffers.
struct Lane {
    frames: Sender<Vec<u8>>,
    spare: Receiver<Vec<u8>>,
}

impl Lanes {
    fn new(state: &Weak<State>, link: &Arc<Link>) -> Self {
        let Capabilities { queues, from_outside, .. } = link.capabilities;
        let many = if queues == 1 && from_outside && num_cpus() > 1 { num_cpus() } else { 0 };
        let lanes = (0..many).map(|_| Lane::new(state.clone(), link.clone()));
        let lanes = lanes.collect::<Option<_>>().unwrap_or_default();
        Lanes { lanes, busy: false, frame: Vec::new(), to: None }
    }

    /// Takes a frame in, or a copy of it, which is to be handed over.
    fn take(&mut self, state: &State, link: &Arc<Link>, frame: &[u8], first: bool) {
        self.to = self.lane_for(state, link, frame, first);
        if self.to.is_none() {
            return state.input(link, frame);
        }
        self.busy = true;
        self.frame.clear();
        self.frame.extend_from_slice(frame);
    }

    /// `None`: it is to be taken in at once.
    fn lane_for(&mut self, state: &State, link: &Link, frame: &[u8], first: bool) -> Option<usize> {
        self.busy = self.busy && self.lanes.iter().any(Lane::is_busy);
        if self.lanes.is_empty() || first && !self.busy {
            return None;
        }
        let flow = match read(frame, link.capabilities.header()) {
            Frame::Tcp(segment) => segment.flow,
            Frame::Udp(flow) => flow,
            _ => return None,
        };
        let nth = (flow.hash(&state.random) >> 32) as usize % self.lanes.len();
        (!first || self.lanes[nth].is_busy()).then_some(nth)
    }

    /// Parks while the lane has as many frames as it may.
    fn hand_over(&mut self) {
        if let Some(nth) = self.to
            && let Some(spare) = self.lanes[nth].spare.recv()
        {
            _ = self.lanes[nth].frames.send(mem::replace(&mut self.frame, spare));
        }
    }
}

impl Lane {
    fn new(state: Weak<State>, link: Arc<Link>) -> Option<Self> {
        let (frames, come) = chan::<Vec<u8>>(LANE);
        let (back, spare) = chan::<Vec<u8>>(LANE);
        for _ in 0..LANE {
            _ = back.send(Vec::new());
        }
        let name = link.name;
        let work = move || {
            while let Some(frame) = come.recv() {
                let Some(state) = state.upgrade() else { return };
                state.input(&link, &frame);
                _ = back.send(frame);
            }
        };
        Builder::new().system(name).spawn(work).ok()?;
        Some(Lane { frames, spare })
    }

    fn is_busy(&self) -> bool {
        self.spare.len() < LANE
    }
}
