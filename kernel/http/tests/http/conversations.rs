//! Conversations that are in order.

use crate::script::{Script, answers, answers_by, statuses, tells};
use http::{Limits, Request, Response, Server};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

fn by(handler: fn(&mut Request<'_, '_>, &mut Response<'_>), says: &str) -> String {
    answers_by(says.as_bytes(), handler, Limits::default())
}

pub fn pipelined() {
    let requests: String =
        (0..100).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    let answers = answers(&requests);
    let told: Vec<_> = answers.match_indices("<GET /").map(|(at, _)| &answers[at + 6..]).collect();
    assert_eq!(told.len(), 100, "{answers}");
    for (nth, text) in told.iter().enumerate() {
        assert!(text.starts_with(&format!("{nth} >")), "{nth}: {text}");
    }
}

pub fn bodies() {
    let post = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    let expected = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\
                    Content-Type: text/plain; charset=utf-8\r\n\r\n<POST /p hello>";
    assert_eq!(answers(post), expected);
    assert_eq!(answers(&post.repeat(2)), expected.repeat(2));
    // Cut off in the middle: the handler may say what it likes, and that is the end.
    let handler = |request: &mut Request<'_, '_>, _: &mut Response<'_>| {
        assert_eq!(request.read_all(100), Err(http::Error::Ended));
        assert_eq!(request.read(&mut [0]), Err(http::Error::Ended));
    };
    let answers = by(handler, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhell");
    assert!(answers.contains("Connection: close"), "{answers}");
}

pub fn long_bodies() {
    let handler = |_: &mut Request<'_, '_>, response: &mut Response<'_>| {
        (0..3).for_each(|n| response.write(&[b'a' + n; 3000]).unwrap());
    };
    let (a, b, c) = ("a".repeat(3000), "b".repeat(3000), "c".repeat(3000));
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
                Content-Type: text/plain; charset=utf-8\r\n";
    let chunked = format!("{head}\r\n1770\r\n{a}{b}\r\nbb8\r\n{c}\r\n0\r\n\r\n");
    assert_eq!(by(handler, &GET.repeat(2)), chunked.repeat(2));
    // An old client knows no chunks, and reads to the end.
    let old = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n";
    let to_the_end = format!("{old}\r\n{a}{b}{c}");
    let asks = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(by(handler, &asks.repeat(2)), to_the_end);
    // Its length is known.
    let handler = |_: &mut Request<'_, '_>, response: &mut Response<'_>| {
        response.header("Content-Type", "x/y").length(9000);
        (0..3).for_each(|n| response.write(&[b'a' + n; 3000]).unwrap());
        assert_eq!(response.write(b"d"), Err(http::Error::TooLong));
    };
    let whole =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\nContent-Type: x/y\r\n\r\n{a}{b}{c}");
    assert_eq!(by(handler, GET), whole);
    // Less is written than was said: it ends, so that the client notices.
    let handler = |_: &mut Request<'_, '_>, response: &mut Response<'_>| {
        response.length(9000).text("too little");
    };
    let answers = by(handler, &GET.repeat(2));
    assert_eq!(answers.matches("too little").count(), 1, "{answers}");
    // What was flushed is out before the rest.
    let handler = |_: &mut Request<'_, '_>, response: &mut Response<'_>| {
        response.text("one");
        response.flush().unwrap();
        response.text("two");
    };
    assert_eq!(by(handler, GET), format!("{head}\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"));
}

pub fn without_a_body() {
    let asks = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    let long = |_: &mut Request<'_, '_>, response: &mut Response<'_>| {
        response.write(&[b'x'; 10_000]).unwrap();
    };
    for handler in [tells, long] {
        let answers = by(handler, &asks.repeat(2));
        assert_eq!(statuses(&answers), [200, 200], "{answers}");
        assert!(!answers.contains('<') && !answers.contains("xx"), "{answers}");
    }
    assert!(answers(asks).contains("Content-Length: 9\r\n")); // `<HEAD / >`
    let none = |_: &mut Request<'_, '_>, response: &mut Response<'_>| {
        response.status(204).text("nobody sees that");
    };
    assert_eq!(by(none, &GET.repeat(2)), "HTTP/1.1 204 No Content\r\n\r\n".repeat(2));
    let empty = |_: &mut Request<'_, '_>, _: &mut Response<'_>| {};
    assert_eq!(by(empty, GET), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

pub fn keeping() {
    let count = |says: &str| statuses(&answers(&says.repeat(3))).len();
    assert_eq!(count(GET), 3);
    assert_eq!(count(LAST), 1);
    assert_eq!(count("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n"), 1);
    assert_eq!(count("GET / HTTP/1.0\r\n\r\n"), 1);
    assert_eq!(count("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), 3);
    assert!(
        answers("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .contains("Connection: keep-alive\r\n")
    );
    let closes = |_: &mut Request<'_, '_>, response: &mut Response<'_>| {
        response.header("Connection", "close");
    };
    let answers = by(closes, &GET.repeat(3));
    assert_eq!(answers, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // While the server ends, who is served is told that this is the last one.
    let token = executive::cancel::Token::new();
    let script = Script::new(GET.repeat(3).as_bytes(), usize::MAX);
    let ends = token.clone();
    Server::new(move |_: &mut Request<'_, '_>, response: &mut Response<'_>| {
        ends.cancel();
        response.text("bye");
    })
    .cancelled_by(&token)
    .converse(&script);
    let answers = script.heard();
    assert_eq!(statuses(&answers), [200], "{answers}");
    assert!(answers.ends_with("Connection: close\r\n\r\nbye"), "{answers}");
}

pub fn a_word_before_the_body() {
    let asks = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let answers = answers(&format!("{asks}hi{GET}"));
    assert!(answers.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answers}");
    assert_eq!(statuses(&answers), [100, 200, 200], "{answers}");
    // Nobody wants the body: no word, and who knows whether it comes.
    let refuses = |_: &mut Request<'_, '_>, response: &mut Response<'_>| response.error(403);
    let answers = by(refuses, &format!("{asks}{GET}"));
    assert_eq!(statuses(&answers), [403], "{answers}");
    assert!(answers.contains("Connection: close"), "{answers}");
    // After the answer has begun there is no word any more.
    let late = |request: &mut Request<'_, '_>, response: &mut Response<'_>| {
        response.flush().unwrap();
        request.read_all(10).unwrap();
    };
    let answers = by(late, &format!("{asks}hi{GET}"));
    assert_eq!(statuses(&answers), [200], "{answers}");
    // An old client knows no such word.
    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(statuses(&crate::script::answers(old)), [200]);
}

pub fn left_over() {
    let empty = |_: &mut Request<'_, '_>, _: &mut Response<'_>| {};
    let post = |bytes: usize| {
        let body = "x".repeat(bytes);
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {bytes}\r\n\r\n{body}{GET}")
    };
    assert_eq!(statuses(&by(empty, &post(100_000))), [200, 200]);
    assert_eq!(statuses(&by(empty, &post(300_000))), [200]);
    // A body that is none shows that only now.
    let says = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
    assert_eq!(statuses(&by(empty, &format!("{says}{GET}"))), [200]);
}

pub fn panics() {
    let handler = |request: &mut Request<'_, '_>, response: &mut Response<'_>| {
        response.header("X-Secret", "1").text("half of it");
        if request.path() == "/late" {
            response.flush().unwrap();
        }
        panic!("a bug");
    };
    let answers = by(handler, &GET.repeat(2));
    assert_eq!(statuses(&answers), [500], "{answers}");
    assert!(!answers.contains("half of it") && !answers.contains("Secret"), "{answers}");
    // What has begun cannot be taken back: it does not end as a whole one would.
    let answers = by(handler, "GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(answers.ends_with("a\r\nhalf of it\r\n"), "{answers}");
    let old = by(|_, response| _ = response.header("no name", "x"), GET);
    assert_eq!(statuses(&old), [500], "{old}");
    let framing = by(|_, response| _ = response.header("content-length", "5"), GET);
    assert_eq!(statuses(&framing), [500], "{framing}");
}

pub fn one_line() {
    let handler = |_: &mut Request<'_, '_>, response: &mut Response<'_>| {
        response.header("Location", "/x\r\nSet-Cookie: stolen=1\r\n\r\nbody");
    };
    let answers = by(handler, GET);
    assert!(answers.contains("Location: /x  Set-Cookie: stolen=1    body\r\n"), "{answers}");
}
