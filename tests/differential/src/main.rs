//! The same bytes to three implementations of RFC 6455: `ws-proto`, `tungstenite`, and `wsproto` from PyPI. They must
//! receive the same messages, answer the same pings, and end with the same close code. Any difference must be one that
//! `differences` lists, each with its rule; any other fails.
//!
//! `run.sh` runs it. `SEEDS=1000000` runs that many streams of bytes; `SEED=7` runs that one, and prints each outcome.
#![allow(clippy::print_stdout)] // a test program

mod differences;
mod ours;
mod rng;
mod streams;
mod tungstenite;
mod wsproto;

use differences::{Case, DIFFERENCES};
use rng::Rng;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// How many streams are tried by default.
const SEEDS: u64 = 10_000;
/// The maximum size of a message; `wsproto` has no such limit.
pub(crate) const MESSAGE_LIMIT: usize = 100_000;

/// Which end reads: a server reads masked frames, a client unmasked ones (§5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// How an implementation read a stream of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The whole messages, and whether each is text.
    pub(crate) messages: Vec<(bool, Vec<u8>)>,
    /// The payloads of the pings that it answered.
    pub(crate) pongs: Vec<Vec<u8>>,
    /// The code of the Close that it sends; none if it waits for more.
    pub(crate) close: Option<u16>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (is_text, data) in &self.messages {
            write!(f, "{} {} ", if *is_text { "text" } else { "binary" }, short(data))?;
        }
        for payload in &self.pongs {
            write!(f, "pong {} ", short(payload))?;
        }
        match self.close {
            Some(code) => write!(f, "close {code}"),
            None => f.write_str("waits"),
        }
    }
}

/// Formats at most 20 bytes.
fn short(data: &[u8]) -> String {
    let begin = data[..data.len().min(20)].escape_ascii();
    if data.len() > 20 { format!("{begin}… ({} bytes)", data.len()) } else { begin.to_string() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Other {
    Tungstenite,
    Wsproto,
}

const OTHERS: [Other; 2] = [Other::Tungstenite, Other::Wsproto];

/// The two other implementations.
pub(crate) struct Others {
    wsproto: wsproto::Wsproto,
}

impl Others {
    pub(crate) fn read(&mut self, other: Other, role: Role, bytes: &[u8]) -> Result<Outcome, Box<dyn Error>> {
        match other {
            Other::Tungstenite => Ok(tungstenite::read(role, bytes)),
            Other::Wsproto => self.wsproto.read(role, bytes),
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(failed) => ExitCode::from(u8::from(failed > 0)),
        Err(error) => {
            println!("FAIL  {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize, Box<dyn Error>> {
    let python = std::env::args().nth(1).ok_or("usage: ws-differential PYTHON")?;
    let mut others = Others { wsproto: wsproto::Wsproto::start(&python)? };
    if let Some(seed) = number("SEED")? {
        return print_outcomes(&mut others, seed).map(|()| 0);
    }
    let (mut passed, mut failed) = (0, 0);
    let mut report = |name: &str, outcome: Result<(), String>| match outcome {
        Ok(()) => {
            passed += 1;
            println!("ok    {name}");
        }
        Err(reason) => {
            failed += 1;
            println!("FAIL  {name}: {reason}");
        }
    };
    for difference in DIFFERENCES {
        let name = format!("{:?}: {}", difference.with, difference.rule);
        report(&name, difference.still_exists(&mut others)?);
    }
    let seeds = number("SEEDS")?.unwrap_or(SEEDS);
    let mut counts = [0; DIFFERENCES.len()];
    // Unlisted differences by outcome, with their count and first seed.
    let (mut unknown, mut ended) = (BTreeMap::<_, (u64, u64)>::new(), 0);
    for seed in 0..seeds {
        let (role, bytes, ours) = read_ours(seed)?;
        ended += u64::from(ours.outcome.close.is_some());
        for with in OTHERS {
            match explain(&mut others, role, &bytes, &ours, with)? {
                Explained::Same => {}
                Explained::Listed(n) => counts[n] += 1,
                Explained::Not { close, completed } => {
                    let kind = format!("{:?} {:?}; {close:?} {completed:?}", ours.outcome.close, ours.error);
                    unknown.entry((with, kind)).or_insert((0, seed)).0 += 1;
                }
            }
        }
    }
    println!("{seeds} streams, of which {ended} end with a Close");
    for (difference, count) in DIFFERENCES.iter().zip(counts) {
        println!("{count:7} times {:?}: {}", difference.with, difference.rule);
    }
    report(
        "all three read every other stream alike",
        match unknown.is_empty() {
            true => Ok(()),
            false => Err(format!("{} kinds of differences that are not listed", unknown.len())),
        },
    );
    for ((with, kind), (count, seed)) in unknown {
        let (role, bytes, _) = read_ours(seed)?;
        let smallest = shrink(&mut others, role, bytes, with)?;
        let ours = ours::read(role, &smallest, &mut Rng::new(0))?;
        let theirs = others.read(with, role, &smallest)?;
        println!("{count} times, as with SEED={seed}: {kind}");
        println!("  a {role:?} that reads {}", short(&smallest));
        println!("  {with:?}: {theirs}, ours: {}, for {:?}", ours.outcome, ours.error);
    }
    println!("differential:\n{passed} passed, {failed} failed");
    Ok(failed)
}

fn number(name: &str) -> Result<Option<u64>, Box<dyn Error>> {
    Ok(std::env::var(name).ok().map(|text| text.parse()).transpose()?)
}

/// Returns the stream of a seed and our outcome, which must not depend on the cuts.
fn read_ours(seed: u64) -> Result<(Role, Vec<u8>, ours::Ours), Box<dyn Error>> {
    let mut rng = Rng::new(seed);
    let role = rng.pick(&[Role::Server, Role::Client]);
    let bytes = streams::stream(role, &mut rng);
    let ours = ours::read(role, &bytes, &mut rng)?;
    let again = ours::read(role, &bytes, &mut rng)?;
    if ours != again {
        return Err(
            format!("SEED={seed}: other cuts give {} instead of {}", again.outcome, ours.outcome).into()
        );
    }
    Ok((role, bytes, ours))
}

enum Explained {
    Same,
    /// A listed difference.
    Listed(usize),
    /// The code of their Close, and with the rest of the frame.
    Not {
        close: Option<u16>,
        completed: Option<u16>,
    },
}

fn explain(
    others: &mut Others,
    role: Role,
    bytes: &[u8],
    ours: &ours::Ours,
    with: Other,
) -> Result<Explained, Box<dyn Error>> {
    let theirs = others.read(with, role, bytes)?;
    if theirs == ours.outcome {
        return Ok(Explained::Same);
    }
    // Given the rest of the frame, it may answer the same.
    let rest = streams::rest(bytes, last_frame(bytes));
    let is_endless = rest.is_none();
    let completed = match (theirs.close, rest) {
        (None, Some(rest)) => Some(others.read(with, role, &[bytes, &rest[..]].concat())?),
        _ => None,
    };
    let case = Case { ours, theirs: &theirs, completed: completed.as_ref(), is_endless };
    let listed =
        DIFFERENCES.iter().position(|difference| difference.with == with && (difference.matches)(&case));
    let completed = completed.as_ref().and_then(|completed| completed.close);
    Ok(listed.map_or(Explained::Not { close: theirs.close, completed }, Explained::Listed))
}

/// Returns where the last, incomplete frame begins.
fn last_frame(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(len) = streams::frame_length(&bytes[at..]).filter(|len| *len <= bytes.len() - at) {
        at += len;
        if at == bytes.len() {
            break;
        }
    }
    at
}

/// Removes bytes that the difference does not need.
fn shrink(others: &mut Others, role: Role, bytes: Vec<u8>, with: Other) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut smallest = bytes;
    loop {
        let before = smallest.len();
        let mut size = (before / 2).max(1);
        while size > 0 {
            let mut at = 0;
            while at + size <= smallest.len() {
                let less = [&smallest[..at], &smallest[at + size..]].concat();
                let ours = ours::read(role, &less, &mut Rng::new(0))?;
                if matches!(explain(others, role, &less, &ours, with)?, Explained::Not { .. }) {
                    smallest = less;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        if smallest.len() == before {
            return Ok(smallest);
        }
    }
}

/// Prints the outcome of each implementation for one stream.
fn print_outcomes(others: &mut Others, seed: u64) -> Result<(), Box<dyn Error>> {
    let (role, bytes, ours) = read_ours(seed)?;
    println!("a {role:?} reads {}", bytes.escape_ascii());
    println!("ws-proto: {} {:?}", ours.outcome, ours.error);
    for with in OTHERS {
        println!("{with:?}: {}", others.read(with, role, &bytes)?);
    }
    Ok(())
}
