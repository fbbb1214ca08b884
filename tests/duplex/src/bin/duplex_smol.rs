//! An end on `ws-server-smol`.

#![allow(clippy::print_stdout)] // output for the parent program

use async_io::Timer;
use duplex::{Arguments, Exchange, KEPT, Scenario, Step, ours};
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
                run(arguments, http.accept(upgrade).await?).await;
                break;
            }
        }
    }
    Ok(())
}

async fn run(arguments: &Arguments, mut ws: WebSocket<Socket>) {
    let exchange = RefCell::new(Exchange::new(arguments));
    match arguments.scenario {
        // The two ways to send with back-pressure, one for each role.
        Scenario::Paced if arguments.url.is_none() => {
            let sender = ws.sender();
            zip(send_all(&sender, &exchange), receive_all(&mut ws, &exchange)).await;
        }
        Scenario::Kept => {
            let sender = ws.sender();
            or(keep(&sender, &exchange), receive_all(&mut ws, &exchange)).await;
        }
        _ => {
            send_pending(&mut ws, &exchange);
            receive_all(&mut ws, &exchange).await;
        }
    }
    let exchange = exchange.into_inner();
    match ws.closed() {
        Some(closed) => exchange.end(closed.code.into(), &closed.reason, closed),
        None => exchange.end(1006, "", "the connection has not ended"),
    }
}

/// Waits for room before each message.
async fn send_all(sender: &Sender, exchange: &RefCell<Exchange>) {
    loop {
        let Some(message) = exchange.borrow().next_message() else { return };
        if let Err(error) = sender.send(message).await {
            return exchange.borrow_mut().fail(error);
        }
        exchange.borrow_mut().record_sent();
    }
}

/// Queues more before the last of it is written.
async fn keep(sender: &Sender, exchange: &RefCell<Exchange>) {
    loop {
        while sender.queued() < KEPT {
            let Some(message) = exchange.borrow().next_message() else { break };
            if sender.try_send(message).is_err() {
                break; // `receive_all` gets the close
            }
            exchange.borrow_mut().record_sent();
        }
        Timer::after(Duration::from_millis(5)).await;
    }
}

/// Sends the scenario's pending messages now.
fn send_pending(ws: &mut WebSocket<Socket>, exchange: &RefCell<Exchange>) {
    let mut exchange = exchange.borrow_mut();
    while let Some(message) = exchange.next_message() {
        let sent = match ws.try_send(message) {
            Ok(sent) => sent,
            Err(SendError::Full) if exchange.scenario == Scenario::Full => break,
            Err(SendError::NotOpen) => break, // `Closed` explains it
            Err(error) => return exchange.fail(error),
        };
        exchange.record_sent();
        if sent == Sent::Congested && matches!(exchange.scenario, Scenario::Paced | Scenario::Congested) {
            break;
        }
    }
}

/// Receives everything until the close.
async fn receive_all(ws: &mut WebSocket<Socket>, exchange: &RefCell<Exchange>) {
    while let Some(event) = ws.next_event().await {
        let message = match event {
            Event::Message(message) => message,
            Event::Drained => {
                // `Sender::send` waits for room itself.
                if matches!(exchange.borrow().scenario, Scenario::Full | Scenario::Congested)
                    || exchange.borrow().is_client()
                {
                    send_pending(ws, exchange);
                }
                continue;
            }
            _ => continue,
        };
        let step = exchange.borrow_mut().receive(message.as_bytes());
        let result = match step {
            Step::Nothing => Ok(Sent::Queued),
            Step::Send(text) => ws.try_send(Message::Text(text.into())),
            Step::Echo => ws.try_send(message),
            Step::Close => ws.start_close(CloseCode::NORMAL, "").map(|()| Sent::Queued),
        };
        if let Err(error) = result {
            exchange.borrow_mut().fail(error);
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
            Ok(ws) => run(&arguments, ws).await,
            Err(error) => {
                let mut exchange = Exchange::new(&arguments);
                exchange.fail(error);
                exchange.end(1006, "", "");
            }
        }
        Ok(())
    })
}
