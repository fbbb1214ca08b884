//! Why TLS failed beneath a connection.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Why TLS failed. The engine itself has no TLS: the owner of the socket reports this to
/// [`Connection::abort`](crate::Connection::abort), and the application finds it in [`Error::Tls`](crate::Error::Tls).
///
/// Where the user can act, the sentence says how.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer's certificate has expired, by the clock of this machine.
    Expired,
    /// The peer's certificate is not valid yet, by the clock of this machine.
    NotYetValid,
    /// The server's certificate does not cover its name.
    WrongName {
        /// The name in the URL, or the one that replaces it.
        expected: Box<str>,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// No trusted root has issued the peer's certificate.
    NotTrusted,
    /// The server's public key is not one of the pinned keys.
    NotPinned,
    /// The peer's certificate has been revoked.
    Revoked,
    /// The peer's certificate is for another purpose: a client's for a server, for example.
    WrongPurpose,
    /// The peer's certificate is unusable for another reason.
    BadCertificate(Box<str>),
    /// The server requires a certificate of the client, which presented none.
    ClientCertificateMissing,
    /// The server rejected the certificate of the client, with this alert.
    ClientCertificateRejected(TlsAlert),
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
            Self::Expired => f.write_str(
                "the peer's certificate has expired; it must be renewed, unless the clock of this machine is wrong",
            ),
            Self::NotYetValid => f.write_str(
                "the peer's certificate is not valid yet; the clock of this machine may be wrong, or the issuer's was \
                 when it made the certificate",
            ),
            Self::WrongName { expected, presented } => {
                write!(f, "the server's certificate is not for {expected}")?;
                if !presented.is_empty() {
                    write!(f, " but for {}", presented.join(", "))?;
                }
                f.write_str("; connect by a name that it has, or set server_name")
            }
            Self::NotTrusted => f.write_str(
                "no trusted root has issued the peer's certificate; add the root with add_roots, or pin its key",
            ),
            Self::NotPinned => {
                f.write_str("the server's key is not a pinned one; if the server has a new key, pin that one")
            }
            Self::Revoked => f.write_str("the peer's certificate has been revoked; it must be replaced"),
            Self::WrongPurpose => f.write_str(
                "the peer's certificate is for another purpose; a server needs serverAuth, a client clientAuth",
            ),
            Self::BadCertificate(why) => write!(f, "the peer's certificate is unusable: {why}"),
            Self::ClientCertificateMissing => f.write_str(
                "the client has presented no certificate, which the server requires; set one with identity",
            ),
            Self::ClientCertificateRejected(alert) => {
                write!(f, "the server rejected the client's certificate ({alert}); set another with identity")
            }
            Self::NoCommonVersion => f.write_str(
                "the two sides share no version or cipher suite of TLS; both need TLS 1.2 or 1.3",
            ),
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
