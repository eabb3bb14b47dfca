//! `/debug/pprof/` over HTTP, path for path as Go's `net/http/pprof`; `/debug/`, a page that shows
//! what goes on, drawn by the browser; and `/debug/trace`.
//!
//! It tells everything to whoever asks. So a program serves it only if it wants to, by a server and
//! on an address of its own, never beside what it serves to others.
//!
//! ```
//! # hosted::run(|| {
//! use http::{Client, Server};
//! use net::{Config, Stack};
//! let stack = Stack::new(Config::new([1, 2, 3, 4]));
//! let listener = stack.listen("127.0.0.1:6060").unwrap();
//! executive::go(move || Server::new(diagnostics::handler::serve).serve(listener));
//! let mut client = Client::connect(&stack, "127.0.0.1:6060").unwrap();
//! let profile = client.get("/debug/pprof/goroutine").unwrap().read_all(1 << 20).unwrap();
//! assert!(!profile.is_empty());
//! # stack.shut_down();
//! # });
//! ```

use crate::contention::{self, Kind};
use crate::place::Place;
use crate::{cpu, goroutine, gotrace, heap, leaks, live};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;
use executive::cancel::Token;
use executive::sync::Mutex;
use executive::{time, trace};
use http::{Request, Response};

/// What there is: under `/debug/pprof/`, and what it tells.
const PROFILES: [(&str, &str); 9] = [
    ("allocs", "who has allocated memory; as heap"),
    ("heap", "whose memory is in use, of what was allocated since set_mem_profile_rate"),
    ("block", "where goroutines waited; ?seconds=5: from now on, even if off; ?debug=1: text"),
    ("mutex", "who let others wait for a lock; ?seconds=5 and ?debug=1 as for block"),
    ("goroutine", "all goroutines, by stack; ?debug=1: text, ?debug=2: each with state and stack"),
    ("goroutineleak", "those that can never run again, as far as that is known; ?debug=1: text"),
    ("profile", "where CPUs spend their time: samples for ?seconds=30"),
    ("trace", "what each CPU does from now on, for ?seconds=1, for `go tool trace`"),
    ("symbol", "the functions at the addresses that are posted"),
];

/// Go's defaults (s).
const PROFILE_SECONDS: u64 = 30;
const TRACE_SECONDS: u64 = 1;
const MOST_SECONDS: u64 = 24 * 60 * 60;
/// For how long the page's numbers are taken, unless `?ms=` says it (ms).
const LIVE_MS: u64 = 250;
const HTML: &str = "text/html; charset=utf-8";
/// Bytes of addresses that may be posted.
const MOST_POSTED: usize = 64 << 10;

/// One trace at a time.
static TRACING: Mutex<()> = Mutex::new(());

/// Serves what is asked for below `/debug/`; status 404 for anything else. A handler for
/// [`http::Server`].
pub fn serve(request: &mut Request<'_, '_>, response: &mut Response<'_>) {
    let path: String = request.path().into();
    let Some(what) = path.strip_prefix("/debug/") else { return response.error(404) };
    match what {
        "trace" => chrome_trace(request, response),
        "" => response.header("Content-Type", HTML).text(live::PAGE),
        "live" => json(request, response),
        "pprof" | "pprof/" => index(response),
        "pprof/goroutine" => match number(request.query(), "debug") {
            None | Some(0) => send(response, "goroutine", &goroutine::profile()),
            Some(1) => response.text(&goroutine::counts()),
            Some(_) => response.text(&goroutine::traces()),
        },
        "pprof/goroutineleak" => goroutine_leaks(request, response),
        "pprof/heap" => heap(response, "heap"),
        "pprof/allocs" => heap(response, "allocs"),
        "pprof/block" => contentions(request, response, "block", Kind::Block),
        "pprof/mutex" => contentions(request, response, "mutex", Kind::Mutex),
        "pprof/profile" => profile(request, response),
        "pprof/trace" => go_trace(request, response),
        "pprof/symbol" => symbol(request, response),
        "pprof/cmdline" => response.text("kernel"),
        _ => response.error(404),
    }
}

fn json(request: &mut Request<'_, '_>, response: &mut Response<'_>) {
    let ms = number(request.query(), "ms").unwrap_or(LIVE_MS).min(MOST_SECONDS * 1000);
    let now = live::json(Duration::from_millis(ms));
    response.header("Content-Type", "application/json").header("Cache-Control", "no-store");
    response.text(&now);
}

fn index(response: &mut Response<'_>) {
    let mut page = String::from("<!doctype html><title>/debug/pprof/</title><table>\n");
    for (name, tells) in PROFILES {
        let _ = writeln!(page, "<tr><td><a href=\"/debug/pprof/{name}\">{name}</a><td>{tells}");
    }
    page.push_str("<tr><td><a href=\"/debug/trace\">/debug/trace</a><td>for Perfetto\n</table>\n");
    response.header("Content-Type", HTML).text(&page);
}

/// A file, as Go's handlers send it.
fn send(response: &mut Response<'_>, name: &str, bytes: &[u8]) {
    let mut disposition = String::from("attachment; filename=\"");
    disposition.extend([name, "\""]);
    response
        .header("Content-Type", "application/octet-stream")
        .header("X-Content-Type-Options", "nosniff")
        .header("Content-Disposition", &disposition);
    let _ = response.write(bytes); // or the client is gone
}

/// `name=NUMBER` of a query; `None`: it is not there, or no number.
fn number(query: &str, name: &str) -> Option<u64> {
    let of = |pair: &str| pair.split_once('=').filter(|(key, _)| *key == name)?.1.parse().ok();
    query.split('&').find_map(of)
}

fn seconds(request: &Request<'_, '_>, default: u64) -> Duration {
    let seconds = number(request.query(), "seconds").filter(|&seconds| seconds > 0);
    Duration::from_secs(seconds.unwrap_or(default).min(MOST_SECONDS))
}

fn profile(request: &mut Request<'_, '_>, response: &mut Response<'_>) {
    match cpu::profile(seconds(request, PROFILE_SECONDS), &Token::new()) {
        Some(profiled) => send(response, "profile", &profiled.pprof),
        None => response.status(500).text("Could not enable CPU profiling: it is in use already\n"),
    }
}

fn heap(response: &mut Response<'_>, name: &str) {
    match heap::profile() {
        Some(bytes) => send(response, name, &bytes),
        None => response.status(503).text("nobody has called set_mem_profile_rate\n"),
    }
}

fn goroutine_leaks(request: &mut Request<'_, '_>, response: &mut Response<'_>) {
    let why = if number(request.query(), "debug") > Some(0) {
        leaks::text().map(|text| response.text(&text)).err()
    } else {
        leaks::profile().map(|bytes| send(response, "goroutineleak", &bytes)).err()
    };
    if let Some(why) = why {
        response.status(503).text(&format!("{}\n", leaks::Why(why)));
    }
}

/// As in Go: all that there was, or what there is from now on, for so long.
fn contentions(request: &mut Request<'_, '_>, response: &mut Response<'_>, name: &str, kind: Kind) {
    if number(request.query(), "debug") > Some(0) {
        return response.text(&contention::text(kind));
    }
    let bytes = match number(request.query(), "seconds") {
        Some(1..) => contention::profile_for(kind, seconds(request, 1), &Token::new()),
        _ => contention::profile(kind),
    };
    send(response, name, &bytes);
}

/// As in Go: `pprof` posts addresses, with `+` between them, and a line names each.
fn symbol(request: &mut Request<'_, '_>, response: &mut Response<'_>) {
    let asked: Vec<u8> = match request.method() {
        "POST" => match request.read_all(MOST_POSTED) {
            Ok(body) => body,
            Err(_) => return response.error(413),
        },
        _ => request.query().into(),
    };
    let mut page = String::from("num_symbols: 1\n"); // more than none
    for word in core::str::from_utf8(&asked).unwrap_or_default().split('+') {
        if let Ok(pc) = usize::from_str_radix(word.trim_start_matches("0x"), 16) {
            let _ = writeln!(page, "{pc:#x} {}", Place::of(pc).function);
        }
    }
    response.text(&page);
}

/// Records what each CPU does from `start` on, for so long as the query says. Then `write` tells
/// it.
fn record(
    request: &mut Request<'_, '_>,
    response: &mut Response<'_>,
    start: fn(),
    write: impl FnOnce(&mut Response<'_>),
) {
    let Some(_alone) = TRACING.try_lock() else {
        return response.status(500).text("Could not enable tracing: it is in use already\n");
    };
    start();
    time::sleep(seconds(request, TRACE_SECONDS));
    trace::stop();
    write(response);
}

fn chrome_trace(request: &mut Request<'_, '_>, response: &mut Response<'_>) {
    record(request, response, trace::start, |response| {
        response.header("Content-Type", "application/json");
        let _ = trace::dump(response); // or the client is gone
    });
}

fn go_trace(request: &mut Request<'_, '_>, response: &mut Response<'_>) {
    let write = |response: &mut Response<'_>| send(response, "trace", &gotrace::encode().bytes);
    record(request, response, gotrace::start, write);
}
