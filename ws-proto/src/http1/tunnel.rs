//! A proxy's answer to CONNECT (RFC 9110 §9.3.6).

use super::client::{INTERIM, STATUS_LINE, is_tls_record, status_line};
use super::head::{Head, Limits};
use crate::error::{ProxyError, RequestError};
use crate::fields::{is_token, retry_after};
use ::http::{HeaderMap, StatusCode, header};

/// The longest reason phrase, or list of schemes, that an error keeps.
const TEXT: usize = 128;

/// Reads a proxy's answer to CONNECT. For the crates around this one, exempt from semver.
#[derive(Debug, Default)]
pub struct ConnectAnswer {
    head: Head,
    line: Option<(StatusCode, Box<str>)>,
    interim: u8,
}

impl ConnectAnswer {
    /// Consumes input up to the end of the head, and returns whether the tunnel is open: what is left of the input
    /// then belongs to it, whatever length the head declares. `authorized` says whether credentials were sent.
    ///
    /// # Errors
    /// [`ProxyError`]. The rest of the answer does not matter.
    pub fn receive(
        &mut self,
        head_limit: usize,
        header_limit: usize,
        authorized: bool,
        input: &mut &mut [u8],
    ) -> Result<bool, ProxyError> {
        // Old proxies end lines with a single LF. Nothing else shares the connection, so it makes no difference to
        // anybody where they end; a server's handshake stays strict.
        let limits = Limits {
            bytes: head_limit,
            fields: header_limit,
            first_line: STATUS_LINE,
            reads_on: false,
            allows_lf: true,
        };
        while !input.is_empty() {
            if self.head.is_empty() && is_tls_record(input[0]) {
                return Err(ProxyError::TlsRequired);
            }
            let line = &mut self.line;
            let headers = self.head.receive(limits, input, |bytes| {
                let (_, status) = status_line(bytes).ok_or(RequestError::Malformed("the status line"))?;
                *line = Some((status, text(bytes.get(13..).unwrap_or_default())));
                Ok(())
            });
            let headers = match headers {
                Ok(headers) => headers,
                Err(RequestError::Malformed(what)) => return Err(ProxyError::Malformed(what)),
                Err(_) => return Err(ProxyError::HeadTooLarge),
            };
            let Some(headers) = headers else { return Ok(false) };
            let Some((status, reason)) = self.line.take() else { return Ok(false) };
            if status.is_success() {
                return Ok(true);
            }
            // A 401 cannot come from the server, to which there is no tunnel yet: tinyproxy sends it for wrong
            // credentials.
            if matches!(status, StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED) {
                let offered = schemes(&headers);
                return Err(match authorized {
                    true => ProxyError::CredentialsRejected { offered },
                    false => ProxyError::AuthenticationRequired { offered },
                });
            }
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                let retry_after = retry_after(&headers);
                return Err(ProxyError::Rejected { status, reason, retry_after });
            }
            self.interim += 1;
            if self.interim > INTERIM {
                return Err(ProxyError::Malformed("too many interim responses"));
            }
            self.head = Head::default();
        }
        Ok(false)
    }
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT)]).trim().into()
}

/// The schemes of the challenges, without their parameters (RFC 9110 §11.6.1).
fn schemes(headers: &HeaderMap) -> Box<str> {
    let mut schemes = String::new();
    for value in headers.get_all(header::PROXY_AUTHENTICATE) {
        for element in value.as_bytes().split(|b| *b == b',') {
            let scheme = element.trim_ascii().split(|b| *b == b' ').next().unwrap_or_default();
            let Some(scheme) = str::from_utf8(scheme).ok().filter(|scheme| is_token(scheme.as_bytes()))
            else {
                continue;
            };
            if schemes.len() + scheme.len() > TEXT || schemes.split(", ").any(|known| known == scheme) {
                continue;
            }
            if !schemes.is_empty() {
                schemes.push_str(", ");
            }
            schemes.push_str(scheme);
        }
    }
    schemes.into()
}
