//! An end on tokio-tungstenite. It sends everything before it reads anything, except where the scenario is an echo or
//! about back-pressure.

#![allow(clippy::print_stdout)] // output for the parent program

use duplex::{Arguments, Scenario, Step, Talk};
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

async fn talk(arguments: &Arguments, ws: impl Socket) {
    let talk = RefCell::new(Talk::new(arguments));
    let mut end = (1006, String::new());
    let outcome = exchange(&talk, ws, &mut end).await;
    let mut talk = talk.into_inner();
    if let Err(error) = outcome {
        talk.fail(error);
    }
    talk.end(end.0, &end.1, "");
}

async fn exchange(
    talk: &RefCell<Talk>,
    mut ws: impl Socket,
    end: &mut (u16, String),
) -> tungstenite::Result<()> {
    if talk.borrow().scenario == Scenario::Book {
        let (mut sink, mut stream) = ws.split();
        let (sent, last) = future::join(send_all(talk, &mut sink), hear_all(talk, &mut stream)).await;
        sent?;
        let (step, message) = last?;
        act(&mut sink, step, message).await?;
        let Ok(whole) = sink.reunite(stream) else { return Ok(()) };
        ws = whole;
    } else {
        send_all(talk, &mut ws).await?;
    }
    while let Some(message) = ws.next().await {
        let message = message?;
        if let Message::Close(Some(frame)) = &message {
            *end = (frame.code.into(), frame.reason.to_string());
        }
        let step = hear(talk, &message);
        act(&mut ws, step, message).await?;
    }
    Ok(())
}

async fn send_all(
    talk: &RefCell<Talk>,
    ws: &mut (impl Sink<Message, Error = tungstenite::Error> + Unpin),
) -> tungstenite::Result<()> {
    loop {
        let Some(message) = talk.borrow().say() else { return Ok(()) };
        ws.send(Message::binary(message)).await?;
        talk.borrow_mut().said();
    }
}

/// Waits for something to do: the message that asks for it, and the action.
async fn hear_all(
    talk: &RefCell<Talk>,
    ws: &mut (impl Stream<Item = tungstenite::Result<Message>> + Unpin),
) -> tungstenite::Result<(Step, Message)> {
    while let Some(message) = ws.next().await {
        let message = message?;
        let step = hear(talk, &message);
        if step != Step::Nothing {
            return Ok((step, message));
        }
    }
    Err(tungstenite::Error::ConnectionClosed)
}

fn hear(talk: &RefCell<Talk>, message: &Message) -> Step {
    match message {
        Message::Text(text) => talk.borrow_mut().heard(text.as_bytes()),
        Message::Binary(data) => talk.borrow_mut().heard(data),
        _ => Step::Nothing,
    }
}

async fn act(
    ws: &mut (impl Sink<Message, Error = tungstenite::Error> + Unpin),
    step: Step,
    message: Message,
) -> tungstenite::Result<()> {
    match step {
        Step::Nothing => Ok(()),
        Step::Say(text) => ws.send(Message::text(text)).await,
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
        talk(&arguments, connect_async(url).await?.0).await;
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        talk(&arguments, accept_async(stream).await?).await;
    }
}
