//! A peer that was written down: it says its words, and what it hears is kept.

use executive::cancel::Token;
use executive::time::Instant;
use http::{Limits, Request, Response, Server, Stream};
use net::Error;
use std::net::SocketAddr;
use std::sync::Mutex;

pub struct Script {
    says: Mutex<Vec<u8>>,
    /// Bytes that come at a time.
    step: usize,
    heard: Mutex<Vec<u8>>,
}

impl Script {
    pub fn new(says: &[u8], step: usize) -> Self {
        Script { says: Mutex::new(says.to_vec()), step, heard: Mutex::default() }
    }

    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

impl Stream for Script {
    fn read(&self, into: &mut [u8]) -> Result<usize, Error> {
        let mut says = self.says.lock().unwrap();
        let n = says.len().min(into.len()).min(self.step);
        into[..n].copy_from_slice(&says[..n]);
        says.drain(..n);
        Ok(n)
    }
    fn write_all(&self, bytes: &[u8]) -> Result<(), Error> {
        self.heard.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }
    fn set_read_deadline(&self, _: Instant) {}
    fn set_write_deadline(&self, _: Instant) {}
    fn wait(&self, _: Instant, token: Option<&Token>) -> bool {
        token.is_none_or(|token| !token.is_cancelled())
    }
    fn finish(&self) {}
    fn peer(&self) -> Option<SocketAddr> {
        None
    }
}

/// What a server with this handler answers, whether the words come all at once or one by one.
pub fn answers_by(
    says: &[u8],
    handler: fn(&mut Request<'_, '_>, &mut Response<'_>),
    limits: Limits,
) -> String {
    let answers = [usize::MAX, 1, 3].map(|step| {
        let script = Script::new(says, step);
        Server::new(handler).limits(limits).converse(&script);
        script.heard()
    });
    assert_eq!(answers[0], answers[1], "{:?}", String::from_utf8_lossy(says));
    assert_eq!(answers[0], answers[2], "{:?}", String::from_utf8_lossy(says));
    answers.into_iter().next().unwrap()
}

/// Tells what was asked: the method, the target and the body.
pub fn tells(request: &mut Request<'_, '_>, response: &mut Response<'_>) {
    match request.read_all(100_000) {
        Ok(body) => {
            let body = String::from_utf8_lossy(&body).into_owned();
            response.text(&format!("<{} {} {body}>", request.method(), request.target()));
        }
        Err(http::Error::Refused(status, _)) => response.error(status),
        Err(error) => panic!("{error}"),
    }
}

pub fn answers(says: &str) -> String {
    answers_by(says.as_bytes(), tells, Limits::default())
}

/// The statuses of answers.
pub fn statuses(answers: &str) -> Vec<u16> {
    answers.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
}
