//! The framebuffer that the bootloader hands over (BIOS: VESA; UEFI: GOP), as a grid of letters.
//!
//! **Rule:** it is written and never read: reads of video memory are a hundred times as slow. (The
//! mapping is write-combining, so that the CPU sends whole lines of its cache, not single pixels:
//! paging.rs.)
#![allow(unsafe_code)] // Video memory is written behind the language's back.

use crate::font::{self, Font};
use crate::terminal::{Cell, Colours};
use bootloader_api::info::{FrameBufferInfo, PixelFormat};
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
    /// A framebuffer of this form, at the address that `map` gives, and clears it. `Err`: it cannot
    /// be used, and why.
    ///
    /// # Safety
    /// From that address on `info.byte_len` bytes can be written for good, and nobody reads them.
    pub unsafe fn new(
        info: &FrameBufferInfo,
        map: impl FnOnce() -> Result<*mut u8, &'static str>,
    ) -> Result<Screen, &'static str> {
        let (width, height, pixel_bytes) = (info.width, info.height, info.bytes_per_pixel);
        let colours = colours(info).ok_or("its pixels have a form that is not known")?;
        let font = if height < 45 * font::LARGE.height { font::SMALL } else { font::LARGE };
        if width < 20 * font.width || height < 4 * font.height {
            return Err("it is too small for text");
        }
        let row_bytes = row_bytes(info);
        if row_bytes < width * pixel_bytes
            || (height - 1) * row_bytes + width * pixel_bytes > info.byte_len
        {
            return Err("its rows are longer than they can be");
        }
        let screen = Screen { at: map()?, row_bytes, pixel_bytes, colours, font, width, height };
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
        // SAFETY: on the screen (the line above), so within what `new` was given.
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

/// The 16 colours as pixels; `None`: nobody knows how.
fn colours(info: &FrameBufferInfo) -> Option<[u32; 16]> {
    let bytes = info.bytes_per_pixel;
    let shifts = match info.pixel_format {
        PixelFormat::Rgb => [0, 8, 16],
        PixelFormat::Bgr => [16, 8, 0],
        PixelFormat::Unknown { red_position, green_position, blue_position } => {
            [red_position, green_position, blue_position]
        }
        PixelFormat::U8 if bytes <= 4 => {
            return Some(PALETTE.map(|colour| colour.map(u32::from).iter().sum::<u32>() / 3));
        }
        _ => return None,
    };
    let fits = |&shift: &u8| usize::from(shift) + 8 <= 8 * bytes;
    if !(3..=4).contains(&bytes) || !shifts.iter().all(fits) {
        return None;
    }
    let pixel = |colour: [u8; 3]| {
        colour.iter().zip(shifts).fold(0, |pixel, (&part, shift)| pixel | u32::from(part) << shift)
    };
    Some(PALETTE.map(pixel))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::BLANK;
    use std::vec::Vec;

    const WIDTH: usize = 200;
    const HEIGHT: usize = 100;
    /// What is in memory that nobody has written.
    const UNTOUCHED: u8 = 0xa5;

    fn info(format: PixelFormat, bytes_per_pixel: usize, stride: usize) -> FrameBufferInfo {
        FrameBufferInfo {
            byte_len: HEIGHT * stride * bytes_per_pixel,
            width: WIDTH,
            height: HEIGHT,
            pixel_format: format,
            bytes_per_pixel,
            stride,
        }
    }

    /// What is in memory when a red L stands in the second row, third column.
    fn drawn(info: &FrameBufferInfo) -> Result<Vec<u8>, &'static str> {
        let mut words = std::vec![u32::from_ne_bytes([UNTOUCHED; 4]); info.byte_len / 4 + 1];
        let at = words.as_mut_ptr().cast::<u8>();
        // SAFETY: so many bytes; they are read when nobody writes any more.
        let screen = unsafe { Screen::new(info, || Ok(at)) }?;
        let colours = Colours { letter: 1, ground: 0 };
        screen.draw(1, 2, Cell { character: 'L', colours });
        let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
        Ok(bytes.take(info.byte_len).collect())
    }

    #[test]
    fn a_letter_is_where_it_should_be_in_every_form() {
        use PixelFormat::*;
        let [red, green, blue] = PALETTE[1];
        let odd = Unknown { red_position: 8, green_position: 16, blue_position: 24 };
        for (format, bytes, stride, letter) in [
            (Rgb, 4, WIDTH, &[red, green, blue, 0][..]),
            (Bgr, 4, WIDTH + 7, &[blue, green, red, 0]),
            (Rgb, 3, WIDTH, &[red, green, blue]),
            (Bgr, 3, WIDTH + 1, &[blue, green, red]),
            (odd, 4, WIDTH + 3, &[0, red, green, blue]),
            (U8, 1, WIDTH + 5, &[101]),
        ] {
            let info = info(format, bytes, stride);
            let memory = drawn(&info).expect("a usual form");
            let glyph: Vec<u8> = font::SMALL.glyph('L').flatten().copied().collect();
            for (at, pixel) in memory.chunks(bytes).enumerate() {
                let (x, y) = (at % stride, at / stride);
                let within = (16..24).contains(&x) && (16..32).contains(&y);
                let lit = within && glyph[y - 16] << (x - 16) & 0x80 != 0;
                let wanted = match x {
                    WIDTH.. => std::vec![UNTOUCHED; bytes],
                    _ if lit => letter.to_vec(),
                    _ => std::vec![0; bytes],
                };
                assert_eq!(pixel, wanted, "{format:?} of {bytes} bytes: {x}, {y}");
            }
        }
    }

    /// 601 bytes a row: the bootloader tells a stride of 200 pixels of 3 bytes.
    #[test]
    fn a_row_may_end_within_a_pixel() {
        let mut info = info(PixelFormat::Rgb, 3, WIDTH);
        info.byte_len = HEIGHT * 601;
        let memory = drawn(&info).expect("a usual form");
        assert!(memory.chunks(601).all(|row| row[600] == UNTOUCHED && row[599] != UNTOUCHED));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let unknown = "its pixels have a form that is not known";
        assert_eq!(drawn(&info(PixelFormat::Rgb, 2, WIDTH)), Err(unknown));
        let far = PixelFormat::Unknown { red_position: 0, green_position: 8, blue_position: 25 };
        assert_eq!(drawn(&info(far, 4, WIDTH)), Err(unknown));
        let long = "its rows are longer than they can be";
        assert_eq!(drawn(&info(PixelFormat::Rgb, 4, WIDTH - 1)), Err(long));
        let mut short = info(PixelFormat::Rgb, 4, WIDTH);
        short.byte_len -= 1;
        assert_eq!(drawn(&short), Err(long));
        let mut small = info(PixelFormat::Rgb, 4, WIDTH);
        small.height = 63;
        assert_eq!(drawn(&small), Err("it is too small for text"));
    }

    #[test]
    fn on_many_lines_letters_are_large() {
        for (height, columns) in [(1080, 240), (1439, 240), (1440, 120), (2160, 120)] {
            let form = FrameBufferInfo {
                byte_len: 1920 * 4 * height,
                width: 1920,
                height,
                ..info(PixelFormat::Bgr, 4, 1920)
            };
            let mut words = std::vec![0u32; 1920 * height];
            let at = words.as_mut_ptr().cast();
            // SAFETY: so many bytes, which nobody reads.
            let screen = unsafe { Screen::new(&form, || Ok(at)) }.expect("a usual form");
            assert_eq!(screen.columns(), columns);
            screen.draw(screen.rows() - 1, columns - 1, BLANK);
        }
    }
}
