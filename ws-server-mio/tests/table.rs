//! The table "What it can do" of the README: each of its rows has its test, and all its names exist.
#![cfg(unix)] // as some of the names are
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use ws_server_mio::ws_proto::{self, Event as Happened, Reconnect};
use ws_server_mio::*;

const README: &str = include_str!("../../README.md");

/// A row: its number, its names, and where its test is.
struct Row {
    number: usize,
    names: Vec<String>,
    test: String,
}

/// The rows of the table.
fn rows() -> Vec<Row> {
    let table = README.split("## What it can do").nth(1).unwrap().split("\n## ").next().unwrap();
    table
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let number = cells[0].parse().ok()?;
            assert_eq!(cells.len(), 5, "{line}");
            let names = cells[2].split('`').skip(1).step_by(2).flat_map(unfold).collect();
            Some(Row { number, names, test: cells[4].to_owned() })
        })
        .collect()
}

/// `A::{b, c}` is `A::b` and `A::c`.
fn unfold(name: &str) -> Vec<String> {
    match name.strip_suffix('}').and_then(|name| name.split_once('{')) {
        None => vec![name.to_owned()],
        Some((path, last)) => last.split(',').map(|last| format!("{path}{}", last.trim())).collect(),
    }
}

#[test]
fn each_row_of_the_table_links_to_the_one_test_that_is_named_after_it() {
    let rows = rows();
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), (1..=23).collect::<Vec<_>>());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for row in rows {
        let name = format!("row_{:02}", row.number);
        let link = row.test.strip_prefix(&format!("[`{name}`](")).and_then(|link| link.strip_suffix(')'));
        let file = root.join(link.unwrap_or_else(|| panic!("row {} links to no test", row.number)));
        let tests = std::fs::read_to_string(&file).unwrap();
        assert_eq!(tests.matches(&format!("#[test]\nfn {name}_")).count(), 1, "{name} in {file:?}");
        let module = format!("mod {};", file.file_stem().unwrap().to_str().unwrap());
        let main = std::fs::read_to_string(file.with_file_name("main.rs")).unwrap();
        assert!(main.lines().any(|line| line == module), "{file:?} is compiled");
    }
}

/// Names, each with a use of it that the compiler checks. None of it is run.
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
        "Connections::listen": |c: C<'_>| c.listen(Bind::any(), Config::server());
        "Connections::listen_on": |c: C<'_>, l: std::net::TcpListener| c.listen_on(l, Config::server());
        "Bind::localhost": Bind::localhost;
        "Bind::lan": Bind::lan;
        "Bind::any": Bind::any;
        "Bind::default": Bind::default;
        "Bind::unix": || Bind::unix("/run/app");
        "Bind::port": Bind::port;
        "Bind::port_range": Bind::port_range;
        "ListenError": |error: ListenError| error.to_string();
        "Connections::stop": |c: C<'_>, server: ServerId| c.stop(server, NOW);
        "Event::Stopping": |event: Event<'_>| matches!(event, Event::Stopping(_));
        "Event::Stopped": |event: Event<'_>| matches!(event, Event::Stopped(_));
        "Extension::observe": |e: &mut dyn Extension, c: C<'_>, event: Event<'_>| e.observe(c, &event);
        "Endpoint::poll": |endpoint: &mut Endpoint| endpoint.poll(Some(NOW), |_, _| {});
        "Endpoint::next_timeout": |endpoint: &mut Endpoint| endpoint.next_timeout();
        "Endpoint::watch": |endpoint: &mut Endpoint| endpoint.watch(|| {});
        "Endpoint::set_budget": |endpoint: &mut Endpoint| endpoint.set_budget(Budget::ui());
        "Options::ui": Options::ui;
        "Budget": |budget: Budget| budget.time;
        "Turn": |turn: Turn| turn.more;
        "Event::Request": |event: Happened<'_>| matches!(event, Happened::Request(_));
        "Connections::respond": |c: C<'_>, id: Id, r: Request| c.respond(id, r, http::Response::default());
        "Connections::respond_streaming":
            |c: C<'_>, id: Id, r: Request| c.respond_streaming(id, r, http::Response::new(()), None);
        "Connections::respond_file": |c: C<'_>, id: Id, r: Request, f: &Folder| c.respond_file(id, r, f);
        "Folder": |folder: Folder| folder;
        "ws_proto::web": ws_proto::web::sse::head;
        "Event::Upgrade": |event: Happened<'_>| matches!(event, Happened::Upgrade(_));
        "Upgrade": |upgrade: &mut Upgrade| upgrade.select_subprotocol("chat");
        "Connections::accept": |c: C<'_>, id: Id, upgrade: Upgrade| c.accept(id, upgrade);
        "Event::Open": |event: Happened<'_>| matches!(event, Happened::Open(_));
        "Event::Message": |event: Happened<'_>| matches!(event, Happened::Message(_));
        "Event::Piece": |event: Happened<'_>| matches!(event, Happened::Piece(_));
        "Config::pieces": Config::pieces;
        "Extension::filter": |e: &mut dyn Extension, c: C<'_>, event: Event<'_>| e.filter(c, event).is_some();
        "Connections::set_extension": |c: C<'_>, e: Nothing| c.set_extension(e);
        "Closed::code": |closed: Closed| closed.code;
        "Closed::reason": |closed: Closed| closed.reason;
        "Event::Closed": |event: Happened<'_>| matches!(event, Happened::Closed(_));
        "Config::tell_every_end": Config::tell_every_end;
        "Closed::error": |closed: Closed| closed.error;
        "Connections::send": |c: C<'_>, id: Id, frame: &Frame| c.send(id, frame);
        "Connections::send_text": |c: C<'_>, id: Id| c.send_text(id, "");
        "Connections::send_binary": |c: C<'_>, id: Id| c.send_binary(id, vec![]);
        "Connections::send_message": |c: C<'_>, id: Id, m: Message<'_>| c.send_message(id, m);
        "Sent": |sent: Sent| sent == Sent::Congested;
        "SendError": |error: SendError| error == SendError::Full;
        "Frame::raw": || Frame::raw(Opcode::Text, true, "");
        "Connections::broadcast": |c: C<'_>, frame: &Frame| c.broadcast(frame, |_| true);
        "Connections::send_to": |c: C<'_>, id: Id, frame: &Frame| c.send_to(frame, [id]);
        "Connections::subscribe": |c: C<'_>, id: Id| c.subscribe(id, "topic");
        "Connections::publish": |c: C<'_>, frame: &Frame| c.publish("topic", frame);
        "Connections::broadcast_with":
            |c: C<'_>, frame: &Frame, slow: SlowPeer<'_>| c.broadcast_with(frame, slow, |_| true);
        "Connections::send_to_with":
            |c: C<'_>, id: Id, frame: &Frame, slow: SlowPeer<'_>| c.send_to_with(frame, slow, [id]);
        "Connections::publish_with":
            |c: C<'_>, frame: &Frame, slow: SlowPeer<'_>| c.publish_with("topic", frame, slow);
        "SlowPeer": |slow: SlowPeer<'_>| matches!(slow, SlowPeer::Close);
        "Connections::close": |c: C<'_>, id: Id| c.close(id, CloseCode::NORMAL, "");
        "Connections::terminate": Connections::terminate;
        "Connections::state": Connections::state;
        "Connections::peer_addr": Connections::peer_addr;
        "Connections::local_addr_of": Connections::local_addr_of;
        "Connections::server_of": Connections::server_of;
        "Connections::queued": Connections::queued;
        "Connections::latency": Connections::latency;
        "Connections::set_data": Connections::set_data::<u8>;
        "Connections::data": |c: C<'_>, id: Id| c.data::<u8>(id).copied();
        "Connections::data_mut": |c: C<'_>, id: Id| c.data_mut::<u8>(id).copied();
        "Connections::take_data": Connections::take_data::<u8>;
        "Connections::count": Connections::count;
        "Connections::http_count": Connections::http_count;
        "Connections::stats": Connections::stats;
        "Connections::local_addr": Connections::local_addr;
        "Connections::url": Connections::url;
        "Connections::http_url": Connections::http_url;
        "Connections::lan_url": Connections::lan_url;
        "Connections::lan_http_url": Connections::lan_http_url;
        "Connections::urls": Connections::urls;
        "Config::heartbeat": Config::heartbeat;
        "Heartbeat::server": Heartbeat::server;
        "Heartbeat::live": Heartbeat::live;
        "Heartbeat::off": Heartbeat::off;
        "Heartbeat::kind": Heartbeat::kind;
        "Heartbeat::interval": Heartbeat::interval;
        "Heartbeat::answer": Heartbeat::answer;
        "Heartbeat::payload": |heartbeat: Heartbeat| heartbeat.payload("");
        "Connections::connect": |c: C<'_>| c.connect("ws://localhost/", Config::client());
        "Connections::disconnect": Connections::disconnect;
        "Connections::reconnect": Connections::reconnect;
        "Connections::remove": Connections::remove;
        "Connections::set_request": |c: C<'_>, client: ClientId| c.set_request(client, "ws://localhost/");
        "Connections::connection_of": Connections::connection_of;
        "Connections::client_of": Connections::client_of;
        "Connections::client_state": Connections::client_state;
        "ClientConfig": ClientConfig::default;
        "Reconnect": Reconnect::default;
        "Event::ConnectFailed": |event: Event<'_>| matches!(event, Event::ConnectFailed { .. });
        "Event::Reconnecting": |event: Event<'_>| matches!(event, Event::Reconnecting { .. });
        "Heartbeat::client": Heartbeat::client;
        "Connections::set_client_config":
            |c: C<'_>, client: ClientId| c.set_client_config(client, Config::client());
        "ws_proto::handshake::key": ws_proto::handshake::key;
        "ws_proto::handshake::accept_key": ws_proto::handshake::accept_key;
        "ws_proto::handshake::verify": ws_proto::handshake::verify;
    }
}

struct Nothing;

impl Extension for Nothing {}

#[test]
fn each_name_in_the_table_exists() {
    let told: BTreeSet<_> = rows().into_iter().flat_map(|row| row.names).collect();
    let exist = names();
    assert_eq!(told.difference(&exist).collect::<Vec<_>>(), [""; 0], "told, and not shown to exist");
    assert_eq!(exist.difference(&told).collect::<Vec<_>>(), [""; 0], "here, and not told any more");
}
