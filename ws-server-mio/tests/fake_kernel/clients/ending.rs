//! How a run ends: every host is reachable, the clients reconnect, close, and nothing leaks.

use super::world::{World, lock};
use std::time::Duration;
use ws_server_mio::ClientState;
use ws_server_mio::inspect;

impl World {
    /// Lets everything arrive and every host read, until nothing is left to do; no time passes.
    fn quiet(&mut self) {
        for round in 0.. {
            assert!(round < 100_000, "the run never ends");
            let mut moved = false;
            for id in 0..self.hosts.len() {
                self.kernel.lock().progress(id, true);
            }
            if self.is_called() {
                self.turn();
                moved = true;
            }
            moved |= self.pump();
            moved |= self.answer_a_name();
            if !moved {
                return;
            }
        }
    }

    /// The network is fair, and all hosts are up: every client that wants a connection gets one.
    pub(super) fn settle(&mut self) {
        self.trace(|| "settle".to_owned());
        self.storm = false;
        {
            let mut app = lock(&self.app);
            app.wild = 0;
            let mut kernel = self.kernel.lock();
            kernel.be_fair();
            kernel.be_reachable();
        }
        for host in &mut self.hosts {
            (host.reads, host.pace) = (true, 1 << 20);
            if host.vanished {
                host.vanished = false;
                host.reset(&self.kernel);
            }
        }
        self.quiet();
        for _ in 0..3000 {
            if self.is_settled() || !self.pass(Duration::MAX) {
                break;
            }
            self.quiet();
        }
        assert!(self.is_settled(), "a client does not reconnect, or waits for a message");
    }

    /// The clients close, and their closes are reported.
    pub(super) fn part(&mut self) {
        self.trace(|| "part".to_owned());
        let ids: Vec<_> = self.app().clients.keys().copied().collect();
        for id in ids {
            let mut app = lock(&self.app);
            match self.rng.below(3) {
                0 => app.remove(self.endpoint.connections(), id),
                _ => app.disconnect(self.endpoint.connections(), id),
            }
            if self.rng.percent(50) {
                drop(app);
                self.quiet();
            }
        }
        for round in 0.. {
            assert!(round < 10_000, "there is always another deadline");
            self.quiet();
            if !self.pass(Duration::MAX) {
                break;
            }
        }
    }

    pub(super) fn nothing_is_left(&mut self) {
        assert_eq!(self.endpoint.next_timeout(), None);
        let connections = self.endpoint.connections();
        let left = inspect::overview(connections);
        assert!(!left.has_work && left.all_idle);
        assert_eq!((left.slots, left.leftovers), (0, 0));
        assert_eq!(left.due, 0);
        let mut app = lock(&self.app);
        for (id, known) in &app.clients {
            assert_eq!(connections.client(*id).state(), ClientState::Idle);
            assert_eq!(known.ended(), inspect::client(connections, *id).unwrap().attempts);
            assert!(known.connection.is_none() && known.cancelled == 0);
        }
        for id in app.clients.keys().copied().collect::<Vec<_>>() {
            app.remove(connections, id);
        }
        assert_eq!(inspect::clients(connections).count(), 0);
        let kernel = self.kernel.lock();
        assert!(kernel.sockets.iter().all(|socket| socket.closed));
        for (socket, record) in app.records.iter().filter(|(_, record)| record.id.is_some()) {
            record.events.must_be_over();
            let closed = record.events.closed().unwrap();
            let socket = &kernel.sockets[*socket];
            let (sent, written) = (closed.bytes_sent, socket.bytes_written);
            assert!(if socket.layer.is_none() { sent == written } else { sent < written });
            assert!(closed.bytes_received <= socket.bytes_read);
            assert!(!closed.clean || !socket.is_truncated, "{closed}");
        }
    }
}
