//! Pixels: boxes and text in units of the same size on every screen.

use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::{DrawTarget, OriginDimensions, Pixel, Point, Size};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};
use std::convert::Infallible;

/// 0xRRGGBB.
pub(crate) type Colour = u32;

/// A rectangle in units; at a scale of 2, a unit is two pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Area {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) w: f32,
    pub(crate) h: f32,
}

impl Area {
    pub(crate) fn inset(self, by: f32) -> Self {
        let (w, h) = ((self.w - 2.0 * by).max(0.0), (self.h - 2.0 * by).max(0.0));
        Self { x: self.x + by, y: self.y + by, w, h }
    }

    /// The column `index` of `n` equal ones, `gap` apart.
    pub(crate) fn column(self, index: usize, n: usize, gap: f32) -> Self {
        let w = (self.w - gap * (n as f32 - 1.0)) / n as f32;
        Self { x: self.x + index as f32 * (w + gap), w, ..self }
    }
}

/// A picture in memory. Drawing outside of it is clipped.
pub(crate) struct Canvas<'p> {
    pixels: &'p mut [Colour],
    width: usize,
    height: usize,
    scale: f32,
}

impl<'p> Canvas<'p> {
    /// `pixels` are rows from top to bottom, each `width` long.
    pub(crate) fn new(pixels: &'p mut [Colour], width: usize, scale: f32) -> Self {
        let height = pixels.len() / width.max(1);
        Self { pixels, width, height, scale }
    }

    pub(crate) fn area(&self) -> Area {
        Area { x: 0.0, y: 0.0, w: self.width as f32 / self.scale, h: self.height as f32 / self.scale }
    }

    /// Pixels per unit.
    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }

    pub(crate) fn clear(&mut self, colour: Colour) {
        self.pixels.fill(colour);
    }

    /// Mixes a colour into a pixel: 0 leaves it as it is, 1 replaces it.
    pub(crate) fn mix(&mut self, x: i32, y: i32, colour: Colour, share: f32) {
        if x < 0 || y < 0 || x as usize >= self.width || y as usize >= self.height {
            return;
        }
        if let Some(pixel) = self.pixels.get_mut(y as usize * self.width + x as usize) {
            *pixel = mix(*pixel, colour, share);
        }
    }

    /// A box with rounded corners.
    pub(crate) fn fill(&mut self, area: Area, radius: f32, colour: Colour, share: f32) {
        let [left, top, right, bottom] =
            [area.x, area.y, area.x + area.w, area.y + area.h].map(|edge| edge * self.scale);
        let radius = (radius * self.scale).min((right - left) / 2.0).min((bottom - top) / 2.0);
        for y in top.floor().max(0.0) as i32..(bottom.ceil() as i32).min(self.height as i32) {
            let middle = (y as f32 + 0.5).clamp(top, bottom);
            // How far a corner reaches into this row.
            let above = (radius - (middle - top).min(bottom - middle)).max(0.0);
            let corner = radius - (radius * radius - above * above).max(0.0).sqrt();
            let rows = (bottom.min(y as f32 + 1.0) - top.max(y as f32)).clamp(0.0, 1.0);
            self.span(y, left + corner, right - corner, colour, rows * share);
        }
    }

    /// A row of pixels, whose ends may be partly covered.
    fn span(&mut self, y: i32, start: f32, end: f32, colour: Colour, share: f32) {
        if start.floor() == end.floor() {
            return self.mix(start as i32, y, colour, share * (end - start));
        }
        self.mix(start.floor() as i32, y, colour, share * (start.ceil() - start));
        self.mix(end.floor() as i32, y, colour, share * (end - end.floor()));
        let (first, last) = (start.ceil().max(0.0) as usize, (end.floor().max(0.0) as usize).min(self.width));
        let row = y as usize * self.width;
        let Some(pixels) = self.pixels.get_mut(row + first..row + last) else { return };
        if share >= 1.0 {
            return pixels.fill(colour);
        }
        for pixel in pixels {
            *pixel = mix(*pixel, colour, share);
        }
    }

    /// A line of text, at `size` times the font's size.
    pub(crate) fn text(
        &mut self,
        (x, y): (f32, f32),
        font: &MonoFont<'_>,
        size: f32,
        colour: Colour,
        alignment: Alignment,
        text: &str,
    ) {
        // A bitmap scales by whole numbers only.
        let zoom = (size * self.scale).round().max(1.0) as i32;
        let origin = ((x * self.scale).round() as i32, (y * self.scale).round() as i32);
        let style = TextStyleBuilder::new().alignment(alignment).baseline(Baseline::Top).build();
        let letters = MonoTextStyle::new(font, BinaryColor::On);
        let mut ink = Ink { canvas: self, origin, zoom, colour };
        let Ok(_) = embedded_graphics::Drawable::draw(
            &Text::with_text_style(text, Point::zero(), letters, style),
            &mut ink,
        );
    }
}

/// A font's draw target.
struct Ink<'c, 'p> {
    canvas: &'c mut Canvas<'p>,
    origin: (i32, i32),
    zoom: i32,
    colour: Colour,
}

impl OriginDimensions for Ink<'_, '_> {
    fn size(&self) -> Size {
        Size::new(self.canvas.width as u32, self.canvas.height as u32)
    }
}

impl DrawTarget for Ink<'_, '_> {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, ink) in pixels {
            if ink.is_off() {
                continue;
            }
            let (x, y) = (self.origin.0 + point.x * self.zoom, self.origin.1 + point.y * self.zoom);
            for dy in 0..self.zoom {
                for dx in 0..self.zoom {
                    self.canvas.mix(x + dx, y + dy, self.colour, 1.0);
                }
            }
        }
        Ok(())
    }
}

/// Interpolates between two colours.
pub(crate) fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    let share = (share.clamp(0.0, 1.0) * 256.0) as u32;
    let part = |shift: u32| {
        let (a, b) = ((from >> shift) & 0xff, (to >> shift) & 0xff);
        (a * (256 - share) + b * share) >> 8 << shift
    };
    part(16) | part(8) | part(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_covers_as_many_pixels_as_the_scale_says() {
        for scale in [1.0, 1.5, 2.0] {
            let mut pixels = vec![0; 100 * 100];
            Canvas::new(&mut pixels, 100, scale).fill(
                Area { x: 4.0, y: 4.0, w: 20.0, h: 10.0 },
                0.0,
                0xffffff,
                1.0,
            );
            let lit = pixels.iter().filter(|pixel| **pixel == 0xffffff).count();
            assert_eq!(lit as f32, 200.0 * scale * scale);
        }
    }

    #[test]
    fn drawing_outside_is_clipped() {
        let mut pixels = vec![0; 10 * 10];
        let mut canvas = Canvas::new(&mut pixels, 10, 1.0);
        canvas.fill(Area { x: -5.0, y: -5.0, w: 100.0, h: 100.0 }, 3.0, 0x123456, 1.0);
        canvas.text(
            (-4.0, 8.0),
            &embedded_graphics::mono_font::ascii::FONT_6X10,
            1.0,
            1,
            Alignment::Left,
            "hello",
        );
        Canvas::new(&mut [], 0, 1.0).fill(Area { x: 0.0, y: 0.0, w: 1.0, h: 1.0 }, 0.0, 1, 1.0);
    }

    #[test]
    fn colours_mix() {
        assert_eq!(mix(0x000000, 0xff8040, 0.0), 0x000000);
        assert_eq!(mix(0x000000, 0xff8040, 1.0), 0xff8040);
        assert_eq!(mix(0x000000, 0x804020, 0.5), 0x402010);
    }
}
