//! The contents of the display. Xvfb keeps it in a file, in the xwd format.

use crate::Outcome;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// Fields of the file's header, as 32-bit numbers in network order.
const HEADER_SIZE: usize = 0;
const BYTE_ORDER: usize = 7;
const BITS_PER_PIXEL: usize = 11;
const BYTES_PER_LINE: usize = 12;
const COLOURS: usize = 19;
/// The length of an entry of the colour map, which follows the header.
const COLOUR_SIZE: usize = 12;

/// A picture of the screen.
pub(crate) struct Picture {
    data: Vec<u8>,
    pixels: usize,
    line: usize,
}

impl Picture {
    pub(crate) fn take(folder: &Path) -> Outcome<Self> {
        let data = fs::read(folder.join("Xvfb_screen0"))?;
        let field = |n: usize| -> Outcome<usize> {
            let bytes = data.get(4 * n..4 * n + 4).ok_or("the picture is truncated")?;
            Ok(u32::from_be_bytes(bytes.try_into()?) as usize)
        };
        if field(BITS_PER_PIXEL)? != 32 || field(BYTE_ORDER)? != 0 {
            return Err("the display has another format than 32 bits, lowest byte first".into());
        }
        let pixels = field(HEADER_SIZE)? + field(COLOURS)? * COLOUR_SIZE;
        let line = field(BYTES_PER_LINE)?;
        Ok(Self { data, pixels, line })
    }

    /// The colours in a part of the screen, row by row, as 0xRRGGBB.
    pub(crate) fn part(&self, x: Range<usize>, y: Range<usize>) -> Vec<u32> {
        let pixel = |x: usize, y: usize| {
            let at = self.pixels + y * self.line + x * 4;
            self.data.get(at..at + 3).map_or(0, |p| u32::from_le_bytes([p[0], p[1], p[2], 0]))
        };
        y.flat_map(|y| x.clone().map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect()
    }
}
