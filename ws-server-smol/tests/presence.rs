//! Presence: the handler of a close can notify the other subscribers of its topics.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

mod common;
use common::{connected, once, run, text};
use futures_lite::future;
use socket2::SockRef;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use ws_server_smol::{
    Bind, ClientConfig, CloseCode, Closed, ConnectionId, Extension, Frame, HttpConnection, Incoming, Server,
    ServerConfig, Socket, TopicError, WebSocket, connect, http,
};

/// What can be seen of a connection that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Left {
    topics: Vec<String>,
    /// Subscribers of "room", and of "own", which has no other.
    subscribers: [usize; 2],
    /// How many received what was published to each.
    reached: [usize; 2],
}

/// Inspects the topics, and notifies the other subscribers.
fn leave(server: &Server, id: ConnectionId) -> Left {
    let mut topics = server.topics().of(id);
    topics.sort();
    assert_eq!(server.topics().subscribe(id, "late"), Err(TopicError::NotOpen));
    let subscribers = ["room", "own"].map(|topic| {
        let all = server.topics().subscribers(topic);
        assert!(!all.contains(&id));
        all.len()
    });
    let left = Frame::text(format!("{id} left"));
    Left { topics, subscribers, reached: ["room", "own"].map(|topic| server.topics().publish(topic, &left)) }
}

fn expected() -> Left {
    let topics = ["own", "room"].map(str::to_owned).to_vec();
    Left { topics, subscribers: [1, 0], reached: [1, 0] }
}

#[derive(Clone, Default)]
struct Before(Arc<Mutex<Vec<(ConnectionId, Left)>>>);

impl Extension for Before {
    fn closed(&mut self, server: &Server, id: ConnectionId, _: &Closed) {
        self.0.lock().unwrap().push((id, leave(server, id)));
    }
}

/// Ends one of two connections; returns what the extension, and then its owner, see.
fn end(name: &str, end: impl AsyncFn(&Server, WebSocket<Socket>, ConnectionId)) {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    let before = Before::default();
    server.set_extension(before.clone()).unwrap();
    run(async {
        let (client, mut ws) = connected(&server, ClientConfig::new()).await;
        let (mut other_client, mut other) = connected(&server, ClientConfig::new()).await;
        let (id, other_id) = (ws.id(), other.id());
        for (id, topic) in [(id, "room"), (id, "own"), (other_id, "room")] {
            server.topics().subscribe(id, topic).unwrap();
        }
        let owner = async {
            while ws.next_event().await.is_some() {}
            assert_eq!(leave(&server, id), expected(), "{name}");
            assert_eq!(server.topics().of(id).len(), 2, "{name}: until it is dropped");
            drop(ws);
            assert_eq!(server.topics().of(id), [""; 0], "{name}");
            assert_eq!(server.topics().subscribers("room"), [other_id]);
        };
        future::zip(owner, end(&server, client, id)).await;
        assert_eq!(*before.0.lock().unwrap(), [(id, expected())], "{name}");
        other.flush().await.unwrap();
        for _ in 0..2 {
            assert_eq!(text(&mut other_client).await, format!("{id} left"), "{name}");
        }
    });
}

#[test]
fn topics_are_known_when_a_close_is_reported_however_it_ends() {
    end("the peer's close", async |_, mut client, _| {
        client.close(CloseCode::NORMAL, "").await.unwrap();
    });
    end("our close, answered", async |server, mut client, id| {
        server.close(id, CloseCode::NORMAL, "").unwrap();
        while client.next().await.is_some() {}
    });
    end("a reset", async |_, client, _| {
        SockRef::from(client.get_ref().unwrap()).set_linger(Some(Duration::ZERO)).unwrap();
        client.sender().terminate();
        drop(client);
    });
    end("terminate", async |server, client, id| {
        server.terminate(id);
        drop(client);
    });
    end("the end of the stream", async |_, client, _| {
        client.sender().terminate();
        drop(client);
    });
}

#[test]
fn a_stop_leaves_the_topics_of_cut_connections_to_their_owners() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(async {
        let (_client, mut ws) = connected(&server, ClientConfig::new()).await;
        let id = ws.id();
        server.topics().subscribe(id, "room").unwrap();
        server.stop(Duration::ZERO).await;
        assert_eq!(server.topics().of(id), ["room"]);
        assert_eq!(server.topics().subscribers("room"), []);
        while ws.next().await.is_some() {}
        assert_eq!(server.topics().of(id), ["room"]);
        drop(ws);
        assert_eq!(server.topics().of(id), [""; 0]);
    });
}

#[test]
fn a_dropped_websocket_has_presence_for_the_extension() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    let before = Before::default();
    server.set_extension(before.clone()).unwrap();
    run(async {
        let (_client, ws) = connected(&server, ClientConfig::new()).await;
        let (_other_client, other) = connected(&server, ClientConfig::new()).await;
        let id = ws.id();
        for (id, topic) in [(id, "room"), (id, "own"), (other.id(), "room")] {
            server.topics().subscribe(id, topic).unwrap();
        }
        drop(ws);
        assert_eq!(*before.0.lock().unwrap(), [(id, expected())]);
        assert_eq!(server.topics().of(id), [""; 0]);
    });
}

#[test]
fn a_rejected_upgrade_has_no_topics() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(async {
        let refuse = async {
            let mut http: HttpConnection<Socket> = server.accept().await.unwrap();
            let Some(Incoming::Upgrade(upgrade)) = http.next().await else { panic!("no upgrade") };
            let id = http.id();
            assert_eq!(server.topics().subscribe(id, "room"), Err(TopicError::NotOpen));
            let mut answer = http::Response::new("not you".into());
            *answer.status_mut() = http::StatusCode::FORBIDDEN;
            http.respond(upgrade, answer).await.unwrap();
            assert!(http.next().await.is_none());
            assert_eq!(server.topics().of(id), [""; 0]);
        };
        let client = connect(server.url("/").unwrap(), ClientConfig::new());
        let (_, refused) = future::zip(refuse, client).await;
        assert_eq!(refused.unwrap_err().response().unwrap().status(), http::StatusCode::FORBIDDEN);
    });
}

#[test]
fn a_closing_websocket_is_subscribed_but_receives_nothing() {
    let server = Server::bind(Bind::localhost(), ServerConfig::new()).unwrap();
    run(async {
        let (_client, mut ws) = connected(&server, ClientConfig::new()).await;
        server.topics().subscribe(ws.id(), "room").unwrap();
        ws.start_close(CloseCode::NORMAL, "").unwrap();
        assert!(once(pin!(ws.next())).await.is_pending());
        assert_eq!(server.topics().subscribers("room"), [ws.id()]);
        assert_eq!(server.topics().publish("room", &Frame::text("late")), 0);
    });
}
