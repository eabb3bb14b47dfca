//! The screen: what was printed, as a terminal shows it.
//!
//! A printer writes into a grid of characters in memory and goes on; it never waits for the screen.
//! One goroutine draws, at most so many times a second: the newest state, so what has scrolled past
//! meanwhile is never drawn. It compares the grid with what it has drawn, and draws the difference.
//!
//! Before that goroutine exists, and at the very end, whoever prints draws.
//!
//! A crash report ([`write_raw`]) takes no lock and allocates nothing: it draws over whatever is
//! there, letter by letter. When the screen is full it stops, because nobody can scroll a dead
//! machine, and its first lines say the most.
//!
//! **Rule:** the lock of the grid is held for a few lines of text or a row of cells, never while
//! pixels are written.
#![allow(unsafe_code)] // The framebuffer is where the bootloader says.

use crate::framebuffer::Screen;
use crate::paging;
use crate::param::{FRAME_MOST_NS, FRAME_NS, RESTS};
use crate::terminal::{BLANK, Cell, Terminal};
use alloc::vec;
use alloc::vec::Vec;
use bootloader_api::info::FrameBuffer;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use executive::g::WaitReason;
use executive::lock::{Lock, Rank};
use executive::wait::{Parked, may_park, outside, park};
use executive::{Builder, machine, println, time};
use spin::Once;

/// The framebuffer, if there is one that can be used.
static SCREEN: Once<Screen> = Once::new();

/// What is to be seen.
struct Wanted {
    terminal: Terminal,
    /// Something was printed since it was last looked at.
    changed: bool,
    /// How often it was drawn.
    frames: u64,
    drawer: Drawer,
}

enum Drawer {
    /// Whoever prints draws.
    None,
    /// It waits for something to draw.
    Waits(Parked),
    /// It draws, or will.
    Draws,
}

static WANTED: Lock<Option<Wanted>> = Lock::new(Rank::Output, None);

/// What is seen.
struct Drawn {
    cells: Vec<Cell>,
    /// A row on its way from what is wanted.
    row: Vec<Cell>,
}

/// Taken before [`WANTED`], by whoever draws.
static DRAWN: Lock<Option<Drawn>> = Lock::new(Rank::Output, None);

/// Maps the framebuffer and clears it; what is printed from here on is seen. When the heap works.
pub fn init(framebuffer: Option<&FrameBuffer>) {
    let Some(framebuffer) = framebuffer else { return };
    let info = framebuffer.info();
    let (width, height, bits) = (info.width, info.height, 8 * info.bytes_per_pixel);
    let map = || {
        let phys = paging::virt_to_phys(framebuffer.buffer().as_ptr() as u64);
        let phys = phys.ok_or("the bootloader has not mapped it")?;
        Ok(paging::map_video(phys, info.byte_len as u64))
    };
    // SAFETY: the bootloader's framebuffer, of so many bytes, mapped for good; it is ours alone.
    let screen = match unsafe { Screen::new(&info, map) } {
        Ok(screen) => screen,
        Err(why) => return println!("the screen ({width}x{height}) is not used: {why}"),
    };
    let (columns, rows) = (screen.columns(), screen.rows());
    SCREEN.call_once(|| screen);
    let (cells, row) = (vec![BLANK; columns * rows], vec![BLANK; columns]);
    *DRAWN.lock() = Some(Drawn { cells, row });
    let terminal = Terminal::new(columns, rows);
    *WANTED.lock() = Some(Wanted { terminal, changed: true, frames: 0, drawer: Drawer::None });
    println!("screen: {width}x{height} pixels of {bits} bits, {columns}x{rows} characters");
}

/// How many characters a row has, if there is a screen.
pub fn columns() -> Option<usize> {
    SCREEN.get().map(Screen::columns)
}

/// Shows the bytes, soon. Never waits; not from an interrupt handler.
pub fn write(bytes: &[u8]) {
    if SCREEN.get().is_none() {
        return;
    }
    let drawer = {
        let mut wanted = WANTED.lock();
        let Some(wanted) = wanted.as_mut() else { return };
        wanted.terminal.write(bytes);
        wanted.changed = true;
        match wanted.drawer {
            Drawer::Waits(_) => core::mem::replace(&mut wanted.drawer, Drawer::Draws),
            Drawer::Draws => return,
            Drawer::None => Drawer::None,
        }
    };
    match drawer {
        Drawer::Waits(parked) => {
            // As an interrupt handler does: the printer may be pinned, or on a g0. It is the
            // system's (SYSTEM-G): nobody was told to expect it while it only waited.
            outside::expected().expect();
            outside::pinned(|| outside::ready(parked));
        }
        _ => draw(),
    }
}

/// From here on a goroutine draws. In a goroutine. Without memory for it, printers go on drawing.
pub fn start_drawing() {
    if SCREEN.get().is_some() {
        drop(Builder::new().system("screen").spawn(serve));
    }
}

/// The drawer: draws when something has changed, then leaves the CPU to others for a while, the
/// longer the more there was to draw.
fn serve() {
    loop {
        park(may_park(), WaitReason::Irq, |me| {
            let mut wanted = WANTED.lock();
            let wanted = wanted.as_mut().expect("it is there for good");
            if wanted.changed {
                wanted.drawer = Drawer::Draws;
                return Some(me);
            }
            wanted.drawer = Drawer::Waits(me);
            None
        });
        let begun = machine::now();
        draw();
        let rest = (machine::now() - begun) * RESTS;
        time::sleep(Duration::from_nanos(rest.clamp(FRAME_NS, FRAME_MOST_NS)));
    }
}

/// Waits until the drawer has drawn all that was printed before, and is at rest if nobody prints
/// more: for measurements. In a goroutine.
pub fn settle() {
    // How often it has begun to draw, while it is at work.
    let begun = || match WANTED.lock().as_ref() {
        Some(Wanted { drawer: Drawer::Draws, frames, .. }) => Some(*frames),
        _ => None,
    };
    let Some(first) = begun() else { return };
    while begun().is_some_and(|frames| frames < first + 2) {
        time::sleep(Duration::from_nanos(FRAME_NS));
    }
}

/// Draws what has changed, row by row; others may draw at the same time.
fn draw() {
    let Some(screen) = SCREEN.get() else { return };
    if CRASHED.load(Ordering::Relaxed) {
        return;
    }
    for row in 0..screen.rows() {
        let mut drawn = DRAWN.lock();
        let Some(Drawn { cells, row: new }) = drawn.as_mut() else { return };
        {
            let mut wanted = WANTED.lock();
            let Some(wanted) = wanted.as_mut() else { return };
            if row == 0 {
                wanted.changed = false; // what comes from here on is for the next time
                wanted.frames += 1;
            }
            wanted.terminal.row(row, new);
        }
        let columns = screen.columns();
        let old = &mut cells[row * columns..][..columns];
        for (column, (old, &new)) in old.iter_mut().zip(&*new).enumerate() {
            if *old != new {
                screen.draw(row, column, new);
                *old = new;
            }
        }
    }
}

/// Draws all that was printed, and then the bytes: the machine ends. After [`write_raw`] it takes
/// no lock either.
pub fn end(bytes: &[u8]) {
    if CRASHED.load(Ordering::Relaxed) {
        return write_raw(bytes);
    }
    write(bytes);
    draw();
}

/// The screen belongs to a crash report.
static CRASHED: AtomicBool = AtomicBool::new(false);
/// Where its next letter goes: cells from the top left. One CPU reports, so it needs no order.
static REPORTED: AtomicUsize = AtomicUsize::new(0);

/// Draws the bytes of a crash report, whatever state the machine is in. One row is left for what
/// says that there is more.
pub fn write_raw(bytes: &[u8]) {
    let Some(screen) = SCREEN.get() else { return };
    if !CRASHED.swap(true, Ordering::Relaxed) {
        screen.clear();
    }
    let (columns, end) = (screen.columns(), (screen.rows() - 1) * screen.columns());
    let mut at = REPORTED.load(Ordering::Relaxed);
    for character in bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
        if at >= end {
            break;
        }
        match character {
            '\n' => at = (at / columns + 1) * columns,
            '\t' => at += 4,
            '\r' => {}
            _ => {
                screen.draw(at / columns, at % columns, Cell { character, ..BLANK });
                at += 1;
            }
        }
        if at >= end {
            for (column, character) in MORE.chars().take(columns).enumerate() {
                screen.draw(screen.rows() - 1, column, Cell { character, ..BLANK });
            }
        }
    }
    REPORTED.store(at, Ordering::Relaxed);
}

const MORE: &str = "... (the screen is full)";
