//! A folder, and a server that serves it.

use super::{Peer, Rig};
use std::fs;
use std::path::{Path, PathBuf};
use ws_server_mio::{ConnectionId, Event, Folder, Options, ServerConfig};

/// A folder, removed when the test ends.
pub struct Temp(pub PathBuf);

impl Temp {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ws-server-mio-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("public/sub")).unwrap();
        fs::write(path.join("secret.txt"), "secret").unwrap();
        fs::write(path.join("public/index.html"), "<h1>index</h1>").unwrap();
        fs::write(path.join("public/sub/index.html"), "sub").unwrap();
        fs::write(path.join("public/.hidden"), "hidden").unwrap();
        fs::write(path.join("public/hello.txt"), "hello, world").unwrap();
        fs::write(path.join("public/empty.txt"), "").unwrap();
        Self(path)
    }

    pub fn public(&self) -> PathBuf {
        self.0.join("public")
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.public().join(name), content).unwrap();
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A rig that answers every request from the folder.
pub struct Served {
    pub rig: Rig,
    pub folder: Folder,
    pub ids: Vec<ConnectionId>,
}

impl Served {
    pub fn new(root: &Path) -> Self {
        Self::with(Options::default(), root)
    }

    pub fn with(options: Options, root: &Path) -> Self {
        Self {
            rig: Rig::with(options, ServerConfig::new()),
            folder: Folder::new(root).unwrap(),
            ids: Vec::new(),
        }
    }

    pub fn turn(&mut self) -> ws_server_mio::Turn {
        let Self { rig, folder, ids } = self;
        let wait = std::time::Duration::from_millis(1);
        let turn = rig.endpoint.poll(Some(wait), |connections, event| {
            if let Event::Request(id, request) = event {
                ids.push(id);
                connections.respond_file(id, request, folder).unwrap();
            }
        });
        turn.unwrap()
    }

    pub fn send(&mut self, request: &str) -> Peer {
        let mut peer = self.rig.peer();
        let host = self.rig.address();
        let (line, fields) = request.split_once('\n').unwrap_or((request, ""));
        let fields = fields.lines().map(|field| format!("{field}\r\n")).collect::<String>();
        peer.send(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n").as_bytes());
        peer
    }

    /// The head and the body of an answer, by its `Content-Length`.
    pub fn ask(&mut self, request: &str) -> (String, Vec<u8>) {
        let mut peer = self.send(request);
        for _ in 0..5_000 {
            self.turn();
            peer.read();
            let Some(end) = peer.got.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(peer.got[..end].to_vec()).unwrap().to_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let is_head = request.starts_with("HEAD");
            let length: usize = length.filter(|_| !is_head).map_or(0, |length| length.parse().unwrap());
            if peer.got.len() >= end + 4 + length {
                assert_eq!(peer.got.len(), end + 4 + length);
                return (head, peer.got[end + 4..].to_vec());
            }
        }
        panic!("no answer to {request}: {:?}", String::from_utf8_lossy(&peer.got));
    }

    pub fn status(&mut self, request: &str) -> u16 {
        self.ask(request).0[9..12].parse().unwrap()
    }
}
