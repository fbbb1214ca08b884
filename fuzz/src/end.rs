//! One of two ends that meet: a connection, and an application that behaves as users do.

use crate::taken::Taken;
use crate::watch::{Sample, Watched, sample};
use std::collections::VecDeque;
use ws_proto::{Connection, Event, IoAction, Message, Moment, SendError, Sent, State};

/// What one read gives at most.
const READ: usize = 16 * 1024;
/// What may be on its way in one direction: who is not read cannot write for ever.
const PIPE: usize = 8 * 1024;

/// What an application makes of the answer to a send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habit {
    /// It goes on when it is congested, and until nothing is taken.
    pub(crate) ignores: bool,
    /// What was not taken it sends when it has drained.
    pub(crate) retries: bool,
    /// It sends a message for each that it gets.
    pub(crate) echoes: bool,
}

impl Habit {
    pub(crate) fn new(bits: u8) -> Self {
        Self { ignores: bits & 1 != 0, retries: bits & 2 != 0, echoes: bits & 4 != 0 }
    }
}

/// One end: a connection, its application, and the bytes that are on their way to it.
pub(crate) struct End {
    pub(crate) watched: Watched,
    pub(crate) taken: Taken,
    pub(crate) got: Vec<Sample>,
    /// A message that is told in pieces, so far.
    pub(crate) pieces: Vec<u8>,
    pub(crate) habit: Habit,
    /// The application waits for room.
    pub(crate) waits: bool,
    /// What it sends when there is.
    pub(crate) kept: VecDeque<Sample>,
    /// It reads nothing before this.
    pub(crate) paused: bool,
    pub(crate) coming: Vec<u8>,
    pub(crate) fin_coming: bool,
    pub(crate) is_dropped: bool,
    /// How many messages it has made.
    pub(crate) made: u8,
}

impl End {
    pub(crate) fn new(watched: Watched) -> Self {
        Self {
            watched,
            taken: Taken::default(),
            got: Vec::new(),
            pieces: Vec::new(),
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

    /// Told that there is no room, an application of one kind waits until there is. One of the other looks at nothing:
    /// what is not taken is lost, unless it keeps that for when it has drained.
    pub(crate) fn note_sent(&mut self, result: &Result<Sent, SendError>) {
        let is_full = matches!(result, Err(SendError::Full));
        if is_full || !self.habit.ignores && matches!(result, Ok(Sent::Congested)) {
            self.waits = self.watched.ask().is_congested() && !self.habit.ignores;
        }
    }

    /// Something that no other message of this end is.
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
        self.note_sent(&result);
        // Behind a message of its own that it does not end, it may wait for ever.
        if result == Err(SendError::Full) && self.habit.retries && self.watched.ask().is_congested() {
            self.kept.push_back((is_text, data));
        }
    }

    /// It has drained: what was kept goes out, and what is not taken is kept again.
    pub(crate) fn go_on(&mut self) {
        self.waits = false;
        for sample in core::mem::take(&mut self.kept) {
            self.send_sample(sample);
        }
    }

    /// Many messages of one length, until nothing more is taken.
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
        self.note_sent(&result);
    }

    pub(crate) fn hear(&mut self, now: Moment, event: Event<'_>) {
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
                self.pieces.extend_from_slice(fragment.data.as_bytes());
                if fragment.last {
                    self.got.push((fragment.data.is_text(), core::mem::take(&mut self.pieces)));
                }
            }
            Event::Drained => self.go_on(),
            Event::Request(request) => panic!("{request:?} was never made"),
            _ => {}
        }
    }

    /// What only this application does, or how it does all: its habit, a pause, or much at once.
    pub(crate) fn behave(&mut self, now: Moment, byte: u8, is_text: bool) {
        match byte >> 4 {
            0..4 => {
                self.habit = Habit::new(byte);
                // One that looked at everything may have waited.
                self.waits &= !self.habit.ignores;
            }
            4..6 => {
                self.paused = self.watched.ask().state() == State::Open;
                self.watched.act(Connection::pause);
            }
            6..8 => self.resume(now),
            8..12 => self.send_bulk(is_text, 20, 100 * usize::from(byte & 0xf)),
            _ => self.send_bulk(is_text, 100, usize::from(byte & 0xf)),
        }
    }

    /// An honest application resumes what it has paused.
    pub(crate) fn resume(&mut self, now: Moment) {
        self.paused = false;
        self.watched.act(|c| c.resume(now));
    }

    pub(crate) fn poll(&mut self, now: Moment) {
        while let Some(event) = self.watched.poll_event(now) {
            self.hear(now, event);
        }
    }

    /// Gives up to `n` of the bytes that are on their way; says whether any were used.
    pub(crate) fn read(&mut self, now: Moment, n: usize) -> bool {
        if self.is_dropped {
            self.coming.clear();
            return false;
        }
        let n = n.min(self.coming.len()).min(READ);
        let mut coming = core::mem::take(&mut self.coming);
        let mut input = &mut coming[..n];
        while let Some(event) = self.watched.handle_input(now, &mut input) {
            self.hear(now, event);
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

    /// Moves up to `n` bytes of the output on their way, and does what the connection wants of its transport; says
    /// whether anything moved.
    pub(crate) fn write(&mut self, now: Moment, n: usize, to: &mut Self) -> bool {
        if self.is_dropped {
            return false;
        }
        let before = self.watched.ask().bytes_sent();
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
            _ => self.watched.ask().bytes_sent() > before,
        }
    }
}
