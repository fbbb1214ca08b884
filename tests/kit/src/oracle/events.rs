//! The grammar of one connection's events.

use std::sync::Arc;
use ws_proto::{
    Closed, Config, Delivery, Event, Fragment, HeadRule, Message, Request, RequestBody, RequestHead,
};

/// What a connection has reported.
#[derive(Debug)]
pub struct Events {
    is_server: bool,
    /// It started open, so no `Open` is reported.
    is_upgraded: bool,
    limits: Option<Limits>,
    is_open: bool,
    /// The message being received in chunks: whether it is text, and its length so far.
    partial: Option<(bool, u64)>,
    /// The streaming body that has not ended: its length so far. If its request is answered, it may stay so.
    stream: Option<u64>,
    /// The limit of a streaming body.
    stream_limit: Option<u64>,
    /// An event preceded the end.
    is_announced: bool,
    closed: Option<Box<Closed>>,
}

#[derive(Debug)]
struct Limits {
    message: u64,
    body: usize,
    rule: Option<Arc<dyn HeadRule>>,
    delivery: Delivery,
    is_deflated: bool,
    reports_all: bool,
}

impl Events {
    /// The events of a server's connection that begins with HTTP.
    pub fn server() -> Self {
        Self::new(true)
    }

    /// The events of a client's connection before its handshake.
    pub fn client() -> Self {
        Self::new(false)
    }

    fn new(is_server: bool) -> Self {
        Self {
            is_server,
            is_upgraded: false,
            limits: None,
            is_open: false,
            partial: None,
            stream: None,
            stream_limit: None,
            is_announced: false,
            closed: None,
        }
    }

    /// The connection is open from the start.
    #[must_use]
    pub fn upgraded(mut self) -> Self {
        (self.is_upgraded, self.is_open) = (true, true);
        self
    }

    /// Also checks the limits of this configuration.
    #[must_use]
    pub fn within(mut self, config: &Config) -> Self {
        self.limits = Some(Limits {
            message: config.get_message_limit(),
            body: config.get_body_limit(),
            rule: config.get_head_rule().cloned(),
            delivery: config.get_delivery(),
            #[cfg(feature = "deflate")]
            is_deflated: config.get_deflate().is_some(),
            #[cfg(not(feature = "deflate"))]
            is_deflated: false,
            reports_all: config.get_report_all_closes(),
        });
        self
    }

    pub fn is_server(&self) -> bool {
        self.is_server
    }

    /// Whether the WebSocket is or was open.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The end, once it is reported.
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_deref()
    }

    /// Records an event of the engine.
    pub fn record(&mut self, event: &Event<'_>) {
        match event {
            Event::Request(request) => self.request(request),
            Event::Body(body) => self.body(body),
            Event::Upgrade(_) => self.upgrade(),
            Event::Open(_) => self.open(),
            Event::Message(message) => self.message(message),
            Event::Fragment(fragment) => self.fragment(fragment),
            Event::Pong(_) => self.pong(),
            Event::Drained => self.drained(),
            Event::Closed(closed) => self.close(closed),
            _ => panic!("{event:?} is unknown here"),
        }
    }

    fn precedes_the_end(&mut self, what: &str) {
        assert!(self.closed.is_none(), "{what} after the end");
        self.is_announced = true;
    }

    pub fn request(&mut self, request: &Request) {
        self.precedes_the_end("a request");
        assert!(self.is_server && !self.is_open, "an unexpected request");
        let body = request.body();
        self.stream = request.is_streaming().then_some(0);
        if let Some(limits) = &self.limits {
            assert!(body.len() <= limits.body, "a body of {} bytes", body.len());
            let rule = limits.rule.as_ref();
            self.stream_limit = rule.and_then(|rule| rule.stream_body(&RequestHead::new(request, false)));
            assert!(self.stream.is_none() || self.stream_limit.is_some(), "a body that should not stream");
        }
        assert!(self.stream.is_none() || body.is_empty(), "a streaming body in its request");
    }

    /// A part of the last request's body.
    pub fn body(&mut self, body: &RequestBody<'_>) {
        self.precedes_the_end("a body");
        let Some(len) = self.stream.take() else {
            panic!("{body:?} of no streaming request, or after its end")
        };
        if let RequestBody::Data(data) = body {
            assert!(!data.is_empty(), "no data");
            let len = len + data.len() as u64;
            assert!(self.stream_limit.is_none_or(|limit| len <= limit), "a streaming body of {len} bytes");
            self.stream = Some(len);
        }
    }

    /// The answer to the last request began, or it was dropped: its body ends.
    pub fn answered(&mut self) {
        self.stream = None;
    }

    pub fn upgrade(&mut self) {
        self.precedes_the_end("an upgrade");
        assert!(self.is_server && !self.is_open, "an unexpected upgrade");
    }

    pub fn open(&mut self) {
        self.precedes_the_end("`Open`");
        assert!(!self.is_open, "opened twice");
        self.is_open = true;
    }

    pub fn message(&mut self, message: &Message<'_>) {
        self.precedes_the_end("a message");
        assert!(self.is_open, "a message before `Open`");
        assert!(self.partial.is_none(), "a message between the chunks of another");
        let Some(limits) = &self.limits else { return };
        let len = message.as_bytes().len() as u64;
        assert!(len <= limits.message, "a message of {len} bytes");
        if let Delivery::Chunked { whole } = limits.delivery {
            // `whole` limits the length of the frame, not that of its inflated content.
            assert!(len <= whole || limits.is_deflated, "a whole message of {len} bytes");
        }
    }

    pub fn fragment(&mut self, fragment: &Fragment<'_>) {
        self.precedes_the_end("a fragment");
        assert!(self.is_open, "a fragment before `Open`");
        let Fragment { data, first, last, .. } = fragment;
        assert_eq!(*first, self.partial.is_none(), "which fragment is the first");
        let (is_text, before) = self.partial.unwrap_or((data.is_text(), 0));
        assert_eq!(data.is_text(), is_text, "the type of a message changes within it");
        assert!(*last || !data.as_bytes().is_empty(), "an empty fragment");
        let len = before + data.as_bytes().len() as u64;
        if let Some(limits) = &self.limits {
            assert_ne!(limits.delivery, Delivery::Whole, "a fragment of a message to be joined");
            assert!(len <= limits.message, "a message of {len} bytes");
        }
        self.partial = (!last).then_some((is_text, len));
    }

    pub fn pong(&mut self) {
        self.precedes_the_end("a pong");
        assert!(self.is_open, "a pong before `Open`");
    }

    pub fn drained(&mut self) {
        self.precedes_the_end("`Drained`");
        assert!(self.is_open || self.is_server, "`Drained` before `Open`");
    }

    /// Records that the end was reported.
    pub fn close(&mut self, closed: &Closed) {
        assert!(self.closed.is_none(), "a second end: {closed}");
        assert_eq!(closed.was_open, self.is_open, "{closed}");
        if closed.clean {
            assert!(closed.was_open && closed.sent.is_some() && closed.error.is_none(), "{closed}");
        }
        assert!(closed.sent.is_none_or(|code| code.is_sendable() || code.get() == 1005), "{closed}");
        let text = closed.to_string();
        assert!(!text.is_empty() && !text.contains('\n'), "not one line for a log: {text:?}");
        self.closed = Some(Box::new(closed.clone()));
    }

    /// Asserts that the end is reported, unless no event ever was.
    pub fn must_be_over(&self) {
        let reports_all = self.limits.as_ref().is_some_and(|limits| limits.reports_all);
        let is_due = !self.is_server || self.is_upgraded || self.is_announced || reports_all;
        assert_eq!(self.closed.is_some(), is_due, "exactly the announced connections report their end");
    }
}
