//! The servers that are compared. A further one is a row here, and a program.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Peer {
    pub name: &'static str,
    pub program: Program,
    /// Ours are compared with the best of the others.
    pub is_ours: bool,
}

pub enum Program {
    /// `ws-peers serve NAME`, and the crates whose versions matter.
    Rust(&'static str, &'static [&'static str]),
    /// A script of the folder `node`, and its package.
    Node(&'static str, &'static str),
}

pub const PEERS: &[Peer] = &[
    Peer { name: "ws-server-mio", program: Program::Rust("mio", &["mio", "rustls", "ring"]), is_ours: true },
    Peer { name: "ws-server-smol", program: Program::Rust("smol", &["async-io"]), is_ours: true },
    Peer {
        name: "tokio-tungstenite",
        program: Program::Rust("tokio-tungstenite", &["tokio-tungstenite", "tokio-rustls", "tokio"]),
        is_ours: false,
    },
    Peer { name: "ws", program: Program::Node("ws.mjs", "ws"), is_ours: false },
    Peer {
        name: "uWebSockets.js",
        program: Program::Node("uws.cjs", "@trufflesuite/uws-js-unofficial"),
        is_ours: false,
    },
];

const LOCK: &str = include_str!("../Cargo.lock");

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Program {
    /// What to run; without arguments it serves without TLS.
    pub fn command(&self) -> Result<Vec<PathBuf>, Box<dyn Error>> {
        Ok(match self {
            Self::Rust(name, _) => vec![std::env::current_exe()?, "serve".into(), name.into()],
            Self::Node(script, _) => vec!["node".into(), folder().join("node").join(script)],
        })
    }

    /// Whether it is a program of machine code from the start: only then its instructions can be counted.
    pub fn is_compiled(&self) -> bool {
        matches!(self, Self::Rust(..))
    }

    /// Its parts and their versions; `None` if it is not installed.
    pub fn versions(&self) -> Option<Vec<String>> {
        match self {
            Self::Rust(_, crates) => Some(crates.iter().map(|name| locked(name)).collect()),
            Self::Node(_, package) => {
                let manifest = folder().join("node_modules").join(package).join("package.json");
                let manifest = std::fs::read_to_string(manifest).ok()?;
                let version = manifest.split_once("\"version\": \"")?.1.split('"').next()?;
                Some(vec![
                    format!("{package} {version}"),
                    format!("Node.js {}", output("node", &["--version"])?),
                ])
            }
        }
    }
}

/// A crate with the version of the lock file.
fn locked(name: &str) -> String {
    let version = LOCK
        .split_once(&format!("name = \"{name}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or("?");
    format!("{name} {version}")
}

/// What a program prints, if there is such a program and it succeeds.
pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(folder()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
