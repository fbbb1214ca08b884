//! One of two connected ends: a connection, and an application that behaves like a real one.

use crate::taken::Taken;
use crate::watch::{Sample, Watched, sample};
use std::collections::VecDeque;
use ws_proto::{Connection, Event, IoAction, Message, Moment, SendError, Sent, State};

/// The most bytes per read.
const READ: usize = 16 * 1024;
/// The most bytes in flight in one direction: an end whose peer does not read cannot write without limit.
const PIPE: usize = 8 * 1024;

/// How an application reacts to the result of a send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habit {
    /// It keeps sending when congested, until sends are rejected.
    pub(crate) ignores: bool,
    /// It resends rejected messages after `Drained`.
    pub(crate) retries: bool,
    /// It sends a message for each one it receives.
    pub(crate) echoes: bool,
}

impl Habit {
    pub(crate) fn new(bits: u8) -> Self {
        Self { ignores: bits & 1 != 0, retries: bits & 2 != 0, echoes: bits & 4 != 0 }
    }
}

/// One end: a connection, its application, and the bytes in flight to it.
pub(crate) struct End {
    pub(crate) watched: Watched,
    pub(crate) taken: Taken,
    pub(crate) got: Vec<Sample>,
    /// The received part of a fragmented message.
    pub(crate) joined: Vec<u8>,
    pub(crate) habit: Habit,
    /// The application waits for room.
    pub(crate) waits: bool,
    /// Messages to send when there is room.
    pub(crate) kept: VecDeque<Sample>,
    /// It reads nothing until resumed.
    pub(crate) paused: bool,
    pub(crate) coming: Vec<u8>,
    pub(crate) fin_coming: bool,
    pub(crate) is_dropped: bool,
    /// The number of messages made.
    pub(crate) made: u8,
}

impl End {
    pub(crate) fn new(watched: Watched) -> Self {
        Self {
            watched,
            taken: Taken::default(),
            got: Vec::new(),
            joined: Vec::new(),
            habit: Habit::new(0),
            waits: false,
            kept: VecDeque::new(),
            paused: false,
            coming: Vec::new(),
            fin_coming: false,
            is_dropped: false,
            made: 0,
        }
    }

    /// Without room, one kind of application waits until there is some. The other ignores the result: a rejected
    /// message is lost, unless it is kept for `Drained`.
    pub(crate) fn record_result(&mut self, result: &Result<Sent, SendError>) {
        let is_full = matches!(result, Err(SendError::Full));
        if is_full || !self.habit.ignores && matches!(result, Ok(Sent::Congested)) {
            self.waits = self.watched.connection().is_congested() && !self.habit.ignores;
        }
    }

    /// A message that differs from all others of this end.
    pub(crate) fn make(&mut self, is_text: bool, len: usize) -> Sample {
        self.made = self.made.wrapping_add(1);
        let byte = if is_text { self.made & 0x7f } else { self.made };
        (is_text, vec![byte; len])
    }

    pub(crate) fn send(&mut self, is_text: bool, len: usize) {
        if self.waits {
            return;
        }
        let sample = self.make(is_text, len);
        self.send_sample(sample);
    }

    pub(crate) fn send_sample(&mut self, (is_text, data): Sample) {
        let message = match is_text {
            true => Message::Text(String::from_utf8(data.clone()).expect("all ASCII").into()),
            false => Message::Binary(data.clone().into()),
        };
        let result = self.taken.send(&mut self.watched, message);
        self.record_result(&result);
        // After its own unfinished message it might wait indefinitely.
        if result == Err(SendError::Full) && self.habit.retries && self.watched.connection().is_congested() {
            self.kept.push_back((is_text, data));
        }
    }

    /// After `Drained`: resends kept messages, and keeps those rejected again.
    pub(crate) fn resend(&mut self) {
        self.waits = false;
        for sample in core::mem::take(&mut self.kept) {
            self.send_sample(sample);
        }
    }

    /// Sends many messages of one length, until one is rejected.
    pub(crate) fn send_bulk(&mut self, is_text: bool, count: usize, len: usize) {
        for _ in 0..count {
            if self.waits {
                break;
            }
            self.send(is_text, len);
        }
    }

    pub(crate) fn send_fragment(&mut self, is_text: bool, fin: bool, len: usize) {
        let sample = self.make(is_text, len);
        let result = self.taken.send_fragment(&mut self.watched, sample, fin);
        self.record_result(&result);
    }

    pub(crate) fn handle(&mut self, now: Moment, event: Event<'_>) {
        match event {
            Event::Upgrade(upgrade) => self.watched.act(|c| c.accept(now, upgrade).expect("it is undecided")),
            Event::Message(message) => {
                let sample = sample(&message);
                if self.habit.echoes {
                    let (is_text, len) = (sample.0, sample.1.len());
                    self.send(is_text, len);
                }
                self.got.push(sample);
            }
            Event::Fragment(fragment) => {
                self.joined.extend_from_slice(fragment.data.as_bytes());
                if fragment.last {
                    self.got.push((fragment.data.is_text(), core::mem::take(&mut self.joined)));
                }
            }
            Event::Drained => self.resend(),
            Event::Request(request) => panic!("{request:?} was never made"),
            _ => {}
        }
    }

    /// Behaviour specific to this application: its habit, a pause, or a bulk send.
    pub(crate) fn behave(&mut self, now: Moment, byte: u8, is_text: bool) {
        match byte >> 4 {
            0..4 => {
                self.habit = Habit::new(byte);
                // An application that heeded every result may be waiting.
                self.waits &= !self.habit.ignores;
            }
            4..6 => {
                self.paused = self.watched.connection().state() == State::Open;
                self.watched.act(Connection::pause);
            }
            6..8 => self.resume(now),
            8..12 => self.send_bulk(is_text, 20, 100 * usize::from(byte & 0xf)),
            _ => self.send_bulk(is_text, 100, usize::from(byte & 0xf)),
        }
    }

    /// A fair application resumes what it has paused.
    pub(crate) fn resume(&mut self, now: Moment) {
        self.paused = false;
        self.watched.act(|c| c.resume(now));
    }

    pub(crate) fn poll(&mut self, now: Moment) {
        while let Some(event) = self.watched.poll_event(now) {
            self.handle(now, event);
        }
    }

    /// Reads up to `n` of the bytes in flight. Returns whether any were used.
    pub(crate) fn read(&mut self, now: Moment, n: usize) -> bool {
        if self.is_dropped {
            self.coming.clear();
            return false;
        }
        let n = n.min(self.coming.len()).min(READ);
        let mut coming = core::mem::take(&mut self.coming);
        let mut input = &mut coming[..n];
        while let Some(event) = self.watched.handle_input(now, &mut input) {
            self.handle(now, event);
        }
        let used = n - input.len();
        coming.drain(..used);
        self.coming = coming;
        if self.coming.is_empty() && core::mem::take(&mut self.fin_coming) {
            self.watched.handle_eof(now);
            return true;
        }
        used > 0
    }

    /// Moves up to `n` bytes of output into the pipe, and performs the connection's I/O. Returns whether anything
    /// moved.
    pub(crate) fn write(&mut self, now: Moment, n: usize, to: &mut Self) -> bool {
        if self.is_dropped {
            return false;
        }
        let before = self.watched.connection().bytes_sent();
        let n = n.min(PIPE - to.coming.len());
        self.watched.write(now, n, |bytes| to.coming.extend_from_slice(bytes));
        match self.watched.poll_io() {
            IoAction::Shutdown => {
                to.fin_coming = true;
                true
            }
            IoAction::Drop | IoAction::Reset => {
                self.is_dropped = true;
                to.fin_coming |= !self.watched.has_half_closed();
                true
            }
            _ => self.watched.connection().bytes_sent() > before,
        }
    }
}
