//! Bulk data, sent with `send` alone: by the application to its peers, and by peers to the server.

use super::app::{App, Said, content};
use super::web_socket::WebSocket;
use ws_proto::{Frame, Opcode};
use ws_server_mio::{ConnectionId, Connections, SendError, Sent};

/// When a sender waits for `Drained`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Ignores what the send returns.
    Never,
    Congested,
    Full,
}

/// What remains to be sent.
#[derive(Clone, Debug)]
pub(super) struct Bulk {
    until: Until,
    len: usize,
    left: usize,
}

/// The numbers of unrequested messages, disjoint from all other numbers.
pub(super) const BULK: usize = 5000;

impl Bulk {
    pub(super) fn new(until: Until, len: usize, count: usize) -> Self {
        Self { until, len, left: count }
    }

    pub(super) fn end(&mut self) {
        self.left = 0;
    }

    /// Sends until there is a reason to wait.
    fn continue_sending(&mut self, mut send: impl FnMut(usize) -> Result<Sent, SendError>) {
        while self.left > 0 {
            match send(self.len) {
                Ok(sent) => {
                    self.left -= 1;
                    if sent == Sent::Congested && self.until == Until::Congested {
                        return;
                    }
                }
                // The message is lost, by design.
                Err(SendError::Full) if self.until == Until::Never => self.left -= 1,
                Err(SendError::Full) => return,
                Err(_) => self.left = 0,
            }
        }
    }
}

impl App<'_> {
    /// The connection has opened, or drained.
    pub(super) fn send_bulk(&mut self, connections: &mut Connections, id: ConnectionId) {
        let peer = self.ids[&id];
        let record = &mut self.records[peer];
        let Some(mut bulk) = record.bulk.take() else { return };
        let said = &mut record.said;
        bulk.continue_sending(|len| {
            let n = said.len();
            let sent = connections.send(id, content(peer, BULK + n, len))?;
            said.push(Said::Bulk(len));
            Ok(sent)
        });
        record.bulk = Some(bulk);
    }

    /// Sends nothing more than what was begun.
    pub(super) fn end_refills(&mut self) {
        if std::mem::take(&mut self.behaviour.refill) {
            self.records.iter_mut().filter_map(|record| record.bulk.as_mut()).for_each(Bulk::end);
        }
    }
}

impl WebSocket {
    /// The connection has opened, or drained.
    pub(super) fn send_bulk(&mut self, number: usize, lengths: &mut Vec<usize>) {
        let Some(mut bulk) = self.bulk.take() else { return };
        bulk.continue_sending(|len| {
            let frame = Frame::raw(Opcode::Binary, true, content(number, lengths.len(), len))?;
            let sent = self.connection.send(&frame)?;
            lengths.push(len);
            Ok(sent)
        });
        self.bulk = Some(bulk);
    }
}
