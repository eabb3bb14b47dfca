//! What the screen shows, as characters: bytes in, a grid of cells out.
//!
//! The crate `vte` takes bytes apart, UTF-8 and control sequences (ECMA-48); here is what they do.
//! It is what our console writes, and what programs for a VT100 use most. A line feed begins a new
//! line, as after a carriage return. What is not known is left out.
//!
//! Scrolling moves nothing: the rows are a ring. Pure: nothing here touches a device.

use alloc::vec;
use alloc::vec::Vec;
use vte::{Params, Parser, Perform};

/// A character and its colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    pub character: char,
    pub colours: Colours,
}

/// The numbers of two of the 16 colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Colours {
    pub letter: u8,
    pub ground: u8,
}

impl Colours {
    pub const USUAL: Colours = Colours { letter: 7, ground: 0 };

    fn swapped(self) -> Colours {
        Colours { letter: self.ground, ground: self.letter }
    }
}

pub const BLANK: Cell = Cell { character: ' ', colours: Colours::USUAL };

/// A terminal: it is written to, and its rows can be looked at.
pub struct Terminal {
    parser: Parser<16>, // titles and the like are not kept
    grid: Grid,
}

struct Grid {
    cells: Vec<Cell>,
    columns: usize,
    rows: usize,
    /// The row of `cells` that is shown first.
    first: usize,
    /// Where the next character goes.
    at: Place,
    saved: Place,
    colours: Colours,
    /// Letters and ground change their places.
    reversed: bool,
    bright: bool,
    shows_cursor: bool,
}

/// Counted from 0. The column may be one too far: then the next character begins a new row, and
/// not before.
#[derive(Clone, Copy, Default)]
struct Place {
    row: usize,
    column: usize,
}

impl Terminal {
    /// An empty one of this size, of at least one row and one column.
    pub fn new(columns: usize, rows: usize) -> Terminal {
        let grid = Grid {
            cells: vec![BLANK; columns * rows],
            columns,
            rows,
            first: 0,
            at: Place::default(),
            saved: Place::default(),
            colours: Colours::USUAL,
            reversed: false,
            bright: false,
            shows_cursor: true,
        };
        Terminal { parser: Parser::new_with_size(), grid }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut self.grid, bytes);
    }

    /// Copies a row as it is to be drawn, with the cursor.
    pub fn row(&self, row: usize, out: &mut [Cell]) {
        let grid = &self.grid;
        out.copy_from_slice(&grid.cells[grid.range(row)]);
        if grid.shows_cursor && grid.at.row == row {
            let cell = &mut out[grid.column()];
            cell.colours = cell.colours.swapped();
        }
    }
}

impl Grid {
    /// Where the row is in `cells`.
    fn range(&self, row: usize) -> core::ops::Range<usize> {
        let begin = (self.first + row) % self.rows * self.columns;
        begin..begin + self.columns
    }

    /// Where the cursor is seen.
    fn column(&self) -> usize {
        self.at.column.min(self.columns - 1)
    }

    fn blank(&mut self, row: usize, columns: core::ops::Range<usize>) {
        let range = self.range(row);
        self.cells[range][columns].fill(BLANK);
    }

    fn line_feed(&mut self) {
        self.at.column = 0;
        if self.at.row + 1 < self.rows {
            self.at.row += 1;
        } else {
            self.first = (self.first + 1) % self.rows;
            self.blank(self.rows - 1, 0..self.columns);
        }
    }

    fn move_to(&mut self, row: usize, column: usize) {
        self.at = Place { row: row.min(self.rows - 1), column: column.min(self.columns - 1) };
    }

    /// ED: 0 from the cursor on, 1 up to it, 2 all.
    fn erase_screen(&mut self, what: u16) {
        let row = self.at.row;
        let rows = match what {
            0 => row + 1..self.rows,
            1 => 0..row,
            _ => 0..self.rows,
        };
        rows.for_each(|row| self.blank(row, 0..self.columns));
        self.erase_line(what);
    }

    /// EL: the same of its row.
    fn erase_line(&mut self, what: u16) {
        let column = self.column();
        let columns = match what {
            0 => column..self.columns,
            1 => 0..column + 1,
            _ => 0..self.columns,
        };
        self.blank(self.at.row, columns);
    }

    /// SGR: the 8 colours and their brighter forms.
    fn colour(&mut self, parameter: u16) {
        let colours = &mut self.colours;
        match parameter {
            0 => (self.colours, self.reversed, self.bright) = (Colours::USUAL, false, false),
            1 => self.bright = true,
            22 => self.bright = false,
            7 => self.reversed = true,
            27 => self.reversed = false,
            30..=37 => colours.letter = (parameter - 30) as u8,
            39 => colours.letter = Colours::USUAL.letter,
            40..=47 => colours.ground = (parameter - 40) as u8,
            49 => colours.ground = Colours::USUAL.ground,
            90..=97 => colours.letter = (parameter - 90 + 8) as u8,
            100..=107 => colours.ground = (parameter - 100 + 8) as u8,
            _ => {}
        }
    }
}

impl Perform for Grid {
    fn print(&mut self, character: char) {
        if self.at.column >= self.columns {
            self.line_feed();
        }
        let mut colours = self.colours;
        if self.bright && colours.letter < 8 {
            colours.letter += 8;
        }
        if self.reversed {
            colours = colours.swapped();
        }
        let at = self.range(self.at.row).start + self.at.column;
        self.cells[at] = Cell { character, colours };
        self.at.column += 1;
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => self.line_feed(),
            b'\r' => self.at.column = 0,
            b'\t' => self.at.column = (self.at.column / 8 * 8 + 8).min(self.columns - 1),
            0x08 => self.at.column = self.column().saturating_sub(1),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, kind: &[u8], _too_long: bool, action: char) {
        let parameter = |nth: usize| params.iter().nth(nth).map_or(0, |values| values[0]);
        // A count or a place: 1 if it is left out, or 0.
        let number = |nth: usize| usize::from(parameter(nth).max(1));
        let (row, column) = (self.at.row, self.column());
        match (kind, action) {
            (b"", 'A') => self.move_to(row.saturating_sub(number(0)), column),
            (b"", 'B') => self.move_to(row + number(0), column),
            (b"", 'C') => self.move_to(row, column + number(0)),
            (b"", 'D') => self.move_to(row, column.saturating_sub(number(0))),
            (b"", 'G') => self.move_to(row, number(0) - 1),
            (b"", 'd') => self.move_to(number(0) - 1, column),
            (b"", 'H' | 'f') => self.move_to(number(0) - 1, number(1) - 1),
            (b"", 'J') => self.erase_screen(parameter(0)),
            (b"", 'K') => self.erase_line(parameter(0)),
            (b"", 'm') => params.iter().for_each(|values| self.colour(values[0])),
            (b"?", 'h') if parameter(0) == 25 => self.shows_cursor = true,
            (b"?", 'l') if parameter(0) == 25 => self.shows_cursor = false,
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, kind: &[u8], _too_long: bool, byte: u8) {
        match (kind, byte) {
            (b"", b'7') => self.saved = self.at,
            (b"", b'8') => self.at = self.saved,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use std::borrow::ToOwned;

    fn written(bytes: &str) -> Terminal {
        let mut terminal = Terminal::new(10, 4);
        terminal.write(bytes.as_bytes());
        terminal
    }

    /// What the rows say, without the blanks at their ends.
    fn rows(terminal: &Terminal) -> Vec<String> {
        let mut cells = [BLANK; 10];
        let text = |row| {
            terminal.row(row, &mut cells);
            cells.iter().map(|cell| cell.character).collect::<String>().trim_end().to_owned()
        };
        (0..4).map(text).collect()
    }

    #[test]
    fn a_line_feed_begins_a_new_line() {
        assert_eq!(rows(&written("ab\ncd\r\nef")), ["ab", "cd", "ef", ""]);
    }

    #[test]
    fn it_scrolls_and_what_comes_in_is_blank() {
        assert_eq!(rows(&written("1\n2\n3\n4\n5\n6")), ["3", "4", "5", "6"]);
        assert_eq!(rows(&written("1\n2\n3\n4\n5\n6\n")), ["4", "5", "6", ""]);
    }

    #[test]
    fn a_full_row_goes_on_in_the_next_and_not_before_it_must() {
        assert_eq!(rows(&written("0123456789\nx")), ["0123456789", "x", "", ""]);
        assert_eq!(rows(&written("0123456789ab")), ["0123456789", "ab", "", ""]);
        assert_eq!(rows(&written("0123456789\rx")), ["x123456789", "", "", ""]);
        assert_eq!(rows(&written("0123456789\x08x")), ["01234567x9", "", "", ""]);
    }

    #[test]
    fn the_line_editors_sequences_do_what_they_say() {
        assert_eq!(rows(&written("> sieve\x1b[4Gx\x1b[J")), ["> sx", "", "", ""]);
        assert_eq!(rows(&written("ab\ncd\x1b[1A\x1b[2Gx\x1b[1B\x1b[1Gy")), ["ax", "yd", "", ""]);
        assert_eq!(
            rows(&written("ab\ncd\x1b[H\x1b[1G\x1b[J> ")),
            ["> ", "", "", ""].map(str::trim)
        );
        assert_eq!(rows(&written("ab\x1b7\x1b[999;999H\x1b[6n\x1b8c")), ["abc", "", "", ""]);
    }

    #[test]
    fn utf8_may_come_in_pieces() {
        let mut terminal = Terminal::new(10, 4);
        "┌→ä".bytes().for_each(|byte| terminal.write(&[byte]));
        assert_eq!(rows(&terminal), ["┌→ä", "", "", ""]);
    }

    #[test]
    fn the_cursor_is_where_the_next_character_goes() {
        let terminal = written("ab\nc");
        let mut cells = [BLANK; 10];
        terminal.row(1, &mut cells);
        let swapped = |cell: &Cell| cell.colours == Colours::USUAL.swapped();
        assert_eq!(cells.iter().position(swapped), Some(1));
        terminal.row(0, &mut cells);
        assert_eq!(cells.iter().position(swapped), None);
    }

    #[test]
    fn colours_come_and_go() {
        let terminal = written("\x1b[31ma\x1b[1mb\x1b[0mc\x1b[7md");
        let mut cells = [BLANK; 10];
        terminal.row(0, &mut cells);
        let colours: Vec<_> =
            cells[..4].iter().map(|cell| (cell.colours.letter, cell.colours.ground)).collect();
        assert_eq!(colours, [(1, 0), (9, 0), (7, 0), (0, 7)]);
    }

    /// No byte at any place makes it panic.
    #[test]
    fn any_bytes_will_do() {
        let mut random = 1u64;
        let mut terminal = Terminal::new(10, 4);
        let likely = b"\x1b\x1b[[0123456789;;?ABCDGHJKmd78hl\r\n\x08\tx\xe2\x94\x80";
        for _ in 0..200_000 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            terminal.write(&[likely[(random >> 33) as usize % likely.len()]]);
        }
        assert_eq!(rows(&terminal).len(), 4);
    }
}
