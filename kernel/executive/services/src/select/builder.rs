//! A select whose number of arms is known only at run time. Go: `reflect.Select`.

use super::case::{Case, RecvSlot, SendPlace};
use super::{RecvFrom, SendTo, choose_of, poll_of};
use crate::irq::Irq;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::marker::Send as Send_;
use core::time::Duration;

/// Waits for any of a number of operations, which are numbered from 0 as they are added. It can
/// wait again and again: a loop adds its arms once. Allocates when arms are added and when it
/// waits, unlike [`select!`](crate::select!).
///
/// ```
/// # hosted::run(|| {
/// use executive::select::{Recv, Select};
/// let (txs, rxs): (Vec<_>, Vec<_>) = (0..10).map(|_| executive::chan(1)).unzip();
/// txs[7].send("seven").unwrap();
/// let arms: Vec<_> = rxs.iter().map(Recv::new).collect();
/// let mut select = Select::new();
/// for arm in &arms {
///     select.recv(arm);
/// }
/// drop(txs);
/// for _ in 0..10 {
///     let n = select.wait();
///     match arms[n].take() {
///         Some(word) => assert_eq!((n, word), (7, "seven")),
///         None => select.switch(n, false), // closed: never again
///     }
/// }
/// # });
/// ```
#[doc(alias = "reflect.Select")]
#[derive(Default)]
pub struct Select<'a> {
    arms: Vec<Entry<'a>>,
}

struct Entry<'a> {
    arm: Box<dyn Arm + 'a>,
    /// Whether the arm is switched on.
    on: bool,
}

/// A receive, as an arm of a [`Select`].
///
/// ```
/// # hosted::run(|| {
/// use executive::select::{Recv, Select};
/// let (tx, rx) = executive::chan(1);
/// tx.send(7).unwrap();
/// let arm = Recv::new(&rx);
/// let mut select = Select::new();
/// select.recv(&arm);
/// select.wait();
/// assert_eq!(arm.take(), Some(7));
/// # });
/// ```
pub struct Recv<'a, T: Send_>(RecvSlot<'a, T>);

impl<'a, T: Send_> Recv<'a, T> {
    /// A receive from a [`Receiver`](crate::chan::Receiver) or what stands for one.
    pub fn new<R: RecvFrom<Item = T> + ?Sized>(from: &'a R) -> Self {
        Recv(RecvSlot::new(from))
    }
    /// The value that was received; gives it once. `None` if the arm was not taken, or was taken
    /// because the channel is closed and drained.
    pub fn take(&self) -> Option<T> {
        self.0.take()
    }
}

impl<T: Send_> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// A send, as an arm of a [`Select`]. It holds the value until that is sent. Without a value it is
/// never ready.
///
/// ```
/// # hosted::run(|| {
/// use executive::select::{Select, Send};
/// let (tx, rx) = executive::chan(1);
/// let arm = Send::new(&tx, 7);
/// let mut select = Select::new();
/// select.send(&arm);
/// select.wait();
/// assert_eq!((arm.put(8), rx.recv()), (None, Some(7)));
/// select.wait();
/// assert_eq!((arm.take(), rx.recv()), (None, Some(8)));
/// # });
/// ```
pub struct Send<'a, T>(SendPlace<'a, T>);

impl<'a, T: Send_> Send<'a, T> {
    /// A send of `value` to a [`Sender`](crate::chan::Sender) or what stands for one.
    pub fn new<S: SendTo<Item = T> + ?Sized>(to: &'a S, value: T) -> Self {
        Send(SendPlace::new(to, value))
    }
    /// Puts the next value to be sent. Gives back the one before, if it was not sent.
    pub fn put(&self, value: T) -> Option<T> {
        self.0.replace(Some(value))
    }
    /// Takes the value back, if it was not sent: another arm was taken, or the channel is closed.
    pub fn take(&self) -> Option<T> {
        self.0.replace(None)
    }
}

/// What the builder needs of an arm.
trait Arm {
    /// Drops what is left of an earlier wait. Called on all arms before any gives its case, because
    /// a drop may run any code.
    fn clear(&self) {}
    fn case(&self) -> Case<'_>;
}

impl<T: Send_> Arm for &Recv<'_, T> {
    fn clear(&self) {
        drop(self.take());
    }
    fn case(&self) -> Case<'_> {
        self.0.case()
    }
}
impl<T: Send_> Arm for &Send<'_, T> {
    fn case(&self) -> Case<'_> {
        self.0.case()
    }
}
struct After(Duration);
impl Arm for After {
    fn case(&self) -> Case<'_> {
        Case::after(self.0)
    }
}
impl Arm for &Irq {
    fn case(&self) -> Case<'_> {
        Case::irq(self)
    }
}

impl<'a> Select<'a> {
    /// No arms yet.
    pub fn new() -> Self {
        Self::default()
    }
    fn add(&mut self, arm: impl Arm + 'a) -> usize {
        self.arms.push(Entry { arm: Box::new(arm), on: true });
        self.arms.len() - 1
    }
    /// Adds a receive. Returns its number.
    pub fn recv<T: Send_>(&mut self, arm: &'a Recv<'_, T>) -> usize {
        self.add(arm)
    }
    /// Adds a send. Returns its number.
    pub fn send<T: Send_>(&mut self, arm: &'a Send<'_, T>) -> usize {
        self.add(arm)
    }
    /// Adds a time limit: `d` after each wait begins. Returns its number.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let mut select = executive::select::Select::new();
    /// let late = select.after(core::time::Duration::from_millis(1));
    /// assert_eq!(select.wait(), late);
    /// # });
    /// ```
    pub fn after(&mut self, d: Duration) -> usize {
        self.add(After(d))
    }
    /// Adds an interrupt line. Returns its number.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let line = executive::irq::Irq::new(1);
    /// executive::on_irq(1);
    /// let mut select = executive::select::Select::new();
    /// select.irq(&line);
    /// assert_eq!(select.wait(), 0);
    /// # });
    /// ```
    pub fn irq(&mut self, line: &'a Irq) -> usize {
        self.add(line)
    }
    /// How many arms there are.
    pub fn len(&self) -> usize {
        self.arms.len()
    }
    /// Whether there are no arms: a wait would last for ever.
    pub fn is_empty(&self) -> bool {
        self.arms.is_empty()
    }

    /// Switches an arm off, or on again. An arm that is off is never ready, as a nil channel in Go.
    /// Panics if there is no such arm.
    pub fn switch(&mut self, arm: usize, on: bool) {
        self.arms[arm].on = on;
    }

    /// Parks until an arm is ready, takes it, and returns its number. Panics if there are more than
    /// 65,535 arms.
    pub fn wait(&mut self) -> usize {
        let cases = self.cases();
        let n = cases.len();
        choose_of(&cases, &mut vec![0; n], &mut vec![0; n])
    }
    /// Takes an arm if one is ready, and returns its number; never parks. Panics if there are more
    /// than 65,535 arms. Go: a select with `default`.
    ///
    /// ```
    /// # hosted::run(|| {
    /// let mut select = executive::select::Select::new();
    /// select.after(core::time::Duration::from_secs(60));
    /// assert_eq!(select.poll(), None);
    /// # });
    /// ```
    pub fn poll(&mut self) -> Option<usize> {
        let cases = self.cases();
        let n = cases.len();
        poll_of(&cases, &mut vec![0; n], &mut vec![0; n])
    }

    fn cases(&self) -> Vec<Case<'_>> {
        assert!(self.arms.len() <= usize::from(u16::MAX), "select: too many arms");
        self.arms.iter().for_each(|entry| entry.arm.clear());
        let arms = self.arms.iter();
        arms.map(|entry| if entry.on { entry.arm.case() } else { Case::never() }).collect()
    }
}
