//! Two sides joined by a pipe that delivers bytes in cuts of any size.

use ws_host::tls::{Identity, Opened, ServerTls, TlsClient, TlsError, TlsMode, TlsServer, TlsStream};
use ws_kit::tls::Authority;
use ws_proto::Config;

/// A client and a server.
pub(crate) struct Pair {
    pub(crate) client: TlsStream,
    pub(crate) server: TlsStream,
    /// The most bytes that one read delivers.
    pub(crate) cut: usize,
}

/// Which side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum To {
    Client,
    Server,
}

impl Pair {
    pub(crate) fn of(client: &TlsClient, server: &TlsServer) -> Self {
        Self {
            client: TlsStream::client(client, "localhost").unwrap(),
            server: stream(server),
            cut: usize::MAX,
        }
    }

    pub(crate) fn new() -> Self {
        let (client, server) = trusting();
        Self::of(&client, &server)
    }

    /// Both sides after their handshake.
    pub(crate) fn open() -> Self {
        let mut pair = Self::new();
        assert_eq!(pair.run(), (Ok(()), Ok(())));
        assert!(!pair.client.is_handshaking() && !pair.server.is_handshaking());
        pair
    }

    pub(crate) fn side(&mut self, to: To) -> &mut TlsStream {
        match to {
            To::Client => &mut self.client,
            To::Server => &mut self.server,
        }
    }

    /// What one side has for the other.
    pub(crate) fn take(&mut self, from: To) -> Vec<u8> {
        let side = self.side(from);
        let bytes = side.output().to_vec();
        side.written(bytes.len());
        bytes
    }

    /// Delivers bytes to one side, in cuts; returns its plaintext.
    pub(crate) fn deliver(&mut self, to: To, bytes: &[u8]) -> Result<Vec<u8>, TlsError> {
        let cut = self.cut;
        let mut plain = Vec::new();
        let side = self.side(to);
        for part in bytes.chunks(cut.min(bytes.len().max(1))) {
            side.push(part);
            plain.extend(drain(side)?);
        }
        Ok(plain)
    }

    /// Moves all output until there is none; returns the results of the client and of the server.
    pub(crate) fn run(&mut self) -> (Result<(), TlsError>, Result<(), TlsError>) {
        let (mut client, mut server) = (Ok(()), Ok(()));
        loop {
            let (to_server, to_client) = (self.take(To::Client), self.take(To::Server));
            if to_server.is_empty() && to_client.is_empty() {
                return (client, server);
            }
            if server.is_ok() {
                server = self.deliver(To::Server, &to_server).map(drop);
            }
            if client.is_ok() {
                client = self.deliver(To::Client, &to_client).map(drop);
            }
        }
    }

    /// Sends these slices from one side to the other; returns what arrives, and in how many records.
    pub(crate) fn send(&mut self, to: To, slices: &[&[u8]]) -> (Vec<u8>, usize) {
        let from = if to == To::Client { To::Server } else { To::Client };
        let all: Vec<u8> = slices.concat();
        let mut plain = Vec::new();
        let mut records = 0;
        let mut sent = self.side(from).seal(slices.iter().copied()).unwrap();
        loop {
            let wire = self.take(from);
            records += count_records(&wire);
            plain.extend(self.deliver(to, &wire).unwrap());
            if sent == all.len() {
                return (plain, records);
            }
            sent += self.side(from).seal([&all[sent..]]).unwrap();
        }
    }
}

/// The plaintext that can be opened now.
pub(crate) fn drain(side: &mut TlsStream) -> Result<Vec<u8>, TlsError> {
    let mut plain = Vec::new();
    while side.open()? == Opened::Plaintext {
        plain.extend_from_slice(side.plaintext());
        let n = side.plaintext().len();
        side.consume(n);
    }
    Ok(plain)
}

pub(crate) fn count_records(mut wire: &[u8]) -> usize {
    let mut count = 0;
    while wire.len() >= 5 {
        wire = &wire[5 + usize::from(u16::from_be_bytes([wire[3], wire[4]]))..];
        count += 1;
    }
    assert!(wire.is_empty());
    count
}

/// What an authority issues for a server with these names.
pub(crate) fn identity(authority: &Authority, names: &[&str]) -> Identity {
    let [chain, key] = authority.issue(names, |_| {});
    Identity::from_pem(chain, key).unwrap()
}

/// A client that trusts the server.
pub(crate) fn trusting() -> (TlsClient, TlsServer) {
    let authority = Authority::new("test root");
    let server = TlsServer::new(identity(&authority, &["localhost"])).unwrap();
    (TlsClient::roots_only(authority.pem()).unwrap(), server)
}

/// A server's end.
pub(crate) fn stream(server: &TlsServer) -> TlsStream {
    TlsStream::server(&ServerTls::new(server.clone(), TlsMode::Only, &Config::server())).unwrap()
}
