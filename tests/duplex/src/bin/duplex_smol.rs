//! An end on `ws-server-smol`.

#![allow(clippy::print_stdout)] // output for the parent program

use async_io::Timer;
use duplex::{Arguments, KEPT, Scenario, Step, Talk, ours};
use futures_lite::future::{or, zip};
use std::cell::RefCell;
use std::error::Error;
use std::time::Duration;
use ws_host::web::{self, sse};
use ws_proto::Event;
use ws_server_smol::{
    Bind, CloseCode, HttpConnection, Incoming, Message, SendError, Sender, Sent, Server, Socket, WebSocket,
    connect,
};

async fn serve(arguments: &Arguments, mut http: HttpConnection<Socket>) -> Result<(), Box<dyn Error>> {
    let mut streams = Vec::new();
    while let Some(incoming) = http.next().await {
        match incoming {
            Incoming::Request(request) if request.path() == "/events" => {
                streams.push(http.respond_streaming(request, sse::head(), None)?);
            }
            Incoming::Request(request) => http.respond(request, web::text("served\n")).await?,
            Incoming::Upgrade(upgrade) => {
                talk(arguments, http.accept(upgrade).await?).await;
                break;
            }
        }
    }
    Ok(())
}

async fn talk(arguments: &Arguments, mut ws: WebSocket<Socket>) {
    let talk = RefCell::new(Talk::new(arguments));
    match arguments.scenario {
        // The two ways to send with back-pressure, one for each role.
        Scenario::Book if arguments.url.is_none() => {
            let sender = ws.sender();
            zip(send_all(&sender, &talk), listen(&mut ws, &talk)).await;
        }
        Scenario::Kept => {
            let sender = ws.sender();
            or(keep(&sender, &talk), listen(&mut ws, &talk)).await;
        }
        _ => {
            say(&mut ws, &talk);
            listen(&mut ws, &talk).await;
        }
    }
    let talk = talk.into_inner();
    match ws.closed() {
        Some(closed) => talk.end(closed.code.into(), &closed.reason, closed),
        None => talk.end(1006, "", "it is not over"),
    }
}

/// Waits for room before each message.
async fn send_all(sender: &Sender, talk: &RefCell<Talk>) {
    loop {
        let Some(message) = talk.borrow().say() else { return };
        if let Err(error) = sender.send(message).await {
            return talk.borrow_mut().fail(error);
        }
        talk.borrow_mut().said();
    }
}

/// Queues more before the last of it is written.
async fn keep(sender: &Sender, talk: &RefCell<Talk>) {
    loop {
        while sender.queued() < KEPT {
            let Some(message) = talk.borrow().say() else { break };
            if sender.try_send(message).is_err() {
                break; // the receiver gets the close
            }
            talk.borrow_mut().said();
        }
        Timer::after(Duration::from_millis(5)).await;
    }
}

/// Sends the scenario's pending messages now.
fn say(ws: &mut WebSocket<Socket>, talk: &RefCell<Talk>) {
    let mut talk = talk.borrow_mut();
    while let Some(message) = talk.say() {
        let sent = match ws.try_send(message) {
            Ok(sent) => sent,
            Err(SendError::Full) if talk.scenario == Scenario::Full => break,
            Err(SendError::NotOpen) => break, // `Closed` explains it
            Err(error) => return talk.fail(error),
        };
        talk.said();
        if sent == Sent::Congested && matches!(talk.scenario, Scenario::Book | Scenario::Congested) {
            break;
        }
    }
}

/// Receives everything until the close.
async fn listen(ws: &mut WebSocket<Socket>, talk: &RefCell<Talk>) {
    while let Some(event) = ws.next_event().await {
        let message = match event {
            Event::Message(message) => message,
            Event::Drained => {
                // A sender notices on its own.
                if matches!(talk.borrow().scenario, Scenario::Full | Scenario::Congested)
                    || talk.borrow().is_client()
                {
                    say(ws, talk);
                }
                continue;
            }
            _ => continue,
        };
        let step = talk.borrow_mut().heard(message.as_bytes());
        let said = match step {
            Step::Nothing => Ok(Sent::Queued),
            Step::Say(text) => ws.try_send(Message::Text(text.into())),
            Step::Echo => ws.try_send(message),
            Step::Close => ws.start_close(CloseCode::NORMAL, "").map(|()| Sent::Queued),
        };
        if let Err(error) = said {
            talk.borrow_mut().fail(error);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    async_io::block_on(async {
        let Some(url) = &arguments.url else {
            let server = Server::new(ours::server(&arguments));
            match arguments.scenario {
                Scenario::Kept => server.listen_on(ours::narrow_listener()?)?,
                _ => server.listen(Bind::localhost())?,
            }
            println!("{}", server.url("/").unwrap_or_default());
            server.serve(async |http| drop(serve(&arguments, http).await)).await;
            return Ok(());
        };
        match connect(url.as_str(), ours::client(&arguments)).await {
            Ok(ws) => talk(&arguments, ws).await,
            Err(error) => {
                let mut talk = Talk::new(&arguments);
                talk.fail(error);
                talk.end(1006, "", "");
            }
        }
        Ok(())
    })
}
