//! Streams for `async` code: the traits of `embedded-io-async`, for crates that are made of them.
//!
//! A goroutine is the task: `block_on` or `go_future` runs one future, and a read or a write parks
//! its goroutine within the poll, as any call does. So other futures of the same goroutine wait
//! meanwhile; what is to go on beside it is another goroutine's, and limits of time are the
//! stream's deadlines.

use crate::error::Error;
use crate::tcp::{ReadHalf, TcpStream, WriteHalf};
use embedded_io_async::{Read, Write};

macro_rules! reads {
    ($($who:ty)*) => { $(
        impl Read for $who {
            async fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
                embedded_io::Read::read(self, into)
            }
        }
    )* };
}

macro_rules! writes {
    ($($who:ty)*) => { $(
        impl Write for $who {
            async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
                embedded_io::Write::write(self, bytes)
            }
            async fn flush(&mut self) -> Result<(), Error> {
                embedded_io::Write::flush(self)
            }
        }
    )* };
}

reads! { TcpStream &TcpStream ReadHalf }
writes! { TcpStream &TcpStream WriteHalf }
