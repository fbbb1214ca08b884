//! The client's side of SOCKS5 (RFC 1928), with user name and password (RFC 1929).

use super::server::Credentials;
use core::net::IpAddr;
use std::vec::Vec;
use ws_proto::{ClientRequest, ProxyError, SocksReply};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// The longest message of a proxy: a reply with a name of 255 bytes.
const MESSAGE: usize = 4 + 1 + 255 + 2;

/// What is awaited from the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaiting {
    /// The method of authentication (§3).
    Method,
    /// The status of the credentials (RFC 1929 §2).
    Status,
    /// The reply to our CONNECT (§6).
    Reply,
}

#[derive(Debug)]
pub(super) struct Socks {
    awaiting: Awaiting,
    /// The message so far.
    received: Vec<u8>,
    /// User name and password, as RFC 1929 sends them.
    login: Option<Vec<u8>>,
    connect: Vec<u8>,
}

impl Socks {
    /// The state, and the first message.
    pub(super) fn new(request: &ClientRequest, credentials: Option<&Credentials>) -> (Self, Vec<u8>) {
        let login = credentials.map(login);
        let hello = match login {
            Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
            None => vec![VERSION, 1, NO_AUTHENTICATION],
        };
        let connect = connect(request);
        (Self { awaiting: Awaiting::Method, received: Vec::new(), login, connect }, hello)
    }

    /// Takes the next message, and appends our answer; returns whether the tunnel is open. Consumes nothing beyond the
    /// message.
    pub(super) fn receive(&mut self, input: &mut &mut [u8], out: &mut Vec<u8>) -> Result<bool, ProxyError> {
        while !input.is_empty() {
            let missing = self.length().saturating_sub(self.received.len()).min(input.len());
            let (message, rest) = core::mem::take(input).split_at_mut(missing);
            *input = rest;
            self.received.extend_from_slice(message);
            self.check()?;
            if self.received.len() < self.length() {
                continue;
            }
            let message = core::mem::take(&mut self.received);
            self.awaiting = match self.awaiting {
                Awaiting::Method if message[1] == USER_AND_PASSWORD => {
                    out.extend(self.login.take().unwrap_or_default());
                    Awaiting::Status
                }
                Awaiting::Method | Awaiting::Status => {
                    out.append(&mut self.connect);
                    Awaiting::Reply
                }
                Awaiting::Reply => return Ok(true),
            };
        }
        Ok(false)
    }

    /// How long the message is, as far as that is known.
    fn length(&self) -> usize {
        match (self.awaiting, &self.received[..]) {
            (Awaiting::Method | Awaiting::Status, _) => 2,
            (Awaiting::Reply, [_, _, _, IPV4, ..]) => 4 + 4 + 2,
            (Awaiting::Reply, [_, _, _, IPV6, ..]) => 4 + 16 + 2,
            (Awaiting::Reply, [_, _, _, NAME, length, ..]) => 4 + 1 + usize::from(*length) + 2,
            (Awaiting::Reply, [_, _, _, NAME]) => 5,
            (Awaiting::Reply, _) => 4,
        }
        .min(MESSAGE)
    }

    /// Checks what is there: a proxy that rejects may close before its message is complete.
    fn check(&self) -> Result<(), ProxyError> {
        let (version, second) = (self.received.first(), self.received.get(1));
        // Some proxies put another version in the status message; only the status matters.
        if version.is_some_and(|version| *version != VERSION) && self.awaiting != Awaiting::Status {
            return Err(ProxyError::Malformed("the version of SOCKS"));
        }
        let Some(&second) = second else { return Ok(()) };
        let offered = "".into();
        match self.awaiting {
            Awaiting::Method => match second {
                NO_AUTHENTICATION => Ok(()),
                USER_AND_PASSWORD if self.login.is_some() => Ok(()),
                NONE_ACCEPTABLE if self.login.is_some() => Err(ProxyError::CredentialsRejected { offered }),
                NONE_ACCEPTABLE => Err(ProxyError::AuthenticationRequired { offered }),
                _ => Err(ProxyError::Malformed("a method of authentication that was not offered")),
            },
            Awaiting::Status if second != 0 => Err(ProxyError::CredentialsRejected { offered }),
            Awaiting::Status => Ok(()),
            Awaiting::Reply if second != 0 => Err(ProxyError::Socks(SocksReply(second))),
            Awaiting::Reply => match self.received.get(3) {
                None | Some(&(IPV4 | NAME | IPV6)) => Ok(()),
                Some(_) => Err(ProxyError::Malformed("the address type")),
            },
        }
    }
}

fn login(credentials: &Credentials) -> Vec<u8> {
    let mut bytes = vec![1];
    for text in [&credentials.user, &credentials.password] {
        // Their lengths were checked.
        bytes.push(text.len() as u8);
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

fn connect(request: &ClientRequest) -> Vec<u8> {
    let mut bytes = vec![VERSION, CONNECT, 0];
    match request.host().parse() {
        Ok(IpAddr::V4(address)) => {
            bytes.push(IPV4);
            bytes.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            bytes.push(IPV6);
            bytes.extend_from_slice(&address.octets());
        }
        Err(_) => {
            // A name of a request has at most 253 bytes.
            bytes.extend_from_slice(&[NAME, request.host().len() as u8]);
            bytes.extend_from_slice(request.host().as_bytes());
        }
    }
    bytes.extend_from_slice(&request.port().to_be_bytes());
    bytes
}
