//! What the two ends of a connection have negotiated.

use crate::connection::Connections;
use crate::ids::ConnectionId;
use std::sync::Arc;
use ws_proto::TlsInfo;

/// What the two ends of a connection have negotiated in their handshakes, besides the subprotocol, from
/// [`Connections::negotiated`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The negotiated compression terms; `None` if messages are not compressed.
    #[cfg(feature = "deflate")]
    pub compression: Option<ws_proto::deflate::Terms>,
    /// The result of the TLS handshake; `None` without TLS, and until the handshake is done.
    pub tls: Option<Arc<TlsInfo>>,
}

impl Connections {
    /// What the two ends of a connection have negotiated; nothing, once the connection is gone.
    pub fn negotiated(&self, id: ConnectionId) -> Negotiated {
        let Some(live) = self.slots.get(id) else { return Negotiated::default() };
        Negotiated {
            #[cfg(feature = "deflate")]
            compression: live.connection.compression(),
            tls: live.stream.is_none().then(|| self.sockets.tls(id.slot)).flatten(),
        }
    }
}
