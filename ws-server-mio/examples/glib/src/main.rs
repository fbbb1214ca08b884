//! In GLib, as in a GTK program: the endpoint's descriptor is a source below drawing, and its deadline another.
//!
//! `cargo run`, beside this package's `Cargo.toml`; a port may follow. `GET /ticks` counts the frames of an animation,
//! which no flood delays.

use glib::{ControlFlow, IOCondition, MainLoop, Priority, SourceId};
use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::Duration;
use ws_server_mio::{Bind, Endpoint, Event, Options, ServerConfig, web};

/// The page of the example `calloop`.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../say.html");

struct Host {
    endpoint: Endpoint,
    page: String,
    deadline: Option<SourceId>,
    ticks: u64,
}

fn turn(host: &Rc<RefCell<Host>>) {
    // A handler that runs a dialog nests this loop, which must not begin a turn within the turn.
    let Ok(mut borrowed) = host.try_borrow_mut() else { return };
    let Host { endpoint, page, deadline, ticks } = &mut *borrowed;
    let turned = endpoint.poll(Some(Duration::ZERO), |connections, event| {
        // A peer that has gone needs no response.
        match event {
            Event::Request(id, request) if request.path() == "/" => {
                let _ = connections.respond(id, request, web::html(page.clone()));
            }
            Event::Request(id, request) => {
                let _ = connections.respond(id, request, web::text(ticks.to_string()));
            }
            Event::Message(id, message) => {
                let _ = connections.send(id, message);
            }
            _ => {}
        }
    });
    // The descriptor does not signal deadlines. While work is left, it stays readable, and the loop returns here when
    // nothing more important is pending.
    deadline.take().into_iter().for_each(SourceId::remove);
    if !turned.expect("waiting works").more
        && let Some(timeout) = endpoint.next_timeout()
    {
        let again = host.clone();
        let timeout = timeout + Duration::from_millis(1); // it counts in milliseconds, rounded down
        *deadline = Some(glib::timeout_add_local_full(timeout, Priority::DEFAULT_IDLE, move || {
            let Ok(mut host) = again.try_borrow_mut() else { return ControlFlow::Continue };
            host.deadline = None;
            drop(host);
            turn(&again);
            ControlFlow::Break
        }));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let mut endpoint = Endpoint::with(Options::ui())?;
    let server = endpoint.connections().listen(Bind::localhost().port(port), ServerConfig::new())?;
    println!("glib: {}", endpoint.connections().server(server).http_url("/").unwrap_or_default());

    let descriptor = endpoint.as_fd().as_raw_fd();
    let host = Rc::new(RefCell::new(Host {
        endpoint,
        page: std::fs::read_to_string(PAGE)?,
        deadline: None,
        ticks: 0,
    }));
    turn(&host);
    // GTK draws at the priority HIGH_IDLE + 20. At the default, which is above it, a flood would leave no frame.
    let served = host.clone();
    glib::source::unix_fd_add_local_full(descriptor, Priority::DEFAULT_IDLE, IOCondition::IN, move |_, _| {
        turn(&served);
        ControlFlow::Continue
    });
    glib::timeout_add_local_full(Duration::from_millis(16), Priority::HIGH_IDLE, move || {
        if let Ok(mut host) = host.try_borrow_mut() {
            host.ticks += 1;
        }
        ControlFlow::Continue
    });
    MainLoop::new(None, false).run();
    Ok(())
}
