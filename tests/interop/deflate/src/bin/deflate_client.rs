//! Sends messages to an echo and compares the echoes: `deflate_client ADAPTER URL SEED COUNT TERMS`. Prints how many
//! bytes were echoed.

#![allow(clippy::print_stdout)] // the output is for the caller

use deflate_peers::{Exchange, Failure, Payload, Side, argument, deflate};
use ws_server_mio::Opcode;
use ws_server_mio::{ClientConfig, CloseCode, Endpoint, Event, Frame};
use ws_server_smol::connect;

const USAGE: &str = "usage: deflate_client mio|smol URL SEED COUNT TERMS";

fn main() -> Result<(), Failure> {
    let (adapter, url) = (argument(1, USAGE)?, argument(2, USAGE)?);
    let mut exchange = Exchange::new(argument(3, USAGE)?.parse()?, argument(4, USAGE)?.parse()?);
    let deflate = deflate(Side::Client, &argument(5, USAGE)?)?;
    let config = ClientConfig::new().outbox(64 << 10, 1 << 20, 80 << 20).frame_rate(None).deflate(deflate);
    match adapter.as_str() {
        "mio" => mio(&url, config, &mut exchange)?,
        "smol" => async_io::block_on(smol(&url, config, &mut exchange))?,
        _ => return Err(USAGE.into()),
    }
    println!("{}", exchange.bytes);
    Ok(())
}

/// A message as frames: a whole one, or fragments.
fn frames(message: Payload) -> Result<Vec<Frame>, Failure> {
    let (first, fragments) = match message {
        Payload::Text(fragments) => (Opcode::Text, fragments.into_iter().map(String::into_bytes).collect()),
        Payload::Binary(fragments) => (Opcode::Binary, fragments),
    };
    let last = fragments.len() - 1;
    let frame = |(k, fragment)| {
        let opcode = if k == 0 { first } else { Opcode::Continuation };
        Ok(Frame::raw(opcode, k == last, fragment)?)
    };
    fragments.into_iter().enumerate().map(frame).collect()
}

fn mio(url: &str, config: ClientConfig, exchange: &mut Exchange) -> Result<(), Failure> {
    let mut endpoint = Endpoint::new()?;
    endpoint.connections().connect(url, config)?;
    let mut end = None;
    while end.is_none() {
        endpoint.poll(None, |connections, event| {
            let (id, received) = match event {
                Event::Open(id, _) => (id, Ok(())),
                Event::Message(id, message) => {
                    (id, exchange.receive(message.as_text().is_some(), message.as_bytes()))
                }
                Event::Closed(_, closed) => {
                    let is_clean = closed.clean && exchange.is_done();
                    end.get_or_insert(if is_clean { Ok(()) } else { Err(closed.to_string().into()) });
                    return;
                }
                Event::ConnectFailed { error, .. } => {
                    end.get_or_insert(Err(error.into()));
                    return;
                }
                _ => return,
            };
            let mut sent = received;
            while sent.is_ok()
                && let Some(message) = exchange.next_message()
            {
                sent = frames(message).and_then(|frames| {
                    frames
                        .iter()
                        .try_for_each(|frame| connections.send(id, frame).map(drop).map_err(Into::into))
                });
            }
            if let Err(error) = sent {
                end.get_or_insert(Err(error));
            } else if exchange.is_done() {
                let _ = connections.close(id, CloseCode::NORMAL, "");
            }
        })?;
    }
    end.unwrap_or(Ok(()))
}

async fn smol(url: &str, config: ClientConfig, exchange: &mut Exchange) -> Result<(), Failure> {
    let mut ws = connect(url, config).await?;
    while !exchange.is_done() {
        while let Some(message) = exchange.next_message() {
            for frame in frames(message)? {
                ws.try_send(frame)?;
            }
        }
        let message = ws.next().await.ok_or("the connection ended")??;
        exchange.receive(message.as_text().is_some(), message.as_bytes())?;
    }
    let closed = ws.close(CloseCode::NORMAL, "").await?;
    if closed.clean { Ok(()) } else { Err(closed.to_string().into()) }
}
