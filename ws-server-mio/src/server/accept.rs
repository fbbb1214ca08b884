//! Accepting connections.

use crate::connection::Connections;
use crate::connection::lists::arm;
use crate::connection::slots::{Slot, flag};
use crate::ids::ServerIndex;
use crate::sys::{layered::LayeredSocket, socket::NewSocket};
use std::io;
use ws_host::listen::AfterFailure;
use ws_host::socket::canonical;
use ws_proto::Connection;

impl Connections {
    /// Accepts one connection from a listener; returns whether there may be more.
    pub(crate) fn accept_one(&mut self, index: ServerIndex, place: usize) -> bool {
        let now = self.now;
        let Some(server) = self.servers.at_mut(index) else { return false };
        if server.admission.at_handshake_limit() {
            return false;
        }
        let Some(listener) = server.listeners.get_mut(place) else { return false };
        if !listener.ready || listener.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        listener.retry_at = None;
        let (mut socket, peer) = match listener.socket.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                listener.ready = false;
                return false;
            }
            Err(error) => return self.accept_failed(index, place, error),
        };
        let Some(slot) = self.slots.next().filter(|_| server.admission.try_admit(peer)) else {
            self.totals.rejected += 1;
            return true;
        };
        if let Err(error) = self.sys.register(&mut socket, slot) {
            server.admission.handshake_done();
            server.admission.release(peer);
            return self.accept_failed(index, place, error);
        }
        self.totals.accepted += 1;
        server.failures.accepted();
        server.http += 1;
        if peer.is_some() {
            socket.as_ref().prepare();
        }
        let transport = server.transport.peer(peer.map(canonical));
        let mut connection = Connection::server(now, server.config.clone(), transport);
        connection.shares().begin();
        let layer = match server.admission.proxy_header_limit(transport) {
            Some(limit) => Some(server.tls_layer().unwrap_or_default().after_proxy_header(limit)),
            None => server.tls_layer(),
        };
        let socket = match layer {
            Some(layer) => NewSocket::Other(Box::new(LayeredSocket::new(socket, layer))),
            None => socket,
        };
        let stream = self.sockets.keep(slot, socket);
        let mut live = Slot::new(connection, stream, index);
        live.set(flag::HTTP | flag::NEW);
        arm(slot, &mut live, &mut self.deadlines);
        self.slots.put(live, peer);
        true
    }

    /// Handles a failed accept; returns whether to continue at once. Without descriptors or memory that would spin:
    /// peers wait in the kernel.
    fn accept_failed(&mut self, index: ServerIndex, place: usize, error: io::Error) -> bool {
        let now = self.now;
        let id = self.servers.id_at(index);
        let (Some(server), Some(id)) = (self.servers.at_mut(index), id) else { return false };
        match server.failures.failed(&error) {
            AfterFailure::Continue => true,
            AfterFailure::Wait { delay, report } => {
                if let Some(listener) = server.listeners.get_mut(place) {
                    listener.retry_at = Some(now + delay);
                }
                if report {
                    self.failures.push_back((id, error));
                }
                false
            }
        }
    }
}
