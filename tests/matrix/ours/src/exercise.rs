//! The exchange with a peer, and its checks: every payload byte and every code is compared.

use crate::{BEAT, Ours, SUBPROTOCOL, say};
use std::time::Instant;
use ws_server_mio::{CloseCode, Closed, Frame, Message, Opcode, http};
use ws_server_smol::Event;

/// For how many beats an idle connection is kept: several times the patience of a proxy.
const BEATS: u32 = 12;
const PIECES: [&str; 3] = ["one ", "", "two"];
/// More than the empty frames that a peer may send in a second.
const FLOOD: usize = 1_500;
/// A picture in one colour: it compresses about a thousandfold.
const CANVAS: usize = 4 << 20;
const BY_PEER: (u16, &str) = (4001, "adi\u{f3}s, enough");
const BY_US: (u16, &str) = (4002, "\u{e8} finita");

/// A failed step ends the exercise, since what follows would prove nothing.
type Step = Result<Outcome, String>;

enum Outcome {
    Ok,
    /// The peer cannot do it from its side.
    OneWay,
    /// The peer cannot do it at all.
    Not,
}

/// A connection with its traffic.
struct Talk<'a> {
    ours: &'a mut dyn Ours,
    head: http::Response<()>,
    hello: Hello,
    sent: u64,
    received: u64,
    /// The number of fragments of the last message; one for a whole message.
    pieces: u32,
}

/// What the peer reports of itself and of the handshake, a field per line. A missing field is something that it cannot
/// know.
struct Hello(Vec<(String, String)>);

impl Hello {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl<'a> Talk<'a> {
    /// The next connection, up to the peer's hello.
    fn open(ours: &'a mut dyn Ours) -> Result<Self, String> {
        let head = ours.open()?;
        let hello = Hello(Vec::new());
        let mut talk = Self { ours, head, hello, sent: 0, received: 0, pieces: 0 };
        let Message::Text(text) = talk.message()? else { return Err("its hello is binary".to_owned()) };
        let mut lines = text.lines();
        if lines.next() != Some("hello") {
            return Err(format!("instead of its hello it sent {text:?}"));
        }
        let fields = lines.filter_map(|line| line.split_once(": "));
        talk.hello = Hello(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
        Ok(talk)
    }

    fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.head.headers().get(name)?.to_str().ok()
    }

    /// The next message, whole or in fragments.
    fn message(&mut self) -> Result<Message<'static>, String> {
        let mut text = String::new();
        let mut binary = Vec::new();
        self.pieces = 0;
        loop {
            match self.ours.next()? {
                Event::Message(message) => {
                    self.pieces = 1;
                    self.received += message.as_bytes().len() as u64;
                    return Ok(message);
                }
                Event::Fragment(piece) => {
                    self.pieces += 1;
                    self.received += piece.data.as_bytes().len() as u64;
                    let is_text = match &piece.data {
                        Message::Text(data) => {
                            text.push_str(data);
                            true
                        }
                        Message::Binary(data) => {
                            binary.extend_from_slice(data);
                            false
                        }
                    };
                    if piece.last {
                        return Ok(match is_text {
                            true => Message::Text(text.into()),
                            false => Message::Binary(binary.into()),
                        });
                    }
                }
                Event::Closed(closed) => return Err(how(&closed)),
                _ => {}
            }
        }
    }

    fn send(&mut self, frame: &Frame) -> Result<(), String> {
        self.sent += frame.payload().len() as u64;
        self.ours.send(frame)
    }

    fn expect(&mut self, wanted: &Message<'_>) -> Result<(), String> {
        let got = self.message()?;
        if got == *wanted {
            return Ok(());
        }
        let shown = |message: &Message<'_>| {
            let kind = if message.is_text() { "text" } else { "binary" };
            format!("{kind} of {} bytes", message.as_bytes().len())
        };
        let (ours, theirs) = (wanted.as_bytes(), got.as_bytes());
        let same = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        Err(format!("{} came back for {}, the same in {same} bytes", shown(&got), shown(wanted)))
    }

    fn echo(&mut self, message: Message<'_>) -> Result<(), String> {
        self.send(&match &message {
            Message::Text(text) => Frame::text(&**text),
            Message::Binary(data) => Frame::binary(data.to_vec()),
        })?;
        self.expect(&message)
    }

    /// Asks the peer for something, and returns its answer, unless it reports that it cannot.
    fn ask(&mut self, command: &str) -> Result<Option<String>, String> {
        self.send(&Frame::text(command))?;
        match self.message()? {
            Message::Text(answer) if answer == "/cannot" => Ok(None),
            Message::Text(answer) => Ok(Some(answer.into_owned())),
            Message::Binary(_) => Err(format!("its answer to {command} is binary")),
        }
    }

    fn closed(&mut self) -> Result<Closed, String> {
        loop {
            if let Event::Closed(closed) = self.ours.next()? {
                return Ok(*closed);
            }
        }
    }
}

/// The explanation of a close, without the figures that vary.
fn how(closed: &Closed) -> String {
    let sentence = closed.to_string();
    sentence.split("; ").next().unwrap_or_default().to_owned()
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Text of exactly `size` bytes, with characters of one to four, that compresses about as well as prose does.
fn prose(size: usize) -> String {
    let mut text = String::with_capacity(size + 64);
    let words = ["the ", "caf\u{e9} ", "\u{20ac} ", "\u{1f600} ", "line\n", "\u{fffd}", "of "];
    let mut state = 1_u32;
    while text.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(words[(state >> 24) as usize % words.len()]);
    }
    let mut end = size;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.extend(std::iter::repeat_n('x', size - end));
    text
}

/// Bytes, half of them compressible.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let next = |at: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if at & 256 == 0 { (state >> 24) as u8 } else { b'=' }
    };
    (0..size).map(next).collect()
}

fn tell(name: &str, step: Step) -> Result<(), String> {
    match step {
        Ok(Outcome::Ok) => say(name, "ok", ""),
        Ok(Outcome::OneWay) => say(name, "one way", ""),
        Ok(Outcome::Not) => say(name, "not", ""),
        Err(error) => {
            say(name, "failed", &error);
            return Err(format!("{name}: {error}"));
        }
    }
    Ok(())
}

/// Everything, over three connections: one that the peer closes, one that we close, and one on which it reports how.
pub(crate) fn whole(ours: &mut dyn Ours, deflate: bool) -> Result<(), String> {
    let mut talk = match Talk::open(ours) {
        Ok(talk) => talk,
        Err(error) => return tell("handshake", Err(error)),
    };
    say("version", "ok", talk.hello.get("version").unwrap_or("?"));
    tell("handshake", Ok(Outcome::Ok))?;
    tell("subprotocol", subprotocol(&talk))?;
    let compressed = agreed(&talk, deflate);
    let compressed = match compressed {
        Ok(compressed) => compressed,
        Err(error) => return tell("compression", Err(error)),
    };
    tell("text", texts(&mut talk))?;
    tell("binary", binary(&mut talk))?;
    tell("empty", empty(&mut talk))?;
    tell("64 KiB", sizes(&mut talk, &[65_535, 65_536]))?;
    tell("1 MiB", sizes(&mut talk, &[1 << 20]))?;
    tell("fragments", fragments(&mut talk, compressed))?;
    tell("ping", ping(&mut talk))?;
    tell("1,500 empty", empties(&mut talk))?;
    tell("1,500 in two frames", ticks(&mut talk))?;
    tell("blank canvas", canvas(&mut talk))?;

    let by_peer = close_by_peer(&mut talk);
    let (sent, received) = (talk.sent, talk.received);
    let closed = match by_peer {
        Ok(closed) => closed,
        Err(error) => return tell("close by peer", Err(error)),
    };
    if deflate {
        tell("compression", shrunk(compressed, &closed, sent, received))?;
    }
    let mut talk = match Talk::open(ours) {
        Ok(talk) => talk,
        Err(error) => return tell("close by peer", Err(format!("coming back, {error}"))),
    };
    tell("close by peer", close_reported(&talk, BY_PEER))?;

    let by_us = close(&mut talk, BY_US);
    if let Err(error) = by_us {
        return tell("close by us", Err(error));
    }
    let mut talk = match Talk::open(ours) {
        Ok(talk) => talk,
        Err(error) => return tell("close by us", Err(format!("coming back, {error}"))),
    };
    tell("close by us", close_reported(&talk, BY_US))?;
    tell("ping between fragments", ping_between(&mut talk))?;
    tell("end", close(&mut talk, (1000, "")))
}

fn subprotocol(talk: &Talk<'_>) -> Step {
    let ours = talk.header(http::header::SEC_WEBSOCKET_PROTOCOL);
    match (ours, talk.hello.get("subprotocol")) {
        (Some(SUBPROTOCOL), Some(SUBPROTOCOL)) => Ok(Outcome::Ok),
        (Some(SUBPROTOCOL), None) => Ok(Outcome::OneWay),
        (None, None) => Ok(Outcome::Not),
        (ours, theirs) => Err(format!("we have {ours:?}, the peer has {theirs:?}")),
    }
}

/// Whether messages are compressed, by both sides' account.
fn agreed(talk: &Talk<'_>, deflate: bool) -> Result<bool, String> {
    let is = |extensions: &str| extensions.contains("permessage-deflate");
    let ours = talk.header(http::header::SEC_WEBSOCKET_EXTENSIONS).is_some_and(is);
    if ours && !deflate {
        return Err("compression was agreed on, which we neither offer nor take".to_owned());
    }
    match talk.hello.get("extensions") {
        Some(theirs) if is(theirs) != ours => Err(format!("we have {ours}, the peer has {theirs:?}")),
        _ => Ok(ours),
    }
}

fn texts(talk: &mut Talk<'_>) -> Step {
    for text in ["a", "\u{0}", "Good morning \u{2615} caf\u{e9} \u{1f600}", "\u{10ffff}"] {
        talk.echo(Message::Text(text.into()))?;
    }
    for size in [125, 126, 127] {
        talk.echo(Message::Text(prose(size).into()))?;
    }
    Ok(Outcome::Ok)
}

fn binary(talk: &mut Talk<'_>) -> Step {
    talk.echo(Message::Binary((0..=255).collect::<Vec<u8>>().into()))?;
    talk.echo(Message::Binary(b"\xff\xfe\x00\x80"[..].into()))?;
    Ok(Outcome::Ok)
}

fn empty(talk: &mut Talk<'_>) -> Step {
    talk.echo(Message::Text("".into()))?;
    talk.echo(Message::Binary(b""[..].into()))?;
    Ok(Outcome::Ok)
}

fn sizes(talk: &mut Talk<'_>, sizes: &[usize]) -> Step {
    for &size in sizes {
        talk.echo(Message::Text(prose(size).into()))?;
        talk.echo(Message::Binary(noise(size).into()))?;
    }
    Ok(Outcome::Ok)
}

/// Our fragments, and the peer's, which must be more than one.
///
/// A small compressed message may arrive entirely in its last fragment: its fragments are not counted.
fn fragments(talk: &mut Talk<'_>, compressed: bool) -> Step {
    let whole = pieces(talk, |_| Ok(()))?;
    match talk.ask("/fragments")? {
        None => Ok(Outcome::OneWay),
        Some(text) if text != whole => Err(format!("its fragments make {:?}", short(&text))),
        Some(_) if talk.pieces < 2 && !compressed => Err("its fragments came as one frame".to_owned()),
        Some(_) => Ok(Outcome::Ok),
    }
}

/// Sends a message in fragments, with something between them, and expects its echo.
fn pieces(
    talk: &mut Talk<'_>,
    between: impl Fn(&mut Talk<'_>) -> Result<(), String>,
) -> Result<String, String> {
    let whole = PIECES.concat();
    for (at, piece) in PIECES.iter().enumerate() {
        let opcode = if at == 0 { Opcode::Text } else { Opcode::Continuation };
        talk.send(&Frame::raw(opcode, at + 1 == PIECES.len(), *piece).map_err(crate::text)?)?;
        between(talk)?;
    }
    talk.expect(&Message::Text(whole.as_str().into()))?;
    Ok(whole)
}

/// Empty messages without delay: the peer echoes each of them.
fn empties(talk: &mut Talk<'_>) -> Step {
    let empty = Frame::text("");
    for _ in 0..FLOOD {
        talk.send(&empty)?;
    }
    for _ in 0..FLOOD {
        talk.expect(&Message::Text("".into()))?;
    }
    Ok(Outcome::Ok)
}

/// Short texts of the peer without delay, each as a frame with all of it and an empty last one.
fn ticks(talk: &mut Talk<'_>) -> Step {
    talk.send(&Frame::text(format!("/ticks {FLOOD}")))?;
    for at in 0..FLOOD {
        match talk.message()? {
            Message::Text(text) if text == "tick" => {}
            Message::Text(text) if at == 0 && text == "/cannot" => return Ok(Outcome::OneWay),
            other => {
                return Err(format!(
                    "{:?} came for tick {at}",
                    short(&String::from_utf8_lossy(other.as_bytes()))
                ));
            }
        }
    }
    Ok(Outcome::Ok)
}

/// A message that compresses about a thousandfold, if the peer compresses.
fn canvas(talk: &mut Talk<'_>) -> Step {
    talk.echo(Message::Binary(vec![0xff; CANVAS].into()))?;
    Ok(Outcome::Ok)
}

/// A ping between fragments of ours.
fn ping_between(talk: &mut Talk<'_>) -> Step {
    pieces(talk, |talk| talk.ours.send(&Frame::ping("between").map_err(crate::text)?))?;
    Ok(Outcome::Ok)
}

/// Ours is answered with its payload; and we answer the peer's.
fn ping(talk: &mut Talk<'_>) -> Step {
    talk.ours.ping("are you there?")?;
    loop {
        match talk.ours.next()? {
            Event::Pong(_) => break,
            Event::Closed(closed) => return Err(how(&closed)),
            Event::Message(_) | Event::Fragment(_) => return Err("a message answered a ping".to_owned()),
            _ => {}
        }
    }
    match talk.ask("/ping and you?")? {
        None => Ok(Outcome::OneWay),
        Some(answer) if answer == "/pong and you?" => Ok(Outcome::Ok),
        Some(answer) => Err(format!("the peer had {:?} for its ping", short(&answer))),
    }
}

fn close_by_peer(talk: &mut Talk<'_>) -> Result<Closed, String> {
    let (code, reason) = BY_PEER;
    talk.send(&Frame::text(format!("/close {code} {reason}")))?;
    let closed = talk.closed()?;
    if (closed.code.get(), &*closed.reason, closed.clean) != (code, reason, true) {
        return Err(how(&closed));
    }
    Ok(closed)
}

fn close(talk: &mut Talk<'_>, (code, reason): (u16, &str)) -> Step {
    talk.ours.close(CloseCode::from(code), reason)?;
    let closed = talk.closed()?;
    if closed.clean { Ok(Outcome::Ok) } else { Err(how(&closed)) }
}

/// How the last connection ended for the peer. A side that closed need not see its own reason again.
fn close_reported(talk: &Talk<'_>, (code, reason): (u16, &str)) -> Step {
    let echo = code == BY_PEER.0;
    match talk.hello.get("ended").map(|ended| ended.split_once(' ').unwrap_or((ended, ""))) {
        None => Ok(Outcome::OneWay),
        Some((theirs, why)) if theirs == code.to_string() && (why == reason || echo && why.is_empty()) => {
            Ok(Outcome::Ok)
        }
        Some(theirs) => Err(format!("the peer received {theirs:?}, not {code} {reason:?}")),
    }
}

/// Whether fewer bytes crossed the wire than the messages have: ours, and the peer's.
fn shrunk(agreed: bool, closed: &Closed, sent: u64, received: u64) -> Step {
    let less = |wire: u64, messages: u64| wire < messages / 10 * 8;
    match (agreed, less(closed.bytes_sent, sent), less(closed.bytes_received, received)) {
        (true, true, true) => Ok(Outcome::Ok),
        (true, true, false) => Ok(Outcome::OneWay),
        (true, false, _) => Err(format!("{} bytes on the wire for {sent} of messages", closed.bytes_sent)),
        (false, false, false) => Ok(Outcome::Not),
        (false, ..) => Err("fewer bytes arrived than the messages have".to_owned()),
    }
}

/// An idle connection, kept by heartbeats alone.
pub(crate) fn idle(ours: &mut dyn Ours) -> Result<(), String> {
    let mut talk = Talk::open(ours)?;
    tell("idle", kept(&mut talk))?;
    close(&mut talk, (1000, "")).map(drop)
}

fn kept(talk: &mut Talk<'_>) -> Step {
    let began = Instant::now();
    let mut pongs = 0;
    while began.elapsed() < BEAT * BEATS {
        match talk.ours.next()? {
            Event::Pong(_) => pongs += 1,
            Event::Closed(closed) => return Err(format!("after {pongs} pongs, {}", how(&closed))),
            _ => return Err("something came".to_owned()),
        }
    }
    talk.echo(Message::Text("still there".into()))?;
    Ok(Outcome::Ok)
}

/// An idle connection: how it ends.
pub(crate) fn end(ours: &mut dyn Ours) -> Result<(), String> {
    ours.open()?;
    loop {
        if let Event::Closed(closed) = ours.next()? {
            let how = if closed.clean { "clean" } else { "unclean" };
            say("end", "ok", &format!("{} {how} {}", closed.code.get(), closed.reason));
            return Ok(());
        }
    }
}
