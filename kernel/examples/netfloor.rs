//! What the emulator and the card cost, without TCP: a bare loop that sends each datagram for port
//! 7 back, and answers who asks for the address. `tests/bench/net.sh --floor` measures it; the
//! round trips of `netbench`'s echo stand above these.
#![no_std]
#![no_main]
extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use drivers::virtio::{DeviceType, devices};
use drivers::virtio_net::Card;
use executive::affinity::num_cpus;
use executive::{Builder, lock_to_cpu, scope};
use net::Device;

kernel::entry!(main);

/// Ours, in a network of a TAP device (tests/lib/tap.sh).
const ADDRESS: [u8; 4] = [10, 0, 3, 2];

/// A card's rings are made on the stack.
const STACK: usize = 256 << 10;

fn main() {
    let functions = kernel::device::functions();
    let function = devices(&functions, DeviceType::Network).next().expect("a network card");
    let started = Builder::new().stack_bytes(STACK).spawn(move || Card::start(function, "eth0"));
    let card = Arc::new(started.expect("memory").join().expect("a card that works"));
    executive::println!("datagrams for port 7 are sent back");
    scope(|s| {
        for queue in 0..card.capabilities().queues {
            let card = &card;
            s.go(move || serve(card, queue));
        }
    });
}

fn serve(card: &Card, queue: usize) {
    let _stays = lock_to_cpu(queue % num_cpus()); // as an interface's own goroutines
    let own = card.capabilities().address.expect("Ethernet");
    let mut frame = Vec::new();
    loop {
        while card.receive(queue, &mut |came| {
            frame.clear();
            frame.extend_from_slice(came);
        }) {
            if answer(&mut frame, own) {
                card.send(queue, frame.len(), None, &mut |out| out.copy_from_slice(&frame));
            }
        }
        if !card.wait(queue) {
            return;
        }
    }
}

/// Makes the answer of a frame. `false`: there is none.
fn answer(frame: &mut [u8], own: [u8; 6]) -> bool {
    const ARP_ASKS: &[u8] = &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    const IP_WITHOUT_OPTIONS: &[u8] = &[8, 0, 0x45];
    if frame.len() < 42 {
        return false;
    }
    if &frame[12..22] == ARP_ASKS && frame[38..42] == ADDRESS {
        frame[21] = 2; // it answers
        frame.copy_within(22..32, 32);
        frame[22..28].copy_from_slice(&own);
        frame[28..32].copy_from_slice(&ADDRESS);
    } else if &frame[12..15] == IP_WITHOUT_OPTIONS
        && frame[23] == 17
        && frame[30..34] == ADDRESS
        && frame[36..38] == [0, 7]
    {
        // Checksums stay what they are when both ends change places.
        swap(frame, 26, 30, 4);
        swap(frame, 34, 36, 2);
    } else {
        return false;
    }
    swap(frame, 0, 6, 6);
    frame[6..12].copy_from_slice(&own);
    true
}

/// Parts of so many bytes change places.
fn swap(frame: &mut [u8], here: usize, there: usize, length: usize) {
    (0..length).for_each(|n| frame.swap(here + n, there + n));
}
