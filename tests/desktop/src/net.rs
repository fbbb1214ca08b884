//! The library's own client, twice on one endpoint: as a page that receives the example's state, and to drive the
//! browser by the DevTools protocol.

use crate::Outcome;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use ws_server_mio::Message;
use ws_server_mio::{ClientConfig, ClientId, Connections, Endpoint, Event, Reconnect};

/// The limit of every wait; it only cuts a hang.
const HANG: Duration = Duration::from_secs(60);

pub(crate) struct Net {
    endpoint: Endpoint,
    live: ClientId,
    devtools: ClientId,
    received: Received,
    last_call: u64,
    session: String,
}

/// The input of both connections.
#[derive(Default)]
struct Received {
    /// The newest state of the example.
    state: Value,
    /// How many states arrived.
    states: u64,
    /// The code with which the live connection closed.
    closed: Option<u16>,
    answers: HashMap<u64, Value>,
    failure: Option<String>,
}

impl Net {
    /// Connects to both.
    pub(crate) fn new(live: &str, devtools: &str) -> Outcome<Self> {
        let mut endpoint = Endpoint::new()?;
        let connections = endpoint.connections();
        // The live connection reconnects automatically, as the page does.
        let policy = ClientConfig::new().reconnect(Reconnect::default());
        let live = connections.connect(live, policy)?;
        let devtools = connections.connect(devtools, ClientConfig::new())?;
        let (received, session) = (Received::default(), String::new());
        let mut net = Self { endpoint, live, devtools, received, last_call: 0, session };
        net.until("both connections", |net| {
            let open = net.endpoint.connections().client(devtools).connection().is_some();
            (open && net.received.states > 0).then_some(())
        })?;
        Ok(net)
    }

    /// Runs turns until the value is available.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut find: impl FnMut(&mut Self) -> Option<T>,
    ) -> Outcome<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = find(self) {
                return Ok(found);
            }
            if let Some(failure) = self.received.failure.take() {
                return Err(failure.into());
            }
            if start.elapsed() > HANG {
                return Err(
                    format!("timed out waiting for {what}; the last state: {}", self.received.state).into()
                );
            }
            let Self { endpoint, received, live, devtools, .. } = self;
            endpoint.poll(Some(Duration::from_millis(50)), |connections, event| {
                received.handle(connections, (*live, *devtools), event);
            })?;
        }
    }

    /// The newest state.
    pub(crate) fn state(&self) -> &Value {
        &self.received.state
    }

    /// Waits for a later state that satisfies the condition.
    pub(crate) fn state_until(&mut self, what: &str, done: impl Fn(&Value) -> bool) -> Outcome<Value> {
        let before = self.received.states;
        self.until(what, |net| {
            let fresh = net.received.states > before;
            (fresh && done(&net.received.state)).then(|| net.received.state.clone())
        })
    }

    /// Waits until the example has closed the live connection; returns its code.
    pub(crate) fn live_closed(&mut self) -> Outcome<u16> {
        self.until("the close of the live connection", |net| net.received.closed.take())
    }

    /// Opens a page, which later calls address.
    pub(crate) fn open_page(&mut self, url: &str) -> Outcome<()> {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", attach)?;
        self.session = session["sessionId"].as_str().unwrap_or_default().to_owned();
        self.call("Page.navigate", json!({ "url": url })).map(drop)
    }

    /// Calls a method of the DevTools protocol; returns its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Outcome<Value> {
        self.last_call += 1;
        let id = self.last_call;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            call["sessionId"] = self.session.clone().into();
        }
        let connections = self.endpoint.connections();
        let devtools =
            connections.client(self.devtools).connection().ok_or("the browser connection is closed")?;
        connections.send(devtools, call.to_string())?;
        let answer = self.until(method, |net| net.received.answers.remove(&id))?;
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(format!("{method}: {}", answer["error"]).into()),
        }
    }

    /// Returns the value of an expression in the page, awaiting a promise.
    pub(crate) fn page(&mut self, expression: &str) -> Outcome<Value> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params)?;
        match answer.get("exceptionDetails") {
            None => Ok(answer["result"]["value"].clone()),
            Some(thrown) => Err(format!("{expression}: {thrown}").into()),
        }
    }

    /// Waits until an expression is true in the page, which evaluates it with every animation frame.
    pub(crate) fn page_until(&mut self, expression: &str) -> Outcome<()> {
        let wait = format!(
            "new Promise((resolve) => (function poll() {{ ({expression}) ? resolve(true) : requestAnimationFrame(poll); }})())"
        );
        self.page(&wait).map(drop).map_err(|error| format!("{expression}: {error}").into())
    }

    /// Presses the mouse on an element of the page, at a fraction of its width.
    pub(crate) fn click(&mut self, id: &str, share: f64) -> Outcome<()> {
        self.page(&format!("document.getElementById('{id}').scrollIntoView({{ block: 'center' }})"))?;
        let place = self.page(&format!(
            "(() => {{ const r = document.getElementById('{id}').getBoundingClientRect(); \
             return {{ x: r.x + r.width * {share}, y: r.y + r.height / 2 }}; }})()"
        ))?;
        for kind in ["mousePressed", "mouseReleased"] {
            let params =
                json!({ "type": kind, "x": place["x"], "y": place["y"], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params)?;
        }
        Ok(())
    }
}

impl Received {
    fn handle(
        &mut self,
        connections: &Connections,
        (live, devtools): (ClientId, ClientId),
        event: Event<'_>,
    ) {
        match event {
            Event::Message(id, Message::Text(text)) => {
                let Ok(json) = serde_json::from_str::<Value>(&text) else {
                    self.failure = Some(format!("invalid JSON: {text}"));
                    return;
                };
                match connections.client_of(id) {
                    Some(client) if client == live => {
                        self.state = json;
                        self.states += 1;
                    }
                    // Answers have an id, events do not.
                    _ => {
                        if let Some(id) = json["id"].as_u64() {
                            self.answers.insert(id, json);
                        }
                    }
                }
            }
            Event::Closed(id, closed) if connections.client_of(id) == Some(live) => {
                self.closed = Some(closed.code.get());
            }
            Event::ConnectFailed { client, error } if client == devtools => {
                self.failure = Some(format!("the browser: {error}"));
            }
            _ => {}
        }
    }
}
