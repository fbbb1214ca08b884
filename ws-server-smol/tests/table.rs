//! The table "What it can do" of the README, for this crate: each of its rows has its test, and all its names exist.
//! And its async example is the compiled one.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use ws_kit::table;
use ws_server_smol::ClientConfig;
use ws_server_smol::Event;
use ws_server_smol::ServerConfig;
use ws_server_smol::*;

#[test]
fn each_row_of_the_table_links_to_its_test() {
    table::each_row_has_its_test("smol");
}

#[test]
fn the_async_example_of_the_main_readme_is_compiled() {
    let example = |readme: &str, fence: &str| {
        let example = readme.split(fence).nth(1).unwrap().split("```").next().unwrap();
        assert!(example.contains(".serve(async"));
        example.to_owned()
    };
    let compiled = example(&table::file("ws-server-smol/README.md"), "```rust,no_run\n");
    assert_eq!(example(&table::file("README.md"), "```rust,ignore\n"), compiled);
}

/// Names, each with a use that the compiler checks. None of it runs.
macro_rules! names {
    ($($name:literal: $use:expr;)*) => {{
        $(let _ = $use;)*
        BTreeSet::from([$($name.to_owned()),*])
    }};
}

type S<'s> = &'s Server;
type Ws<'w> = &'w mut WebSocket<Socket>;
type Http<'h> = &'h mut HttpConnection<Socket>;
type C<'c> = &'c mut Client;
type Id = ConnectionId;

fn names() -> BTreeSet<String> {
    const NOW: Duration = Duration::ZERO;
    names! {
        "Server::new": || Server::new(ServerConfig::new());
        "Server::bind": || Server::bind(Bind::any(), ServerConfig::new());
        "Server::listen": |s: S<'_>| s.listen(Bind::any());
        "Server::listen_on": |s: S<'_>, l: std::net::TcpListener| s.listen_on(l);
        "Server::stop": |s: S<'_>| drop(s.stop(NOW));
        "Server::stop_with": |s: S<'_>| drop(s.stop_with(Stop::within(NOW)));
        "Stop": || Stop::within(NOW).spread(NOW);
        "Server::before_stop": |s: S<'_>| s.before_stop(|_| {});
        "Extension::stopping": |e: &mut dyn Extension, s: S<'_>| e.stopping(s);
        "UiDriver::new": || UiDriver::new(async {}, || {});
        "UiDriver::ticking": || UiDriver::ticking(async || {}, || {});
        "UiDriver::turn": |ui: &mut UiDriver<'_>| ui.turn(NOW);
        "Turn": |turn: Turn| turn.more;
        "Incoming::Request": |incoming: Incoming| matches!(incoming, Incoming::Request(_));
        "HttpConnection::body": |a: Http<'_>, r: &Request| { a.body(r); };
        "BodyReader": |mut body: BodyReader<'_>| drop(body.next());
        "HttpConnection::respond": |a: Http<'_>, r: Request| drop(a.respond(r, http::Response::default()));
        "HttpConnection::respond_streaming": |a: Http<'_>, r: Request| a.respond_streaming(r, http::Response::new(()), None);
        "HttpConnection::respond_file": |a: Http<'_>, r: Request, f: &Folder| drop(a.respond_file(r, f));
        "HttpConnection::responder": |a: Http<'_>| a.responder();
        "Responder": |responder: Responder, r: Request| responder.respond(r, http::Response::default());
        "Body": |body: Body| body.finish();
        "Incoming::Upgrade": |incoming: Incoming| matches!(incoming, Incoming::Upgrade(_));
        "HttpConnection::accept": |a: HttpConnection<Socket>, upgrade: Upgrade| drop(a.accept(upgrade));
        "HttpConnection::next_upgrade": |a: Http<'_>| drop(a.next_upgrade());
        "HttpConnection::upgrade": |a: HttpConnection| drop(a.upgrade());
        "HttpConnection::upgrade_or": |a: HttpConnection| drop(a.upgrade_or(async |_: &Request| None));
        "WebSocket": |ws: Ws<'_>| ws.response().status();
        "WebSocket::next": |ws: Ws<'_>| drop(ws.next());
        "WebSocket::pause": |ws: Ws<'_>| ws.pause();
        "WebSocket::resume": |ws: Ws<'_>| ws.resume();
        "Server::pause": |s: S<'_>, id: Id| s.pause(id);
        "Server::resume": |s: S<'_>, id: Id| s.resume(id);
        "couple": async |a: Ws<'_>, b: Ws<'_>| couple(a, b).await.0.is_some();
        "WebSocket::next_event": |ws: Ws<'_>| drop(ws.next_event());
        "Extension::filter": |e: &mut dyn Extension, s: S<'_>, id: Id, event: Event<'static>| e.filter(s, id, event);
        "Server::set_extension": |s: S<'_>, e: Nothing| s.set_extension(e);
        "WebSocket::closed": |ws: Ws<'_>| ws.closed().is_some();
        "Extension::closed": |e: &mut dyn Extension, s: S<'_>, id: Id, closed: &Closed| e.closed(s, id, closed);
        "HttpConnection::closed": |a: Http<'_>| a.closed().is_some();
        "WebSocket::send": |ws: Ws<'_>| drop(ws.send("text"));
        "WebSocket::try_send": |ws: Ws<'_>| ws.try_send(vec![0]);
        "Sender::send": |sender: &Sender| drop(sender.send("text"));
        "Sender::try_send": |sender: &Sender, m: Message<'static>| sender.try_send(m);
        "Server::send": |s: S<'_>, id: Id, frame: &Frame| s.send(id, frame);
        "Outgoing": |frame: Frame| Outgoing::from(frame);
        "Server::broadcast": |s: S<'_>, frame: &Frame| s.broadcast(frame);
        "Server::broadcast_where": |s: S<'_>, frame: &Frame| s.broadcast_where(frame, |_| true);
        "Server::topics": |s: S<'_>| drop(s.topics().of(s.ids()[0]));
        "Topics::send_to": |s: S<'_>, id: Id, frame: &Frame| s.topics().send_to(frame, [id]);
        "Topics::subscribe": |s: S<'_>, id: Id| s.topics().subscribe(id, "topic");
        "Topics::publish": |s: S<'_>, frame: &Frame| s.topics().publish("topic", frame);
        "Topics::broadcast_with": |s: S<'_>, frame: &Frame, slow: SlowPeer<'_>| s.topics().broadcast_with(frame, slow, |_| true);
        "Topics::send_to_with": |s: S<'_>, id: Id, frame: &Frame, slow: SlowPeer<'_>| s.topics().send_to_with(frame, slow, [id]);
        "Topics::publish_with": |s: S<'_>, frame: &Frame, slow: SlowPeer<'_>| s.topics().publish_with("topic", frame, slow);
        "Server::close": |s: S<'_>, id: Id| s.close(id, CloseCode::NORMAL, "");
        "Server::terminate": Server::terminate;
        "WebSocket::close": |ws: Ws<'_>| drop(ws.close(CloseCode::NORMAL, ""));
        "WebSocket::start_close": |ws: Ws<'_>| ws.start_close(CloseCode::NORMAL, "");
        "Server::state": Server::state;
        "Server::peer_addr": Server::peer_addr;
        "Server::transport_addr": Server::transport_addr;
        "Server::local_addr_of": Server::local_addr_of;
        "Server::queued": Server::queued;
        "Server::latency": Server::latency;
        "Server::sender": Server::sender;
        "Server::count": Server::count;
        "Server::http_count": Server::http_count;
        "Server::stats": Server::stats;
        "Server::local_addr": Server::local_addr;
        "Server::url": Server::url;
        "Server::http_url": Server::http_url;
        "Server::lan_url": Server::lan_url;
        "Server::lan_http_url": Server::lan_http_url;
        "Server::urls": Server::urls;
        "Server::set_config": |s: S<'_>| s.set_config(ServerConfig::new());
        "connect": || drop(connect("ws://localhost/", ClientConfig::new()));
        "handshake": |socket: Socket| drop(handshake(socket, "ws://localhost/", Arc::new(Config::client())));
        "Client::new": || Client::new("ws://localhost/", ClientConfig::new());
        "Client::with_connector": || Client::with_connector("wss://localhost/", ClientConfig::new(), async |_| Err::<Socket, _>(std::io::ErrorKind::Other.into())).is_ok();
        "Client::connect": |c: C<'_>| drop(c.connect());
        "Client::disconnect": |c: C<'_>| drop(c.disconnect());
        "Client::next_connection": |c: C<'_>| drop(c.next_connection());
        "Client::next_event": |c: C<'_>| drop(c.next_event());
        "Client::set_request": |c: C<'_>| c.set_request("ws://localhost/");
        "Client::websocket": |c: C<'_>| c.websocket().is_some();
        "Client::state": |c: C<'_>| c.state();
        "ClientEvent": |event: ClientEvent<'_>| matches!(event, ClientEvent::Connecting);
        "Client::set_config": |c: C<'_>| c.set_config(ClientConfig::new());
    }
}

struct Nothing;

impl Extension for Nothing {}

#[test]
fn each_name_in_the_table_exists() {
    table::each_name_is_listed_and_exists("smol", &names());
}
