//! JSON-RPC 2.0 over a WebSocket, in both directions.

use futures_lite::future;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use ws_server_smol::{Message, Sender, Socket, WebSocket};

pub(crate) const PARSE_ERROR: i64 = -32700;
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
/// Our own code: the other side closed before it answered.
pub(crate) const PEER_CLOSED: i64 = -32000;

/// The result of a function.
pub(crate) type Answer = Result<Value, Problem>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) code: i64,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(code: i64, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    fn peer_closed() -> Self {
        Self::new(PEER_CLOSED, "the other side is gone")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// The other side: any future of this thread can call its functions.
#[derive(Clone)]
pub(crate) struct Peer {
    sender: Sender,
    calls: Rc<RefCell<HashMap<u64, Call>>>,
    last: Rc<Cell<u64>>,
}

/// A call of ours.
enum Call {
    Waiting(Waker),
    Answered(Answer),
}

impl Peer {
    pub(crate) fn new(sender: Sender) -> Self {
        Self { sender, calls: Rc::default(), last: Rc::default() }
    }

    /// Calls a function of the other side.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Answer {
        let id = self.last.get() + 1;
        self.last.set(id);
        self.calls.borrow_mut().insert(id, Call::Waiting(Waker::noop().clone()));
        let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        if self.sender.send(call.to_string()).await.is_err() {
            self.calls.borrow_mut().remove(&id);
        }
        poll_fn(|cx| self.poll_answer(id, cx)).await
    }

    /// Sends a notification, which needs no answer.
    pub(crate) fn notify(&self, method: &str, params: Value) {
        let call = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        // A closed peer needs no notification.
        let _ = self.sender.try_send(call.to_string());
    }

    fn poll_answer(&self, id: u64, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut calls = self.calls.borrow_mut();
        match calls.remove(&id) {
            Some(Call::Waiting(_)) => {
                calls.insert(id, Call::Waiting(cx.waker().clone()));
                Poll::Pending
            }
            Some(Call::Answered(answer)) => Poll::Ready(answer),
            None => Poll::Ready(Err(Problem::peer_closed())),
        }
    }

    fn answered(&self, id: u64, answer: Answer) {
        if let Some(call) = self.calls.borrow_mut().get_mut(&id)
            && let Call::Waiting(waker) = mem::replace(call, Call::Answered(answer))
        {
            waker.wake();
        }
    }

    fn fail_pending(&self) {
        for (_, call) in self.calls.borrow_mut().drain() {
            if let Call::Waiting(waker) = call {
                waker.wake();
            }
        }
    }
}

/// An incoming message.
#[derive(Deserialize)]
struct Received {
    method: Option<String>,
    #[serde(default)]
    params: Value,
    id: Option<Value>,
    result: Option<Value>,
    error: Option<Problem>,
}

/// Runs until the connection is over: answers calls with `functions`, and passes answers to their callers.
///
/// Functions run while messages arrive, since a function may call back and wait for the answer.
pub(crate) async fn talk(
    ws: &mut WebSocket<Socket>,
    peer: &Peer,
    functions: impl AsyncFn(String, Value) -> Answer,
) {
    enum Step {
        Received(Message<'static>),
        /// A function is done; a notification has no answer.
        Done(Option<Value>),
        Over,
    }
    let say = |answer: Value| drop(peer.sender.try_send(answer.to_string()));
    let mut running = FuturesUnordered::new();
    loop {
        // `next` is cancel-safe: dropping it loses nothing.
        let receiving = async {
            match ws.next().await {
                Some(Ok(message)) => Step::Received(message),
                _ => Step::Over,
            }
        };
        let running_next = async {
            match running.next().await {
                Some(answer) => Step::Done(answer),
                None => future::pending().await,
            }
        };
        let message = match future::or(receiving, running_next).await {
            Step::Received(message) => message,
            Step::Done(answer) => {
                answer.into_iter().for_each(say);
                continue;
            }
            Step::Over => break,
        };
        match serde_json::from_slice(message.as_bytes()) {
            Ok(Received { method: Some(method), params, id, .. }) => {
                let function = functions(method, params);
                running.push(async move {
                    let answer = function.await;
                    id.map(|id| reply(id, answer))
                });
            }
            Ok(Received { id: Some(id), result, error, .. }) => {
                if let Some(id) = id.as_u64() {
                    peer.answered(id, error.map_or(Ok(result.unwrap_or_default()), Err));
                }
            }
            // The peer reports an error without an id; answering it could loop forever.
            Ok(Received { error: Some(_), .. }) => {}
            Ok(_) => say(reply(Value::Null, Err(Problem::new(INVALID_REQUEST, "not a call or answer")))),
            Err(error) => {
                let code = if error.is_data() { INVALID_REQUEST } else { PARSE_ERROR };
                say(reply(Value::Null, Err(Problem::new(code, error))));
            }
        }
    }
    peer.fail_pending();
}

fn reply(id: Value, answer: Answer) -> Value {
    match answer {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}
