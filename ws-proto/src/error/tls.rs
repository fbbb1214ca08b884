//! Why TLS failed beneath a connection.

use super::CertificateFault;
use alloc::boxed::Box;
use core::fmt;

/// Why TLS failed. The engine itself has no TLS: the owner of the socket reports this to
/// [`Connection::abort`](crate::Connection::abort), and the application finds it in [`Error::Tls`](crate::Error::Tls).
///
/// Where the user can act, the sentence says how.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// Client: the server's certificate was rejected.
    ServerCertificate(CertificateFault),
    /// Server: the client's certificate was rejected.
    ClientCertificate(CertificateFault),
    /// Client: the server has presented no certificate.
    ServerCertificateMissing,
    /// The server requires a certificate of the client, which presented none.
    ClientCertificateMissing,
    /// Client: the server rejected its certificate, with this alert.
    ClientCertificateRejected(TlsAlert),
    /// Server: the client rejected its certificate, with this alert.
    ServerCertificateRejected(TlsAlert),
    /// The two sides share no version, cipher suite or key exchange of TLS.
    NoCommonVersion,
    /// The two sides share no protocol: the peer offers no HTTP/1.1 (RFC 7301).
    NoCommonProtocol,
    /// The peer speaks HTTP without TLS.
    PlainHttp,
    /// The peer ended TLS with this alert.
    Alert(TlsAlert),
    /// The stream ended during the TLS handshake.
    Truncated,
    /// The peer violated the TLS protocol.
    Protocol(Box<str>),
    /// Our own configuration is unusable: nothing was sent.
    Invalid(Box<str>),
}

/// The description of an alert (RFC 8446 §6).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TlsAlert(pub u8);

crate::debug_is_display!(TlsError, TlsAlert);

impl fmt::Display for TlsAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            other => return write!(f, "{other}"),
        };
        f.write_str(name)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerCertificate(fault) => fault.of_server(f),
            Self::ClientCertificate(fault) => fault.of_client(f),
            Self::ServerCertificateMissing => f.write_str(
                "the server has presented no certificate; it must be configured with one and its chain",
            ),
            Self::ClientCertificateMissing => f.write_str(
                "the client has presented no certificate, which the server requires; set one with identity",
            ),
            Self::ClientCertificateRejected(alert) => {
                write!(f, "the server rejected the client's certificate ({alert}): ")?;
                f.write_str(match alert.0 {
                    44 => "it has been revoked; set another with identity",
                    45 => "it has expired or is not valid yet, by the clock of the server; renew it",
                    48 => {
                        "its issuer is unknown there; set one of a known CA with identity, with the intermediate \
                         certificates behind it"
                    }
                    _ => "set another with identity; the server may say why in its log",
                })
            }
            Self::ServerCertificateRejected(alert) => {
                write!(f, "the client rejected the server's certificate ({alert}): ")?;
                f.write_str(match alert.0 {
                    42 => "its name may not be that in the URL, or the certificate is malformed; see what the client says",
                    44 => "it has been revoked; replace it",
                    45 => "it has expired or is not valid yet, by the clock of the client; renew it",
                    48 => {
                        "its issuer is unknown there; install the root on the client, and let the chain hold the \
                         intermediate certificates"
                    }
                    49 => "its key may not be the pinned one; see what the client says",
                    _ => "see what the client says",
                })
            }
            Self::NoCommonVersion => {
                f.write_str("the two sides share no version or cipher suite of TLS; both need TLS 1.2 or 1.3")
            }
            Self::NoCommonProtocol => {
                f.write_str("the peer offers no HTTP/1.1 within TLS (ALPN), which a WebSocket needs")
            }
            Self::PlainHttp => {
                f.write_str("the peer speaks HTTP without TLS; the scheme or the port of its URL is wrong")
            }
            Self::Alert(alert) => write!(f, "the peer ended TLS with the alert {alert}"),
            Self::Truncated => f.write_str(
                "the stream ended during the TLS handshake; the server may not speak TLS on this port",
            ),
            Self::Protocol(why) => write!(f, "the peer violated the TLS protocol: {why}"),
            Self::Invalid(why) => write!(f, "TLS cannot begin: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}
