//! The network, as a person uses it (package `net`).

use super::files::text;
use super::{Args, Outcome, words};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use drivers::card::Counts;
use drivers::network;
use executive::cancel::Token;
use executive::time::Instant;
use executive::{go, select, time};
use kernel::{print, println};
use net::{Interface, Shutdown, Stack, TcpStream};

fn stack() -> Result<Stack, String> {
    Stack::get_default().map_err(|_| "there is no network card (./qemu-run.sh --net)".into())
}

pub fn net(args: &Args) -> Outcome {
    let stack = stack()?;
    match args.word(0) {
        None => show(&stack),
        Some("up") => up(args),
        Some("dhcp") => dhcp(&stack, args),
        Some(word) => {
            Err(format!("`net`, `net dhcp`, or `net up ADDRESS/BITS GATEWAY`, not '{word:.40}'"))
        }
    }
}

fn show(stack: &Stack) -> Outcome {
    for interface in stack.interfaces() {
        print!("{}:", interface.name());
        match network::card(&interface) {
            Some(card) => println!(" {card}"),
            None => println!(" this machine"),
        }
        for (address, bits) in interface.addresses() {
            println!("    {address}/{bits}");
        }
        frames(&interface);
    }
    let servers: Vec<_> = stack.name_servers().iter().map(IpAddr::to_string).collect();
    if !servers.is_empty() {
        println!("names: {}", servers.join(", "));
    }
    let report = stack.report();
    println!(
        "{} connections, and {} that have just ended; {} KiB of buffers",
        report.open,
        report.time_wait,
        report.buffers >> 10
    );
    let dropped = [
        ("malformed", report.malformed),
        ("parts of packets", report.fragments),
        ("for others", report.not_ours),
        ("too many to accept", report.backlog_full),
    ];
    println!("dropped: {}", Dropped(&dropped));
    Ok(())
}

/// A line for each of the card's queues, which belongs to the CPU of that number.
fn frames(interface: &Interface) {
    let Some(card) = network::card(interface) else {
        let counts = interface.counts();
        return println!("    {} frames in, {} out", counts.received, counts.sent);
    };
    for (nth, counts) in card.counts().iter().enumerate() {
        let Counts { frames_received, bytes_received, frames_sent, bytes_sent, .. } = counts;
        println!(
            "    queue {nth}: {frames_received} frames in ({bytes_received} bytes), \
             {frames_sent} out ({bytes_sent} bytes)"
        );
        let dropped = [
            ("too short", counts.short),
            ("too long", counts.too_long),
            ("with a wrong checksum", counts.wrong_checksum),
            ("without room", counts.no_room),
            ("after the card's end", counts.lost),
        ];
        println!("        dropped: {}", Dropped(&dropped));
    }
    if let Some(why) = card.broken() {
        println!("    not used any more: {why}");
    }
}

/// Numbers of frames, by why they were dropped.
struct Dropped<'a>(&'a [(&'static str, u64)]);

impl fmt::Display for Dropped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some: Vec<_> = self.0.iter().filter(|(_, number)| *number > 0).collect();
        for (nth, (why, number)) in some.iter().enumerate() {
            write!(f, "{}{number} {why}", if nth > 0 { ", " } else { "" })?;
        }
        if some.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

/// How long `net dhcp` waits for an address.
const LEASE: Duration = Duration::from_secs(15);

/// The first card gets the addresses that it is given, and keeps them.
fn dhcp(stack: &Stack, args: &Args) -> Outcome {
    let interface = network::first_card(stack).ok_or("no card could be started")?;
    interface.fixed();
    for (old, _) in interface.addresses() {
        interface.remove_address(old);
    }
    network::configure(&interface);
    let begin = Instant::now();
    while !interface.addresses().iter().any(|(address, _)| address.is_ipv4()) {
        if args.stopped() || begin.elapsed() > LEASE {
            return Err("no DHCP server has given an address yet".into());
        }
        time::sleep(LOOKS);
    }
    Ok(())
}

/// The addresses of a host.
pub fn lookup(args: &Args) -> Outcome {
    for address in stack()?.lookup_host(args.words[0]).map_err(words)? {
        println!("{address}");
    }
    Ok(())
}

/// The first card gets an address.
fn up(args: &Args) -> Outcome {
    let word = |nth| args.word(nth).unwrap_or_default();
    network::up(word(1), word(2)).map(drop).map_err(String::from)
}

/// How long `ping` waits for an answer, and from one to the next question.
const ANSWER: Duration = Duration::from_secs(1);

pub fn ping(args: &Args) -> Outcome {
    let stack = stack()?;
    let to = address(&stack, args)?;
    let questions = args.number(1, 4, 1..=1_000_000)?;
    let mut answers = 0;
    for nth in 1..=questions {
        let begin = Instant::now();
        match stack.ping(to, ANSWER) {
            Ok(time) => {
                println!("{to}: {} us", time.as_micros());
                answers += 1;
            }
            Err(error) => println!("{error}"),
        }
        if args.stopped() {
            break;
        }
        if nth < questions {
            time::sleep(ANSWER.saturating_sub(begin.elapsed()));
        }
    }
    match answers {
        0 => Err("nobody has answered".into()),
        _ => Ok(()),
    }
}

/// The first word is an address, or a name that has one.
fn address(stack: &Stack, args: &Args) -> Result<IpAddr, String> {
    Ok(stack.lookup_host(args.words[0]).map_err(words)?[0])
}

/// A number from 1 to 65535.
fn port(args: &Args, nth: usize) -> Result<u16, String> {
    args.number(nth, 0, 1..=65535).map(|port| port as u16)
}

/// From a look whether Ctrl-C was pressed to the next.
const LOOKS: Duration = Duration::from_millis(100);

/// What is done with a connection. Returns how many bytes came and went.
type Service = fn(&TcpStream) -> Result<u64, net::Error>;

/// Every connection gets back what it sends, or whatever else is wanted, until Ctrl-C.
pub fn listen(args: &Args) -> Outcome {
    let (stack, port) = (stack()?, port(args, 0)?);
    let name = args.word(1).unwrap_or("echo");
    let service: Service = match name {
        "echo" => echo,
        "discard" => discard,
        "chargen" => chargen,
        _ => return Err(format!("echo, discard or chargen is needed, not '{name:.40}'")),
    };
    let token = Token::new();
    let at = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    let listener = stack.tcp().cancelled_by(&token).listen(at).map_err(words)?;
    println!("port {port}: {name}; Ctrl-C ends that");
    while !args.stopped() {
        select! {
            recv(listener) -> stream => if let Some(stream) = stream {
                go(move || {
                    let from = stream.peer_addr();
                    match service(&stream) {
                        Ok(bytes) => println!("{from}: {bytes} bytes"),
                        Err(error) => println!("{error}"),
                    }
                });
            },
            after(LOOKS) => {},
        }
    }
    token.cancel();
    Ok(())
}

fn echo(stream: &TcpStream) -> Result<u64, net::Error> {
    let (mut bytes, mut all) = (vec![0; 4096], 0);
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(all),
            length => {
                stream.write_all(&bytes[..length])?;
                all += length as u64;
            }
        }
    }
}

/// RFC 863.
fn discard(stream: &TcpStream) -> Result<u64, net::Error> {
    let (mut bytes, mut all) = (vec![0; 16 << 10], 0);
    loop {
        match stream.read(&mut bytes)? {
            0 => return Ok(all),
            length => all += length as u64,
        }
    }
}

/// RFC 864, until the peer has enough.
fn chargen(stream: &TcpStream) -> Result<u64, net::Error> {
    let bytes: Vec<u8> = (b' '..=b'~').cycle().take(16 << 10).collect();
    let mut all = 0;
    while let Ok(length) = stream.write(&bytes) {
        all += length as u64;
    }
    Ok(all)
}

/// How long `tcp` waits for a connection, and for the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a line, and shows the answer.
pub fn tcp(args: &Args) -> Outcome {
    let (stack, port) = (stack()?, port(args, 1)?);
    let host = address(&stack, args)?;
    let stream = stack.tcp().timeout(PATIENCE).connect((host, port)).map_err(words)?;
    stream.set_deadline(Some(Instant::now() + PATIENCE));
    let line = args.words[2..].join(" ") + "\n";
    stream.write_all(line.as_bytes()).map_err(words)?;
    stream.shutdown(Shutdown::Write);
    let mut bytes = vec![0; 4096];
    loop {
        match stream.read(&mut bytes).map_err(words)? {
            0 => return Ok(()),
            length => print!("{}", text(&mut bytes[..length])),
        }
    }
}
