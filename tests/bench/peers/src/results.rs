//! What was measured, as the tables of `results.md`.

use crate::cases::Case;
use crate::measure::Counter;
use crate::peers::{PEERS, Peer, output};
use std::error::Error;
use std::fmt::Write;
use std::fs;

/// A line of a table: for each peer, what its rounds came to.
pub struct Row<'a> {
    pub case: &'a Case,
    pub counter: Option<Counter>,
    /// Empty if it cannot be measured.
    pub cells: Vec<Vec<f64>>,
}

impl<'a> Row<'a> {
    pub fn new(case: &'a Case, counter: Option<Counter>) -> Self {
        Self { case, counter, cells: PEERS.iter().map(|_| Vec::new()).collect() }
    }

    /// Notes a figure. A peer that fails is left out, but ours must not fail.
    pub fn push(
        &mut self,
        peer: usize,
        figure: Result<f64, Box<dyn Error>>,
        notes: &mut Vec<String>,
    ) -> Result<(), Box<dyn Error>> {
        match figure.map_err(|error| {
            format!("{} failed at {}, {}: {error}", PEERS[peer].name, self.title(), self.case)
        }) {
            Ok(figure) => self.cells[peer].push(figure),
            Err(error) if PEERS[peer].is_ours => return Err(error.into()),
            Err(error) => notes.push(error),
        }
        Ok(())
    }

    fn title(&self) -> &'static str {
        self.counter.map_or(self.case.kind.unit(), Counter::unit)
    }

    fn best(&self, peer: usize) -> Option<f64> {
        self.cells[peer].iter().copied().reduce(f64::min)
    }
}

/// The tables, each with the rows of one unit.
pub fn tables(rows: &[Row<'_>], peers: &[(usize, &Peer)]) -> String {
    let mut text = String::new();
    let mut titles: Vec<_> = rows.iter().map(Row::title).collect();
    titles.dedup();
    let ours: Vec<_> = peers.iter().filter(|(_, peer)| peer.is_ours).collect();
    for title in titles {
        let of_title: Vec<_> = rows.iter().filter(|row| row.title() == title).collect();
        let mut head = format!("\n## {title}\n\n| case |");
        for (_, peer) in peers {
            let _ = write!(head, " {} |", peer.name);
        }
        for (_, peer) in &ours {
            let _ = write!(head, " {} ÷ best |", peer.name);
        }
        let rule = "---|".repeat(1 + peers.len() + ours.len());
        let _ = writeln!(text, "{head}\n|{rule}");
        for row in &of_title {
            let cells = peers.iter().map(|&(index, _)| cell(&row.cells[index]));
            line(&mut text, &row.case.to_string(), cells.collect(), &ratios(peers, |index| row.best(index)));
            let plain = of_title.iter().find(|other| !other.case.tls && other.case.kind == row.case.kind);
            let Some(plain) = plain.filter(|_| row.case.tls && row.counter.is_none()) else { continue };
            let beyond = |index| Some(row.best(index)? - plain.best(index)?);
            let cells = peers.iter().map(|&(index, _)| beyond(index).map_or("–".into(), figure));
            line(&mut text, "… of which TLS", cells.collect(), &ratios(peers, beyond));
        }
    }
    text
}

fn line(text: &mut String, name: &str, cells: Vec<String>, ratios: &[String]) {
    let _ = writeln!(text, "| {name} | {} | {} |", cells.join(" | "), ratios.join(" | "));
}

/// Ours, divided by the best of the others.
fn ratios(peers: &[(usize, &Peer)], figure: impl Fn(usize) -> Option<f64>) -> Vec<String> {
    let of = |ours: bool| peers.iter().filter(move |(_, peer)| peer.is_ours == ours);
    let best = of(false).filter_map(|&(index, _)| figure(index)).reduce(f64::min);
    of(true)
        .map(|&(index, _)| match (figure(index), best) {
            (Some(ours), Some(best)) if best > 0.0 => format!("{:.2}", ours / best),
            _ => "–".to_owned(),
        })
        .collect()
}

/// The minimum, and the median of several.
fn cell(rounds: &[f64]) -> String {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.as_slice() {
        [] => "–".to_owned(),
        [one] => figure(*one),
        [least, ..] => format!("{} ({})", figure(*least), figure(sorted[sorted.len() / 2])),
    }
}

/// Three digits, or all before the point.
fn figure(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Where, when and with which versions.
pub fn heading(cores: usize, rounds: usize, peers: &[(usize, &Peer)], notes: &[String]) -> String {
    let unknown = || "unknown".to_owned();
    let said = |program, arguments: &[&str]| output(program, arguments).unwrap_or_else(unknown);
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find(|line| line.starts_with("model name"));
    let cpu = cpu.and_then(|line| line.split_once(": ")).map_or_else(unknown, |(_, name)| name.to_owned());
    let place = if cores > 1 {
        "the server on one, the load on another"
    } else {
        "shared by the server and the load"
    };
    let changed =
        if said("git", &["status", "--porcelain", "--", "../../.."]).is_empty() { "" } else { ", changed" };
    let mut text = format!(
        "# Results\n\n`tests/bench/peers/run.sh` wrote this file; the `README.md` says what the figures are.\n\n\
         - {}, {cpu}, Linux {}, {cores} cores, {place}\n\
         - This library at {}{changed}, {}\n",
        said("date", &["-u", "+%F"]),
        said("uname", &["-r"]),
        said("git", &["rev-parse", "--short", "HEAD"]),
        said("rustc", &["--version"]),
    );
    for (_, peer) in peers {
        let versions = peer.program.versions().unwrap_or_default().join(", ");
        let _ = writeln!(text, "- {}: {versions}", peer.name);
    }
    let _ = writeln!(text, "- {rounds} rounds, in turn; each figure is the minimum (median)");
    for note in notes {
        let _ = writeln!(text, "- {note}");
    }
    text
}
