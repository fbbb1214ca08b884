//! Files from a folder: opened and read on threads that may wait, sent as the peer takes them.

use crate::connection::http::HttpConnection;
use crate::handles::responder::Responder;
use blocking::unblock;
use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use std::future::poll_fn;
use std::io::{Read, Seek, SeekFrom};
use std::pin::pin;
use std::task::Poll;
use ws_host::web;
use ws_host::web::Disk;
use ws_proto::{Request, RespondError};

/// What is read from a file at once.
const CHUNK: u64 = 64 << 10;

/// A folder whose files are served by [`HttpConnection::respond_file`].
///
/// ```no_run
/// # use ws_server_smol::{Folder, HttpConnection, Request};
/// # async fn f(mut http: HttpConnection, request: Request) -> Result<(), Box<dyn std::error::Error>> {
/// let music = Folder::new("/srv/music")?.at("/music");
/// // for a request whose path begins with /music/:
/// http.respond_file(request, &music).await?;
/// # Ok(()) }
/// ```
///
/// No system reads files without blocking, so that files are opened and read on the threads of the crate `blocking`.
/// [`Folder::new`] itself looks whether the folder is there, and so is best called before anything is served. What
/// the program needs at all times is better [embedded](crate::web::Assets).
pub type Folder = web::Folder<Disk>;

impl Responder {
    /// Answers a request with the file of a folder that its path leads to: 200, a part (206) or 304; 404 where there
    /// is none, 405 for what is no GET or HEAD, and a redirect for a folder whose slash is missing.
    ///
    /// It waits until the last of the file is queued; what is queued goes out while [`HttpConnection::next`] is polled.
    /// A file that becomes shorter, or unreadable, ends the connection, so that the peer sees that it was cut off; so
    /// does dropping the future.
    ///
    /// # Errors
    /// As [`Responder::respond`]; [`RespondError::BodyLength`] where the file became shorter or unreadable; and as
    /// [`Body::send`](crate::Body::send), where the connection ended before all was queued.
    pub async fn respond_file(
        &self,
        request: impl Into<Request>,
        folder: &Folder,
    ) -> Result<(), RespondError> {
        let (request, folder) = (request.into(), folder.clone());
        let (request, opened) = unblock(move || {
            let opened = folder.open(&request).and_then(|(mut file, plan)| {
                if !plan.is_empty() && plan.part.start > 0 {
                    let sought = file.seek(SeekFrom::Start(plan.part.start));
                    sought.map_err(|error| Box::new(folder.unreadable(&request, error)))?;
                }
                Ok((file, plan))
            });
            (request, opened)
        })
        .await;
        let (mut file, plan) = match opened {
            Ok((_, plan)) if plan.is_empty() => {
                return self.respond(request, plan.head.map(|()| Bytes::new()));
            }
            Ok(opened) => opened,
            Err(answer) => return self.respond(request, *answer),
        };
        let mut left = plan.len();
        let body = self.respond_streaming(request, plan.head, Some(left))?;
        if body.is_unwanted() {
            return Ok(());
        }
        while left > 0 {
            let (rest, chunk) = unblock(move || {
                let mut chunk = Vec::with_capacity(left.min(CHUNK) as usize);
                let read = Read::by_ref(&mut file).take(left.min(CHUNK)).read_to_end(&mut chunk);
                (file, read.map(|_| chunk))
            })
            .await;
            file = rest;
            // A body that is too short ends the connection, and is an error.
            let Some(chunk) = chunk.ok().filter(|chunk| !chunk.is_empty()) else { return body.finish() };
            left -= chunk.len() as u64;
            body.send(chunk).await?;
        }
        body.finish()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> HttpConnection<S> {
    /// As [`Responder::respond_file`], but that it writes by itself, and waits until the file is written.
    ///
    /// # Errors
    /// As [`Responder::respond_file`] and [`HttpConnection::respond`].
    pub async fn respond_file(
        &mut self,
        request: impl Into<Request>,
        folder: &Folder,
    ) -> Result<(), RespondError> {
        let responder = self.responder();
        let driver = self.driver.as_mut().ok_or(RespondError::NotOpen)?;
        let mut answering = pin!(responder.respond_file(request, folder));
        // Where the answer ends, once all of it is queued.
        let mut end = None;
        poll_fn(|cx| {
            if end.is_none()
                && let Poll::Ready(result) = answering.as_mut().poll(cx)
            {
                match result {
                    Ok(()) => end = Some(driver.shared.end_of_output()),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            match (driver.poll_flush(cx), end) {
                (Poll::Ready(flushed), Some(end)) => {
                    Poll::Ready(flushed.or_else(|_| {
                        driver.shared.has_written(end).then_some(()).ok_or(RespondError::NotOpen)
                    }))
                }
                (Poll::Ready(Err(_)), None) => Poll::Ready(Err(RespondError::NotOpen)),
                // What was flushed made room, which wakes the answer.
                _ => Poll::Pending,
            }
        })
        .await
    }
}
