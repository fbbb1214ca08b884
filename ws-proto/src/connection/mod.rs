//! One connection, from the first byte of HTTP to the FIN.
//!
//! ```text
//!   server: Http ──accept──▶ Opened ──event──▶ Open ──close──▶ Closing ──peer's Close──▶ Draining ──EOF──▶ Done
//!   client: Handshake ─101─▶ Opened                └──peer's Close, or a fault of the peer──▲   ▲
//!           Http ──last answer, or a fault──────────────────────────────────────────────────────┘
//!           any stage ──EOF, reset, deadline──▶ Done
//! ```
//!
//! The files beside this one: `receive` (bytes in), `answering`, `send`, `relay` and `pause` (the application's verbs),
//! `flow` (when reading waits for output), `rates` (what a peer may send in a second), `share` (when inflating waits for
//! others), `memory` (what it holds), `compression`, `ending` and `failing` (how it ends), `close_body` (what a Close says),
//! `busy` (what only something unfinished needs), `time` (the one deadline).

mod answering;
mod busy;
mod close_body;
mod compression;
mod ending;
mod failing;
mod flow;
mod memory;
mod opening;
mod pause;
mod rates;
mod receive;
mod relay;
mod send;
mod share;
mod state;
mod time;
mod unsent;

use crate::config::Config;
use crate::decode::{Decoder, Rules};
use crate::deflate::PerMessage;
use crate::handshake::ClientRequest;
use crate::http::{ClientHttp, ServerHttp};
use crate::mask::MaskingKeys;
use crate::moment::Moment;
use crate::outbox::{Outbox, Storage};
use crate::transport::Transport;
use alloc::boxed::Box;
use alloc::sync::Arc;
use busy::{Busy, Outgoing, Ping, Stall};
use bytes::BytesMut;
use core::time::Duration;
use ending::Ending;
use flow::Held;
pub use state::{Next, Role, Sent, State};

/// One connection: bytes and a clock go in, events and bytes come out. It does no I/O.
///
/// Its methods stand in groups, to be called in this order:
///
/// - **things happen**: [`receive`](Self::receive), [`receive_eof`](Self::receive_eof), [`wrote`](Self::wrote),
///   [`handle_timeout`](Self::handle_timeout), [`abort`](Self::abort);
/// - **the application acts**: [`accept`](Self::accept), [`respond`](Self::respond), [`send`](Self::send) and its
///   kin, [`close`](Self::close);
/// - **ask**: [`poll_event`](Self::poll_event), [`outbox`](Self::outbox), [`next_io`](Self::next_io),
///   [`poll_timeout`](Self::poll_timeout).
///
/// Nothing that a peer does makes a call fail: its faults end in [`Event::Closed`](crate::Event::Closed). It
/// stays correct when nobody drains it; then it only waits.
///
/// It knows the time by what it is given. A clock that goes back delays what is due, and nothing else; at the end of the
/// range of a [`Moment`], 584 years after the origin, its time stands still.
///
/// ```
/// use std::sync::Arc;
/// use ws_proto::{Config, Connection, Event, Message, Moment, Next, Role};
///
/// let now = Moment::default();
/// let mut server = Connection::upgraded(now, Arc::new(Config::server()), Role::Server);
/// let mut received = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"; // RFC 6455 §5.7: a masked "Hello"
/// let mut input = &mut received[..];
/// while let Some(event) = server.receive(now, &mut input) {
///     if let Event::Message(message) = event {
///         server.send(message)?;
///     }
/// }
/// assert_eq!(server.next_io(), Next::Write);
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
    /// The last byte from the peer.
    heard: Moment,
    /// Since when the next heartbeat is waited for: of Pings, when the last one was sent; of one-way Pongs, when the
    /// last byte was written.
    beat: Moment,
    deadline: Moment,
    bytes_received: u64,
    bytes_sent: u64,
    rates: Rates,
    output: Output,
    input: Input,
    /// Microseconds; 0 is unknown.
    latency: u32,
    /// What only a connection with something unfinished needs.
    busy: Option<Box<Busy>>,
}

/// Which end this is, with what only that end has.
#[derive(Debug)]
enum Side {
    Server,
    Client(MaskingKeys),
}

/// Where the connection stands.
#[derive(Debug)]
enum Stage {
    /// Server: HTTP requests.
    Http(Box<ServerHttp>),
    /// Client: waiting for the answer to its handshake.
    Handshake(Box<ClientHttp>),
    /// The switch is done, and the application is yet to hear of it.
    Opened(Box<Opened>),
    Open(Option<Box<PerMessage>>),
    /// Our Close is sent; the peer's is awaited, and data before it is still delivered (§5.5.1).
    Closing(Box<Ending>),
    /// Nothing more is delivered: flush, half-close, discard until the peer ends, so that no reset eats what
    /// we sent last (§7.1.1).
    Draining(Box<Ending>),
    /// Over. What explains it waits to be told, where anybody is to be told.
    Done(Option<Box<Ending>>),
}

/// A connection that has just opened.
#[derive(Debug)]
struct Opened {
    response: Box<::http::Response<()>>,
    /// permessage-deflate, where it was agreed on.
    compression: Option<Box<PerMessage>>,
}

/// How the outbox stands to its marks and to the socket, and the application to what was told.
#[derive(Debug, Default)]
struct Output {
    /// Over the high mark, and not yet back at the low one.
    congested: bool,
    /// Back at the low mark; the application is yet to hear of it.
    drained: bool,
    /// The socket took less than all, and the deadline runs.
    stalled: bool,
    /// Whether the deadline has become earlier since that was last asked.
    deadline_moved: bool,
    /// See [`Connection::wants_reset`].
    wants_reset: bool,
}

/// How the reading goes.
#[derive(Debug, Default)]
struct Input {
    /// What was given last, whose handling is not known to be over.
    told: Told,
    /// What holds reading back, and what may do so.
    held: Held,
    /// Others have their share of what is inflated, too.
    shares: bool,
}

/// What the application was given last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    /// Something that other than input caused.
    Polled,
    /// Something that was received. When, is noted once for all events of one read.
    Received,
}

/// What came in the current second. The counts stop at what fits: a limit that no count reaches is none.
#[derive(Debug, Default)]
struct Rates {
    /// Since the birth of the connection; compared only, so that it may wrap after 136 years.
    second: u32,
    /// Messages and pieces, where they are paced.
    messages: u16,
    control: u16,
    /// Frames without payload amid a message.
    empty_frames: u16,
    empty_messages: u16,
}

impl Connection {
    /// The server's end of a connection on which nothing has been received yet, and what it stands on.
    pub fn server(now: Moment, config: Arc<Config>, transport: Transport) -> Self {
        Self::new(now, config, Side::Server, Stage::Http(Box::new(ServerHttp::new(now, transport))))
    }

    /// The client's end of a connection: the opening handshake stands in the outbox.
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

    /// A connection whose opening handshake was done elsewhere, by an HTTP server or client of another kind.
    /// It is open at once, and no [`Event::Open`](crate::Event::Open) comes.
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
            heard: now,
            beat: now,
            deadline: Moment::NEVER,
            bytes_received: 0,
            bytes_sent: 0,
            rates: Rates::default(),
            output: Output::default(),
            input: Input::default(),
            latency: 0,
            busy: None,
        };
        this.arm();
        this
    }

    /// The bytes for the socket. Tell [`wrote`](Self::wrote) what the socket took, rather than advancing it.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Bytes that wait to be written, whole messages behind an unfinished one included, and pieces of bodies
    /// whose turn has not come.
    pub fn queued(&self) -> usize {
        if let Stage::Http(http) = &self.stage {
            return self.outbox.len() + http.held_len();
        }
        self.outbox.len() + self.busy.as_ref().map_or(0, |busy| busy.waiting_len)
    }

    /// Gives the outbox memory to write into, where it has none. See [`reclaim`](Self::reclaim).
    pub fn lend(&mut self, storage: Storage) {
        self.outbox.lend(storage);
    }

    /// Whether the outbox has memory, lent or its own.
    pub fn has_storage(&self) -> bool {
        self.outbox.has_storage()
    }

    /// Takes the memory of an empty outbox back, so that an idle connection holds none.
    ///
    /// A loop that lends it to the next connection allocates nothing in its steady state.
    pub fn reclaim(&mut self) -> Option<Storage> {
        self.outbox.reclaim()
    }

    /// What the transport should do next. Reading and writing are independent of each other: a transport
    /// that can do both at once reads whenever the connection [is not paused](Self::is_paused).
    pub fn next_io(&mut self) -> Next {
        if matches!(self.stage, Stage::Done(_)) {
            return Next::Drop;
        }
        if !self.outbox.is_empty() {
            return Next::Write;
        }
        if let Stage::Draining(ending) = &mut self.stage
            && ending.take_half_close()
        {
            return Next::Shutdown;
        }
        if self.is_paused() { Next::Pause } else { Next::Read }
    }

    /// Whether nothing should be read now: the application has [paused](Self::pause) the connection, the peer has sent
    /// what it may in this second, what was answered to it is more than half of what the outbox takes and waits for it,
    /// enough requests are unanswered, an upgrade is undecided, or others have [their share](Self::has_used_share) first. [`receive`](Self::receive) then leaves its input with
    /// the caller. Beside an answer without a length, requests are read ahead up to
    /// [`head_limit`](Config::head_limit), since the peer's end would stand behind them.
    pub fn is_paused(&self) -> bool {
        match &self.stage {
            Stage::Http(http) => {
                self.input.held.has(Held::ANY) || http.is_paused(&self.config, self.takes_no_request())
            }
            Stage::Open(_) | Stage::Closing(_) => self.input.held.has(Held::ANY),
            _ => false,
        }
    }

    /// Whether the outbox was over its high mark and has not fallen to its low mark since.
    #[inline]
    pub fn is_congested(&self) -> bool {
        self.output.congested
    }

    /// Whether a message has begun to arrive whose end is still to come. A loop over many connections reads
    /// on from such a one for a while: its memory is warm, and free for the next when it is done.
    pub fn is_receiving_message(&self) -> bool {
        self.decoder.is_inside_message()
    }

    /// Server: whether an upgrade is undecided, or was accepted and waits for the answers to earlier requests.
    pub fn is_upgrading(&self) -> bool {
        matches!(&self.stage, Stage::Http(http) if http.is_upgrading())
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        match &self.stage {
            Stage::Http(_) | Stage::Handshake(_) => State::Connecting,
            Stage::Opened(_) | Stage::Open(_) => State::Open,
            Stage::Closing(_) | Stage::Draining(_) => State::Closing,
            Stage::Done(_) => State::Closed,
        }
    }

    /// The time that the last answered ping took.
    pub fn latency(&self) -> Option<Duration> {
        (self.latency > 0).then(|| Duration::from_micros(self.latency.into()))
    }

    /// Bytes that were used of what the peer sent, HTTP included.
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received
    }

    /// Bytes that were written to the peer, HTTP included.
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
            pieces: self.config.delivery,
        }
    }

    /// Whether this is the client's end.
    pub fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    /// Keeps what goes before anything newer, behind what is kept already.
    fn keep_ahead(&mut self, ahead: BytesMut) {
        if !ahead.is_empty() {
            // An empty message that was put back goes before the rest of what it came from.
            self.busy().ahead.unsplit(ahead);
            self.input.held.set(Held::AHEAD, true);
        }
    }

    /// Whether bytes of the peer are kept that go before anything newer.
    fn has_ahead(&self) -> bool {
        self.input.held.has(Held::AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Connection>() <= 152, "{} bytes", size_of::<Connection>());
    }
}
