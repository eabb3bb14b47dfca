//! The client, against servers that say what is written here, over the loop.

use executive::go;
use http::{Client, Error};
use net::{Config, Stack, TcpStream};

/// A server that says this, and what the client makes of it.
fn told<T>(says: &'static str, method: &str, ask: impl FnOnce(&mut Client, &str) -> T) -> T {
    let stack = Stack::new(Config::new([1, 2, 3, 4]));
    let listener = stack.listen("127.0.0.1:80").unwrap();
    let server = go(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(says.as_bytes()).unwrap();
        TcpStream::shutdown(&stream, net::Shutdown::Write);
    });
    let mut client = Client::connect(&stack, "127.0.0.1:80").unwrap();
    let told = ask(&mut client, method);
    drop(client);
    server.join();
    stack.shut_down();
    told
}

/// The status, the body, and whether the connection is good afterwards.
fn answer(says: &'static str, method: &str) -> Result<(u16, String, bool), Error> {
    told(says, method, |client, method| {
        let mut answer = client.call(method, "/").send(&[])?;
        let told = (answer.status(), answer.text(1000)?);
        Ok((told.0, told.1, client.is_good()))
    })
}

pub fn framed() {
    let ok = |says, method, body: &str, is_good| {
        assert_eq!(answer(says, method), Ok((200, body.to_owned(), is_good)), "{says:?}");
    };
    ok("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET", "hello", true);
    ok(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        "GET",
        "hello",
        false,
    );
    ok("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET", "hello", false);
    ok("HTTP/1.1 200 OK\r\n\r\nhello", "GET", "hello", false);
    ok("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", "", true);
    ok("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", "", true);
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    ok(chunked, "GET", "hello", true);
    let twice = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    ok(twice, "POST", "hello", true);
    // More has come than was asked for: who knows of what.
    ok("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!", "GET", "hello", false);
    let none = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(answer(none, "GET"), Ok((304, String::new(), true)));
}

pub fn refused() {
    for says in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    ] {
        assert_eq!(answer(says, "GET"), Err(Error::Ended), "{says:?}");
    }
    for says in [
        "HTTP/2 200 OK\r\n\r\n",
        "200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    ] {
        assert!(matches!(answer(says, "GET"), Err(Error::Refused(..))), "{says:?}");
    }
    // After that the client asks nothing more on this connection.
    let again = told("HTTP/1.1 200 OK\r\n\r\n", "GET", |client, _| {
        client.get("/").unwrap().text(10).unwrap();
        client.get("/").map(|answer| answer.status())
    });
    assert_eq!(again, Err(Error::Ended));
}
