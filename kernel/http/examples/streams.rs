//! Conversations that are damaged on purpose: a fuzzer of the server's parser. `tests/fuzz-net.sh`
//! runs it under many seeds.
//!
//!     cargo run -p http --example streams [MUTANTS]
//!
//! Each mutant is said three times, cut into different pieces: the answers must not depend on where
//! a stream is cut. There is no panic, no loop (the script ends a run that hangs), and whatever was
//! said before, a request that is right is answered afterwards, by the same server.

#[path = "../tests/http/script.rs"]
#[allow(dead_code)]
mod script;

use http::{Error, Limits, Request, Response, Server};
use script::Script;

/// What mutants are made of.
const CORPUS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /a?b=c HTTP/1.1\r\nHost: h:80\r\nAccept: */*\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
    "HEAD http://h/x HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello\
     GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
     5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nGET /after HTTP/1.1\r\nHost: h\r\n\r\n",
    "PUT /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
];

/// What is put into them.
const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    "\0",
    ":",
    ",",
    ";",
    "0",
    "ffffffffffffffff",
    "-1",
    "+5",
    "0x5",
    "Content-Length: 5\r\n",
    "Content-Length: 6\r\n",
    "Content-Length : 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Host: other\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    " folded\r\n",
    "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
    "0\r\n\r\n",
    "1\r\n",
    "18446744073709551615",
    "18446744073709551616",
];

/// xorshift64: the same every run, for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}

fn mutant(random: &mut Random) -> Vec<u8> {
    let mut says = CORPUS[random.below(CORPUS.len())].as_bytes().to_vec();
    if random.below(3) == 0 {
        says.extend(CORPUS[random.below(CORPUS.len())].as_bytes());
    }
    for _ in 0..1 + random.below(4) {
        let at = random.below(says.len() + 1);
        let end = (at + 1 + random.below(8)).min(says.len());
        match random.below(8) {
            0 => says.truncate(at),
            1 => _ = says.get_mut(at).map(|byte| *byte ^= 1 << random.below(8)),
            2 => _ = says.get_mut(at).map(|byte| *byte = random.below(256) as u8),
            3 => drop(says.drain(at..end)),
            4 => {
                let piece = says[at..end].to_vec();
                says.splice(at..at, piece);
            }
            5 => {
                // More than there is room for.
                let byte = b"aA0 :\n"[random.below(6)];
                says.splice(at..at, vec![byte; [100, 5000, 20_000][random.below(3)]]);
            }
            _ => {
                let word = WORDS[random.below(WORDS.len())].bytes();
                says.splice(at..at, word);
            }
        }
    }
    says
}

/// Tells what was understood.
fn tells(request: &mut Request<'_, '_>, response: &mut Response<'_>) {
    match request.read_all(100_000) {
        Ok(body) => {
            let body = String::from_utf8_lossy(&body).into_owned();
            response.text(&format!("<{} {} {body}>", request.method(), request.target()));
        }
        Err(Error::Refused(status, _)) => response.error(status),
        Err(_) => response.text("it ends in the middle"),
    }
}

fn main() {
    hosted::run(|| {
        let mutants = std::env::args().nth(1).map_or(10_000, |n| n.parse().expect("a number"));
        let seed: u64 = std::env::var("EXECUTIVE_SEED").map_or(1, |n| n.parse().expect("a number"));
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let limits = Limits { head: 8 << 10, ..Limits::default() };
        let server = Server::new(tells).limits(limits);
        let answers = |says: &[u8], step: usize| {
            let script = Script::new(says, step);
            server.converse(&script);
            script.heard()
        };
        let mut refused = 0;
        for nth in 0..mutants {
            let says = mutant(&mut random);
            let whole = answers(&says, usize::MAX);
            refused += u64::from(whole.contains("HTTP/1.1 4"));
            for step in [1 + random.below(7), 1 + random.below(2000)] {
                let text = String::from_utf8_lossy(&says);
                assert_eq!(answers(&says, step), whole, "in pieces of {step}: {text:?}");
            }
            if nth % 100 == 0 {
                assert!(answers(CORPUS[0].as_bytes(), 5).starts_with("HTTP/1.1 200 OK\r\n"));
            }
        }
        println!("{mutants} streams, of which {refused} were refused");
    });
}
