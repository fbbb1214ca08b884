//! stub
use crate::error::SendError;
use bytes::Bytes;
/// stub
#[derive(Debug)]
pub struct Request {
    pub(crate) request: http::Request<Bytes>,
}
impl std::ops::Deref for Request {
    type Target = http::Request<Bytes>;
    fn deref(&self) -> &http::Request<Bytes> {
        &self.request
    }
}
/// stub
#[derive(Debug)]
pub struct Upgrade {
    pub(crate) request: http::Request<()>,
}
impl Upgrade {
    /// stub
    pub fn uri(&self) -> &http::Uri {
        self.request.uri()
    }
    /// stub
    pub fn headers(&self) -> &http::HeaderMap {
        self.request.headers()
    }
    /// stub
    pub fn path(&self) -> &str {
        self.request.uri().path()
    }
    /// stub
    pub fn select_subprotocol(&mut self, _name: &str) -> Result<(), SendError> {
        todo!()
    }
}
impl From<Upgrade> for Request {
    fn from(_: Upgrade) -> Self {
        todo!()
    }
}
/// stub
#[derive(Debug)]
pub struct ClientRequest {}
impl ClientRequest {
    /// stub
    pub fn new(_uri: &str) -> Result<Self, crate::error::HandshakeError> {
        todo!()
    }
}
