//! Other WebSocket crates: a client of each given URL or, without URLs, a server.
//!
//! `matrix-peers tungstenite|fastwebsockets [URL...]`

mod fast;
mod tung;

use std::error::Error;

const SUBPROTOCOL: &str = "matrix";
const FRAGMENTS: [&str; 3] = ["one ", "", "two"];

/// The close code after which a client stops reconnecting.
const DONE: u16 = 1000;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The command in a message.
enum Command {
    Close(u16, String),
    Ping(String),
    Fragments,
    Ticks(u32),
    Echo,
}

impl Command {
    fn of(text: Option<&str>) -> Self {
        let (command, rest) = text.map(|text| text.split_once(' ').unwrap_or((text, ""))).unwrap_or_default();
        match (command, rest.split_once(' ')) {
            ("/close", Some((code, reason))) => {
                Self::Close(code.parse().unwrap_or_default(), reason.to_owned())
            }
            ("/ping", _) => Self::Ping(rest.to_owned()),
            ("/fragments", _) => Self::Fragments,
            ("/ticks", _) => Self::Ticks(rest.parse().unwrap_or_default()),
            _ => Self::Echo,
        }
    }
}

fn ended(code: u16, reason: &str) -> String {
    format!("ended: {code} {reason}")
}

/// A peer's first message. None of these crates compresses.
fn hello(package: &str, subprotocol: &str, ended: &str) -> String {
    let version = version(package).unwrap_or("?");
    format!("hello\nversion: {version}\nsubprotocol: {subprotocol}\nextensions: \n{ended}")
}

/// The version of the dependency in this build.
fn version(package: &str) -> Option<&'static str> {
    let lock = include_str!("../Cargo.lock");
    let (_, after) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    Some(after.split_once('"')?.0)
}

fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.split_first().ok_or("which crate?")? {
        (name, urls) if name == "tungstenite" => tung::run(urls),
        (name, urls) if name == "fastwebsockets" => fast::run(urls),
        (name, _) => Err(format!("unknown library {name}").into()),
    }
}
