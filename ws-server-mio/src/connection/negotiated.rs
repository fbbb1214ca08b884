//! What the two sides of a connection have agreed on.

use crate::connection::Connections;
use crate::ids::ConnectionId;
use std::sync::Arc;
use ws_proto::TlsInfo;

/// What the two sides of a connection have agreed on in their handshakes, besides the subprotocol:
/// [`Connections::negotiated`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The compression; `None` if messages are uncompressed.
    #[cfg(feature = "deflate")]
    pub compression: Option<ws_proto::deflate::Terms>,
    /// The TLS; `None` without it, and until its handshake is done.
    pub tls: Option<Arc<TlsInfo>>,
}

impl Connections {
    /// What the two sides of a connection have agreed on; nothing, once it is gone.
    pub fn negotiated(&self, id: ConnectionId) -> Negotiated {
        let Some(live) = self.slots.get(id) else { return Negotiated::default() };
        Negotiated {
            #[cfg(feature = "deflate")]
            compression: live.connection.compression(),
            tls: live.stream.is_none().then(|| self.sockets.tls(id.slot)).flatten(),
        }
    }
}
