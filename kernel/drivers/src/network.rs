//! The machine's network: a stack (package `net`), with an interface for each card.
#![allow(unsafe_code)] // Memory of idle connections' buffers is taken away.

use crate::card::Card;
use crate::e1000;
use crate::error::Error;
use crate::param::CARD_STACK;
use crate::random;
use crate::virtio::{DeviceType, devices};
use crate::virtio_net;
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::net::IpAddr;
use core::ptr::NonNull;
use executive::Builder;
use executive::lock::{Lock, Rank};
use kernel::device::{self, Function, Place};
use kernel::{memory, println};
use net::{Change, Config, Interface, Pages, Stack};

/// The kernel's heap: blocks of more than 8 KiB have pages of their own.
#[derive(Debug)]
pub struct HeapPages;

fn layout(bytes: usize) -> Layout {
    Layout::array::<u8>(bytes).expect("the block is there")
}

// With an allocator of the program's own nothing is taken: its blocks are not where the heap's are.
impl Pages for HeapPages {
    unsafe fn decommit(&self, block: NonNull<u8>, bytes: usize) -> bool {
        // SAFETY: the caller's promise; a buffer is an array of bytes.
        unsafe { memory::decommit(block, layout(bytes)) }
    }

    unsafe fn commit(&self, block: NonNull<u8>, bytes: usize) -> bool {
        memory::commit(block, layout(bytes))
    }
}

/// The cards that were started, and their interfaces.
static CARDS: Lock<Vec<(Interface, Arc<dyn Card>)>> = Lock::new(Rank::User, Vec::new());

/// The card of an interface, if it has one.
pub fn card(interface: &Interface) -> Option<Arc<dyn Card>> {
    let cards = CARDS.lock();
    let its = cards.iter().find(|(other, _)| other.name() == interface.name());
    its.map(|(_, card)| card.clone())
}

/// Starts the cards, and says so in a line each. If there is one, there is a stack.
pub(crate) fn start_all(functions: &[Function]) {
    let virtio = devices(functions, DeviceType::Network).map(|function| (function, Kind::Virtio));
    let intel = functions.iter().filter(|function| e1000::knows(function));
    let cards = virtio.chain(intel.map(|&function| (function, Kind::E1000)));
    let mut stack = None;
    for ((function, kind), nth) in cards.zip(0..) {
        let name: &'static str = Box::leak(format!("eth{nth}").into_boxed_str());
        match start(function, kind, name) {
            Ok(card) => attach(stack.get_or_insert_with(new_stack), name, card),
            Err(error) => println!("{name}: {} cannot be used: {error}", Place(function.address)),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Virtio,
    E1000,
}

/// A card's rings may be made on the stack, so this is done by a goroutine that has enough of it.
fn start(function: Function, kind: Kind, name: &'static str) -> Result<Arc<dyn Card>, Error> {
    let goroutine = Builder::new().name(name).stack_bytes(CARD_STACK);
    let started = goroutine.spawn(move || -> Result<Arc<dyn Card>, Error> {
        Ok(match kind {
            Kind::Virtio => Arc::new(virtio_net::Card::start(function, name)?),
            Kind::E1000 => Arc::new(e1000::Card::start(function, name)?),
        })
    });
    started.map_err(|_| device::Error::NoMemory)?.join()
}

fn attach(stack: &Stack, name: &'static str, card: Arc<dyn Card>) {
    println!("{name}: {card}");
    let interface = stack.attach(name, card.clone());
    card.clone().watch();
    configure(&interface);
    CARDS.lock().push((interface, card));
}

/// The interface gets its addresses from whoever gives some: a DHCP server, routers. Each is told
/// of in a line, also when it is lost.
pub fn configure(interface: &Interface) {
    let name = interface.name();
    let tell = move |change| match change {
        Change::Added(address, bits) => println!("{name}: {address}/{bits}"),
        Change::Lost(address) => println!("{name}: {address} is lost"),
    };
    interface.dhcp(tell);
    interface.slaac(tell);
}

/// The interface of the first card that could be started.
pub fn first_card(stack: &Stack) -> Option<Interface> {
    stack.interfaces().into_iter().find(|interface| card(interface).is_some())
}

/// Gives the first card an address, such as `10.0.2.15/24`, in place of those that it has of that
/// kind; and the gateway, if it is not empty, for all other networks.
pub fn up(address: &str, gateway: &str) -> Result<Stack, &'static str> {
    const WRONG: &str = "an address such as 10.0.2.15/24 is needed, and a gateway's";
    let (address, bits) = address.split_once('/').ok_or(WRONG)?;
    let address: IpAddr = address.parse().map_err(|_| WRONG)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse().ok().filter(|bits| (1..=most).contains(bits)).ok_or(WRONG)?;
    let gateway = match gateway {
        "" => None,
        gateway => Some(gateway.parse().map_err(|_| WRONG)?),
    };
    let stack = Stack::get_default().map_err(|_| "there is no network card")?;
    let interface = first_card(&stack).ok_or("no network card could be started")?;
    interface.fixed();
    for (old, _) in interface.addresses() {
        if old.is_ipv4() == address.is_ipv4() {
            interface.remove_address(old);
        }
    }
    interface.add_address(address, bits);
    if let Some(gateway) = gateway {
        interface.set_gateway(gateway);
    }
    println!("{}: {address}/{bits}", interface.name());
    Ok(stack)
}

fn new_stack() -> Stack {
    let mut seed = [0; 32];
    random::fill(&mut seed);
    let (words, _) = seed.as_chunks::<8>();
    let seed = core::array::from_fn(|nth| u64::from_le_bytes(words[nth]));
    let stack = Stack::new(Config { pages: Some(&HeapPages), ..Config::new(seed) });
    stack.make_default();
    stack
}
