//! The network: cards of virtio and of Intel (package `drivers`), at QEMU's user-mode network,
//! which needs no rights. The kernel is 10.0.2.15 there, and this machine 10.0.2.2.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use tests::{Boot, Console, Socket, boots};

/// Gives the card its address.
const UP: &str = "net up 10.0.2.15/24 10.0.2.2";

const VIRTIO: &str = "virtio-net-pci";

/// A port of this machine that nobody has: it may be forwarded.
fn free_port() -> u16 {
    let any = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    any.local_addr().expect("it has one").port()
}

/// A machine on this board with this card, as QEMU calls it. `forward`: this port of the host
/// is the kernel's port 7.
fn machine(board: &str, card: &str, forward: u16) -> Boot {
    boots()
        .qemu(&["-machine", board])
        .qemu(&["-netdev", &format!("user,id=n,hostfwd=tcp:127.0.0.1:{forward}-:7")])
        .qemu(&["-device", &format!("{card},netdev=n,id=card,romfile=")])
}

/// What who listens there answers, until both have ended.
fn talk(to: impl ToSocketAddrs, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
    let mut writer = stream.try_clone().expect("two handles");
    let sent = bytes.to_vec();
    let sender = thread::spawn(move || {
        writer.write_all(&sent).expect("it is taken");
        writer.shutdown(Shutdown::Write).expect("it ends");
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).expect("an answer");
    sender.join().expect("it was sent");
    got
}

/// Bytes, by a formula.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn console(machine: Boot) -> Console {
    let mut console = machine.console();
    assert!(console.does(UP).contains("eth0: 10.0.2.15/24"));
    console
}

/// The kernel calls a host at this address, who answers.
fn calls_the_host(console: &mut Console, listens_at: &str, host: &str) {
    let listener = TcpListener::bind((listens_at, 0)).expect("a port is free");
    let port = listener.local_addr().expect("it has one").port();
    let answers = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the kernel calls");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("text");
        write!(stream, "you said: {said}").expect("it listens");
    });
    let said = console.does(&format!("tcp {host} {port} hello there"));
    assert!(said.contains("you said: hello there\n"), "{said}");
    answers.join().expect("somebody has called");
}

/// Connections both ways, with more bytes than fit into all buffers.
fn both_ways(board: &str, cpus: usize, card: &str, firmware: fn(Boot) -> Boot) {
    let port = free_port();
    let mut console = console(firmware(machine(board, card, port)).smp(cpus));
    console.types("listen 7\r");
    console.until("port 7: echo");
    let several: Vec<_> = (1..=3)
        .map(|nth| {
            thread::spawn(move || {
                let bytes = pattern(nth * 100_000);
                assert!(talk(("127.0.0.1", port), &bytes) == bytes, "other bytes came back");
            })
        })
        .collect();
    several.into_iter().for_each(|one| one.join().expect("the echo is right"));
    console.types("\x03");
    console.until("> ");

    calls_the_host(&mut console, "127.0.0.1", "10.0.2.2");
    let said = console.does("ping 10.0.2.2 2");
    assert_eq!(said.matches("10.0.2.2: ").count(), 2, "{said}");
    let said = console.does("net");
    assert!(said.contains("10.0.2.15/24") && said.contains("frames in"), "{said}");
    assert!(!said.contains("checksum"), "{said}");
    console.ends_with("exit", 0);
}

#[test]
fn connections_go_both_ways_on_q35() {
    both_ways("q35", 1, VIRTIO, |boot| boot);
    both_ways("q35", 4, VIRTIO, Boot::uefi);
}

#[test]
fn connections_go_both_ways_on_pc() {
    both_ways("pc", 1, VIRTIO, Boot::uefi);
    both_ways("pc", 2, VIRTIO, |boot| boot);
}

/// By its pin, and by a message.
#[test]
fn connections_go_both_ways_by_intels_cards() {
    both_ways("pc", 1, "e1000", |boot| boot);
    both_ways("q35", 4, "e1000", |boot| boot);
    both_ways("q35", 2, "e1000e", Boot::uefi);
}

/// Without messages, and with fewer than there are things to tell.
#[test]
fn a_card_with_few_interrupts_does_too() {
    both_ways("q35", 2, "virtio-net-pci,vectors=0", |boot| boot);
    both_ways("pc", 4, "virtio-net-pci,vectors=0", |boot| boot);
    both_ways("q35", 4, "virtio-net-pci,vectors=1", |boot| boot);
}

/// A card that can do nothing but carry frames.
#[test]
fn a_plain_card_does_too() {
    let without = "csum=off,guest_csum=off,mrg_rxbuf=off,status=off,ctrl_vq=off,event_idx=off";
    both_ways("q35", 2, &format!("{VIRTIO},{without}"), |boot| boot);
}

/// A goroutine with a page of stack, no buffers, and what the two ends have in the heap.
fn idle_connections_take_little(cpus: usize) {
    let said = boots().smp(cpus).mem("1G").within_secs(120).run("connections 3000").ok();
    let told = said.text.lines().find_map(|line| line.strip_prefix("3000 idle connections: "));
    let bytes = told.and_then(|told| told.split(' ').next()?.parse::<usize>().ok());
    assert!(bytes.is_some_and(|bytes| bytes < 12_000), "{said}");
}

#[test]
fn an_idle_connection_takes_little_on_one_cpu() {
    idle_connections_take_little(1);
}

#[test]
fn an_idle_connection_takes_little_on_4_cpus() {
    idle_connections_take_little(4);
}

/// The cable is pulled, and put back.
fn plugged_out_and_in(card: &str) {
    let port = free_port();
    let monitor = Socket::new(&format!("cable{}", card.len()));
    let machine = machine("q35", card, port).smp(2).qemu(&["-monitor", &monitor.place()]);
    let mut console = console(machine);
    let mut keys = monitor.connect();
    for _ in 0..2 {
        writeln!(keys, "set_link card off").expect("QEMU listens");
        console.until("eth0: the link is down");
        assert!(console.does("net").contains("the link is down"));
        writeln!(keys, "set_link card on").expect("QEMU listens");
        console.until("eth0: the link is up");
        assert!(!console.does("net").contains("the link is down"));
    }
    console.types("listen 7\r");
    console.until("port 7: echo");
    let bytes = pattern(50_000);
    assert!(talk(("127.0.0.1", port), &bytes) == bytes, "other bytes came back");
    console.types("\x03");
    console.until("> ");
    console.ends_with("exit", 0);
}

#[test]
fn a_cable_is_pulled_and_put_back() {
    plugged_out_and_in(VIRTIO);
    plugged_out_and_in("virtio-net-pci,vectors=0");
    plugged_out_and_in("e1000");
    plugged_out_and_in("e1000e");
}

#[test]
fn with_a_network_a_deadlock_is_still_one() {
    for card in [VIRTIO, "virtio-net-pci,vectors=0", "e1000"] {
        machine("q35", card, free_port())
            .smp(2)
            .run(&format!("{UP}; tcp 10.0.2.2 1 x; crash deadlock"))
            .says("connection refused")
            .says("all goroutines are asleep - deadlock")
            .dies(2);
    }
}

/// QEMU gives an address, a gateway and a name server; nobody has to be told one.
#[test]
fn an_address_comes_by_itself() {
    let port = free_port();
    let mut console = machine("q35", VIRTIO, port).smp(2).console();
    console.does("net dhcp");
    let said = console.does("net");
    assert!(said.contains("10.0.2.15/24") && said.contains("names: 10.0.2.3"), "{said}");
    assert!(console.does("lookup localhost").contains("127.0.0.1"));
    assert!(console.does("lookup 10.0.2.2").contains("10.0.2.2"));
    assert!(console.does("ping 10.0.2.2 1").contains("10.0.2.2: "));
    calls_the_host(&mut console, "127.0.0.1", "10.0.2.2");
    // One that was chosen takes its place.
    console.does("net up 10.0.2.77/24 10.0.2.2");
    let said = console.does("net");
    assert!(said.contains("10.0.2.77/24") && !said.contains("10.0.2.15"), "{said}");
    calls_the_host(&mut console, "127.0.0.1", "10.0.2.2");
    console.ends_with("exit", 0);
}

/// A card older than virtio 1 is told of, and the rest goes on.
#[test]
fn a_card_that_cannot_be_used_is_told_of() {
    machine("pc", "virtio-net-pci,disable-modern=on,disable-legacy=off", free_port())
        .smp(1)
        .run("sieve 100; net")
        .says("cannot be used: the device is older than virtio 1")
        .says("is 541")
        .dies(1);
    boots().smp(1).run("net").says("there is no network card").dies(1);
}

/// Runs one of the tests below within a network namespace (tests/lib/tap.sh), if that may be made.
fn in_a_namespace(test: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lib/tap.sh");
    let own = std::env::current_exe().expect("a test is a program");
    let done = Command::new(script)
        .arg(own)
        .args(["--ignored", "--exact", test])
        .output()
        .expect("the script starts");
    let said = String::from_utf8_lossy(&done.stdout);
    match done.status.code() {
        Some(0) => assert!(said.contains("1 passed"), "{said}"),
        Some(77) => println!("left out: {said}"),
        _ => panic!("{said}{}", String::from_utf8_lossy(&done.stderr)),
    }
}

/// How many frames came by each of the card's queues.
fn frames_in(net: &str) -> Vec<u64> {
    let queues = net.lines().filter_map(|line| line.trim().strip_prefix("queue "));
    let numbers = queues.filter_map(|line| line.split_once(": ")?.1.split(' ').next());
    numbers.map(|number| number.parse().expect("a number")).collect()
}

/// A machine at a TAP device, by this card, or by one with a queue for each CPU.
fn at_a_tap(card: Option<&str>, cpus: usize) {
    let machine = match card {
        None => boots().tap("tap0"),
        Some(card) => {
            let tap = "tap,id=n,ifname=tap0,script=no,downscript=no,queues=2";
            let card = format!("{card},netdev=n,romfile=");
            boots().qemu(&["-netdev", tap, "-device", &card])
        }
    };
    let mut console = machine.smp(cpus).console();
    console.does("net up 10.0.3.2/24 10.0.3.1");
    console.types("listen 7\r");
    console.until("port 7: echo");
    let several: Vec<_> = (1..=16)
        .map(|nth| {
            thread::spawn(move || {
                let bytes = pattern(nth * 60_000);
                assert!(talk("10.0.3.2:7", &bytes) == bytes, "other bytes came back");
            })
        })
        .collect();
    several.into_iter().for_each(|one| one.join().expect("the echo is right"));
    console.types("\x03");
    console.until("> ");
    calls_the_host(&mut console, "10.0.3.1", "10.0.3.1");
    let said = console.does("net");
    assert!(!said.contains("checksum"), "{said}");
    let frames = frames_in(&said);
    assert_eq!(frames.len(), if card.is_none() { cpus } else { 1 }, "{said}");
    // Which flow comes by which queue the host decides; of 17 flows not all come by one.
    let busy = frames.iter().filter(|&&frames| frames > 50).count();
    assert!(busy > usize::from(cpus > 1 && card.is_none()), "{said}");
    console.ends_with("exit", 0);
}

#[test]
fn a_card_at_a_tap_has_a_queue_for_each_cpu() {
    in_a_namespace("queues_for_all");
}

#[test]
fn a_card_at_a_tap_does_without_some_of_what_it_can_do() {
    in_a_namespace("fewer_features");
}

#[test]
#[ignore = "needs a TAP device: a_card_at_a_tap_has_a_queue_for_each_cpu runs it"]
fn queues_for_all() {
    for cpus in [1, 2, 4] {
        at_a_tap(None, cpus);
    }
}

#[test]
#[ignore = "needs a TAP device: a_card_at_a_tap_does_without_some_of_what_it_can_do runs it"]
fn fewer_features() {
    at_a_tap(Some("virtio-net-pci,mrg_rxbuf=off"), 2);
    at_a_tap(Some("virtio-net-pci,csum=off,guest_csum=off"), 2);
    at_a_tap(Some("virtio-net-pci,guest_csum=off,vectors=0"), 2);
    at_a_tap(Some("e1000e"), 2);
}

/// What a web server says to this, over a connection of its own.
fn fetch(at: impl ToSocketAddrs, path: &str) -> String {
    let asks = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(at).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
    stream.write_all(asks.as_bytes()).expect("it is taken");
    let mut says = String::new();
    stream.read_to_string(&mut says).expect("an answer");
    says
}

/// `kernel/examples/http.rs`, by QEMU's user-mode network.
#[test]
fn pages_are_served() {
    for cpus in [1, 2, 4] {
        let port = free_port();
        let forward = format!("user,id=n,hostfwd=tcp:127.0.0.1:{port}-:80");
        let card = "virtio-net-pci,netdev=n,romfile=";
        let machine =
            boots().example("http").smp(cpus).qemu(&["-netdev", &forward, "-device", card]);
        let _machine = machine.started("a page is served");
        for _ in 0..20 {
            let page = fetch(("127.0.0.1", port), "/");
            assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
            assert!(page.contains("\r\n\r\nhello from goroutine "), "{page}");
        }
        let none = fetch(("127.0.0.1", port), "/none");
        assert!(none.starts_with("HTTP/1.1 404 Not Found\r\n"), "{none}");
    }
}

/// What stands at the top of `kernel/examples/http.rs`, as a person types it.
#[test]
fn one_command_serves_a_page() {
    in_a_namespace("the_http_example");
}

/// A program that is ended with its test, and its group with it.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let group = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", "--", &format!("-{group}")]).status();
        let _ = self.0.wait();
    }
}

/// Starts it, and waits until it says this.
fn started(command: &mut Command, words: &str) -> Started {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let command = command.current_dir(root).process_group(0).stdin(Stdio::null());
    let mut child = Started(command.stdout(Stdio::piped()).spawn().expect("it starts"));
    let mut lines = BufReader::new(child.0.stdout.take().expect("a pipe")).lines();
    assert!(
        lines.any(|line| line.is_ok_and(|line| line.contains(words))),
        "it does not say {words}"
    );
    child
}

/// The page, by curl, or without it.
fn curl(url: &str, at: &str) -> String {
    match Command::new("curl").args(["--silent", "--show-error", "--max-time", "30", url]).output()
    {
        Ok(done) => String::from_utf8(done.stdout).expect("text"),
        Err(_) => fetch(at, "/"),
    }
}

#[test]
#[ignore = "needs a network of its own: one_command_serves_a_page runs it"]
fn the_http_example() {
    let mut kernel = Command::new("./qemu-run.sh");
    let kernel = kernel.args(["--smp", "2", "--timeout", "100", "--net", "--example", "http"]);
    let kernel = started(kernel, "a page is served");
    let page = curl("http://localhost:8080/", "127.0.0.1:8080");
    assert!(page.contains("hello from goroutine "), "{page}");
    drop(kernel);

    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut process = Command::new(cargo);
    let process = process.args(["run", "--quiet", "-p", "hosted", "--example", "http"]);
    let process = started(process, "a page is served");
    let page = curl("http://10.0.3.2/", "10.0.3.2:80");
    assert!(page.contains("hello from goroutine "), "{page}");
    drop(process);
}
