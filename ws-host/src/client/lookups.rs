//! The queue of names to look up.
//!
//! The system's resolver blocks, for half a minute if no name server answers, and cannot be interrupted. So a name
//! never waits for another one while threads are free, clients that need the same name share one lookup, and a
//! lookup without waiters is dropped before it begins.
//!
//! Pure: the owner of the threads takes the next name to look up, and reports each answer.
//!
//! ```
//! use ws_host::client::Lookups;
//!
//! let mut lookups = Lookups::new(1);
//! lookups.request("a.example", 1);
//! lookups.request("b.example", 2);
//! lookups.request("a.example", 3);
//! assert_eq!(lookups.start_next().as_deref(), Some("a.example"));
//! assert_eq!(lookups.start_next(), None, "the only thread is busy");
//! assert_eq!(lookups.finish("a.example"), [1, 3]);
//! lookups.cancel("b.example", &2);
//! assert_eq!(lookups.start_next(), None, "b.example has no waiters left");
//! ```

use std::collections::VecDeque;
use std::string::String;
use std::vec::Vec;

/// The maximum number of concurrent lookups: each needs a thread.
pub const MAX_LOOKUPS: usize = 8;

/// The pending lookups of one owner of threads. `W` identifies what waits for an answer.
#[derive(Debug)]
pub struct Lookups<W> {
    /// Names that are being looked up; at most `most`. They may have lost their waiters.
    running: Vec<Question<W>>,
    /// Names that wait for a thread, the oldest first. Each has waiters.
    waiting: VecDeque<Question<W>>,
    most: usize,
}

#[derive(Debug)]
struct Question<W> {
    /// In lower case: names are case-insensitive (RFC 4343).
    name: String,
    waiters: Vec<W>,
}

impl<W: PartialEq> Lookups<W> {
    /// An empty queue with this limit of concurrent lookups. Zero counts as one.
    pub const fn new(lookups: usize) -> Self {
        let most = if lookups == 0 { 1 } else { lookups };
        Self { running: Vec::new(), waiting: VecDeque::new(), most }
    }

    /// Adds a waiter for a name, and the name unless it is waiting or being looked up already.
    pub fn request(&mut self, name: &str, waiter: W) {
        match self.question(name) {
            Some(question) => question.waiters.push(waiter),
            None => {
                let name = name.to_ascii_lowercase();
                self.waiting.push_back(Question { name, waiters: Vec::from([waiter]) });
            }
        }
    }

    /// The next name to look up, on its own thread: call it until it returns `None`, after each
    /// [`request`](Self::request) and each [`finish`](Self::finish).
    pub fn start_next(&mut self) -> Option<String> {
        if self.running.len() >= self.most {
            return None;
        }
        let question = self.waiting.pop_front()?;
        let name = question.name.clone();
        self.running.push(question);
        Some(name)
    }

    /// Ends a lookup, whatever its outcome, and returns its waiters.
    pub fn finish(&mut self, name: &str) -> Vec<W> {
        let place = self.running.iter().position(|question| question.name.eq_ignore_ascii_case(name));
        place.map_or_else(Vec::new, |place| self.running.swap_remove(place).waiters)
    }

    /// Removes a waiter. A lookup without waiters is dropped, unless it has begun.
    pub fn cancel(&mut self, name: &str, waiter: &W) {
        let Some(question) = self.question(name) else { return };
        question.waiters.retain(|other| other != waiter);
        self.waiting.retain(|question| !question.waiters.is_empty());
    }

    /// How many names are being looked up.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// How many names wait for a thread.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn question(&mut self, name: &str) -> Option<&mut Question<W>> {
        let mut questions = self.running.iter_mut().chain(&mut self.waiting);
        questions.find(|question| question.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started<W: PartialEq>(lookups: &mut Lookups<W>) -> Vec<String> {
        core::iter::from_fn(|| lookups.start_next()).collect()
    }

    #[test]
    fn each_name_has_a_thread_up_to_the_limit_and_the_rest_wait_in_order() {
        let mut lookups = Lookups::new(MAX_LOOKUPS);
        for k in 0..MAX_LOOKUPS + 2 {
            lookups.request(&std::format!("n{k}"), k);
        }
        assert_eq!(started(&mut lookups), ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"]);
        assert_eq!(lookups.waiting(), 2);
        assert_eq!(lookups.finish("n3"), [3]);
        assert_eq!(started(&mut lookups), ["n8"]);
        assert_eq!(lookups.finish("n8"), [8]);
        assert_eq!(started(&mut lookups), ["n9"]);
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_its_waiters() {
        let mut lookups = Lookups::new(MAX_LOOKUPS);
        lookups.request("a", 1);
        lookups.request("A", 2);
        assert_eq!(started(&mut lookups), ["a"]);
        lookups.request("a", 3);
        assert_eq!(started(&mut lookups), [""; 0]);
        assert_eq!(lookups.finish("a"), [1, 2, 3]);
        assert_eq!(lookups.finish("a"), [0; 0], "an answer is returned once");
        lookups.request("a", 4);
        assert_eq!(started(&mut lookups), ["a"], "an answer is not kept");
    }

    #[test]
    fn a_lookup_without_waiters_is_dropped_unless_it_has_begun() {
        let mut lookups = Lookups::new(1);
        lookups.request("a", 1);
        lookups.request("b", 2);
        lookups.request("b", 3);
        lookups.request("c", 4);
        assert_eq!(lookups.start_next().as_deref(), Some("a"));
        lookups.cancel("a", &1);
        lookups.cancel("b", &2);
        assert_eq!(lookups.waiting(), 2, "b has a waiter left");
        lookups.cancel("b", &3);
        assert_eq!(lookups.waiting(), 1);
        lookups.cancel("b", &3);
        assert_eq!(lookups.start_next(), None, "a is still being looked up, and holds its thread");
        lookups.request("a", 5);
        assert_eq!(lookups.finish("a"), [5], "a later waiter joins");
        assert_eq!(started(&mut lookups), ["c"]);
    }

    #[test]
    fn a_limit_of_zero_is_one() {
        let mut lookups = Lookups::new(0);
        lookups.request("a", ());
        assert_eq!(started(&mut lookups), ["a"]);
    }
}
