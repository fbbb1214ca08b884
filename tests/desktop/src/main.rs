//! The desktop example, from both sides: its window on a virtual display, its page in a browser, and the library's own
//! client driving the browser.
//!
//! `run.sh` builds the prerequisites and starts it. `SCREENSHOTS=FOLDER` saves pictures: the pages as `.png`, the
//! window as `.xwd`.

#![allow(clippy::print_stdout)] // a test program

mod net;
mod processes;
mod screen;

use base64::prelude::{BASE64_STANDARD, Engine};
use net::Net;
use processes::{Display, Process, Scratch, chromium, get};
use screen::Picture;
use serde_json::{Value, json};
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// The tile of a browser in the window, and where the tiles are.
const TILE: u32 = 0xff9340;
const TILES: (Range<usize>, Range<usize>) = (18..474, 458..582);
/// Where the curve is.
const WAVE: (Range<usize>, Range<usize>) = (32..928, 140..432);

fn main() -> ExitCode {
    let mut summary = Summary::default();
    match Stage::set() {
        Ok(mut stage) => run_checks(&mut stage, &mut summary),
        Err(error) => summary.add("all programs start", Err(error)),
    }
    println!("desktop:\n{} passed, {} failed", summary.passed, summary.failed);
    if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Summary {
    passed: u32,
    failed: u32,
}

impl Summary {
    fn add(&mut self, name: &str, outcome: Outcome<()>) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok    {name}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL  {name}: {error}");
            }
        }
    }
}

/// All participants. Dropped in this order.
struct Stage {
    net: Net,
    _browser: Process,
    app: Process,
    port: u16,
    example: OsString,
    window: String,
    display: Display,
    scratch: Scratch,
    screenshots: Option<PathBuf>,
}

impl Stage {
    fn set() -> Outcome<Self> {
        let example = std::env::args_os().nth(1).ok_or("usage: desktop-test EXAMPLE")?;
        let screenshots = std::env::var_os("SCREENSHOTS").map(PathBuf::from);
        let scratch = Scratch::new()?;
        let display = Display::start(scratch.path())?;
        let (app, port) = display.run(&example, 0)?;
        let window = display.xdotool("search --sync --onlyvisible --name ^Live.scope$")?;
        display.xdotool(&format!("windowfocus --sync {window}"))?;
        let (browser, devtools) = chromium(&scratch.path().join("profile"))?;
        let net = Net::new(&format!("ws://127.0.0.1:{port}/live"), &devtools)?;
        Ok(Self { net, _browser: browser, app, port, example, window, display, scratch, screenshots })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn picture(&self) -> Outcome<Picture> {
        Picture::take(self.scratch.path())
    }

    /// Waits until the tiles have this many pixels, twice in a row: a picture may be taken while it is drawn. A tile
    /// that has just been active glows in another colour.
    fn tiles_until(&mut self, done: impl Fn(usize) -> bool) -> Outcome<usize> {
        let folder = self.scratch.path().to_owned();
        let mut last = 0;
        self.net.until("the tiles", |_| {
            let pixels = Picture::take(&folder).ok()?.part(TILES.0, TILES.1);
            let tiles = pixels.into_iter().filter(|pixel| *pixel == TILE).count();
            let twice = tiles == std::mem::replace(&mut last, tiles);
            (twice && done(tiles)).then_some(tiles)
        })
    }

    fn save_window(&self, name: &str) -> Outcome<()> {
        if let Some(folder) = &self.screenshots {
            fs::create_dir_all(folder)?;
            fs::copy(self.scratch.path().join("Xvfb_screen0"), folder.join(format!("{name}.xwd")))?;
        }
        Ok(())
    }

    fn save_page(&mut self, name: &str) -> Outcome<()> {
        let Some(folder) = self.screenshots.clone() else { return Ok(()) };
        let picture = self.net.call("Page.captureScreenshot", json!({}))?;
        let picture = picture["data"].as_str().unwrap_or_default();
        fs::write(folder.join(format!("{name}.png")), BASE64_STANDARD.decode(picture)?)?;
        Ok(())
    }
}

type Check = fn(&mut Stage) -> Outcome<()>;

fn run_checks(stage: &mut Stage, summary: &mut Summary) {
    let checks: [(&str, Check); 9] = [
        ("the window draws frame after frame", frames_grow),
        ("the curve in the window moves", curve_moves),
        ("the page opens, shows the window's state, and gets a tile", page_opens),
        ("the slider in the page moves the wave in the window", slider_moves_window),
        ("mouse, wheel and keys in the window move the sliders in the page", window_moves_sliders),
        ("the program keeps serving while its window is hidden", hidden),
        ("fifty flooding sockets get all their answers, and no frame waits for more than a turn", flood),
        ("closing the window sends 1001 to every connection", closing),
        ("page and client reconnect when the window is back", reconnecting),
    ];
    for (name, check) in checks {
        summary.add(name, check(stage));
    }
}

fn number(state: &Value, field: &str) -> f64 {
    state[field].as_f64().unwrap_or(f64::NAN)
}

fn expect(condition: bool, what: impl FnOnce() -> String) -> Outcome<()> {
    if condition { Ok(()) } else { Err(what().into()) }
}

fn frames_grow(stage: &mut Stage) -> Outcome<()> {
    let stats =
        |port| -> Outcome<f64> { Ok(number(&serde_json::from_str(&get(port, "/stats")?)?, "frames")) };
    let before = stats(stage.port)?;
    stage.net.state_until("sixty more frames", |state| number(state, "frames") >= before + 60.0)?;
    let after = stats(stage.port)?;
    expect(after >= before + 60.0, || format!("{before} frames, then {after}"))
}

fn curve_moves(stage: &mut Stage) -> Outcome<()> {
    let before = stage.picture()?.part(WAVE.0, WAVE.1);
    let folder = stage.scratch.path().to_owned();
    stage.net.until("another picture", |_| {
        let now = Picture::take(&folder).ok()?.part(WAVE.0, WAVE.1);
        let changed = now.iter().zip(&before).filter(|(now, before)| now != before).count();
        // A curve that has moved, not a few unrelated pixels.
        (changed > 1000).then_some(())
    })
}

fn page_opens(stage: &mut Stage) -> Outcome<()> {
    let one = stage.tiles_until(|pixels| pixels > 100)?;
    let url = stage.url();
    stage.net.open_page(&url)?;
    stage.net.page_until("document.body?.dataset.state === 'open' && typeof state === 'object'")?;
    stage.net.state_until("two pages", |state| state["pages"] == 2)?;
    stage.net.page_until("document.getElementById('pages').textContent === '2'")?;
    // The page has drawn the curve: its canvas is not empty.
    stage.net.page_until(
        "pen.getImageData(0, 0, pen.canvas.width, pen.canvas.height).data.some((part) => part > 0)",
    )?;
    stage.tiles_until(|pixels| pixels == 2 * one)?;
    stage.save_window("window")?;
    stage.save_page("page")
}

fn slider_moves_window(stage: &mut Stage) -> Outcome<()> {
    for (id, share) in [("amplitude", 0.77), ("frequency", 0.4)] {
        let before = number(stage.net.state(), id);
        stage.net.click(id, share)?;
        let wanted = stage.net.page(&format!("document.getElementById('{id}').valueAsNumber"))?;
        let wanted = wanted.as_f64().ok_or("the slider has no value")?;
        expect((wanted - before).abs() > 0.5, || format!("{id} stayed at {wanted}"))?;
        // The program uses 32-bit floats.
        stage.net.state_until(id, |state| (number(state, id) - wanted).abs() < 0.01)?;
    }
    Ok(())
}

fn window_moves_sliders(stage: &mut Stage) -> Outcome<()> {
    let window = stage.window.clone();
    // Each changes one of the two values, and the page must show it.
    let inputs = [
        (
            "amplitude",
            format!(
                "mousemove --window {window} 480 280 mousedown 1 mousemove --window {window} 300 160 mouseup 1"
            ),
        ),
        ("frequency", format!("mousemove --window {window} 480 280 click 4 click 4")),
        ("amplitude", "key Down Down".to_owned()),
        ("frequency", "key Left".to_owned()),
    ];
    for (id, input) in inputs {
        let before = number(stage.net.state(), id);
        stage.display.xdotool(&input)?;
        let state =
            stage.net.state_until(&format!("{input}: a change"), |state| number(state, id) != before)?;
        // More changes may be in flight: finally the page shows the newest.
        stage.net.page_until(&format!(
            "Math.abs(document.getElementById('{id}').valueAsNumber - state.{id}) < 0.51 && state.{id} !== {before}"
        ))?;
        expect(number(&state, id).is_finite(), || format!("{state}"))?;
    }
    Ok(())
}

fn hidden(stage: &mut Stage) -> Outcome<()> {
    let window = stage.window.clone();
    stage.display.xdotool(&format!("windowunmap --sync {window}"))?;
    let before = number(stage.net.state(), "due");
    stage.net.state_until("a second without a window", |state| number(state, "due") >= before + 60.0)?;
    stage.net.page_until(&format!("state.due >= {}", before + 60.0))?;
    stage.display.xdotool(&format!("windowmap --sync {window} windowfocus --sync {window}"))?;
    let frames = number(stage.net.state(), "frames");
    stage.net.state_until("frames again", |state| number(state, "frames") > frames).map(drop)
}

fn flood(stage: &mut Stage) -> Outcome<()> {
    let share = |from: &Value, to: &Value| {
        (number(to, "frames") - number(from, "frames")) / (number(to, "due") - number(from, "due"))
    };
    // This machine's rate at sixty frames a second without a flood: three seconds by the program's count.
    let start = stage.net.state().clone();
    let quiet_end = number(&start, "due") + 180.0;
    let quiet = stage.net.state_until("a quiet while", |state| number(state, "due") >= quiet_end)?;
    let quiet_share = share(&start, &quiet);

    stage.net.click("flood", 0.5)?;
    let begin = stage.net.state_until("fifty flooding sockets", |state| state["floods"] == 50)?;
    let half = number(&begin, "due") + 120.0;
    stage.net.state_until("two seconds of flood", |state| number(state, "due") >= half)?;
    stage.save_window("flood")?;
    stage.save_page("flood")?;
    stage.net.page_until("document.body.dataset.flood?.startsWith('{')")?;
    let end = stage.net.state_until("the end of the flood", |state| state["floods"] == 0)?;
    let result = stage.net.page("document.body.dataset.flood")?;
    let result: Value = serde_json::from_str(result.as_str().unwrap_or_default())?;
    stage.save_page("flooded")?;

    let (sent, back) = (number(&result, "sent"), number(&result, "back"));
    println!(
        "      {sent} messages sent, {back} echoed; {} of {} frames drawn, {:.0} % without the flood; worst turn {} µs",
        number(&end, "frames") - number(&begin, "frames"),
        number(&end, "due") - number(&begin, "due"),
        100.0 * quiet_share,
        number(&end, "turn"),
    );
    expect(result["opened"] == 50 && result["answered"] == 50 && sent > 0.0 && sent == back, || {
        format!("{result}")
    })?;
    // This is exact: one turn lies between requesting a frame and drawing it.
    expect(number(&end, "waited") <= 1.0, || format!("a frame waited for {} turns", end["waited"]))?;
    // This guards against a frozen window: how many frames there are depends on the rest of the machine.
    let flood_share = share(&begin, &end);
    expect(flood_share >= 0.25 * quiet_share, || {
        format!("{flood_share} of the frames, {quiet_share} without the flood")
    })
}

fn closing(stage: &mut Stage) -> Outcome<()> {
    stage.display.xdotool("key Escape")?;
    let code = stage.net.live_closed()?;
    expect(code == 1001, || format!("our client received {code}"))?;
    let status = stage.app.wait()?;
    expect(status.success(), || format!("the program ended with {status}"))?;
    stage.net.page_until("document.body.dataset.state === 'closed'")
}

fn reconnecting(stage: &mut Stage) -> Outcome<()> {
    (stage.app, _) = stage.display.run(&stage.example, stage.port)?;
    stage.net.state_until("both pages", |state| state["pages"] == 2)?;
    stage.net.page_until("document.body.dataset.state === 'open'")
}
