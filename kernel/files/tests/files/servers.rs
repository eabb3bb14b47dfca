//! 9P servers that are none.

use crate::Random;
use executive::sync::Mutex;
use executive::time::sleep;
use files::p9::{Channel, Share};
use files::{ErrorKind, FileSystem, OpenOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const READ: u8 = 116;
const READDIR: u8 = 40;

/// What a server would say to a request, with nothing but its numbers made up.
fn plausible(request: &[u8], random: &mut Random) -> Vec<u8> {
    let kind = request[4];
    let mut any = |n: usize| -> Vec<u8> { (0..n).map(|_| random.below(256) as u8).collect() };
    let u32_at = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
    let body = match kind {
        100 => request[7..].to_vec(), // version: the same
        104 | 72 => any(13),          // attach, mkdir
        110 => {
            let names = u16::from_le_bytes(request[15..17].try_into().unwrap());
            [names.to_le_bytes().to_vec(), any(13 * usize::from(names))].concat()
        }
        12 | 14 => any(17), // lopen, lcreate
        24 => {
            let mut attributes = any(153);
            attributes[21..25]
                .copy_from_slice(&[0o100_644u32, 0o040_755][any(1)[0] as usize % 2].to_le_bytes());
            attributes
        }
        READ => {
            let n = (u32_at(19) as usize).min(any(1)[0].into());
            [(n as u32).to_le_bytes().to_vec(), any(n)].concat()
        }
        118 => u32_at(19).to_le_bytes().to_vec(),
        READDIR => {
            let mut entries = Vec::new();
            for n in 0..any(1)[0] % 4 {
                let name = format!("file{n}");
                entries.extend([any(13), any(8), any(1)].concat());
                entries.extend((name.len() as u16).to_le_bytes());
                entries.extend(name.as_bytes());
            }
            [(entries.len() as u32).to_le_bytes().to_vec(), entries].concat()
        }
        _ => vec![], // clunk, fsync, unlinkat
    };
    message(kind + 1, &request[5..7], &body)
}

fn message(kind: u8, tag: &[u8], body: &[u8]) -> Vec<u8> {
    let size = 7 + body.len() as u32;
    [&size.to_le_bytes()[..], &[kind], tag, body].concat()
}

fn give(message: &[u8], answer: &mut [u8]) -> usize {
    let n = message.len().min(answer.len());
    answer[..n].copy_from_slice(&message[..n]);
    n
}

/// Answers late, in an order of its own, and what is read says for which request.
struct Late {
    under_way: Mutex<Vec<bool>>,
    most_at_a_time: Arc<AtomicUsize>,
}

const TAGS: u16 = 8;

impl Channel for Late {
    fn exchange(&self, tag: u16, request: &[u8], answer: &mut [u8]) -> Result<usize, ErrorKind> {
        let mut under_way = self.under_way.lock();
        assert!(!std::mem::replace(&mut under_way[usize::from(tag)], true), "a tag is used twice");
        let now = under_way.iter().filter(|&&busy| busy).count();
        self.most_at_a_time.fetch_max(now, SeqCst);
        drop(under_way);
        let mut random = Random(request.iter().map(|&byte| u64::from(byte)).sum());
        sleep(Duration::from_micros(random.below(2000) as u64));
        self.under_way.lock()[usize::from(tag)] = false;
        Ok(give(
            &match request[4] {
                READ => {
                    message(READ + 1, &request[5..7], &[&[8, 0, 0, 0], &request[11..19]].concat())
                }
                24 => {
                    let mut attributes = [0; 153];
                    attributes[21..25].copy_from_slice(&0o100_644u32.to_le_bytes());
                    message(25, &request[5..7], &attributes)
                }
                _ => plausible(request, &mut random),
            },
            answer,
        ))
    }
    fn tags(&self) -> u16 {
        TAGS
    }
    fn most(&self) -> u32 {
        8192
    }
}

pub fn each_goroutine_gets_its_own_answer() {
    let most_at_a_time = Arc::new(AtomicUsize::new(0));
    let under_way = Mutex::new(vec![false; TAGS.into()]);
    let late = Late { under_way, most_at_a_time: most_at_a_time.clone() };
    let share = Share::attach(late).unwrap();
    let file = share.open(&["x"], OpenOptions::new().read(true)).unwrap();
    executive::scope(|s| {
        for n in 0..32 {
            let file = &file;
            s.go(move || {
                for at in 0..20 {
                    let (offset, mut bytes) = (n << 32 | at, [0; 8]);
                    assert_eq!(file.read_at(&mut bytes, offset), Ok(8));
                    assert_eq!(u64::from_le_bytes(bytes), offset);
                }
            });
        }
    });
    assert_eq!(most_at_a_time.load(SeqCst), TAGS.into(), "not as many at a time as could be");
}

/// Says nearly what a server would.
struct Liar(Mutex<Random>);

impl Channel for Liar {
    fn exchange(&self, _: u16, request: &[u8], answer: &mut [u8]) -> Result<usize, ErrorKind> {
        let mut random = self.0.lock();
        let mut says = plausible(request, &mut random);
        if matches!(request[4], 100 | 104) {
            return Ok(give(&says, answer)); // so that it comes to the rest
        }
        match random.below(12) {
            0 => {
                let at = random.below(says.len());
                says[at] = random.below(256) as u8;
            }
            1 => says.truncate(random.below(says.len())),
            2 => says.extend([0; 5]),
            3 => {
                let error = random.below(140) as u32;
                says = message(7, &request[5..7], &error.to_le_bytes());
            }
            4 => {
                // A count or a length that is too large.
                let at = random.below(says.len());
                let end = says.len().min(at + 4);
                says[at..end].fill(0xff);
            }
            5 => {
                // The length is right, but what is in it is not.
                let at = 7.min(says.len() - 1) + random.below(says.len() - 6);
                says.truncate(at);
                let size = says.len() as u32;
                says.splice(..4, size.to_le_bytes());
            }
            _ => {}
        }
        let n = give(&says, answer);
        Ok(if random.below(50) == 0 { usize::MAX } else { n })
    }
    fn tags(&self) -> u16 {
        4
    }
    fn most(&self) -> u32 {
        4096
    }
}

pub fn a_server_may_say_anything() {
    let (mut good, mut bad) = (0, 0);
    let mut count = |ok: bool| if ok { good += 1 } else { bad += 1 };
    for seed in 0..400 {
        let share = Share::attach(Liar(Mutex::new(Random(seed)))).unwrap();
        let deep: Vec<&str> = std::iter::repeat_n("d", 1 + seed as usize % 40).collect();
        count(share.metadata(&deep).is_ok());
        count(share.read_dir(&deep).is_ok());
        count(share.create_dir(&deep).is_ok());
        count(share.remove(&deep).is_ok());
        let how = OpenOptions::new().read(true).write(true).create(seed % 2 == 0);
        let opened = share.open(&deep, how);
        count(opened.is_ok());
        if let Ok(file) = opened {
            let mut bytes = [0; 5000];
            count(file.read_at(&mut bytes, seed).is_ok());
            count(file.write_at(&bytes, seed).is_ok());
            count(file.length().is_ok() && file.sync().is_ok());
        }
    }
    assert!(good > 300 && bad > 300, "{good} {bad}");
}

/// Answers the first two requests, and to the third it has this error.
struct Lost(AtomicUsize, ErrorKind);

impl Channel for Lost {
    fn exchange(&self, _: u16, request: &[u8], answer: &mut [u8]) -> Result<usize, ErrorKind> {
        match self.0.fetch_add(1, SeqCst) {
            0 | 1 => Ok(give(&plausible(request, &mut Random(0)), answer)),
            2 => Err(self.1),
            _ => panic!("it was asked again"),
        }
    }
    fn tags(&self) -> u16 {
        1
    }
    fn most(&self) -> u32 {
        4096
    }
}

pub fn a_lost_server_is_given_up() {
    for why in [ErrorKind::TimedOut, ErrorKind::Device] {
        let share = Share::attach(Lost(AtomicUsize::new(0), why)).unwrap();
        for _ in 0..3 {
            assert_eq!(share.metadata(&["x"]), Err(why));
        }
    }
}
