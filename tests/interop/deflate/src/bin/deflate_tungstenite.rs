//! tungstenite, which never compresses: `deflate_tungstenite server`, an echo for one peer at a time that prints its
//! address, or `deflate_tungstenite client URL SEED COUNT`, as `deflate_client`.

#![allow(clippy::print_stdout)] // the output is for the caller

use deflate_peers::{Exchange, Failure, Payload, argument};
use std::io::{Read, Write};
use std::net::TcpListener;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Message, WebSocket, accept, connect};

const USAGE: &str = "usage: deflate_tungstenite server, or client URL SEED COUNT";

fn main() -> Result<(), Failure> {
    match argument(1, USAGE)?.as_str() {
        "server" => server(),
        "client" => client(),
        _ => Err(USAGE.into()),
    }
}

fn server() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("ws://{}/", listener.local_addr()?);
    for stream in listener.incoming() {
        let mut ws = accept(stream?)?;
        while let Ok(message) = ws.read() {
            if message.is_text() || message.is_binary() {
                ws.send(message)?;
            }
        }
    }
    Ok(())
}

fn client() -> Result<(), Failure> {
    let (mut ws, _) = connect(argument(2, USAGE)?)?;
    let mut exchange = Exchange::new(argument(3, USAGE)?.parse()?, argument(4, USAGE)?.parse()?);
    while !exchange.is_done() {
        while let Some(message) = exchange.next_message() {
            send(&mut ws, message)?;
        }
        match ws.read()? {
            Message::Text(text) => exchange.receive(true, text.as_bytes())?,
            Message::Binary(data) => exchange.receive(false, &data)?,
            other => return Err(format!("unexpected {other:?}").into()),
        }
    }
    ws.close(None)?;
    while ws.read().is_ok() {}
    println!("{}", exchange.bytes);
    Ok(())
}

fn send(ws: &mut WebSocket<impl Read + Write>, message: Payload) -> Result<(), Failure> {
    let (first, fragments) = match message {
        Payload::Text(fragments) => {
            (Data::Text, fragments.into_iter().map(String::into_bytes).collect::<Vec<_>>())
        }
        Payload::Binary(fragments) => (Data::Binary, fragments),
    };
    let last = fragments.len() - 1;
    for (k, fragment) in fragments.into_iter().enumerate() {
        let opcode = OpCode::Data(if k == 0 { first } else { Data::Continue });
        ws.send(Message::Frame(Frame::message(fragment, opcode, k == last)))?;
    }
    Ok(())
}
