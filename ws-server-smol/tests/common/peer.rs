//! The strict peer with async reads: other tasks run meanwhile.

use futures_lite::future;
pub use ws_kit::peer::*;

/// Lets other tasks run until the condition holds.
pub async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        future::yield_now().await;
    }
}

/// Lets other tasks run until the value is available.
pub async fn got<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        match look() {
            Some(there) => return there,
            None => future::yield_now().await,
        }
    }
}

pub trait PeerExt {
    async fn head(&mut self) -> String;
    async fn frame(&mut self) -> (u8, Vec<u8>);
    async fn response(&mut self) -> (u16, String);
    /// Reads to EOF, or a reset.
    async fn end(&mut self);
    /// Reads while the script runs: over TLS, a request waits for the handshake, which needs reads.
    async fn beside<T>(&mut self, script: impl Future<Output = T>) -> T;
    /// Everything until EOF, which must come.
    async fn all(&mut self) -> String;
}

impl PeerExt for Peer {
    async fn head(&mut self) -> String {
        got(|| self.take_head()).await
    }

    async fn frame(&mut self) -> (u8, Vec<u8>) {
        got(|| self.take_frame()).await
    }

    async fn response(&mut self) -> (u16, String) {
        got(|| self.take_response()).await
    }

    async fn end(&mut self) {
        until(|| {
            self.read();
            self.ended.is_some()
        })
        .await;
    }

    async fn beside<T>(&mut self, script: impl Future<Output = T>) -> T {
        let reading = got(|| {
            self.read();
            None
        });
        future::or(script, reading).await
    }

    async fn all(&mut self) -> String {
        got(|| {
            self.read();
            self.ended
        })
        .await
        .unwrap();
        String::from_utf8(std::mem::take(&mut self.got)).unwrap()
    }
}
