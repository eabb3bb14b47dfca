//! The screen's letters: Spleen, a font of bitmaps, in the sizes 8 x 16 and 16 x 32.
//!
//! It has ASCII, Latin with its accents, Greek, Cyrillic, boxes, blocks and arrows. Both sizes have
//! the same glyphs in the same order. Pure: nothing here touches a device.

use spleen_font::{FONT_8X16, FONT_16X32};

/// One size of the font.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Font {
    /// Pixels of a glyph.
    pub width: usize,
    pub height: usize,
    glyphs: &'static [u8],
}

const GLYPHS: usize = 512;
/// Lengths of the headers of a PSF file, of versions 1 and 2.
const PSF1_HEADER: usize = 4;
const PSF2_HEADER: usize = 32;

/// For screens of fewer lines than those of [`LARGE`].
pub const SMALL: Font = Font {
    width: 8,
    height: 16,
    glyphs: FONT_8X16.split_at(PSF1_HEADER).1.split_at(GLYPHS * 16).0,
};
/// For screens on which the small one is too small: from about 1440 lines on.
pub const LARGE: Font = Font {
    width: 16,
    height: 32,
    glyphs: FONT_16X32.split_at(PSF2_HEADER).1.split_at(GLYPHS * 64).0,
};

/// Which characters each glyph stands for, glyph after glyph: UTF-8. 0xff ends a glyph's, and 0xfe
/// begins those that are made of several characters, which we do not have.
const CHARACTERS: &[u8] = FONT_16X32.split_at(PSF2_HEADER + GLYPHS * 64).1;

/// What is shown for a character that the font does not have: U+25A0, a square.
const UNKNOWN: usize = 0xfe;

impl Font {
    /// The rows of the character's glyph from the top, `width` / 8 bytes each; the leftmost pixel
    /// is the highest bit.
    pub fn glyph(&self, character: char) -> impl Iterator<Item = &'static [u8]> + use<> {
        let bytes = self.width / 8 * self.height;
        let number = match character {
            ' '..='~' => character as usize, // they stand at their own places
            _ => find(character).unwrap_or(UNKNOWN),
        };
        self.glyphs[number * bytes..][..bytes].chunks(self.width / 8)
    }
}

/// The number of the glyph of this character.
fn find(character: char) -> Option<usize> {
    let mut utf8 = [0; 4];
    let wanted = character.encode_utf8(&mut utf8).as_bytes();
    let has = |glyph: &[u8]| {
        let mut rest = glyph.split(|&byte| byte == 0xfe).next().unwrap_or(&[]);
        while let Some(&first) = rest.first() {
            let length = match first {
                ..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                _ => 4,
            };
            let (one, others) = rest.split_at(length.min(rest.len()));
            if one == wanted {
                return true;
            }
            rest = others;
        }
        false
    };
    CHARACTERS.split(|&byte| byte == 0xff).take(GLYPHS).position(has)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn picture(font: Font, character: char) -> String {
        let row = |row: &[u8]| -> String {
            let bits = row.iter().flat_map(|byte| (0..8).map(move |bit| byte << bit & 0x80 != 0));
            bits.map(|on| if on { '#' } else { '.' }).chain(['\n']).collect()
        };
        font.glyph(character).map(row).collect()
    }

    #[test]
    fn every_letter_of_ascii_differs_from_every_other() {
        for font in [SMALL, LARGE] {
            let pictures: std::collections::HashSet<_> =
                (' '..='~').map(|letter| picture(font, letter)).collect();
            assert_eq!(pictures.len(), ('~' as usize) - (' ' as usize) + 1);
        }
    }

    #[test]
    fn boxes_arrows_and_accents_are_there() {
        for font in [SMALL, LARGE] {
            let unknown = picture(font, '\u{10ffff}');
            for character in "┌─┐│└┘├┤┬┴┼═║█▄░←↑→↓äöüßéèçñÄÖÜ£§°µ√€…‘’“”".chars()
            {
                assert_ne!(picture(font, character), unknown, "{character}");
            }
        }
    }

    #[test]
    fn an_l_stands_upright() {
        let l = picture(SMALL, 'L');
        let lit: Vec<_> = l.lines().filter(|row| row.contains('#')).collect();
        assert_eq!(lit.len(), 10, "{l}");
        assert!(lit[..8].iter().all(|row| row.starts_with("##") || row.starts_with(".#")), "{l}");
        assert!(lit[9].matches('#').count() > 5, "{l}");
    }
}
