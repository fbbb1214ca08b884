//! The exchange with a peer, and its checks: every payload byte and every code is compared.

use crate::{BEAT, Ours, SUBPROTOCOL, report};
use std::time::Instant;
use ws_server_mio::{CloseCode, Closed, Frame, Message, Opcode, http};
use ws_server_smol::Event;

/// For how many heartbeats an idle connection must stay open: several times a proxy's timeout.
const BEATS: u32 = 12;
const FRAGMENTS: [&str; 3] = ["one ", "", "two"];
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
struct Session<'a> {
    ours: &'a mut dyn Ours,
    head: http::Response<()>,
    hello: Hello,
    sent: u64,
    received: u64,
    /// The number of fragments of the last message; one for a whole message.
    fragment_count: u32,
}

/// The peer's report on itself and on the handshake, a field per line. It omits fields that it cannot
/// know.
struct Hello(Vec<(String, String)>);

impl Hello {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl<'a> Session<'a> {
    /// The next connection, up to the peer's hello.
    fn open(ours: &'a mut dyn Ours) -> Result<Self, String> {
        let head = ours.open()?;
        let hello = Hello(Vec::new());
        let mut session = Self { ours, head, hello, sent: 0, received: 0, fragment_count: 0 };
        let Message::Text(text) = session.message()? else { return Err("its hello is binary".to_owned()) };
        let mut lines = text.lines();
        if lines.next() != Some("hello") {
            return Err(format!("instead of its hello it sent {text:?}"));
        }
        let fields = lines.filter_map(|line| line.split_once(": "));
        session.hello = Hello(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
        Ok(session)
    }

    fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.head.headers().get(name)?.to_str().ok()
    }

    /// The next message, whole or in fragments.
    fn message(&mut self) -> Result<Message<'static>, String> {
        let mut text = String::new();
        let mut binary = Vec::new();
        self.fragment_count = 0;
        loop {
            match self.ours.next()? {
                Event::Message(message) => {
                    self.fragment_count = 1;
                    self.received += message.as_bytes().len() as u64;
                    return Ok(message);
                }
                Event::Fragment(fragment) => {
                    self.fragment_count += 1;
                    self.received += fragment.data.as_bytes().len() as u64;
                    let is_text = match &fragment.data {
                        Message::Text(data) => {
                            text.push_str(data);
                            true
                        }
                        Message::Binary(data) => {
                            binary.extend_from_slice(data);
                            false
                        }
                    };
                    if fragment.last {
                        return Ok(match is_text {
                            true => Message::Text(text.into()),
                            false => Message::Binary(binary.into()),
                        });
                    }
                }
                Event::Closed(closed) => return Err(explanation(&closed)),
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
        Err(format!("received {} instead of {}, equal in the first {same} bytes", shown(&got), shown(wanted)))
    }

    fn echo(&mut self, message: Message<'_>) -> Result<(), String> {
        self.send(&match &message {
            Message::Text(text) => Frame::text(&**text),
            Message::Binary(data) => Frame::binary(data.to_vec()),
        })?;
        self.expect(&message)
    }

    /// Sends a command to the peer; returns its answer, unless it cannot.
    fn request(&mut self, command: &str) -> Result<Option<String>, String> {
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
fn explanation(closed: &Closed) -> String {
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

fn report_step(name: &str, step: Step) -> Result<(), String> {
    match step {
        Ok(Outcome::Ok) => report(name, "ok", ""),
        Ok(Outcome::OneWay) => report(name, "one way", ""),
        Ok(Outcome::Not) => report(name, "not", ""),
        Err(error) => {
            report(name, "failed", &error);
            return Err(format!("{name}: {error}"));
        }
    }
    Ok(())
}

/// Everything, over three connections: one that the peer closes, one that we close, and one on which it reports how.
pub(crate) fn whole(ours: &mut dyn Ours, deflate: bool) -> Result<(), String> {
    let mut session = match Session::open(ours) {
        Ok(session) => session,
        Err(error) => return report_step("handshake", Err(error)),
    };
    report("version", "ok", session.hello.get("version").unwrap_or("?"));
    report_step("handshake", Ok(Outcome::Ok))?;
    report_step("subprotocol", subprotocol(&session))?;
    let compressed = negotiated(&session, deflate);
    let compressed = match compressed {
        Ok(compressed) => compressed,
        Err(error) => return report_step("compression", Err(error)),
    };
    report_step("text", texts(&mut session))?;
    report_step("binary", binary(&mut session))?;
    report_step("empty", empty(&mut session))?;
    report_step("64 KiB", sizes(&mut session, &[65_535, 65_536]))?;
    report_step("1 MiB", sizes(&mut session, &[1 << 20]))?;
    report_step("fragments", fragments(&mut session, compressed))?;
    report_step("ping", ping(&mut session))?;
    report_step("1,500 empty", empty_messages(&mut session))?;
    report_step("1,500 in two frames", ticks(&mut session))?;
    report_step("blank canvas", canvas(&mut session))?;

    let by_peer = close_by_peer(&mut session);
    let (sent, received) = (session.sent, session.received);
    let closed = match by_peer {
        Ok(closed) => closed,
        Err(error) => return report_step("close by peer", Err(error)),
    };
    if deflate {
        report_step("compression", compression(compressed, &closed, sent, received))?;
    }
    let mut session = match Session::open(ours) {
        Ok(session) => session,
        Err(error) => return report_step("close by peer", Err(format!("after reconnecting, {error}"))),
    };
    report_step("close by peer", close_reported(&session, BY_PEER))?;

    let by_us = close(&mut session, BY_US);
    if let Err(error) = by_us {
        return report_step("close by us", Err(error));
    }
    let mut session = match Session::open(ours) {
        Ok(session) => session,
        Err(error) => return report_step("close by us", Err(format!("after reconnecting, {error}"))),
    };
    report_step("close by us", close_reported(&session, BY_US))?;
    report_step("ping between fragments", ping_between(&mut session))?;
    report_step("end", close(&mut session, (1000, "")))
}

fn subprotocol(session: &Session<'_>) -> Step {
    let ours = session.header(http::header::SEC_WEBSOCKET_PROTOCOL);
    match (ours, session.hello.get("subprotocol")) {
        (Some(SUBPROTOCOL), Some(SUBPROTOCOL)) => Ok(Outcome::Ok),
        (Some(SUBPROTOCOL), None) => Ok(Outcome::OneWay),
        (None, None) => Ok(Outcome::Not),
        (ours, theirs) => Err(format!("we have {ours:?}, the peer has {theirs:?}")),
    }
}

/// Whether both sides report that messages are compressed.
fn negotiated(session: &Session<'_>, deflate: bool) -> Result<bool, String> {
    let is = |extensions: &str| extensions.contains("permessage-deflate");
    let ours = session.header(http::header::SEC_WEBSOCKET_EXTENSIONS).is_some_and(is);
    if ours && !deflate {
        return Err("compression was negotiated, which we neither offer nor accept".to_owned());
    }
    match session.hello.get("extensions") {
        Some(theirs) if is(theirs) != ours => Err(format!("we have {ours}, the peer has {theirs:?}")),
        _ => Ok(ours),
    }
}

fn texts(session: &mut Session<'_>) -> Step {
    for text in ["a", "\u{0}", "Good morning \u{2615} caf\u{e9} \u{1f600}", "\u{10ffff}"] {
        session.echo(Message::Text(text.into()))?;
    }
    for size in [125, 126, 127] {
        session.echo(Message::Text(prose(size).into()))?;
    }
    Ok(Outcome::Ok)
}

fn binary(session: &mut Session<'_>) -> Step {
    session.echo(Message::Binary((0..=255).collect::<Vec<u8>>().into()))?;
    session.echo(Message::Binary(b"\xff\xfe\x00\x80"[..].into()))?;
    Ok(Outcome::Ok)
}

fn empty(session: &mut Session<'_>) -> Step {
    session.echo(Message::Text("".into()))?;
    session.echo(Message::Binary(b""[..].into()))?;
    Ok(Outcome::Ok)
}

fn sizes(session: &mut Session<'_>, sizes: &[usize]) -> Step {
    for &size in sizes {
        session.echo(Message::Text(prose(size).into()))?;
        session.echo(Message::Binary(noise(size).into()))?;
    }
    Ok(Outcome::Ok)
}

/// Our fragments, and the peer's, of which there must be several.
///
/// A small compressed message may arrive entirely in its last fragment: its fragments are not counted.
fn fragments(session: &mut Session<'_>, compressed: bool) -> Step {
    let whole = send_fragments(session, |_| Ok(()))?;
    match session.request("/fragments")? {
        None => Ok(Outcome::OneWay),
        Some(text) if text != whole => Err(format!("its fragments make {:?}", short(&text))),
        Some(_) if session.fragment_count < 2 && !compressed => {
            Err("it sent its fragments as one frame".to_owned())
        }
        Some(_) => Ok(Outcome::Ok),
    }
}

/// Sends a message in fragments, with other frames between them, and expects its echo.
fn send_fragments(
    session: &mut Session<'_>,
    between: impl Fn(&mut Session<'_>) -> Result<(), String>,
) -> Result<String, String> {
    let whole = FRAGMENTS.concat();
    for (at, fragment) in FRAGMENTS.iter().enumerate() {
        let opcode = if at == 0 { Opcode::Text } else { Opcode::Continuation };
        session.send(&Frame::raw(opcode, at + 1 == FRAGMENTS.len(), *fragment).map_err(crate::text)?)?;
        between(session)?;
    }
    session.expect(&Message::Text(whole.as_str().into()))?;
    Ok(whole)
}

/// Empty messages without delay: the peer echoes each.
fn empty_messages(session: &mut Session<'_>) -> Step {
    let empty = Frame::text("");
    for _ in 0..FLOOD {
        session.send(&empty)?;
    }
    for _ in 0..FLOOD {
        session.expect(&Message::Text("".into()))?;
    }
    Ok(Outcome::Ok)
}

/// Short texts of the peer without delay, each as a frame with the text and an empty last frame.
fn ticks(session: &mut Session<'_>) -> Step {
    session.send(&Frame::text(format!("/ticks {FLOOD}")))?;
    for at in 0..FLOOD {
        match session.message()? {
            Message::Text(text) if text == "tick" => {}
            Message::Text(text) if at == 0 && text == "/cannot" => return Ok(Outcome::OneWay),
            other => {
                return Err(format!(
                    "received {:?} for tick {at}",
                    short(&String::from_utf8_lossy(other.as_bytes()))
                ));
            }
        }
    }
    Ok(Outcome::Ok)
}

/// A message that compresses about a thousandfold, if the peer compresses.
fn canvas(session: &mut Session<'_>) -> Step {
    session.echo(Message::Binary(vec![0xff; CANVAS].into()))?;
    Ok(Outcome::Ok)
}

/// A ping between fragments of ours.
fn ping_between(session: &mut Session<'_>) -> Step {
    send_fragments(session, |session| session.ours.send(&Frame::ping("between").map_err(crate::text)?))?;
    Ok(Outcome::Ok)
}

/// The peer answers our ping, and we answer the peer's.
fn ping(session: &mut Session<'_>) -> Step {
    session.ours.ping("are you there?")?;
    loop {
        match session.ours.next()? {
            Event::Pong(_) => break,
            Event::Closed(closed) => return Err(explanation(&closed)),
            Event::Message(_) | Event::Fragment(_) => return Err("a message answered a ping".to_owned()),
            _ => {}
        }
    }
    match session.request("/ping and you?")? {
        None => Ok(Outcome::OneWay),
        Some(answer) if answer == "/pong and you?" => Ok(Outcome::Ok),
        Some(answer) => Err(format!("the peer had {:?} for its ping", short(&answer))),
    }
}

fn close_by_peer(session: &mut Session<'_>) -> Result<Closed, String> {
    let (code, reason) = BY_PEER;
    session.send(&Frame::text(format!("/close {code} {reason}")))?;
    let closed = session.closed()?;
    if (closed.code.get(), &*closed.reason, closed.clean) != (code, reason, true) {
        return Err(explanation(&closed));
    }
    Ok(closed)
}

fn close(session: &mut Session<'_>, (code, reason): (u16, &str)) -> Step {
    session.ours.close(CloseCode::from(code), reason)?;
    let closed = session.closed()?;
    if closed.clean { Ok(Outcome::Ok) } else { Err(explanation(&closed)) }
}

/// Checks how the last connection ended for the peer. A side that closed need not see its own reason again.
fn close_reported(session: &Session<'_>, (code, reason): (u16, &str)) -> Step {
    let echo = code == BY_PEER.0;
    match session.hello.get("ended").map(|ended| ended.split_once(' ').unwrap_or((ended, ""))) {
        None => Ok(Outcome::OneWay),
        Some((theirs, why)) if theirs == code.to_string() && (why == reason || echo && why.is_empty()) => {
            Ok(Outcome::Ok)
        }
        Some(theirs) => Err(format!("the peer received {theirs:?}, not {code} {reason:?}")),
    }
}

/// Whether both sides sent fewer bytes on the wire than the messages have.
fn compression(negotiated: bool, closed: &Closed, sent: u64, received: u64) -> Step {
    let less = |wire: u64, messages: u64| wire < messages / 10 * 8;
    match (negotiated, less(closed.bytes_sent, sent), less(closed.bytes_received, received)) {
        (true, true, true) => Ok(Outcome::Ok),
        (true, true, false) => Ok(Outcome::OneWay),
        (true, false, _) => Err(format!("{} bytes on the wire for {sent} of messages", closed.bytes_sent)),
        (false, false, false) => Ok(Outcome::Not),
        (false, ..) => Err("fewer bytes arrived than the messages have".to_owned()),
    }
}

/// An idle connection, kept by heartbeats alone.
pub(crate) fn idle(ours: &mut dyn Ours) -> Result<(), String> {
    let mut session = Session::open(ours)?;
    report_step("idle", stay_idle(&mut session))?;
    close(&mut session, (1000, "")).map(drop)
}

fn stay_idle(session: &mut Session<'_>) -> Step {
    let began = Instant::now();
    let mut pongs = 0;
    while began.elapsed() < BEAT * BEATS {
        match session.ours.next()? {
            Event::Pong(_) => pongs += 1,
            Event::Closed(closed) => return Err(format!("after {pongs} pongs, {}", explanation(&closed))),
            _ => return Err("an unexpected event".to_owned()),
        }
    }
    session.echo(Message::Text("still open".into()))?;
    Ok(Outcome::Ok)
}

/// Reports how an idle connection ends.
pub(crate) fn end(ours: &mut dyn Ours) -> Result<(), String> {
    ours.open()?;
    loop {
        if let Event::Closed(closed) = ours.next()? {
            let end = if closed.clean { "clean" } else { "unclean" };
            report("end", "ok", &format!("{} {end} {}", closed.code.get(), closed.reason));
            return Ok(());
        }
    }
}
