//! What goes wrong in a conversation.

use core::fmt;

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer has said what cannot be, or more than it may. A server answers with this status.
    Refused(u16, &'static str),
    /// The peer has ended in the middle.
    Ended,
    /// More was written than the response's `Content-Length`. Go: `ErrContentLength`.
    TooLong,
    /// The network's.
    Net(net::Error),
}

impl Error {
    /// What cannot be.
    pub(crate) const fn bad(why: &'static str) -> Self {
        Error::Refused(400, why)
    }
}

impl From<net::Error> for Error {
    fn from(error: net::Error) -> Self {
        Error::Net(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(status, why) => write!(f, "{} ({status}): {why}", reason(*status)),
            Error::Ended => f.write_str("unexpected EOF"),
            Error::TooLong => f.write_str("wrote more than the declared Content-Length"),
            Error::Net(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

/// A status in words; of one that is not known, an empty text. Go: `http.StatusText`.
#[doc(alias = "StatusText")]
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Request Entity Too Large",
        414 => "Request URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
