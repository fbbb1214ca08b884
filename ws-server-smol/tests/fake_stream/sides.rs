//! The two ends of a run, as its tasks see them: over a pipe, or over TLS on it.

use crate::common::pipe::End;
use crate::unruly::Unruly;
use futures_lite::{AsyncRead, AsyncWrite};
use std::sync::Arc;
use ws_server_smol::{Config, ConnectError, HttpConnection, WebSocket, handshake};

/// A client's end: its bytes, or a WebSocket over them.
pub(crate) trait ClientSide: AsyncRead + AsyncWrite + Unpin {
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Reads a few bytes at a time.
    fn sipping(self, most: usize) -> Self;

    /// Ends with a reset.
    fn reset(self);

    async fn open(self, config: Config) -> Result<WebSocket<Self::Stream>, ConnectError>;
}

pub(crate) trait ServerSide {
    type Stream: AsyncRead + AsyncWrite + Unpin;

    async fn http(self, config: Config) -> HttpConnection<Self::Stream>;
}

impl ClientSide for End {
    type Stream = Self;

    fn sipping(self, most: usize) -> Self {
        Self::sipping(self, most)
    }

    fn reset(self) {
        Self::reset(self);
    }

    async fn open(self, config: Config) -> Result<WebSocket<Self>, ConnectError> {
        handshake(self, "ws://localhost/", Arc::new(config)).await
    }
}

impl ServerSide for Unruly {
    type Stream = Self;

    async fn http(self, config: Config) -> HttpConnection<Self> {
        HttpConnection::new(self, Arc::new(config))
    }
}
