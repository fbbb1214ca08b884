use std::error::Error;
use std::time::Duration;
use ws_server_mio::{
    Bind, Connections, Endpoint, Event, Frame, Heartbeat, Options, ServerConfig, ServerId, web,
};

struct App {
    clicks: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut app = App { clicks: 0 };
    let mut endpoint = Endpoint::with(Options::ui())?;
    let config = ServerConfig::new()
        .decide_upgrades(true)
        .heartbeat(Heartbeat::server().idle(Duration::from_secs(60)));
    let server = endpoint.connections().listen(Bind::localhost(), config)?; // start
    println!("{}", endpoint.connections().server(server).url("/ws").unwrap_or_default()); // getUrl

    // Your window's loop: the callbacks run only in `poll`, on this thread.
    loop {
        endpoint.poll(Some(Duration::from_millis(16)), |connections, event| {
            app.on(connections, server, event);
        })?;
        // input, drawing
    }
}

impl App {
    fn on(&mut self, connections: &mut Connections, server: ServerId, event: Event<'_>) {
        match event {
            // httpServer: the page, on the same port
            Event::Request(id, request) => {
                let _ = connections.respond(id, request, web::html("<h1>hello</h1>"));
            }
            // onUpgrade: inspect the request, then accept or reject it
            Event::Upgrade(id, upgrade) if upgrade.path() == "/ws" => {
                let _ = connections.accept(id, upgrade);
            }
            Event::Upgrade(id, upgrade) => {
                let _ = connections.respond(id, upgrade, web::not_found());
            }
            // onOpen
            Event::Open(id, _) => {
                let count = connections.server(server).count();
                let _ = connections.send(id, format!("you are one of {count}"));
            }
            // onMessage
            Event::Message(_, message) => {
                self.clicks += 1;
                let text = format!("{}: {}", self.clicks, message.as_text().unwrap_or("bytes"));
                connections.broadcast(&Frame::text(text)); // publish
            }
            // onClose, onClosed and onError are one event, the last one of its connection
            Event::Closed(id, closed) if closed.was_open => eprintln!("{id}: {closed}"),
            _ => {}
        }
    }
}
