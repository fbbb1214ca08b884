//! Files from a folder: opened here, sent chunk by chunk by the turn.

use crate::connections::Connections;
use crate::slots::ConnectionId;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use ws_proto::web::{self, CleanPath, PathError, Plan, Representation};
use ws_proto::{Connection, Request, ResponseBody, SendError, State};

/// What is read from a file at once. The next chunk is read when less than this waits to be written.
const CHUNK: usize = 64 << 10;
/// More than what frames a chunk.
const FRAMING: usize = 64;

/// A folder whose files are served, with types, entity tags, ranges and conditions, and with no way out: names
/// that mean something else on some system are refused, and so are links that lead out of the folder. Hidden
/// files are not served.
///
/// ```no_run
/// # use ws_server_mio::{Connections, ConnectionId, Folder, Request};
/// # fn f(connections: &mut Connections, id: ConnectionId, request: Request) -> Result<(), Box<dyn std::error::Error>> {
/// let music = Folder::new("/srv/music")?.at("/music");
/// // for a request whose path begins with /music/:
/// connections.respond_file(id, request, &music)?;
/// # Ok(()) }
/// ```
///
/// Links are followed when the file is asked for. Whoever may write into the folder while it is served could
/// exchange a file for a link between the check and the opening; let nobody do so whom you do not trust.
///
/// # Disks block
///
/// No system reads files without blocking. A turn reads at most 64 KiB for each answer, and none for a peer that
/// does not read, so a disk takes microseconds where the file is cached and milliseconds where it is not. Where
/// that is too long for your frames (a network drive, a disk that sleeps), open and read on a thread of your own
/// and hand the chunks to [`Connections::send_body`] through [`Remote::run`](crate::Remote::run). What the
/// program needs at all times is better [embedded](ws_proto::web::Assets).
#[derive(Clone, Debug)]
pub struct Folder {
    /// Without links in it, so that what is below it can be told by comparing.
    root: PathBuf,
    prefix: String,
    index: String,
    single_page: Option<String>,
    hidden: bool,
    precompressed: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    error_page: Option<fn(StatusCode) -> Response<Bytes>>,
}

impl Folder {
    /// The folder at this path, which must be there.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref().canonicalize()?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let index = "index.html".to_owned();
        Ok(Self {
            root,
            prefix: String::new(),
            index,
            single_page: None,
            hidden: false,
            precompressed: false,
            headers: Vec::new(),
            error_page: None,
        })
    }

    /// Sets where the folder stands in the paths of requests; at their root without.
    #[must_use]
    pub fn at(mut self, prefix: &str) -> Self {
        self.prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("/{prefix}"),
        };
        self
    }

    /// Sets the file that is served for a folder: `index.html` without.
    #[must_use]
    pub fn index(mut self, name: &str) -> Self {
        self.index = name.trim_matches('/').to_owned();
        self
    }

    /// For an application in one page, which makes its paths itself: a page that is navigated to and is not
    /// there is this file of the folder.
    #[must_use]
    pub fn single_page(mut self, name: &str) -> Self {
        self.single_page = Some(name.trim_matches('/').to_owned());
        self
    }

    /// Serves hidden files too, whose names begin with a dot.
    #[must_use]
    pub fn hidden_files(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Sends `app.js.br` or `app.js.gz`, where there is one, for `app.js` to who takes it.
    #[must_use]
    pub fn precompressed(mut self) -> Self {
        self.precompressed = true;
        self
    }

    /// Sets `Cache-Control`; without, browsers keep a file and ask each time whether it has changed.
    #[must_use]
    pub fn cache_control(self, value: HeaderValue) -> Self {
        self.header(header::CACHE_CONTROL, value)
    }

    /// Sets a field of every answer with a file: `Content-Security-Policy`, say, or the two that threads in
    /// WebAssembly need.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets what is answered where no file is: 404, 405 and 500 have a page of yours, which gets the status.
    ///
    /// ```no_run
    /// # use ws_server_mio::{Folder, ws_proto::web};
    /// let folder = Folder::new("public")?.error_page(|status| web::html(format!("<h1>{status}</h1>")));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn error_page(mut self, page: fn(StatusCode) -> Response<Bytes>) -> Self {
        self.error_page = Some(page);
        self
    }

    /// Opens what a request asks for, and decides what of it is sent.
    fn open(&self, request: &Request) -> Result<(File, Plan), Refusal> {
        if !self.prefix.is_empty() && request.path() == self.prefix {
            return Err(Refusal::SlashMissing);
        }
        let path = request.path().strip_prefix(&self.prefix).filter(|path| path.starts_with('/'));
        let path = path.and_then(|path| self.clean(path).ok()).ok_or(Refusal::NotFound)?;
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Refusal::Method);
        }
        let mut found = match self.find(&path.names().collect::<PathBuf>()) {
            Err(Refusal::NotFound) if web::is_navigation(request) => {
                let page = self.single_page.as_ref().ok_or(Refusal::NotFound)?;
                return self.open_file(request, &self.find(Path::new(page))?);
            }
            found => found?,
        };
        if found.is_dir() {
            if !path.is_directory() {
                return Err(Refusal::SlashMissing);
            }
            found = self.find(&found.join(&self.index))?;
        } else if path.is_directory() {
            return Err(Refusal::NotFound);
        }
        self.open_file(request, &found)
    }

    fn open_file(&self, request: &Request, found: &Path) -> Result<(File, Plan), Refusal> {
        // Opening a pipe would wait for who writes to it.
        if !found.is_file() {
            return Err(Refusal::NotFound);
        }
        let variant = self.variant(request, found);
        let file = File::open(variant.as_ref().map_or(found, |(path, _)| path))?;
        let metadata = file.metadata()?;
        let name = found.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let mut representation = Representation::file(name, metadata.len(), metadata.modified().ok());
        if self.precompressed {
            let value = HeaderValue::from_static("accept-encoding");
            representation = representation.header(header::VARY, value);
        }
        if let Some((_, coding)) = variant {
            let value = HeaderValue::from_static(coding);
            representation = representation.header(header::CONTENT_ENCODING, value);
        }
        for (name, value) in &self.headers {
            representation = representation.header(name.clone(), value.clone());
        }
        let plan = representation.plan(request);
        Ok((file, plan))
    }

    /// The compressed variant of a file, and its coding.
    fn variant(&self, request: &Request, found: &Path) -> Option<(PathBuf, &'static str)> {
        let codings = web::CODINGS.into_iter().filter(|_| self.precompressed);
        let taken = codings.filter(|(_, coding)| web::accepts_coding(request.headers(), coding));
        let mut variants = taken.filter_map(|(extension, coding)| {
            let mut path = found.as_os_str().to_owned();
            path.push(extension);
            Some((self.find(Path::new(&path)).ok()?, coding))
        });
        variants.find(|(path, _)| path.is_file())
    }

    fn clean(&self, path: &str) -> Result<CleanPath, PathError> {
        if self.hidden { web::clean_with_hidden(path) } else { web::clean(path) }
    }

    /// Follows all links, and sees where they lead.
    fn find(&self, path: &Path) -> Result<PathBuf, Refusal> {
        let found = self.root.join(path).canonicalize()?;
        let inside = found.strip_prefix(&self.root).map_err(|_| Refusal::NotFound)?;
        // A link inside the folder may lead to what is hidden in it.
        let hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
        if !self.hidden && inside.iter().any(hidden) { Err(Refusal::NotFound) } else { Ok(found) }
    }
}

/// Why no file is sent.
#[derive(Clone, Copy)]
enum Refusal {
    NotFound,
    Method,
    SlashMissing,
    Unreadable,
}

impl From<io::Error> for Refusal {
    /// Who may not read a file is not told that it is there.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput => Self::NotFound,
            _ => Self::Unreadable,
        }
    }
}

impl Refusal {
    fn answer(self, folder: &Folder, request: &Request) -> Response<Bytes> {
        let (answer, status) = match self {
            Self::SlashMissing => return web::add_slash(request),
            Self::NotFound => (web::not_found(), StatusCode::NOT_FOUND),
            Self::Method => {
                (web::method_not_allowed(&[Method::GET, Method::HEAD]), StatusCode::METHOD_NOT_ALLOWED)
            }
            Self::Unreadable => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                (web::error_page(status, "The file could not be read."), status)
            }
        };
        let Some(page) = folder.error_page else { return answer };
        let mut page = page(status);
        *page.status_mut() = status;
        if let Some(allow) = answer.headers().get(header::ALLOW) {
            page.headers_mut().insert(header::ALLOW, allow.clone());
        }
        page
    }
}

/// An answer that is being read from a file.
struct Sending {
    id: ConnectionId,
    body: ResponseBody,
    file: File,
    left: u64,
}

/// The answers that are being read from files.
#[derive(Default)]
pub(crate) struct Files {
    /// Those whose next chunk can be read.
    ready: VecDeque<Sending>,
    /// By slot, those whose last chunk is not written yet, or whose turn has not come.
    waiting: HashMap<u32, VecDeque<Sending>>,
}

impl Files {
    pub(crate) fn has_work(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether one waits for this connection to be written to.
    #[inline]
    pub(crate) fn waits_for(&self, slot: u32) -> bool {
        !self.waiting.is_empty() && self.waiting.contains_key(&slot)
    }

    /// What was sent to a connection is written.
    pub(crate) fn resume(&mut self, slot: u32) {
        self.ready.extend(self.waiting.remove(&slot).unwrap_or_default());
    }

    /// A connection is gone.
    pub(crate) fn forget(&mut self, slot: u32) {
        if self.waits_for(slot) {
            self.waiting.remove(&slot);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty()
    }

    pub(crate) fn shrink(&mut self) {
        self.ready.shrink_to_fit();
        self.waiting.shrink_to_fit();
    }
}

/// Whether a connection has room for the next chunk. Where the cap of the outbox is below that, it has when all is
/// written.
pub(crate) fn takes_chunk(connection: &mut Connection) -> bool {
    let (queued, cap) = (connection.outbox().len(), connection.config().outbox_cap);
    queued == 0 || queued < CHUNK && queued + CHUNK + FRAMING <= cap
}

/// Files.
impl Connections {
    /// Answers a request with the file of a folder that its path leads to: 200, a part (206) or 304; 404 where
    /// there is none, 405 for what is no GET or HEAD, and a redirect for a folder whose slash is missing.
    ///
    /// The file is opened now, and read chunk by chunk as the peer takes it; nothing is left to do. A file that
    /// becomes shorter meanwhile, or unreadable, ends the connection, so that the peer sees that it was cut off.
    ///
    /// # Errors
    /// As [`Connections::respond`].
    pub fn respond_file(
        &mut self,
        id: ConnectionId,
        request: impl Into<Request>,
        folder: &Folder,
    ) -> Result<(), SendError> {
        let request = request.into();
        let (mut file, plan) = match folder.open(&request) {
            Ok(opened) => opened,
            Err(refusal) => {
                let answer = refusal.answer(folder, &request);
                return self.respond(id, request, answer);
            }
        };
        if plan.is_empty() {
            return self.respond(id, request, plan.head.map(|()| Bytes::new()));
        }
        if plan.part.start > 0
            && let Err(error) = file.seek(SeekFrom::Start(plan.part.start))
        {
            let answer = Refusal::from(error).answer(folder, &request);
            return self.respond(id, request, answer);
        }
        let left = plan.len();
        let body = self.respond_streaming(id, request, plan.head, Some(left))?;
        if body.is_unwanted() {
            return Ok(());
        }
        self.files.ready.push_back(Sending { id, body, file, left });
        Ok(())
    }

    /// Sends one chunk of the answer that is next in the list.
    pub(crate) fn send_chunk(&mut self) {
        let Some(mut sending) = self.files.ready.pop_front() else { return };
        let id = sending.id;
        // Who is gone takes the file along.
        let Some(live) = self.slots.get_mut(id) else { return };
        // Of a file that waits behind other answers nothing is read: these, and the peer, take their time.
        if !live.connection.is_its_turn(&sending.body) && live.connection.state() == State::Connecting {
            return self.wait(sending);
        }
        if !takes_chunk(&mut live.connection) {
            return self.wait(sending);
        }
        let room = sending.left.min(CHUNK as u64);
        let mut chunk = Vec::with_capacity(room as usize);
        let read = Read::by_ref(&mut sending.file).take(room).read_to_end(&mut chunk);
        // A file that has become shorter: dropping the body ends the connection, which is to notice that.
        if read.is_err() || chunk.is_empty() {
            drop(sending);
            return self.touch_id(id);
        }
        let len = chunk.len() as u64;
        match self.send_body(id, &sending.body, chunk) {
            Ok(_) if sending.left == len => drop(self.finish_body(id, sending.body)),
            Ok(_) => {
                sending.left -= len;
                self.wait(sending);
            }
            // The peer is gone.
            Err(_) => {}
        }
    }

    fn wait(&mut self, sending: Sending) {
        self.files.waiting.entry(sending.id.slot).or_default().push_back(sending);
    }

    fn touch_id(&mut self, id: ConnectionId) {
        if self.slots.get(id).is_some() {
            self.touch(id.slot);
        }
    }
}
