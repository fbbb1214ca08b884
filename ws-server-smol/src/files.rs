//! Files from a folder: opened and read on threads that may block, sent as fast as the peer takes them.

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

/// The size of one read from a file.
const CHUNK: u64 = 64 << 10;

/// A folder whose files [`HttpConnection::respond_file`] serves.
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
/// The standard library reads files only by blocking calls, so files are opened and read on the threads of the crate
/// `blocking`. [`Folder::new`] itself checks that the folder exists, so call it before you serve anything.
/// [Embed](crate::web::Assets) files that the program always needs.
pub type Folder = web::Folder<Disk>;

impl Responder {
    /// Answers a request with the file at its path in a folder: 200, a part (206) or 304; 404 if there is none, 405 for
    /// methods other than GET and HEAD, and a redirect for a folder without its trailing slash.
    ///
    /// It waits until the whole file is queued; queued data is written while [`HttpConnection::next`] is polled. A file
    /// that is truncated or becomes unreadable meanwhile ends the connection, so that the peer sees a truncated body;
    /// so does dropping the future.
    ///
    /// # Errors
    /// As [`Responder::respond`]; [`RespondError::BodyLength`] if the file was truncated or became unreadable; and as
    /// [`Body::send`](crate::Body::send) if the connection ended before all was queued.
    pub async fn respond_file(
        &self,
        request: impl Into<Request>,
        folder: &Folder,
    ) -> Result<(), RespondError> {
        let (request, folder) = (request.into(), folder.clone());
        let (request, opened) = unblock(move || {
            let opened = folder.open(&request).and_then(|(mut file, plan)| {
                if !plan.is_empty() && plan.part.start > 0 {
                    let seeked = file.seek(SeekFrom::Start(plan.part.start));
                    seeked.map_err(|error| Box::new(folder.unreadable(&request, error)))?;
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
            Err(response) => return self.respond(request, *response),
        };
        let mut left = plan.len();
        let body = self.respond_streaming(request, plan.head, Some(left))?;
        if body.is_discarded() {
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
            // A short body ends the connection, and is an error.
            let Some(chunk) = chunk.ok().filter(|chunk| !chunk.is_empty()) else { return body.finish() };
            left -= chunk.len() as u64;
            body.send(chunk).await?;
        }
        body.finish()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> HttpConnection<S> {
    /// As [`Responder::respond_file`], but it also writes, and waits until the file is written.
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
        // The end of the response in the output, once all of it is queued.
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
                // Flushing made room, which wakes the response.
                _ => Poll::Pending,
            }
        })
        .await
    }
}
