//! What the bytes of peers pass on their way, such as TLS. The loop speaks it too; above it, peers are as without.

use super::kernel::Inner;
use super::remote_peer::Received;
use std::fmt;
use std::sync::Arc;
use ws_server_mio::{ClientConfig, ServerConfig};

/// One peer's side of it.
pub(super) trait Layer: Send {
    /// Whether content may pass: no handshake is to come.
    fn is_ready(&self) -> bool;

    fn send(&mut self, content: &[u8]);

    /// Returns the content of what arrived.
    fn receive(&mut self, wire: &[u8]) -> Vec<u8>;

    /// Queues close_notify.
    fn close(&mut self);

    /// Whether the loop has sent close_notify.
    fn is_announced(&self) -> bool;

    fn take_output(&mut self) -> Vec<u8>;
}

/// Has a whole run speak through it.
#[derive(Clone)]
pub(super) struct Layers {
    pub(super) of_servers: Arc<dyn Fn(ServerConfig) -> ServerConfig + Send + Sync>,
    pub(super) of_clients: Arc<dyn Fn(ClientConfig) -> ClientConfig + Send + Sync>,
    /// A peer's, of a server or of a client.
    pub(super) of_peers: Arc<dyn Fn() -> Box<dyn Layer> + Send + Sync>,
    /// How many peers speak without it, in percent.
    pub(super) without: usize,
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").field("without", &self.without).finish_non_exhaustive()
    }
}

impl Inner {
    /// The peer speaks through this from now on.
    pub(super) fn wrap(&mut self, id: usize, layer: Box<dyn Layer>) {
        self.sockets[id].layer = Some(layer);
        self.flush(id);
    }

    /// As [`send`](Self::send), for a peer that has a layer.
    pub(super) fn send_through(&mut self, id: usize, content: &[u8]) -> usize {
        let socket = &mut self.sockets[id];
        let room = 200_000_usize.saturating_sub(socket.wire.len());
        let Some(layer) = socket.layer.as_mut().filter(|layer| layer.is_ready()) else { return 0 };
        let n = content.len().min(room);
        layer.send(&content[..n]);
        self.flush(id);
        n
    }

    /// The content of what the peer's socket has received. Records without any count as received, too.
    pub(super) fn receive_through(&mut self, id: usize, received: Received) -> Received {
        let socket = &mut self.sockets[id];
        match (&mut socket.layer, received) {
            (Some(layer), Received::End) => {
                // A loop that is done with the peer does not wait for room to say so.
                socket.is_truncated = socket.shut && !layer.is_announced();
                Received::End
            }
            (Some(layer), Received::Bytes(bytes)) => {
                let content = layer.receive(&bytes);
                self.flush(id);
                Received::Bytes(content)
            }
            (_, received) => received,
        }
    }

    /// Whether the peer can send: no handshake of its layer is to come.
    pub(super) fn takes(&self, id: usize) -> bool {
        self.sockets[id].layer.as_ref().is_none_or(|layer| layer.is_ready())
    }

    /// Sends close_notify, or leaves it out, as many peers do.
    pub(super) fn announce(&mut self, id: usize) {
        if self.sockets[id].layer.is_some() && self.takes(id) && self.rng.percent(70) {
            self.announce_end(id);
        }
    }

    pub(super) fn announce_end(&mut self, id: usize) {
        let Some(layer) = &mut self.sockets[id].layer else { return };
        layer.close();
        self.flush(id);
        let socket = &mut self.sockets[id];
        socket.announced_at = Some(socket.bytes_sent);
    }

    fn flush(&mut self, id: usize) {
        if let Some(layer) = &mut self.sockets[id].layer {
            let output = layer.take_output();
            self.transmit(id, &output);
        }
    }
}
