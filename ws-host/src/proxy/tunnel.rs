//! What a client and its proxy say until the tunnel is open.

use super::ProxyServer;
use super::server::Kind;
use super::socks::Socks;
use core::fmt;
use std::format;
use std::vec::Vec;
use ws_proto::{ClientRequest, Config, ConnectAnswer, ProxyError};

/// The client's side of a proxy, until its tunnel is open. Write the [`output`](Self::output), and pass on what the
/// proxy sends: [`receive`](Self::receive).
pub struct Tunnel {
    output: Vec<u8>,
    /// How much of it is written.
    written: usize,
    stage: Stage,
    head_limit: usize,
    header_limit: usize,
}

enum Stage {
    Http { answer: ConnectAnswer, authorized: bool },
    Socks(Socks),
    Open,
    Failed(ProxyError),
}

impl Tunnel {
    /// A tunnel through this proxy to the server of a request. [`Config::head_limit`] and [`Config::header_limit`]
    /// limit the answer of an HTTP proxy; a message of a SOCKS proxy has at most 262 bytes.
    ///
    /// # Errors
    /// [`ProxyError::Target`].
    pub fn new(proxy: &ProxyServer, request: &ClientRequest, config: &Config) -> Result<Self, ProxyError> {
        if request.zone().is_some() {
            return Err(ProxyError::Target(
                "a link-local address is meaningful only on this machine; exclude it with no_proxy",
            ));
        }
        let credentials = proxy.credentials();
        let (output, stage) = match proxy.kind() {
            Kind::Http | Kind::Https => {
                let basic = credentials.and_then(|credentials| credentials.basic.as_ref());
                let stage = Stage::Http { answer: ConnectAnswer::default(), authorized: basic.is_some() };
                let (host, port) = (request.host(), request.port());
                let target =
                    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
                let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
                if let Some(basic) = basic {
                    head.extend_from_slice(b"Proxy-Authorization: ");
                    head.extend_from_slice(basic.as_bytes());
                    head.extend_from_slice(b"\r\n");
                }
                head.extend_from_slice(b"\r\n");
                (head, stage)
            }
            Kind::Socks5 => {
                let (socks, hello) = Socks::new(request, credentials);
                (hello, Stage::Socks(socks))
            }
        };
        let (head_limit, header_limit) = (config.get_head_limit(), config.get_header_limit());
        Ok(Self { output, written: 0, stage, head_limit, header_limit })
    }

    /// What is to be written to the proxy.
    pub fn output(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    /// This much of the [`output`](Self::output) is written.
    pub fn written(&mut self, n: usize) {
        self.written = self.output.len().min(self.written.saturating_add(n));
        if self.written == self.output.len() {
            // It may hold the credentials.
            self.output = Vec::new();
            self.written = 0;
        }
    }

    /// Consumes what the proxy sent, and returns whether the tunnel is open. What is then left of the input came through
    /// the tunnel.
    ///
    /// # Errors
    /// [`ProxyError`], the same for each further call.
    pub fn receive(&mut self, input: &mut &mut [u8]) -> Result<bool, ProxyError> {
        let result = match &mut self.stage {
            Stage::Http { answer, authorized } => {
                answer.receive(self.head_limit, self.header_limit, *authorized, input)
            }
            Stage::Socks(socks) => {
                let mut answer = Vec::new();
                let result = socks.receive(input, &mut answer);
                self.output.append(&mut answer);
                result
            }
            Stage::Open => return Ok(true),
            Stage::Failed(error) => return Err(error.clone()),
        };
        match &result {
            Ok(true) => self.stage = Stage::Open,
            Ok(false) => {}
            Err(error) => self.stage = Stage::Failed(error.clone()),
        }
        result
    }

    /// Whether the tunnel is open.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Http { .. } => "Http",
            Stage::Socks(_) => "Socks",
            Stage::Open => "Open",
            Stage::Failed(_) => "Failed",
        };
        f.debug_struct("Tunnel").field("stage", &stage).field("output", &self.output().len()).finish()
    }
}
