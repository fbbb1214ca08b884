//! One connection, from the first byte of HTTP to the FIN.
//!
//! `stage` has the state machine: every stage and every transition, with a diagram. Around it: input (`receive`),
//! queries (`poll`, `timers`: the one deadline), and the application's calls: `http`, `plain_http`, `send`, `relay`,
//! `pause`, `closing`.
//!
//! What waits for what: `backpressure` (reading for output), `rates` (for the next second), `share` (inflating for
//! other connections), `memory` (for all of them together). `compression` is permessage-deflate on this connection,
//! `in_flight` the state of unfinished things, `ending` the report of an end, `close_body` the body of a Close.

mod backpressure;
mod close_body;
mod closing;
mod compression;
mod ending;
mod http;
mod in_flight;
mod memory;
mod opening;
pub(crate) mod outgoing;
mod pause;
mod plain_http;
mod poll;
mod rates;
mod receive;
mod relay;
mod send;
mod share;
mod stage;
mod status;
mod timers;
mod unsent;

use self::ending::Beneath;
use crate::access::transport::Transport;
use crate::config::Config;
use crate::event::Initiator;
use crate::frame::decode::{Decoder, Rules};
use crate::frame::mask::MaskingKeys;
use crate::handshake::ClientRequest;
use crate::http1::{ClientHttp, ServerHttp};
use crate::moment::Moment;
use crate::outbox::Outbox;
use alloc::boxed::Box;
use alloc::sync::Arc;
use backpressure::{Backpressure, Held};
use bytes::BytesMut;
use core::time::Duration;
use in_flight::InFlight;
pub use plain_http::PlainHttp;
use rates::{Rates, SpareSeconds};
use receive::Input;
pub use share::Shares;
use stage::Stage;
pub use status::{IoAction, Role, Sent, State};

/// One connection: bytes and a clock go in, events and bytes come out. It does no I/O.
///
/// Its methods form groups, to be called in this order:
///
/// - **input**: [`handle_input`](Self::handle_input), [`handle_eof`](Self::handle_eof),
///   [`handle_written`](Self::handle_written), [`handle_timeout`](Self::handle_timeout),
///   [`handle_resume`](Self::handle_resume); a failed write is [`write_failed`](Self::write_failed), a failed read
///   [`abort`](Self::abort);
/// - **the application's calls**: [`accept`](Self::accept), [`respond`](Self::respond), [`send`](Self::send) and its
///   variants, [`close`](Self::close);
/// - **streaming responses**: [`http`](Self::http); **inflating by turns**: [`shares`](Self::shares);
/// - **poll**: [`poll_event`](Self::poll_event), [`outbox`](Self::outbox), [`poll_io`](Self::poll_io),
///   [`poll_timeout`](Self::poll_timeout), with [`take_timeout_changed`](Self::take_timeout_changed).
///
/// No call fails because of the peer: its faults end in [`Event::Closed`](crate::Event::Closed). A connection that is
/// not drained stays correct; it only waits.
///
/// It knows only the time that it is given. A clock that goes backwards only delays deadlines; at the end of the
/// range of a [`Moment`], 584 years after the origin, time stops.
///
/// ```
/// use std::sync::Arc;
/// use ws_proto::{Config, Connection, Event, IoAction, Message, Moment, Role};
///
/// let now = Moment::default();
/// let mut server = Connection::upgraded(now, Arc::new(Config::server()), Role::Server);
/// let mut received = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"; // RFC 6455 §5.7: a masked "Hello"
/// let mut input = &mut received[..];
/// while let Some(event) = server.handle_input(now, &mut input) {
///     if let Event::Message(message) = event {
///         server.send(message)?;
///     }
/// }
/// assert_eq!(server.poll_io(), IoAction::Write);
/// assert_eq!(bytes::Buf::chunk(server.outbox()), b"\x81\x05Hello");
/// # Ok::<(), ws_proto::SendError>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    side: Side,
    stage: Stage,
    decoder: Decoder,
    outbox: Outbox,
    birth: Moment,
    /// When the last byte from the peer arrived.
    last_received: Moment,
    /// Start of the current heartbeat interval: for Pings, when the last one was sent; for one-way Pongs, when the last
    /// byte was written.
    beat: Moment,
    deadline: Moment,
    /// Whether the deadline has become earlier since the last query.
    timeout_changed: bool,
    bytes_received: u64,
    bytes_sent: u64,
    rates: Rates,
    spare_seconds: SpareSeconds,
    backpressure: Backpressure,
    input: Input,
    /// Microseconds; 0 is unknown.
    latency: u32,
    /// State that only a connection with something unfinished needs.
    in_flight: Option<Box<InFlight>>,
}

/// The role, with the state that only it has.
#[derive(Debug)]
enum Side {
    Server,
    Client(MaskingKeys),
}

impl Connection {
    /// The server's end of a connection on which nothing has been received yet, and its transport.
    pub fn server(now: Moment, config: Arc<Config>, transport: Transport) -> Self {
        Self::new(now, config, Side::Server, Stage::Http(Box::new(ServerHttp::new(now, transport))))
    }

    /// The client's end of a connection: the opening handshake is in the outbox.
    ///
    /// `seed` is 32 unpredictable bytes, never used twice: the handshake's key and all masking keys come from a
    /// cryptographic stream of it (RFC 6455 §10.3).
    pub fn client(now: Moment, config: Arc<Config>, request: ClientRequest, seed: [u8; 32]) -> Self {
        let mut keys = MaskingKeys::new(seed);
        let mut outbox = Outbox::default();
        let http = ClientHttp::new(&config, &request, keys.nonce(), &mut outbox);
        let mut this = Self::new(now, config, Side::Client(keys), Stage::Handshake(Box::new(http)));
        this.outbox = outbox;
        this
    }

    /// A connection whose opening handshake was done elsewhere, by another HTTP server or client. It is open at once,
    /// and emits no [`Event::Open`](crate::Event::Open).
    pub fn upgraded(now: Moment, config: Arc<Config>, role: Role) -> Self {
        let side = match role {
            Role::Server => Side::Server,
            Role::Client { seed } => Side::Client(MaskingKeys::new(seed)),
        };
        Self::new(now, config, side, Stage::Open(None))
    }

    fn new(now: Moment, config: Arc<Config>, side: Side, stage: Stage) -> Self {
        let mut this = Self {
            config,
            side,
            stage,
            decoder: Decoder::new(),
            outbox: Outbox::default(),
            birth: now,
            last_received: now,
            beat: now,
            deadline: Moment::NEVER,
            timeout_changed: false,
            bytes_received: 0,
            bytes_sent: 0,
            rates: Rates::default(),
            spare_seconds: SpareSeconds::default(),
            backpressure: Backpressure::default(),
            input: Input::default(),
            latency: 0,
            in_flight: None,
        };
        this.arm();
        this
    }

    /// The bytes for the socket. Report what the socket took with [`handle_written`](Self::handle_written), rather than
    /// advancing it.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Bytes that wait to be written, including whole messages behind an unfinished one, and body chunks that wait for
    /// their turn.
    #[inline]
    pub fn queued(&self) -> usize {
        let behind = match (&self.stage, &self.in_flight) {
            (Stage::Http(http), _) => http.held_len(),
            (_, Some(in_flight)) => in_flight.waiting_len,
            (_, None) => 0,
        };
        self.outbox.len() + behind
    }

    /// Whether the outbox was over its high mark and has not fallen to its low mark since.
    #[inline]
    pub fn is_congested(&self) -> bool {
        self.backpressure.congested
    }

    /// Whether a message is partly received. A loop over many connections keeps reading such a connection for a while:
    /// its memory is warm, and free for the next one afterwards.
    pub fn is_receiving_message(&self) -> bool {
        self.decoder.is_inside_message()
    }

    /// The state of the connection.
    pub fn state(&self) -> State {
        match &self.stage {
            Stage::Http(_) | Stage::Handshake(_) => State::Connecting,
            Stage::Opened(_) | Stage::Open(_) => State::Open,
            Stage::Closing(_) | Stage::Draining(_) => State::Closing,
            Stage::Done { .. } => State::Closed,
        }
    }

    /// Whether the connection is ending, or has ended, other than in order: queued output may be lost. For adapters,
    /// exempt from semver.
    #[doc(hidden)]
    pub fn has_failed(&mut self) -> bool {
        self.stage.ending_mut().is_some_and(|ending| ending.error.is_some())
    }

    /// Which side began the closing handshake that is in progress, or done and not yet reported; `None` if it failed.
    /// For adapters, exempt from semver.
    #[doc(hidden)]
    pub fn closing_initiator(&mut self) -> Option<Initiator> {
        let ending = self.stage.ending_mut()?;
        (ending.was_open && ending.error.is_none()).then_some(ending.initiator)
    }

    /// Whether the connection has ended because TLS failed, or because the peer speaks TLS but the server does not. For
    /// statistics of the adapters, exempt from semver.
    #[doc(hidden)]
    pub fn has_failed_by_tls(&self) -> bool {
        matches!(self.stage, Stage::Done { beneath: Some(Beneath::Tls), .. })
    }

    /// Whether the connection has ended because the PROXY header before it was missing or invalid. For statistics of the
    /// adapters, exempt from semver.
    #[doc(hidden)]
    pub fn has_failed_by_proxy_header(&self) -> bool {
        matches!(self.stage, Stage::Done { beneath: Some(Beneath::ProxyHeader), .. })
    }

    /// Whether the connection has ended, and all that it had to send was written: then TLS may send close_notify. For
    /// adapters, exempt from semver.
    #[doc(hidden)]
    pub fn has_sent_all(&self) -> bool {
        matches!(self.stage, Stage::Done { has_sent_all: true, .. })
    }

    /// The latency of the last answered Ping.
    pub fn latency(&self) -> Option<Duration> {
        (self.latency > 0).then(|| Duration::from_micros(self.latency.into()))
    }

    /// Bytes consumed of what the peer sent, HTTP included.
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received
    }

    /// Bytes written to the peer, HTTP included.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// The limits, times and rules of this connection.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    fn rules(&self) -> Rules {
        Rules {
            masked: matches!(self.side, Side::Server),
            compressible: self.stage.compression().is_some(),
            message_limit: self.config.message_limit,
            delivery: self.config.delivery,
        }
    }

    /// Whether this is the client's end.
    pub fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    /// Keeps bytes that precede anything newer, after those kept already.
    fn keep_ahead(&mut self, ahead: BytesMut) {
        if !ahead.is_empty() {
            // A delayed empty message precedes the rest of its input.
            self.in_flight().ahead.unsplit(ahead);
            self.input.held.set(Held::AHEAD, true);
        }
    }

    /// Whether kept bytes of the peer precede anything newer.
    fn has_ahead(&self) -> bool {
        self.input.held.has(Held::AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 144, "{} bytes", size_of::<Connection>());
    }
}
