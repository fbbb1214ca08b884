//! The table "What it can do" of the README: each of its rows has its test, and all its names exist.
#![cfg(unix)] // as some of the names are
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::collections::BTreeSet;
use std::time::Duration;
use ws_host::client::Reconnect;
use ws_kit::table;
use ws_server_mio::*;
use ws_server_mio::{ClientConfig, ServerConfig};

#[test]
fn each_row_of_the_table_links_to_its_test() {
    table::each_row_has_its_test("mio");
}

/// Names, each with a use that the compiler checks. None of it runs.
macro_rules! names {
    ($($name:literal: $use:expr;)*) => {{
        $(let _ = $use;)*
        BTreeSet::from([$($name.to_owned()),*])
    }};
}

type C<'c> = &'c mut Connections;
type Id = ConnectionId;

fn names() -> BTreeSet<String> {
    const NOW: Duration = Duration::ZERO;
    names! {
        "Connections::listen": |c: C<'_>| c.listen(Bind::any(), ServerConfig::new());
        "Connections::listen_on": |c: C<'_>, l: std::net::TcpListener| c.listen_on(l, ServerConfig::new());
        "Bind::localhost": Bind::localhost;
        "Bind::lan": Bind::lan;
        "Bind::any": Bind::any;
        "Bind::default": Bind::default;
        "Bind::unix": || Bind::unix("/run/app");
        "Bind::port": Bind::port;
        "Bind::port_range": Bind::port_range;
        "ListenError": |error: ListenError| error.to_string();
        "Connections::server": |c: C<'_>, server: ServerId| c.server(server).id();
        "ServerHandle::stop": ServerHandle::stop;
        "ServerHandle::stop_with": ServerHandle::stop_with;
        "Stop": |stop: Stop| stop.spread(NOW);
        "Event::Stopping": |event: Event<'_>| matches!(event, Event::Stopping(_));
        "Event::Stopped": |event: Event<'_>| matches!(event, Event::Stopped(_));
        "Extension::observe": |e: &mut dyn Extension, c: C<'_>, event: Event<'_>| e.observe(c, &event);
        "Endpoint::poll": |endpoint: &mut Endpoint| endpoint.poll(Some(NOW), |_, _| {});
        "Endpoint::next_timeout": |endpoint: &mut Endpoint| endpoint.next_timeout();
        "Endpoint::watch": |endpoint: &mut Endpoint| endpoint.watch(|| {});
        "Endpoint::set_budget": |endpoint: &mut Endpoint| endpoint.set_budget(Budget::ui());
        "Options::ui": Options::ui;
        "Budget": |budget: Budget| budget.get_time();
        "Turn": |turn: Turn| turn.more;
        "Event::Request": |event: Event<'_>| matches!(event, Event::Request(..));
        "Event::Body": |event: Event<'_>| matches!(event, Event::Body(..));
        "ServerConfig::stream_bodies": |config: ServerConfig| config.stream_bodies("/", 1);
        "Connections::respond": |c: C<'_>, id: Id, r: Request| c.respond(id, r, http::Response::default());
        "Connections::respond_streaming":
            |c: C<'_>, id: Id, r: Request| c.respond_streaming(id, r, http::Response::new(()), None);
        "Connections::respond_file": |c: C<'_>, id: Id, r: Request, f: &Folder| c.respond_file(id, r, f);
        "Folder": |folder: Folder| folder;
        "web": web::sse::head;
        "Event::Upgrade": |event: Event<'_>| matches!(event, Event::Upgrade(..));
        "Upgrade": |upgrade: &mut Upgrade| upgrade.select_subprotocol("chat");
        "Connections::accept": |c: C<'_>, id: Id, upgrade: Upgrade| c.accept(id, upgrade);
        "Event::Open": |event: Event<'_>| matches!(event, Event::Open(..));
        "Event::Message": |event: Event<'_>| matches!(event, Event::Message(..));
        "Connections::pause": Connections::pause;
        "Connections::resume": Connections::resume;
        "Connections::couple": |c: C<'_>, a: Id, b: ClientId| c.couple(a, b);
        "Event::Fragment": |event: Event<'_>| matches!(event, Event::Fragment(..));
        "ServerConfig::delivery": ServerConfig::delivery;
        "Extension::filter": |e: &mut dyn Extension, c: C<'_>, event: Event<'_>| e.filter(c, event).is_some();
        "Connections::set_extension": |c: C<'_>, e: Nothing| c.set_extension(e);
        "Closed::code": |closed: Closed| closed.code;
        "Closed::reason": |closed: Closed| closed.reason;
        "Event::Closed": |event: Event<'_>| matches!(event, Event::Closed(..));
        "ServerConfig::report_all_closes": ServerConfig::report_all_closes;
        "Closed::error": |closed: Closed| closed.error;
        "Connections::send": |c: C<'_>, id: Id, frame: &Frame| c.send(id, frame);
        "Sent": |sent: Sent| sent == Sent::Congested;
        "SendError": |error: SendError| error == SendError::Full;
        "Frame::raw": || Frame::raw(Opcode::Text, true, "");
        "Connections::broadcast": |c: C<'_>, frame: &Frame| c.broadcast(frame);
        "Connections::broadcast_where": |c: C<'_>, frame: &Frame| c.broadcast_where(frame, |_, _| true);
        "Topics::send_to": |mut c: Topics<'_>, id: Id, frame: &Frame| c.send_to(frame, [id]);
        "Topics::subscribe": |mut c: Topics<'_>, id: Id| c.subscribe(id, "topic");
        "Topics::publish": |mut c: Topics<'_>, frame: &Frame| c.publish("topic", frame);
        "Topics::broadcast_with":
            |c: C<'_>, frame: &Frame, slow: SlowPeer<'_>| c.topics().broadcast_with(frame, slow, |_, _| true);
        "Topics::send_to_with":
            |mut c: Topics<'_>, id: Id, frame: &Frame, slow: SlowPeer<'_>| c.send_to_with(frame, slow, [id]);
        "Topics::publish_with":
            |mut c: Topics<'_>, frame: &Frame, slow: SlowPeer<'_>| c.publish_with("topic", frame, slow);
        "SlowPeer": |slow: SlowPeer<'_>| matches!(slow, SlowPeer::Close);
        "Connections::close": |c: C<'_>, id: Id| c.close(id, CloseCode::NORMAL, "");
        "Connections::terminate": Connections::terminate;
        "Connections::state": Connections::state;
        "Connections::peer_addr": Connections::peer_addr;
        "Connections::transport_addr": Connections::transport_addr;
        "Connections::local_addr": Connections::local_addr;
        "Connections::server_of": Connections::server_of;
        "Connections::queued": Connections::queued;
        "Connections::latency": Connections::latency;
        "Connections::set_data": Connections::set_data::<u8>;
        "Connections::data": |c: C<'_>, id: Id| c.data::<u8>(id).copied();
        "Connections::data_mut": |c: C<'_>, id: Id| c.data_mut::<u8>(id).copied();
        "Connections::take_data": Connections::take_data::<u8>;
        "ServerHandle::count": ServerHandle::count;
        "ServerHandle::http_count": ServerHandle::http_count;
        "Connections::stats": Connections::stats;
        "ServerHandle::local_addr": ServerHandle::local_addr;
        "ServerHandle::url": ServerHandle::url;
        "ServerHandle::http_url": ServerHandle::http_url;
        "ServerHandle::lan_url": ServerHandle::lan_url;
        "ServerHandle::lan_http_url": ServerHandle::lan_http_url;
        "ServerHandle::urls": ServerHandle::urls;
        "ServerConfig::heartbeat": ServerConfig::heartbeat;
        "Heartbeat::server": Heartbeat::server;
        "Heartbeat::frequent": Heartbeat::frequent;
        "Heartbeat::off": Heartbeat::off;
        "Heartbeat::kind": Heartbeat::kind;
        "Heartbeat::idle": Heartbeat::idle;
        "Heartbeat::pong_timeout": Heartbeat::pong_timeout;
        "Heartbeat::payload": |heartbeat: Heartbeat| heartbeat.payload("");
        "Connections::connect": |c: C<'_>| c.connect("ws://localhost/", ClientConfig::new());
        "ClientHandle::disconnect": ClientHandle::disconnect;
        "ClientHandle::reconnect": ClientHandle::reconnect;
        "ClientHandle::remove": ClientHandle::remove;
        "ClientHandle::set_request": |mut c: ClientHandle<'_>| c.set_request("ws://localhost/");
        "ClientHandle::connection": ClientHandle::connection;
        "Connections::client_of": Connections::client_of;
        "ClientHandle::state": ClientHandle::state;
        "ClientConfig": ClientConfig::default;
        "Reconnect": Reconnect::default;
        "Event::ConnectFailed": |event: Event<'_>| matches!(event, Event::ConnectFailed { .. });
        "Event::Reconnecting": |event: Event<'_>| matches!(event, Event::Reconnecting { .. });
        "Heartbeat::client": Heartbeat::client;
        "ClientHandle::set_config": |mut c: ClientHandle<'_>| c.set_config(ClientConfig::new());
        "handshake::key": handshake::key;
        "handshake::accept_key": handshake::accept_key;
        "handshake::verify": handshake::verify;
    }
}

struct Nothing;

impl Extension for Nothing {}

#[test]
fn each_name_in_the_table_exists() {
    table::each_name_is_listed_and_exists("mio", &names());
}
