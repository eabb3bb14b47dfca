//! What is refused: the known ways of request smuggling, and what is too much.

use crate::script::{answers, answers_by, statuses, tells};
use http::Limits;

/// A second request that must never be served.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";

/// It is refused with this status, and nothing behind it is served.
fn refused(says: &str, status: u16) {
    let answers = answers(&format!("{says}{HIDDEN}"));
    assert_eq!(statuses(&answers), [status], "{says:?}: {answers}");
    assert!(!answers.contains("hidden"), "{says:?}: {answers}");
    assert!(answers.contains("Connection: close\r\n"), "{says:?}: {answers}");
}

fn fields(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

/// RFC 9112, 11.2, and the papers on it.
pub fn smuggling() {
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    refused(&(fields(both) + "0\r\n\r\n"), 400);
    refused(&(fields("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\n"), 400);
    for twice in
        ["Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 5\r\ncontent-length: 5\r\n"]
    {
        refused(&(fields(twice) + "01234"), 400);
    }
    for length in [
        "+5",
        "-5",
        "5,5",
        "5, 5",
        "5 5",
        "0x5",
        "5a",
        "",
        "''",
        "5;",
        "５",
        "1e1",
        "5.0",
        "18446744073709551616",
        "99999999999999999999999",
    ] {
        refused(&(fields(&format!("Content-Length: {length}\r\n")) + "01234"), 400);
    }
    for coding in [
        "identity",
        "xchunked",
        "chunkedx",
        "chunked;",
        "chunked;q=1",
        "chunked, identity",
        "chunked, gzip",
        "chunked, chunked",
        "\"chunked\"",
        ", chunked,",
        "chunked,",
        "gzip",
        "",
        "chun ked",
    ] {
        refused(&(fields(&format!("Transfer-Encoding: {coding}\r\n")) + "0\r\n\r\n"), 400);
    }
    refused(&(fields("Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n"), 501);
    let two = "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n";
    refused(&(fields(two) + "0\r\n\r\n"), 400);
    let two = "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n";
    refused(&(fields(two) + "0\r\n\r\n"), 400);
    let two = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    refused(&(fields(two) + "0\r\n\r\n"), 400);
    // Old clients have no chunks.
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n";
    refused(&format!("{old}0\r\n\r\n"), 400);
    // Names and lines that hide a field from one of two readers.
    for name in [
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\n x",
        "Transfer-Encoding:\r\n chunked",
        "X: y\r\n\tz",
        "Transfer\u{b}Encoding: x",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\0",
        "X: a\0b",
        "X\0: a",
        ": chunked",
        "no colon",
        "X: a\rb",
        "X: a\r\rTransfer-Encoding: chunked",
        "X: a\nTransfer-Encoding: chunked",
        "X: a\n",
        "X: a\u{1}b",
        "X: a\u{7f}",
        "Transfer_Encodin\u{e9}: chunked",
        "[X]: a",
        "X(: a",
    ] {
        refused(&(fields(&format!("{name}\r\n")) + "0\r\n\r\n"), 400);
    }
    // Lines that end in another way.
    refused("GET / HTTP/1.1\nHost: h\n\n", 400);
    refused("GET / HTTP/1.1\r\nHost: h\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: h\r\n\n", 400);
    refused("GET / HTTP/1.1\rHost: h\r\r", 400);
    refused("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400);
    // The host.
    refused("GET / HTTP/1.1\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400);
    refused("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    for host in ["a b", "a/b", "a,b", "a@b", "a?b", "a#b", "a\\b", "h\u{e9}", "<a>"] {
        refused(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400);
    }
    // The first line.
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / x HTTP/1.1",
        "GET /",
        "GET",
        "G(T / HTTP/1.1",
        "GET / http/1.1",
        "GET x HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /#x HTTP/1.1",
        "GET ftp://h/ HTTP/1.1",
        "GET / HTTP/1.12",
        "GET / HTTP/1",
        "/ HTTP/1.1",
    ] {
        let answers = answers(&format!("{line}\r\nHost: h\r\n\r\n{HIDDEN}"));
        assert!(matches!(statuses(&answers)[..], [400 | 505]), "{line:?}: {answers}");
    }
    refused("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505);
    refused("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 501);
    refused(&fields("Expect: a-miracle\r\n"), 417);
}

/// What looks like it, and is in order.
pub fn not_too_much() {
    let ok = |says: &str, told: &str| {
        let answers = answers(&format!("{says}GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(statuses(&answers), [200, 200], "{says:?}: {answers}");
        assert!(answers.contains(&format!("<{told}>")), "{says:?}: {answers}");
        assert!(answers.ends_with("<GET /2 >"), "{says:?}: {answers}");
    };
    ok("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / ");
    ok("GET /a?b=%20c HTTP/1.1\r\nHost: h:80\r\n\r\n", "GET /a?b=%20c ");
    ok("GET http://h HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / ");
    ok("GET http://h/a?b HTTP/1.1\r\nHost:\r\n\r\n", "GET /a?b ");
    ok("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * ");
    ok("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / ");
    ok(&(fields("Content-Length:5\r\n") + "01234"), "POST / 01234");
    ok(&(fields("content-LENGTH: \t 5 \t\r\n") + "01234"), "POST / 01234");
    ok(&(fields("Content-Length: 0005\r\n") + "01234"), "POST / 01234");
    ok(&(fields("Content-Length: 0\r\nX-Empty:\r\nX_Y: \u{e9}\r\n")), "POST / ");
    ok(&(fields("Transfer-Encoding: Chunked\r\n") + "0\r\n\r\n"), "POST / ");
    ok(&(fields("Expect: 100-Continue\r\nContent-Length: 0\r\n")), "POST / ");
}

/// Sizes, their ends, and what may stand behind them.
pub fn chunks() {
    let head = fields("Transfer-Encoding: chunked\r\n");
    for body in [
        "5\r\n01234\r\n3\r\n567\r\n0\r\n\r\n",
        "00005;a=b;c\r\n01234\r\n3\r\n567\r\n000\r\n\r\n",
        "5\r\n01234\r\n3;x=\"y z\"\r\n567\r\n0;q\r\nX: y\r\nZ: \r\n\r\n",
        "8\r\n01234567\r\n0\r\n\r\n",
    ] {
        let answers = answers(&format!("{head}{body}GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(statuses(&answers), [200, 200], "{body:?}: {answers}");
        assert!(answers.contains("<POST / 01234567>"), "{body:?}: {answers}");
    }
    for body in [
        "+5\r\n01234\r\n",
        "-5\r\n01234\r\n",
        "0x5\r\n01234\r\n",
        " 5\r\n01234\r\n",
        "5 \r\n01234\r\n",
        "5 ;x\r\n01234\r\n",
        "\r\n01234\r\n",
        ";x\r\n01234\r\n",
        "5_\r\n01234\r\n",
        "g\r\n01234\r\n",
        "5\n01234\r\n",
        "5\r01234\r\n",
        "5;x\ny\r\n01234\r\n",
        "5;x\ry\r\n01234\r\n",
        "5;x\0\r\n01234\r\n",
        "5;x\u{1}\r\n01234\r\n",
        "10000000000000005\r\n01234\r\n",
        "fffffffffffffffffffff\r\n01234\r\n",
        "5\r\n012345\r\n",
        "5\r\n01234\n",
        "5\r\n01234\r",
        "5\r\n01234xx",
        "4\r\n01234\r\n",
        "5\r\n01234\r\n0\r\nno field\r\n\r\n",
        "5\r\n01234\r\n0\r\n X: folded\r\n\r\n",
        "5\r\n01234\r\n0\r\nX : y\r\n\r\n",
        "5\r\n01234\r\n0\r\nX: y\n\r\n",
        "5\r\n01234\r\n0\r\nX: y\0\r\n\r\n",
        "5\r\n01234\r\n\r\n",
    ] {
        refused(&format!("{head}{body}0\r\n\r\n"), 400);
    }
}

/// Heads, fields, chunks' lines and what stands around chunks have limits.
pub fn too_much() {
    let limits = Limits { head: 1000, fields: 5, ..Limits::default() };
    let status = |says: &str| statuses(&answers_by(says.as_bytes(), tells, limits));
    let get = |fields: &str| status(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{HIDDEN}"));
    let long = "x".repeat(1000);
    assert_eq!(status(&format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n")), [431]);
    assert_eq!(status(&long), [431]);
    assert_eq!(status(&"\r\n".repeat(1000)), [431]);
    assert_eq!(get(&format!("X: {long}\r\n")), [431]);
    assert_eq!(get(&"X: y\r\n".repeat(5)), [431]);
    assert_eq!(get(&"X: y\r\n".repeat(4)), [200, 200]);
    // In all it is too much, though each is not.
    let head = fields("Transfer-Encoding: chunked\r\n");
    refused(&format!("{head}5;{}\r\n01234\r\n0\r\n\r\n", "x".repeat(300)), 400);
    let flood = format!("1;{}\r\nx\r\n", "x".repeat(200)).repeat(100);
    refused(&format!("{head}{flood}0\r\n\r\n"), 413);
    let flood = "X: y\r\n".repeat(5000);
    refused(&format!("{head}5\r\n01234\r\n0\r\n{flood}\r\n"), 413);
    // What the handler wants no more of is its own answer, and the rest is not read for ever.
    let body = "x".repeat(400_000);
    refused(&format!("{}{body}", fields("Content-Length: 400000\r\n")), 413);
}

/// Whatever a byte is changed to: an answer or two, or none, and every one is an answer.
pub fn damaged() {
    let whole = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5;x=y\r\n01234\r\n0\r\nX: y\r\n\r\n\
                 GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    for at in 0..whole.len() {
        for byte in *b"\0\r\n\t :;,0f\x7f\xffX/" {
            let mut says = whole.as_bytes().to_vec();
            says[at] = byte;
            // One that is cut off in the middle is no case for the handler's own words.
            let answers = answers_by(&says, damaged_tells, Limits::default());
            let statuses = statuses(&answers);
            assert!(statuses.len() <= 2, "{says:?}: {answers}");
            let starts = answers.is_empty() || answers.starts_with("HTTP/1.1 ");
            assert!(starts, "{says:?}: {answers}");
        }
    }
}

fn damaged_tells(request: &mut http::Request<'_, '_>, response: &mut http::Response<'_>) {
    match request.read_all(1000) {
        Ok(_) => response.text("all"),
        Err(http::Error::Refused(status, _)) => response.error(status),
        Err(_) => response.error(400),
    }
}
