//! CORS preflights: answered here, in their turn, by the rule of [`Cors`](crate::Cors) alone. The application never
//! sees them.

use super::Io;
use super::answer::{Answer, Pending};
use super::response::Shape;
use super::server::ServerHttp;
use crate::config::Config;
use crate::moment::Moment;
use ::http::{Request, Response};
use bytes::Bytes;
use core::mem;

impl ServerHttp {
    /// The answer to a preflight, if a rule is set; `None` for any other request.
    pub(super) fn preflight(&self, config: &Config, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if config.cors.is_set() { config.cors.preflight(request) } else { None }
    }

    pub(super) fn answer_preflight(&mut self, io: &mut Io<'_>, response: Response<Bytes>, shape: Shape) {
        let is_late = self.preflights_end(io.config).is_some_and(|end| end <= io.now);
        let shape = Shape { keep_alive: shape.keep_alive && !is_late, ..shape };
        let grant = mem::take(&mut self.grant);
        self.queue.push_back(Pending { shape, grant, answer: Answer::Ready(response) });
        self.await_request(io.now, shape.keep_alive);
        self.flush(io);
    }

    /// Until when a connection that has sent only preflights may idle. They need no token, and its owner counts it as a
    /// handshake in progress: kept alive by more of them, a few such connections would use up all handshake slots.
    pub(super) fn preflights_end(&self, config: &Config) -> Option<Moment> {
        if self.has_emitted() { None } else { self.birth.checked_add(config.handshake_timeout) }
    }
}
