//! Names: looked up on a thread of their own, since the system's resolver blocks.

use crate::clients::ClientId;
use crate::remote::Remote;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

/// Names that may wait for the one that is being looked up.
const QUEUE: usize = 256;

pub(crate) struct Question {
    pub(crate) client: ClientId,
    pub(crate) attempt: u32,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Looks names up. Its thread is started by the first name; it ends with the endpoint, once the name that it is
/// at has been answered.
pub(crate) struct Resolver {
    remote: Remote,
    questions: Option<SyncSender<Question>>,
}

impl Resolver {
    pub(crate) fn new(remote: Remote) -> Self {
        Self { remote, questions: None }
    }

    /// One whose questions somebody else answers; so many may wait.
    #[cfg(test)]
    pub(crate) fn asking(remote: Remote, queue: usize) -> (Self, Receiver<Question>) {
        let (questions, asked) = sync_channel(queue);
        (Self { remote, questions: Some(questions) }, asked)
    }

    /// Asks; the answer comes by [`Connections::resolved`](crate::Connections).
    pub(crate) fn ask(&mut self, client: ClientId, attempt: u32, host: String, port: u16) -> io::Result<()> {
        let questions = match &self.questions {
            Some(questions) => questions,
            None => {
                let (questions, asked) = sync_channel(QUEUE);
                let remote = self.remote.clone();
                thread::Builder::new().name("ws-names".into()).spawn(move || answer(&asked, &remote))?;
                self.questions.insert(questions)
            }
        };
        questions.try_send(Question { client, attempt, host, port }).map_err(|error| match error {
            TrySendError::Full(_) => {
                io::Error::new(io::ErrorKind::WouldBlock, "too many names are being looked up")
            }
            TrySendError::Disconnected(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

fn answer(asked: &Receiver<Question>, remote: &Remote) {
    for Question { client, attempt, host, port } in asked {
        let answer = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        if remote.run(move |connections| connections.resolved(client, attempt, answer)).is_err() {
            return;
        }
    }
}
