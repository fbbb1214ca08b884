use std::error::Error;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};
use ws_proto::http::{Response, StatusCode, header};
use ws_proto::{Clock, CloseCode, Config, Connection, Event, Frame, IoAction, Moment, State, handshake};

static CLOCK: LazyLock<Clock> = LazyLock::new(|| Clock::new(std::time::Instant::now()));

fn now() -> Moment {
    CLOCK.moment(std::time::Instant::now())
}

struct Room {
    config: Arc<Config>,
    messages: broadcast::Sender<Frame>,
    stop: watch::Sender<Option<Instant>>, // the deadline
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Arc::new(Config::server());
    let room = Room { config, messages: broadcast::Sender::new(64), stop: watch::Sender::new(None) };
    let room = Arc::new(room);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/ws", listener.local_addr()?);
    let mut ctrl_c = pin!(tokio::signal::ctrl_c());
    loop {
        let (stream, _) = tokio::select! {
            biased;
            _ = &mut ctrl_c => break,
            accepted = listener.accept() => accepted?,
        };
        stream.set_nodelay(true)?;
        tokio::spawn(drive(stream, room.clone(), room.stop.subscribe()));
    }
    drop(listener);
    room.stop.send_replace(Some(Instant::now() + Duration::from_secs(2)));
    room.stop.closed().await; // every task has dropped its receiver
    Ok(())
}

fn handle(conn: &mut Connection, event: Event<'_>, room: &Room, messages: &mut broadcast::Receiver<Frame>) {
    let result = match event {
        Event::Request(request) => {
            let response = match request.path() {
                "/" => {
                    let mut page = Response::new("<h1>hello</h1>".into());
                    let html = header::HeaderValue::from_static("text/html; charset=utf-8");
                    page.headers_mut().insert(header::CONTENT_TYPE, html);
                    page
                }
                "/ws" => handshake::upgrade_required(),
                _ => not_found(),
            };
            conn.respond(now(), request, response)
        }
        Event::Upgrade(upgrade) if upgrade.path() == "/ws" => conn.accept(now(), upgrade),
        Event::Upgrade(upgrade) => conn.respond(now(), upgrade, not_found()),
        Event::Open(_) => {
            *messages = room.messages.subscribe(); // messages sent before it joined are not for it
            Ok(())
        }
        Event::Message(message) => {
            let _ = room.messages.send(message.into());
            Ok(())
        }
        Event::Closed(closed) => {
            println!("{closed}");
            Ok(())
        }
        _ => Ok(()),
    };
    if let Err(error) = result {
        eprintln!("{error}");
    }
}

fn not_found() -> Response<ws_proto::bytes::Bytes> {
    let mut response = Response::new("not found\n".into());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

async fn drive(mut stream: TcpStream, room: Arc<Room>, mut stop: watch::Receiver<Option<Instant>>) {
    enum Done {
        Read(io::Result<usize>),
        Written(io::Result<()>),
        Late,
        Message(Result<Frame, broadcast::error::RecvError>),
        Stop,
        Cut,
    }
    let mut conn = Connection::server(now(), room.config.clone(), Default::default());
    let mut messages = room.messages.subscribe();
    let (mut reader, mut writer) = stream.split();
    let mut buffer = vec![0; 16 * 1024];
    let mut unread = 0..0; // what a paused connection left in the buffer
    let mut is_ended = false; // the peer has ended its stream
    let mut cut = None;
    loop {
        while let Some(event) = conn.poll_event(now()) {
            handle(&mut conn, event, &room, &mut messages);
        }
        match conn.poll_io() {
            IoAction::Drop => return,
            IoAction::Reset => return drop(stream.set_zero_linger()),
            IoAction::Shutdown => {
                // It fails if the peer has already left.
                if let Err(error) = writer.shutdown().await {
                    conn.write_failed(now(), error.into());
                }
                continue;
            }
            IoAction::Read | IoAction::Write | IoAction::Pause => {}
        }
        let mut unsent = conn.unsent(now());
        let write = async {
            match &mut unsent {
                Some(unsent) => writer.write_all_buf(unsent).await,
                None => pending().await,
            }
        };
        let deadline = conn.poll_timeout().and_then(|at| CLOCK.instant(at)).map(Instant::from_std);
        let is_reading = !is_ended && unread.is_empty() && !conn.is_paused();
        let takes_messages = conn.state() == State::Open && !conn.is_congested();
        let done = tokio::select! {
            read = reader.read(&mut buffer), if is_reading => Done::Read(read),
            written = write => Done::Written(written),
            () = sleep(deadline) => Done::Late,
            message = messages.recv(), if takes_messages => Done::Message(message),
            _ = stop.changed(), if cut.is_none() => Done::Stop,
            () = sleep(cut) => Done::Cut,
        };
        if let Some(unsent) = unsent {
            unsent.restore(now(), &mut conn); // before any other call: what was written counts
        }
        match done {
            Done::Read(Ok(0)) => {
                is_ended = true;
                conn.handle_eof(now());
            }
            Done::Read(Ok(n)) => unread = 0..n,
            Done::Read(Err(error)) => conn.abort(now(), error.into()),
            Done::Written(Ok(())) => {}
            Done::Written(Err(error)) => conn.write_failed(now(), error.into()),
            Done::Late => conn.handle_timeout(now()),
            Done::Message(Ok(frame)) => drop(conn.send(&frame)),
            Done::Message(Err(_)) => drop(conn.close(now(), CloseCode::TRY_AGAIN_LATER, "too slow")),
            Done::Stop => {
                cut = *stop.borrow();
                let _ = conn.go_away(now(), CloseCode::GOING_AWAY, "");
            }
            Done::Cut => conn.abort(now(), ws_proto::Error::Stopped),
        }
        let mut input = &mut buffer[unread.clone()];
        while let Some(event) = conn.handle_input(now(), &mut input) {
            handle(&mut conn, event, &room, &mut messages);
        }
        unread.start = unread.end - input.len();
    }
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
