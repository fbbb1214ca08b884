//! Stands in for TLS when the feature is off: there is no value of its type.

use crate::sys::stream::Stream;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};
use ws_proto::{Config, TlsInfo};

/// No connection has one.
#[derive(Debug)]
pub(crate) enum Tls {}

impl Tls {
    pub(crate) fn info(&self) -> Option<Arc<TlsInfo>> {
        match *self {}
    }

    pub(crate) fn redirect(&self) -> Option<Arc<Config>> {
        match *self {}
    }

    pub(crate) fn poll_read(&self, _: &Stream, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(crate) fn poll_write(
        &self,
        _: &Stream,
        _: &mut Context<'_>,
        _: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(crate) fn poll_flush(&self, _: &Stream, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(crate) fn poll_close(&self, _: &Stream, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}
