use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{Html, Response};
use axum::routing::get;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::future::pending;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use ws_proto::{Clock, CloseCode, Config, Connection, Deflate, Event, IoAction, Moment, handshake};

static CLOCK: LazyLock<Clock> = LazyLock::new(|| Clock::new(std::time::Instant::now()));

fn now() -> Moment {
    CLOCK.moment(std::time::Instant::now())
}

#[derive(Clone)]
struct App {
    config: Arc<Config>,
    stop: watch::Sender<Option<Instant>>, // the deadline
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Arc::new(Config::server().deflate(Deflate::chat()));
    let app = App { config, stop: watch::Sender::new(None) };
    let router = Router::new()
        .route("/", get(async || Html("<h1>hello</h1>")))
        .route("/ws", get(upgrade))
        .with_state(app.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/ws", listener.local_addr()?);
    let stop = app.stop.clone();
    let ctrl_c = async move {
        let _ = tokio::signal::ctrl_c().await;
        stop.send_replace(Some(Instant::now() + Duration::from_secs(2)));
    };
    axum::serve(listener, router).with_graceful_shutdown(ctrl_c).await?;
    app.stop.closed().await; // every WebSocket has dropped its receiver
    Ok(())
}

async fn upgrade(State(app): State<App>, mut request: Request) -> Response {
    let (response, opening) = match handshake::answer(&request, &app.config) {
        Ok(answer) => answer.into_parts(),
        Err(rejection) => return rejection.into_response().map(Body::from),
    };
    let stream = hyper::upgrade::on(&mut request);
    let stop = app.stop.subscribe(); // before axum knows that the request is done
    tokio::spawn(async move {
        let Ok(stream) = stream.await else { return };
        drive(TokioIo::new(stream), opening.into_connection(now(), app.config), stop).await;
    });
    response.map(|()| Body::empty())
}

fn handle(conn: &mut Connection, event: Event<'_>) {
    match event {
        Event::Message(message) => {
            let sent = conn.send(message);
            if sent.is_err() {
                let _ = conn.close(now(), CloseCode::TRY_AGAIN_LATER, "too slow");
            }
        }
        Event::Closed(closed) => println!("{closed}"),
        _ => {}
    }
}

async fn drive(
    stream: impl AsyncRead + AsyncWrite,
    mut conn: Connection,
    mut stop: watch::Receiver<Option<Instant>>,
) {
    enum Done {
        Read(io::Result<usize>),
        Written(io::Result<()>),
        Late,
        Share,
        Stop(Instant),
        Cut,
    }
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut buffer = vec![0; 16 * 1024];
    let mut unread = 0..0; // what a paused connection left in the buffer
    let mut is_ended = false; // the peer has ended its stream
    let mut cut = None;
    conn.shares().begin();
    loop {
        while let Some(event) = conn.poll_event(now()) {
            handle(&mut conn, event);
        }
        match conn.poll_io() {
            // A WebSocket never asks for a reset: only a truncated HTTP response does.
            IoAction::Drop | IoAction::Reset => return,
            IoAction::Shutdown => {
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
        let awaits_share = conn.shares().is_used();
        let done = tokio::select! {
            read = reader.read(&mut buffer), if is_reading => Done::Read(read),
            written = write => Done::Written(written),
            () = sleep(deadline) => Done::Late,
            () = tokio::task::yield_now(), if awaits_share => Done::Share,
            by = stopped(&mut stop), if cut.is_none() => Done::Stop(by),
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
            Done::Share => conn.shares().next(now()),
            Done::Stop(by) => {
                cut = Some(by);
                let _ = conn.close(now(), CloseCode::GOING_AWAY, "");
            }
            Done::Cut => conn.abort(now(), ws_proto::Error::Stopped),
        }
        let mut input = &mut buffer[unread.clone()];
        while let Some(event) = conn.handle_input(now(), &mut input) {
            handle(&mut conn, event);
        }
        unread.start = unread.end - input.len();
    }
}

/// Also returns if the stop came before the connection.
async fn stopped(stop: &mut watch::Receiver<Option<Instant>>) -> Instant {
    let by = stop.wait_for(Option::is_some).await.ok().and_then(|by| *by);
    by.unwrap_or_else(Instant::now)
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
