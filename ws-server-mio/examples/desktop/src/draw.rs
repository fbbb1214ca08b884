//! The picture in the window.

use crate::canvas::{Area, Canvas, Colour, mix};
use crate::meter::{FRAME, Meter};
use crate::scope::{Kind, Scope, Wave};
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X13, FONT_9X18_BOLD, FONT_10X20};
use embedded_graphics::text::Alignment;
use std::time::Duration;

const GROUND: Colour = 0x0d1017;
const PANEL: Colour = 0x161a25;
const LINE: Colour = 0x2a3142;
const TEXT: Colour = 0xeef1f8;
const MUTED: Colour = 0x8a93a9;
const CYAN: Colour = 0x3fd0d4;
const VIOLET: Colour = 0x9d7bff;
const GREEN: Colour = 0x4fc98f;
const AMBER: Colour = 0xf2b84b;
const ORANGE: Colour = 0xff9340;
const RED: Colour = 0xf4607a;

const MARGIN: f32 = 18.0;
const SPACE: f32 = 12.0;
const HEADER: f32 = 26.0;
const CELLS: f32 = 58.0;
const FOOT: f32 = 124.0;

/// The area of the wave, where the mouse changes it.
pub(crate) fn wave_area(whole: Area) -> Area {
    let inner = whole.inset(MARGIN);
    let above = HEADER + CELLS + 2.0 * SPACE;
    Area { y: inner.y + above, h: (inner.h - above - FOOT - SPACE).max(0.0), ..inner }
}

/// Draws everything.
pub(crate) fn draw<C: Ord>(canvas: &mut Canvas<'_>, scope: &Scope<C>, meter: &Meter, url: &str) {
    let whole = canvas.area();
    let inner = whole.inset(MARGIN);
    canvas.clear(GROUND);
    header(canvas, inner, url);
    cells(canvas, Area { y: inner.y + HEADER + SPACE, h: CELLS, ..inner }, scope, meter);
    wave(canvas, wave_area(whole), scope.wave());
    let foot = Area { y: inner.y + inner.h - FOOT, h: FOOT, ..inner };
    clients(canvas, foot.column(0, 2, SPACE), scope);
    gaps(canvas, foot.column(1, 2, SPACE), meter);
}

fn header(canvas: &mut Canvas<'_>, area: Area, url: &str) {
    let dot = Area { x: area.x, y: area.y + 2.0, w: 14.0, h: 14.0 };
    canvas.fill(dot, 7.0, ORANGE, 1.0);
    canvas.text((area.x + 24.0, area.y), &FONT_9X18_BOLD, 1.0, TEXT, Alignment::Left, "Live scope");
    canvas.text((area.x + area.w, area.y), &FONT_9X18_BOLD, 1.0, CYAN, Alignment::Right, url);
}

fn cells<C: Ord>(canvas: &mut Canvas<'_>, area: Area, scope: &Scope<C>, meter: &Meter) {
    let report = meter.report();
    let clients = scope.clients().count();
    let cells = [
        ("clients", clients.to_string(), TEXT),
        ("frames a second", format!("{:.0}", report.fps), TEXT),
        (
            "worst frame gap",
            format!("{:.1} ms", report.gap as f32 / 1000.0),
            of_gap(Duration::from_micros(report.gap)),
        ),
        ("worst server turn", format!("{} µs", grouped(report.turn)), TEXT),
        ("messages a second", grouped(report.rate), TEXT),
    ];
    for (n, (label, value, colour)) in cells.iter().enumerate() {
        let cell = area.column(n, cells.len(), SPACE);
        canvas.fill(cell, 8.0, PANEL, 1.0);
        canvas.text((cell.x + 12.0, cell.y + 9.0), &FONT_6X13, 1.0, MUTED, Alignment::Left, label);
        canvas.text((cell.x + 12.0, cell.y + 28.0), &FONT_10X20, 1.0, *colour, Alignment::Left, value);
    }
}

fn wave(canvas: &mut Canvas<'_>, area: Area, wave: &Wave) {
    canvas.fill(area, 10.0, PANEL, 1.0);
    let inner = area.inset(14.0);
    let inner = Area { h: (inner.h - 12.0).max(0.0), ..inner }; // a line of text follows below
    let middle = inner.y + inner.h / 2.0;
    for part in 0..=4 {
        let y = inner.y + inner.h * part as f32 / 4.0;
        canvas.fill(Area { y: y - 0.5, h: 1.0, ..inner }, 0.0, LINE, if part == 2 { 1.0 } else { 0.45 });
    }
    for part in 0..=12 {
        let x = inner.x + inner.w * part as f32 / 12.0;
        canvas.fill(Area { x: x - 0.5, w: 1.0, ..inner }, 0.0, LINE, 0.45);
    }
    curve(canvas, inner, middle, wave);
    let said = format!("amplitude {:.0}   frequency {:.1}", wave.amplitude, wave.frequency);
    canvas.text((area.x + 14.0, area.y + area.h - 21.0), &FONT_6X13, 1.0, MUTED, Alignment::Left, &said);
    let help = "drag, wheel or arrow keys";
    let end = (area.x + area.w - 14.0, area.y + area.h - 21.0);
    canvas.text(end, &FONT_6X13, 1.0, MUTED, Alignment::Right, help);
}

/// The curve itself, column by column of pixels, with soft edges and a glow around it.
fn curve(canvas: &mut Canvas<'_>, area: Area, middle: f32, wave: &Wave) {
    let scale = canvas.scale();
    let (left, columns) = ((area.x * scale) as i32, (area.w * scale).max(1.0) as i32);
    let (half, glow) = (1.3 * scale, 9.0 * scale);
    let height = |x: f32| (middle - wave.at(x / columns as f32) * area.h * 0.5) * scale;
    for column in 0..columns {
        let x = column as f32 + 0.5;
        let (y, slope) = (height(x), height(x + 0.5) - height(x - 0.5));
        let colour = mix(CYAN, VIOLET, x / columns as f32);
        // From the vertical distance to the distance from the line.
        let lean = (1.0 + slope * slope).sqrt();
        let reach = glow * lean;
        for row in (y - reach) as i32..=(y + reach) as i32 {
            let distance = (row as f32 + 0.5 - y).abs() / lean;
            let fade = (1.0 - distance / glow).max(0.0);
            let share = (half + 0.5 - distance).clamp(0.0, 1.0).max(0.30 * fade * fade);
            canvas.mix(left + column, row, colour, share);
        }
    }
}

/// A tile for each client: large and orange for a page, small and red for a flood.
fn clients<C: Ord>(canvas: &mut Canvas<'_>, area: Area, scope: &Scope<C>) {
    let (pages, floods) = (scope.count(Kind::Page), scope.count(Kind::Flood));
    let title = match floods {
        0 => format!("{pages} browsers"),
        _ => format!("{pages} browsers, {floods} flooding"),
    };
    let inner = panel(canvas, area, if pages == 1 { title.replace("browsers", "browser") } else { title });
    if pages + floods == 0 {
        let hint = "Open the address above in a browser.";
        canvas.text((inner.x, inner.y + 6.0), &FONT_6X13, 1.0, TEXT, Alignment::Left, hint);
    }
    let mut place = (inner.x, inner.y);
    for (kind, size, colour) in [(Kind::Page, 26.0, ORANGE), (Kind::Flood, 11.0, RED)] {
        for client in scope.clients().filter(|client| client.kind == kind) {
            if place.0 + size > inner.x + inner.w {
                place = (inner.x, place.1 + size + 5.0);
            }
            if place.1 + size > inner.y + inner.h {
                return;
            }
            let tile = Area { x: place.0, y: place.1, w: size, h: size };
            canvas.fill(tile, size * 0.2, mix(colour, TEXT, client.glow * 0.55), 1.0);
            place.0 += size + 5.0;
        }
        // Each kind begins a new row.
        if place.0 > inner.x {
            place = (inner.x, place.1 + size + 5.0);
        }
    }
}

/// A bar for each of the last gaps between frames; the line is a sixtieth of a second.
fn gaps(canvas: &mut Canvas<'_>, area: Area, meter: &Meter) {
    let report = meter.report();
    let inner = panel(canvas, area, format!("frame gaps: {} of {} frames late", report.late, report.frames));
    let full = FRAME.as_secs_f32() * 3.0;
    let width = inner.w / 120.0;
    for (n, gap) in meter.gaps().enumerate() {
        let h = inner.h * (gap.as_secs_f32() / full).min(1.0);
        let x = inner.x + inner.w - (n as f32 + 1.0) * width;
        let bar = Area { x, y: inner.y + inner.h - h, w: (width - 1.0).max(1.0), h };
        canvas.fill(bar, 0.0, of_gap(gap), 0.9);
    }
    let line = Area { y: inner.y + inner.h * 2.0 / 3.0 - 0.5, h: 1.0, ..inner };
    canvas.fill(line, 0.0, TEXT, 0.35);
}

/// A panel with a title; returns its remaining area.
fn panel(canvas: &mut Canvas<'_>, area: Area, title: String) -> Area {
    canvas.fill(area, 10.0, PANEL, 1.0);
    canvas.text((area.x + 12.0, area.y + 9.0), &FONT_6X13, 1.0, MUTED, Alignment::Left, &title);
    let inner = area.inset(12.0);
    Area { y: inner.y + 18.0, h: (inner.h - 18.0).max(0.0), ..inner }
}

fn of_gap(gap: Duration) -> Colour {
    match gap {
        gap if gap <= FRAME * 3 / 2 => GREEN,
        gap if gap <= FRAME * 5 / 2 => AMBER,
        _ => RED,
    }
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn every_size_of_window_can_be_drawn() {
        let mut scope = Scope::new();
        for n in 0..200 {
            scope.join(n, if n % 3 == 0 { Kind::Page } else { Kind::Flood });
        }
        let mut meter = Meter::new(Instant::now());
        for n in 0..100 {
            meter.frame(Instant::now() + FRAME * n);
        }
        for (width, height, scale) in
            [(0, 0, 1.0), (1, 1, 3.0), (30, 400, 1.0), (960, 600, 1.0), (1200, 800, 1.5)]
        {
            let mut pixels = vec![0; width * height];
            draw(&mut Canvas::new(&mut pixels, width, scale), &scope, &meter, "http://127.0.0.1:8700/");
        }
    }

    #[test]
    fn the_curve_is_as_high_as_the_amplitude() {
        let lit = |amplitude| {
            let mut scope = Scope::<u32>::new();
            scope.set(Some(amplitude), None);
            let mut pixels = vec![0; 960 * 600];
            let mut canvas = Canvas::new(&mut pixels, 960, 1.0);
            let area = canvas.area();
            curve(&mut canvas, area, 300.0, scope.wave());
            let rows = pixels.chunks(960).map(|row| row.iter().any(|pixel| *pixel != 0));
            rows.filter(|lit| *lit).count()
        };
        assert!(lit(0.0) < 30 && lit(50.0) > 100 && lit(100.0) > lit(50.0) + 100);
    }

    #[test]
    fn thousands_are_separated() {
        let all: Vec<String> = [0, 12, 123, 1234, 1234567].map(grouped).into();
        assert_eq!(all, ["0", "12", "123", "1,234", "1,234,567"]);
    }
}
