//! Redirects of a client's opening handshake (RFC 6455 §4.2.2, RFC 9110 §15.4).

use crate::fields::location::Location;
use ::http::StatusCode;
use core::fmt;
use core::ops::Deref;

/// Why a redirect is not followed.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectError {
    /// It leads from TLS to a connection without.
    Insecure {
        /// Where it leads, without the query.
        location: String,
    },
    /// Its `Location` is not the address of a WebSocket, and why.
    Location(&'static str),
    /// It is one more than the limit.
    TooMany {
        /// The limit.
        limit: u8,
    },
}

crate::debug_is_display!(RedirectError);

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insecure { location } => {
                write!(
                    f,
                    "the server redirects to {}, without TLS; connect to that address if you trust it",
                    Location(location)
                )
            }
            Self::Location(why) => write!(f, "the server redirects to an invalid address: {why}"),
            Self::TooMany { limit } => {
                write!(
                    f,
                    "the server redirects more than {limit} times; follow_redirects sets how often, up to 5"
                )
            }
        }
    }
}

impl std::error::Error for RedirectError {}

/// A redirect that a client has followed. `Debug` and `Display` omit the query of its URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Redirect {
    status: StatusCode,
    location: String,
}

impl Redirect {
    pub(super) fn new(status: StatusCode, location: String) -> Self {
        Self { status, location }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The URL that it leads to, absolute.
    pub fn location(&self) -> &str {
        &self.location
    }
}

impl fmt::Debug for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), Location(&self.location))
    }
}

/// The URL, without its query and cut after 200 characters.
impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Location(&self.location).fmt(f)
    }
}

/// The redirects that led to an answer, the first one first: an extension of each answer that a client gets after a
/// redirect, be it a 101 or a rejection.
///
/// ```
/// # fn f(response: &http::Response<()>) {
/// use ws_proto::Redirects;
///
/// for redirect in response.extensions().get::<Redirects>().into_iter().flat_map(|redirects| redirects.iter()) {
///     println!("{} to {}", redirect.status(), redirect.location());
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirects(pub(crate) Vec<Redirect>);

impl Deref for Redirects {
    type Target = [Redirect];

    fn deref(&self) -> &[Redirect] {
        &self.0
    }
}
