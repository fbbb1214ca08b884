//! `tungstenite`, which blocks.

#![allow(clippy::result_large_err)] // tungstenite's signature

use crate::{Command, DONE, FRAGMENTS, Outcome, SUBPROTOCOL, ended, hello};
use std::io::{Read, Write};
use std::net::TcpListener;
use tungstenite::client::ClientRequestBuilder;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Message, WebSocket, accept_hdr, connect};

pub(crate) fn run(urls: &[String]) -> Outcome<()> {
    let mut last = String::new();
    if urls.is_empty() {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("ws://{}/", listener.local_addr()?);
        for stream in listener.incoming() {
            let mut subprotocol = "";
            let accepted = accept_hdr(stream?, |request: &Request, response| {
                subprotocol = selected(request);
                with_subprotocol(response, subprotocol)
            });
            if let Ok(mut socket) = accepted {
                follow(&mut socket, subprotocol, &mut last);
            }
        }
    }
    for url in urls {
        loop {
            let request = ClientRequestBuilder::new(url.parse()?).with_sub_protocol(SUBPROTOCOL);
            let Ok((mut socket, response)) = connect(request) else { break }; // no peer left
            let header = response.headers().get("Sec-WebSocket-Protocol");
            let subprotocol = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
            if matches!(follow(&mut socket, subprotocol, &mut last), None | Some(DONE)) {
                break;
            }
        }
    }
    Ok(())
}

fn selected(request: &Request) -> &'static str {
    let offered = request.headers().get_all("Sec-WebSocket-Protocol").iter();
    let mut names = offered.filter_map(|value| value.to_str().ok()).flat_map(|names| names.split(','));
    if names.any(|name| name.trim() == SUBPROTOCOL) { SUBPROTOCOL } else { "" }
}

fn with_subprotocol(mut response: Response, subprotocol: &'static str) -> Result<Response, ErrorResponse> {
    if !subprotocol.is_empty() {
        response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(subprotocol));
    }
    Ok(response)
}

/// Reads until the end; returns its code.
fn follow<S: Read + Write>(socket: &mut WebSocket<S>, subprotocol: &str, last: &mut String) -> Option<u16> {
    let hello = hello("tungstenite", subprotocol, last);
    let mut outcome = socket.send(Message::text(hello));
    let mut code = None;
    while outcome.is_ok() {
        outcome = match socket.read() {
            Ok(Message::Close(frame)) => {
                let frame = frame.map(|frame| (u16::from(frame.code), frame.reason.to_string()));
                let (number, reason) = frame.unwrap_or((1005, String::new()));
                *last = ended(number, &reason);
                code = Some(number);
                Ok(()) // further reads end it
            }
            Ok(Message::Pong(payload)) => {
                socket.send(Message::text(format!("/pong {}", String::from_utf8_lossy(&payload))))
            }
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => execute(socket, message),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
    }
    code
}

fn execute<S: Read + Write>(socket: &mut WebSocket<S>, message: Message) -> tungstenite::Result<()> {
    let text = if message.is_text() { message.to_text().ok() } else { None };
    match Command::of(text) {
        Command::Close(code, reason) => {
            socket.close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
        }
        Command::Ping(payload) => socket.send(Message::Ping(payload.into())),
        Command::Fragments => FRAGMENTS.iter().enumerate().try_for_each(|(at, fragment)| {
            let data = if at == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(*fragment, OpCode::Data(data), at + 1 == FRAGMENTS.len());
            socket.send(Message::Frame(frame))
        }),
        Command::Ticks(count) => (0..count).try_for_each(|_| {
            socket.write(Message::Frame(Frame::message("tick", OpCode::Data(Data::Text), false)))?;
            socket.send(Message::Frame(Frame::message("", OpCode::Data(Data::Continue), true)))
        }),
        Command::Echo => socket.send(message),
    }
}
