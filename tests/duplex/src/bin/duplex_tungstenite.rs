//! An end on tokio-tungstenite. It sends everything before it reads anything, except in scenarios with an echo or
//! back-pressure.

#![allow(clippy::print_stdout)] // output for the parent program

use duplex::{Arguments, Exchange, Scenario, Step};
use futures_util::{Sink, SinkExt, Stream, StreamExt, future};
use std::cell::RefCell;
use std::error::Error;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{accept_async, connect_async};

/// An open WebSocket, of either role.
trait Socket:
    Stream<Item = tungstenite::Result<Message>> + Sink<Message, Error = tungstenite::Error> + Unpin
{
}

impl<S: Stream<Item = tungstenite::Result<Message>> + Sink<Message, Error = tungstenite::Error> + Unpin>
    Socket for S
{
}

async fn run(arguments: &Arguments, ws: impl Socket) {
    let exchange = RefCell::new(Exchange::new(arguments));
    let mut end = (1006, String::new());
    let outcome = drive(&exchange, ws, &mut end).await;
    let mut exchange = exchange.into_inner();
    if let Err(error) = outcome {
        exchange.fail(error);
    }
    exchange.end(end.0, &end.1, "");
}

async fn drive(
    exchange: &RefCell<Exchange>,
    mut ws: impl Socket,
    end: &mut (u16, String),
) -> tungstenite::Result<()> {
    if exchange.borrow().scenario == Scenario::Paced {
        let (mut sink, mut stream) = ws.split();
        let (sent, last) =
            future::join(send_all(exchange, &mut sink), next_step(exchange, &mut stream)).await;
        sent?;
        let (step, message) = last?;
        perform(&mut sink, step, message).await?;
        let Ok(whole) = sink.reunite(stream) else { return Ok(()) };
        ws = whole;
    } else {
        send_all(exchange, &mut ws).await?;
    }
    while let Some(message) = ws.next().await {
        let message = message?;
        if let Message::Close(Some(frame)) = &message {
            *end = (frame.code.into(), frame.reason.to_string());
        }
        let step = handle(exchange, &message);
        perform(&mut ws, step, message).await?;
    }
    Ok(())
}

async fn send_all(
    exchange: &RefCell<Exchange>,
    ws: &mut (impl Sink<Message, Error = tungstenite::Error> + Unpin),
) -> tungstenite::Result<()> {
    loop {
        let Some(message) = exchange.borrow().next_message() else { return Ok(()) };
        ws.send(Message::binary(message)).await?;
        exchange.borrow_mut().record_sent();
    }
}

/// Reads until a message requires an action; returns both.
async fn next_step(
    exchange: &RefCell<Exchange>,
    ws: &mut (impl Stream<Item = tungstenite::Result<Message>> + Unpin),
) -> tungstenite::Result<(Step, Message)> {
    while let Some(message) = ws.next().await {
        let message = message?;
        let step = handle(exchange, &message);
        if step != Step::Nothing {
            return Ok((step, message));
        }
    }
    Err(tungstenite::Error::ConnectionClosed)
}

fn handle(exchange: &RefCell<Exchange>, message: &Message) -> Step {
    match message {
        Message::Text(text) => exchange.borrow_mut().receive(text.as_bytes()),
        Message::Binary(data) => exchange.borrow_mut().receive(data),
        _ => Step::Nothing,
    }
}

async fn perform(
    ws: &mut (impl Sink<Message, Error = tungstenite::Error> + Unpin),
    step: Step,
    message: Message,
) -> tungstenite::Result<()> {
    match step {
        Step::Nothing => Ok(()),
        Step::Send(text) => ws.send(Message::text(text)).await,
        Step::Echo => ws.send(message).await,
        Step::Close => {
            let frame = tungstenite::protocol::CloseFrame { code: 1000.into(), reason: "".into() };
            ws.send(Message::Close(Some(frame))).await
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    if let Some(url) = &arguments.url {
        run(&arguments, connect_async(url).await?.0).await;
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        run(&arguments, accept_async(stream).await?).await;
    }
}
