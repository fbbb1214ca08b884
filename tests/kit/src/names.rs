//! A resolver that answers on demand.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};

/// A resolver: names that begin with "stuck" have no answer until the test releases them, names that begin with "none"
/// do not exist, and all others resolve to this machine.
#[derive(Clone, Default)]
pub struct Names(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    /// Every lookup, in the order in which they began.
    begun: Vec<String>,
    released: BTreeMap<String, bool>,
    now: usize,
    most: usize,
}

impl Names {
    pub fn look_up(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.begun.push(name.to_owned());
        state.now += 1;
        state.most = state.most.max(state.now);
        changed.notify_all();
        while name.starts_with("stuck") && !state.released.contains_key(name) {
            state = changed.wait(state).unwrap();
        }
        state.now -= 1;
        let exists = !name.starts_with("none") && state.released.get(name) != Some(&false);
        match exists {
            true => Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]),
            false => Err(io::Error::other("no such name")),
        }
    }

    /// Answers a stuck name: it exists, or it does not.
    pub fn release(&self, name: &str, exists: bool) {
        self.0.0.lock().unwrap().released.insert(name.to_owned(), exists);
        self.0.1.notify_all();
    }

    /// Waits until `count` lookups have begun, and returns all of them.
    pub fn begun(&self, count: usize) -> Vec<String> {
        let mut state = self.0.0.lock().unwrap();
        while state.begun.len() < count {
            state = self.0.1.wait(state).unwrap();
        }
        state.begun.clone()
    }

    pub fn most(&self) -> usize {
        self.0.0.lock().unwrap().most
    }

    /// The number of holders: the test, the resolver, and every lookup thread.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl Drop for Names {
    /// Releases the stuck names, so that no thread outlives a failed test.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for k in 0..100 {
                self.release(&format!("stuck{k}.test"), false);
            }
        }
    }
}
