//! What the owner of the socket learns of the client once the connection has begun.

use super::server::ServerHttp;
use crate::access::tls::TlsInfo;
use crate::access::transport::Transport;
use core::net::SocketAddr;
use std::sync::Arc;

impl ServerHttp {
    /// The connection speaks TLS, as of the next request.
    pub(crate) fn set_tls(&mut self, info: Arc<TlsInfo>) {
        self.transport.secure = true;
        self.tls = Some(info);
    }

    /// The owner of the socket knows the client's address, as of the next request. It came over another transport.
    pub(crate) fn set_peer(&mut self, peer: SocketAddr) {
        self.transport = Transport { peer: Some(peer), unix: false, loopback_port: None, ..self.transport };
    }
}
