//! The framebuffer that the bootloader hands over (BIOS: VESA; UEFI: GOP), as a grid of letters.
//!
//! **Rule:** it is written and never read: reads of video memory are a hundred times as slow. The
//! mapping is write-combining, so that the CPU sends whole lines of its cache, not single pixels.
#![allow(unsafe_code)] // Video memory is written behind the language's back.

use crate::font::{self, Font};
use crate::paging;
use crate::terminal::{Cell, Colours};
use bootloader_api::info::{FrameBuffer, FrameBufferInfo, PixelFormat};
use core::ops::Range;

/// Red, green and blue of the 16 colours, as terminals have them.
const PALETTE: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 49, 49],
    [13, 188, 121],
    [229, 229, 16],
    [36, 114, 200],
    [188, 63, 188],
    [17, 168, 205],
    [229, 229, 229],
    [102, 102, 102],
    [241, 76, 76],
    [35, 209, 139],
    [245, 245, 67],
    [59, 142, 234],
    [214, 112, 214],
    [41, 184, 219],
    [255, 255, 255],
];

/// A framebuffer: where it is, and how its pixels are laid out.
#[derive(Clone, Copy)]
pub struct Screen {
    at: *mut u8,
    /// From a row of pixels to the next.
    row_bytes: usize,
    pixel_bytes: usize,
    colours: [u32; 16],
    font: Font,
    pub width: usize,
    pub height: usize,
}

// SAFETY: a plain address of video memory, which is mapped for good. Whoever writes there at the
// same time as another mixes pixels, no more.
unsafe impl Send for Screen {}
// SAFETY: as above.
unsafe impl Sync for Screen {}

impl Screen {
    /// Maps the framebuffer. `Err`: it cannot be used, and why.
    pub fn new(framebuffer: &FrameBuffer) -> Result<Screen, &'static str> {
        let info = framebuffer.info();
        let pixel_bytes = info.bytes_per_pixel;
        let colours = match info.pixel_format {
            _ if !(1..=4).contains(&pixel_bytes) || pixel_bytes == 2 => None,
            PixelFormat::Rgb => colours(|[r, g, b]| r | g << 8 | b << 16),
            PixelFormat::Bgr => colours(|[r, g, b]| b | g << 8 | r << 16),
            PixelFormat::U8 => colours(|[r, g, b]| (r + g + b) / 3),
            PixelFormat::Unknown { red_position: r, green_position: g, blue_position: b }
                if r.max(g).max(b) as usize + 8 <= 8 * pixel_bytes =>
            {
                colours(|colour| colour[0] << r | colour[1] << g | colour[2] << b)
            }
            _ => None,
        }
        .ok_or("its pixels have a form that is not known")?;
        let row_bytes = row_bytes(&info);
        let font = if info.height < 45 * font::LARGE.height { font::SMALL } else { font::LARGE };
        if info.width < 20 * font.width || info.height < 4 * font.height {
            return Err("it is too small for text");
        }
        let last = (info.height - 1) * row_bytes + info.width * pixel_bytes;
        if last > info.byte_len {
            return Err("its rows are longer than all of it");
        }
        let phys = paging::virt_to_phys(framebuffer.buffer().as_ptr() as u64)
            .ok_or("the bootloader has not mapped it")?;
        let at = paging::map_video(phys, info.byte_len as u64);
        let (width, height) = (info.width, info.height);
        let screen = Screen { at, row_bytes, pixel_bytes, colours, font, width, height };
        screen.clear();
        Ok(screen)
    }

    pub fn columns(&self) -> usize {
        self.width / self.font.width
    }

    pub fn rows(&self) -> usize {
        self.height / self.font.height
    }

    /// All of it in the usual ground's colour, its margins too.
    pub fn clear(&self) {
        let ground = self.colours[Colours::USUAL.ground as usize];
        for y in 0..self.height {
            self.fill(y, 0..self.width, |_| ground);
        }
    }

    /// Draws a letter. Row and column must be on the screen.
    pub fn draw(&self, row: usize, column: usize, cell: Cell) {
        let [ground, letter] = [cell.colours.ground, cell.colours.letter]
            .map(|colour| self.colours[usize::from(colour) % self.colours.len()]);
        let (left, top) = (column * self.font.width, row * self.font.height);
        for (y, bits) in self.font.glyph(cell.character).enumerate() {
            let is_letter = |x: usize| bits[(x - left) / 8] << ((x - left) % 8) & 0x80 != 0;
            let pixel = |x| if is_letter(x) { letter } else { ground };
            self.fill(top + y, left..left + self.font.width, pixel);
        }
    }

    /// Writes some pixels of a row.
    fn fill(&self, y: usize, xs: Range<usize>, pixel: impl Fn(usize) -> u32) {
        assert!(y < self.height && xs.end <= self.width);
        // SAFETY: on the screen (the line above), so within the mapping (`new`), which nobody reads.
        let row = unsafe { self.at.add(y * self.row_bytes) };
        for x in xs {
            let value = pixel(x);
            // SAFETY: as above.
            unsafe {
                let at = row.add(x * self.pixel_bytes);
                if self.pixel_bytes == 4 {
                    at.cast::<u32>().write_volatile(value);
                } else {
                    for (nth, byte) in value.to_le_bytes()[..self.pixel_bytes].iter().enumerate() {
                        at.add(nth).write_volatile(*byte);
                    }
                }
            }
        }
    }
}

/// The 16 colours as pixels.
fn colours(pixel: impl Fn([u32; 3]) -> u32) -> Option<[u32; 16]> {
    Some(PALETTE.map(|colour| pixel(colour.map(u32::from))))
}

/// From a row to the next. The bootloader tells it in whole pixels, and rounds down; where the
/// length of all is told by rows, that is exact.
fn row_bytes(info: &FrameBufferInfo) -> usize {
    let rounded = info.stride * info.bytes_per_pixel;
    let exact = info.byte_len / info.height.max(1);
    let fits = info.bytes_per_pixel == 3
        && info.byte_len.is_multiple_of(info.height.max(1))
        && (rounded..rounded + info.bytes_per_pixel).contains(&exact);
    if fits { exact } else { rounded }
}
