//! Opening handshakes that another HTTP server has read: the same checks and answers.

use super::check::{self, RequestLine};
use super::reject;
use crate::access::transport::Transport;
use crate::config::Config;
use crate::deflate::{Deflate, Terms};
use crate::error::RequestError;
use crate::fields::hide_secret;
use crate::handshake::{Token, Upgrade, upgrade_required};
use ::http::{Request, Response, Version};
use alloc::sync::Arc;
use bytes::Bytes;
use core::fmt;
use core::ops::{Deref, DerefMut};

/// Answers an opening handshake that another HTTP server has read, such as hyper or axum, from a client over TCP.
///
/// The checks are those of the engine's own server: method and version, `Host` and `Origin` by [`Config::access`] and
/// [`Config::cors`], [`Config::head_rule`], `Upgrade`, `Connection` and the `Sec-WebSocket` fields (RFC 6455 §4.2.1).
/// [`Config::deflate`] decides on compression. The application [chooses the subprotocol](Upgrade::choose_subprotocol).
///
/// ```
/// use std::{io, sync::Arc};
/// use bytes::Bytes;
/// use ws_proto::{Config, Connection, Moment, handshake};
///
/// fn serve<B>(
///     request: &http::Request<B>,
///     config: &Arc<Config>,
///     spawn: impl FnOnce(Box<dyn FnOnce(Moment) -> Connection + Send>),
/// ) -> http::Response<Bytes> {
///     let mut answer = match handshake::answer(request, config) {
///         Ok(answer) => answer,
///         Err(rejection) => return rejection.into_response(),
///     };
///     answer.choose_subprotocol(&["chat.v2", "chat.v1"]);
///     let (response, opening) = answer.into_parts();
///     let config = config.clone();
///     // In the task: `hyper::upgrade::on(request).await`, then this connection drives the resulting stream.
///     spawn(Box::new(move |now| opening.into_connection(now, config)));
///     response.map(|()| Bytes::new())
/// }
///
/// let config = Arc::new(Config::server());
/// let request = http::Request::get("/chat")
///     .header("Host", "localhost:8700")
///     .header("Connection", "Upgrade")
///     .header("Upgrade", "websocket")
///     .header("Sec-WebSocket-Version", "13")
///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("Sec-WebSocket-Protocol", "chat.v1")
///     .body(())?;
/// let mut connection = None;
/// let response = serve(&request, &config, |open| connection = Some(open(Moment::default())));
/// assert_eq!(response.status(), 101);
/// assert_eq!(response.headers()["sec-websocket-protocol"], "chat.v1");
/// connection.unwrap().send("hello")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// That server's own limits of HTTP heads and deadlines apply up to here; [`Config::target_limit`] and
/// [`Config::header_limit`] still apply.
///
/// # Errors
/// [`Rejection`]: what to answer instead, and why.
pub fn answer<B>(request: &Request<B>, config: &Config) -> Result<Answer, Rejection> {
    answer_over(request, config, Transport::default())
}

/// The same as [`answer`], with a `transport`: for a client over a Unix socket or through TLS that this server speaks
/// itself, or a server that listens on both families of localhost.
///
/// # Errors
/// [`Rejection`]: what to answer instead, and why.
pub fn answer_over<B>(
    request: &Request<B>,
    config: &Config,
    transport: Transport,
) -> Result<Answer, Rejection> {
    let grant = config.cors.grant(request.headers());
    let reject = |error: Option<RequestError>| {
        let (mut response, grant) = match &error {
            Some(error) => (reject::error(error), grant.clone().of_fault(error)),
            None => (upgrade_required(), grant.clone()),
        };
        grant.apply(response.headers_mut());
        // HTTP/2 has no such field (RFC 9113 §8.2.2).
        if error.is_some() && request.version() <= Version::HTTP_11 {
            reject::close(response.headers_mut());
        }
        Rejection { error, response: Box::new(response) }
    };
    let line = RequestLine::of(request, config.target_limit).map_err(|error| reject(Some(error)))?;
    if request.headers().len() > config.header_limit {
        return Err(reject(Some(RequestError::HeadTooLarge)));
    }
    let mut headers = request.headers().clone();
    for (name, value) in &mut headers {
        hide_secret(name, value);
    }
    let checked =
        check::check(line, headers, config, transport, None).map_err(|error| reject(Some(error)))?;
    if !checked.is_upgrade {
        return Err(reject(None));
    }
    let upgrade = Upgrade::new(checked.request, checked.transport, Token::default()).complete(config);
    Ok(Answer { upgrade, deflate: config.deflate.clone() })
}

/// A valid opening handshake of an allowed host and origin, about to be accepted: the result of [`answer`].
///
/// Derefs to [`Upgrade`], which has the request, and takes the choice of a subprotocol and further header fields.
#[derive(Debug)]
#[must_use = "`into_parts` has the 101"]
pub struct Answer {
    upgrade: Upgrade,
    deflate: Option<Arc<Deflate>>,
}

impl Answer {
    /// The 101 (RFC 6455 §4.2.2), and the [`Opening`] that becomes a connection once its stream exists.
    pub fn into_parts(self) -> (Response<()>, Opening) {
        let (response, terms) = self.upgrade.into_response(self.deflate.as_deref());
        (response, Opening { terms })
    }
}

impl Deref for Answer {
    type Target = Upgrade;

    fn deref(&self) -> &Upgrade {
        &self.upgrade
    }
}

impl DerefMut for Answer {
    fn deref_mut(&mut self) -> &mut Upgrade {
        &mut self.upgrade
    }
}

/// The agreed terms of a handshake: becomes the [`Connection`](crate::Connection) once the other server hands over the
/// stream.
#[derive(Clone, Debug)]
pub struct Opening {
    pub(crate) terms: Option<Terms>,
}

/// Why an opening handshake is rejected, and the answer to it. `Display` gives the reason.
#[derive(Debug)]
pub struct Rejection {
    error: Option<RequestError>,
    response: Box<Response<Bytes>>,
}

impl Rejection {
    /// What is wrong with the request; `None` for a plain one that requests no WebSocket, which the application may
    /// answer in its own way.
    pub fn error(&self) -> Option<&RequestError> {
        self.error.as_ref()
    }

    /// The answer that the engine's own server would give. To a rejected handshake: the status of the error, and a
    /// sentence, with `Connection: close`, since what follows may not be a request; a server that writes its own
    /// `Connection` field must end the connection then. To a plain request: 426, and the connection continues.
    pub fn into_response(self) -> Response<Bytes> {
        *self.response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => error.fmt(f),
            None => f.write_str("the request does not ask for a WebSocket"),
        }
    }
}

impl core::error::Error for Rejection {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.as_ref().map(|error| error as _)
    }
}
