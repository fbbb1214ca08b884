//! The example `bridge`: calls in both directions, and a visitor that reconnects automatically.

#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

#[path = "../examples/bridge/main.rs"]
#[allow(dead_code, unreachable_pub)] // its `main` is for the terminal
mod bridge;
mod common;

use bridge::{Bridge, config, visit};
use futures_lite::future;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::time::Duration;
use ws_server_smol::ClientRequest;
use ws_server_smol::{Bind, ClientConfig, Server, Socket, WebSocket, connect};

/// Makes the call as the page does, and returns the answer; calls are answered meanwhile.
async fn ask(page: &mut WebSocket<Socket>, message: &str) -> Value {
    page.try_send(message).unwrap();
    loop {
        let received: Value = serde_json::from_slice(page.next().await.unwrap().unwrap().as_bytes()).unwrap();
        assert_eq!(received["jsonrpc"], "2.0");
        match received["method"].as_str() {
            None => return received,
            Some("ask") => {
                let answer = json!({ "jsonrpc": "2.0", "id": received["id"], "result": ["the page", received["params"]] });
                page.try_send(answer.to_string()).unwrap();
            }
            Some(method) => assert!(method == "here" && received.get("id").is_none(), "{received}"),
        }
    }
}

async fn open(server: &Server) -> WebSocket<Socket> {
    let origin = server.http_url("").unwrap();
    let request = ClientRequest::new(&server.url("/rpc").unwrap()).unwrap();
    connect(request.origin(origin.trim_end_matches('/')).unwrap(), ClientConfig::new()).await.unwrap()
}

#[test]
fn page_and_program_call_each_other_and_a_visitor_reconnects() {
    let said = RefCell::new(Vec::new());
    let server = Server::bind(Bind::localhost().port(0), config()).unwrap();
    let address = server.local_addr().unwrap();
    let url = server.url("/rpc").unwrap();
    let has_said = async |what: &str, times: usize| {
        while said.borrow().iter().filter(|line: &&String| line.contains(what)).count() < times {
            future::yield_now().await;
        }
    };
    let script = async {
        has_said("2 + 3 = 5", 1).await;
        let mut page = open(&server).await;
        let call = |id: u32, method: &str, params: Value| {
            json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
        };
        assert_eq!(
            ask(&mut page, &call(1, "add", json!([2, 0.5]))).await,
            json!({ "jsonrpc": "2.0", "id": 1, "result": 2.5 })
        );
        for (message, code) in [
            (call(2, "add", json!(["two", 3])), -32602),
            (call(3, "subtract", json!([])), -32601),
            ("{".into(), -32700),
            ("[]".into(), -32600),
            ("{}".into(), -32600),
        ] {
            assert_eq!(ask(&mut page, &message).await["error"]["code"], code, "{message}");
        }
        // All other peers get the call: the visitor, and another page.
        let mut other = open(&server).await;
        let survey = call(4, "survey", json!(["well?"]));
        let asks = async { Some(ask(&mut page, &survey).await) };
        let answers = async {
            ask(&mut other, &call(5, "add", json!([1, 1]))).await;
            ask(&mut other, r#"{"jsonrpc": "2.0", "method": "nobody waits for this"}"#).await;
            None
        };
        let answers = future::or(asks, answers).await.unwrap();
        let mut answers: Vec<_> =
            answers["result"].as_array().unwrap().iter().map(Value::to_string).collect();
        answers.sort_unstable();
        assert!(answers[0].contains(r#"has heard [\"well?\"]"#), "{answers:?}");
        assert_eq!(answers[1..], [r#"["the page",["well?"]]"#]);

        drop((page, other));
        server.stop(Duration::from_secs(5)).await;
        has_said("again in", 1).await;
    };
    common::run(async {
        let bridge = Bridge::default();
        let again = async {
            future::zip(bridge.serve(&server), script).await;
            // The program restarts on the same port.
            let server = Server::bind(Bind::from(address), config()).unwrap();
            future::or(bridge.serve(&server), has_said("2 + 3 = 5", 2)).await;
        };
        let visitor = async {
            visit(&url, |line| said.borrow_mut().push(line)).await.unwrap();
            panic!("it has nothing more to try: {said:?}");
        };
        future::or(again, visitor).await;
    });
}
