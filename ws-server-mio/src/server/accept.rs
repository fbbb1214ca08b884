//! Accepting.

use crate::connection::Connections;
use crate::connection::lists::arm;
use crate::connection::slots::{Slot, flag};
use crate::ids::ServerIndex;
use crate::sys::socket_options;
use mio::{Interest, Token};
use std::io;
use ws_host::listen::{self, ACCEPT_AGAIN};
use ws_proto::Connection;

impl Connections {
    /// Accepts one connection from a listener; says whether there may be more.
    pub(crate) fn accept_one(&mut self, index: ServerIndex, place: usize) -> bool {
        let now = self.now;
        let Some(server) = self.servers.at_mut(index) else { return false };
        if server.census.is_crowded() {
            return false;
        }
        let Some(listener) = server.listeners.get_mut(place) else { return false };
        if !listener.ready || listener.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        listener.retry_at = None;
        let (mut stream, peer) = match listener.socket.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                listener.ready = false;
                return false;
            }
            Err(error) if listen::is_passing(&error) => return true,
            Err(error) => {
                self.accept_failed(index, place, error);
                return false;
            }
        };
        let Some(slot) = self.slots.next().filter(|_| server.census.admit(peer)) else {
            self.tally.turned_away += 1;
            return true;
        };
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry.register(&mut stream, Token(slot as usize), both) {
            server.census.asked();
            server.census.dismiss(peer);
            self.accept_failed(index, place, error);
            return false;
        }
        self.tally.accepted += 1;
        server.failing = false;
        server.http += 1;
        if peer.is_some() {
            socket_options::prepare(&stream);
        }
        let mut connection = Connection::server(now, server.config.clone(), server.transport);
        connection.share_inflating();
        let mut live = Slot::new(connection, stream, index);
        live.set(flag::HTTP | flag::NEW);
        arm(slot, &mut live, &mut self.timers);
        self.slots.put(live, peer);
        true
    }

    /// No descriptor, no memory: asking again at once would spin. Who waits, waits in the kernel.
    fn accept_failed(&mut self, index: ServerIndex, place: usize, error: io::Error) {
        let now = self.now;
        let id = self.servers.id_at(index);
        let (Some(server), Some(id)) = (self.servers.at_mut(index), id) else { return };
        if let Some(listener) = server.listeners.get_mut(place) {
            listener.retry_at = Some(now + ACCEPT_AGAIN);
        }
        if !server.failing {
            server.failing = true;
            self.failures.push_back((id, error));
        }
    }
}
