//! A select whose number of arms is known only at run time. Go: `reflect.Select`.
#![allow(unsafe_code)] // Takes what the engine has put into an arm, or taken out of it.

use super::{Case, RecvFrom, RecvSlot, SendSlot, choose_of};
use crate::chan::Sender;
use crate::irq::Irq;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

/// Waits for any of a number of operations; they are numbered from 0 as they are added. Allocates when arms are added and when it waits, unlike
/// [`select!`](crate::select!).
///
/// ```no_run
/// use executive::select::{Recv, Select};
/// let (txs, rxs): (Vec<_>, Vec<_>) = (0..10).map(|_| executive::chan(1)).unzip();
/// txs[7].send("seven").unwrap();
/// let mut arms: Vec<_> = rxs.iter().map(Recv::new).collect();
/// let mut select = Select::new();
/// for arm in &mut arms {
///     select.recv(arm);
/// }
/// assert_eq!(select.wait(), 7);
/// assert_eq!(arms[7].take(), Some("seven"));
/// ```
#[derive(Default)]
pub struct Select<'a> {
    arms: Vec<Box<dyn Arm + 'a>>,
}

/// A receive, as an arm of a [`Select`].
///
/// ```no_run
/// use executive::select::{Recv, Select};
/// let (tx, rx) = executive::chan(1);
/// tx.send(7).unwrap();
/// let mut arm = Recv::new(&rx);
/// let mut select = Select::new();
/// select.recv(&mut arm);
/// select.wait();
/// assert_eq!(arm.take(), Some(7));
/// ```
pub struct Recv<'a, T: Send_> {
    slot: RecvSlot<'a, T>,
    /// The select has put a value there.
    full: bool,
}

impl<'a, T: Send_> Recv<'a, T> {
    /// A receive from a [`Receiver`](crate::chan::Receiver) or what stands for one.
    pub fn new<R: RecvFrom<Item = T> + ?Sized>(from: &'a R) -> Self {
        Recv { slot: RecvSlot::new(from), full: false }
    }
    /// What was received; once. `None` if the arm was taken because the channel is closed and drained, and if it was not taken.
    pub fn take(&mut self) -> Option<T> {
        // SAFETY: `full` says so, and says so once.
        core::mem::take(&mut self.full).then(|| unsafe { self.slot.finish(true) })?
    }
}

impl<T: Send_> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// A send, as an arm of a [`Select`]: it has the value until it was sent.
///
/// ```no_run
/// use executive::select::{Select, Send};
/// let (tx, rx) = executive::chan(1);
/// let mut arm = Send::new(&tx, 7);
/// let mut select = Select::new();
/// select.send(&mut arm);
/// select.wait();
/// assert_eq!((arm.into_inner(), rx.recv()), (None, Some(7)));
/// ```
pub struct Send<'a, T> {
    to: &'a Sender<T>,
    value: Option<T>,
}

impl<'a, T: Send_> Send<'a, T> {
    /// A send of `value`.
    pub fn new(to: &'a Sender<T>, value: T) -> Self {
        Send { to, value: Some(value) }
    }
    /// The value, if it was not sent: another arm was taken, or the channel is closed.
    pub fn into_inner(self) -> Option<T> {
        self.value
    }
}

use core::marker::Send as Send_;

/// What the builder needs of an arm: its case, and to be told that it was taken.
trait Arm {
    fn case(&mut self) -> Case<'_>;
    fn taken(&mut self, _success: bool) {}
}

impl<T: Send_> Arm for &mut Recv<'_, T> {
    fn case(&mut self) -> Case<'_> {
        drop(self.take()); // of an earlier select
        self.slot.case()
    }
    fn taken(&mut self, success: bool) {
        self.full = success;
    }
}
impl<T: Send_> Arm for &mut Send<'_, T> {
    fn case(&mut self) -> Case<'_> {
        let Some(value) = &self.value else { return Case::never() }; // sent by an earlier select
        // SAFETY: the case borrows us, so the value stays; `taken` forgets it.
        unsafe { SendSlot::new(self.to, value).into_case() }
    }
    fn taken(&mut self, success: bool) {
        if success {
            // SAFETY: the value was moved out; the place is as good as empty, and `None` is written over it without a drop.
            unsafe { (&raw mut self.value).write(None) };
        }
    }
}
struct After(Duration);
impl Arm for After {
    fn case(&mut self) -> Case<'_> {
        Case::after(self.0)
    }
}
impl Arm for &Irq {
    fn case(&mut self) -> Case<'_> {
        Case::irq(self)
    }
}

impl<'a> Select<'a> {
    /// No arms yet.
    pub fn new() -> Self {
        Self::default()
    }
    fn add(&mut self, arm: impl Arm + 'a) -> usize {
        self.arms.push(Box::new(arm));
        self.arms.len() - 1
    }
    /// Adds a receive. Gives its number.
    pub fn recv<T: Send_>(&mut self, arm: &'a mut Recv<'_, T>) -> usize {
        self.add(arm)
    }
    /// Adds a send. Gives its number.
    pub fn send<T: Send_>(&mut self, arm: &'a mut Send<'_, T>) -> usize {
        self.add(arm)
    }
    /// Adds a deadline, `d` after the wait begins. Gives its number.
    ///
    /// ```no_run
    /// let mut select = executive::select::Select::new();
    /// let late = select.after(core::time::Duration::from_millis(1));
    /// assert_eq!(select.wait(), late);
    /// ```
    pub fn after(&mut self, d: Duration) -> usize {
        self.add(After(d))
    }
    /// Adds an interrupt line. Gives its number.
    ///
    /// ```no_run
    /// let line = executive::irq::Irq::new(1);
    /// executive::on_irq(1);
    /// let mut select = executive::select::Select::new();
    /// select.irq(&line);
    /// assert_eq!(select.wait(), 0);
    /// ```
    pub fn irq(&mut self, line: &'a Irq) -> usize {
        self.add(line)
    }
    /// How many arms there are.
    pub fn len(&self) -> usize {
        self.arms.len()
    }
    /// Whether there are no arms: waiting would be for good.
    pub fn is_empty(&self) -> bool {
        self.arms.is_empty()
    }

    /// Parks until an arm is ready, takes it, and gives its number. Panics if there are more than 65,535.
    pub fn wait(mut self) -> usize {
        match self.choose(false) {
            Some(index) => index,
            None => unreachable!("a select without default has chosen"),
        }
    }
    /// Takes an arm if one is ready, and gives its number; never parks. Go: a select with `default`.
    ///
    /// ```no_run
    /// let mut select = executive::select::Select::new();
    /// select.after(core::time::Duration::from_secs(1));
    /// assert_eq!(select.poll(), None);
    /// ```
    pub fn poll(mut self) -> Option<usize> {
        self.choose(true)
    }

    fn choose(&mut self, or_default: bool) -> Option<usize> {
        let n = self.arms.len();
        assert!(n <= usize::from(u16::MAX), "select: too many arms");
        let mut cases: Vec<Case<'_>> = self.arms.iter_mut().map(|arm| arm.case()).collect();
        let chosen = choose_of(&mut cases, &mut vec![0; n], &mut vec![0; n], or_default)?;
        drop(cases);
        self.arms[chosen.index].taken(chosen.success);
        Some(chosen.index)
    }
}
