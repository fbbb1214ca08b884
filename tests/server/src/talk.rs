//! The numbered messages of a counting client, and the output of `/push`.

use std::collections::VecDeque;
use ws_proto::Message;

/// The message of `/push`: large enough to fill buffers quickly.
pub fn pushed() -> Vec<u8> {
    vec![b'x'; 16 << 10]
}

/// Messages from 1 to `count`, each of which must be echoed in order, whole, and once. An echoed message is
/// acknowledged, whatever happens to the connection then; the next connection sends all others again.
pub struct Exchange {
    count: u64,
    size: usize,
    window: usize,
    acknowledged: u64,
    next: u64,
    in_flight: VecDeque<u64>,
}

impl Exchange {
    /// `ws://… COUNT SIZE WINDOW`: the first argument is the URL.
    pub fn from_arguments() -> Result<(String, Self), Box<dyn std::error::Error>> {
        let mut arguments = std::env::args().skip(1);
        let mut next = || arguments.next().ok_or("usage: URL COUNT SIZE WINDOW");
        let url = next()?;
        let (count, size, window) = (next()?.parse()?, next()?.parse()?, next()?.parse()?);
        let exchange = Self { count, size, window, acknowledged: 0, next: 1, in_flight: VecDeque::new() };
        Ok((url, exchange))
    }

    /// Starts a new connection after the last echoed message.
    pub fn opened(&mut self) {
        println!("open, {} acknowledged", self.acknowledged);
        self.in_flight.clear();
        self.next = self.acknowledged + 1;
    }

    fn message(&self, number: u64) -> String {
        format!("{number:010} {}", "x".repeat(self.size))
    }

    /// Returns the next message to send now, if any.
    pub fn next_message(&mut self) -> Option<String> {
        if self.in_flight.len() >= self.window || self.next > self.count {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.in_flight.push_back(number);
        Some(self.message(number))
    }

    /// Handles an echo; returns whether it was the last. Binary messages are not echoes.
    pub fn receive(&mut self, echo: &Message<'_>) -> Result<bool, String> {
        let Some(echo) = echo.as_text() else { return Ok(false) };
        let expected = self.in_flight.pop_front().ok_or("an unexpected echo")?;
        if echo != self.message(expected) {
            return Err(format!("{:?} instead of {expected}", &echo[..echo.len().min(20)]));
        }
        self.acknowledged = expected;
        Ok(self.acknowledged == self.count)
    }
}

/// A retry policy with short delays.
pub fn reconnect() -> ws_host::client::Reconnect {
    let millisecond = std::time::Duration::from_millis(1);
    ws_host::client::Reconnect::default().wait(20 * millisecond, 200 * millisecond)
}
