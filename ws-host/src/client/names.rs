//! Which names are looked up now, which wait, and for whom.
//!
//! The system's resolver blocks, for half a minute where no name server answers, and cannot be interrupted. So a name
//! never waits for another one as long as there are threads, clients that ask for the same name share one lookup, and a
//! question without waiters is dropped before it begins.
//!
//! Pure: the owner of the threads asks here what to look up next, and reports the answers.
//!
//! ```
//! use ws_host::client::Names;
//!
//! let mut names = Names::new(1);
//! names.ask("a.example", 1);
//! names.ask("b.example", 2);
//! names.ask("a.example", 3);
//! assert_eq!(names.begin().as_deref(), Some("a.example"));
//! assert_eq!(names.begin(), None, "the only thread is busy");
//! assert_eq!(names.answered("a.example"), [1, 3]);
//! names.leave("b.example", &2);
//! assert_eq!(names.begin(), None, "b.example has no waiters left");
//! ```

use std::collections::VecDeque;
use std::string::String;
use std::vec::Vec;

/// The most names that are looked up at a time: each needs a thread.
pub const LOOKUPS: usize = 8;

/// The questions of one owner of threads. `W` identifies what waits for an answer.
#[derive(Debug)]
pub struct Names<W> {
    /// Names that are being looked up; at most `most`. They may have lost their waiters.
    begun: Vec<Question<W>>,
    /// Names that wait for a thread, the oldest first. Each has waiters.
    waiting: VecDeque<Question<W>>,
    most: usize,
}

#[derive(Debug)]
struct Question<W> {
    /// In lower case: names do not differ by that (RFC 4343).
    name: String,
    waiters: Vec<W>,
}

impl<W: PartialEq> Names<W> {
    /// No questions, and at most so many lookups at a time. Zero is one.
    pub const fn new(lookups: usize) -> Self {
        let most = if lookups == 0 { 1 } else { lookups };
        Self { begun: Vec::new(), waiting: VecDeque::new(), most }
    }

    /// Adds a waiter for a name, and the name unless it is waiting or being looked up already.
    pub fn ask(&mut self, name: &str, waiter: W) {
        match self.question(name) {
            Some(question) => question.waiters.push(waiter),
            None => {
                let name = name.to_ascii_lowercase();
                self.waiting.push_back(Question { name, waiters: Vec::from([waiter]) });
            }
        }
    }

    /// The next name to look up, on a thread of its own: call it until it gives `None`, after each
    /// [`ask`](Self::ask) and each [`answered`](Self::answered).
    pub fn begin(&mut self) -> Option<String> {
        if self.begun.len() >= self.most {
            return None;
        }
        let question = self.waiting.pop_front()?;
        let name = question.name.clone();
        self.begun.push(question);
        Some(name)
    }

    /// Ends a lookup, whatever its outcome, and gives its waiters.
    pub fn answered(&mut self, name: &str) -> Vec<W> {
        let place = self.begun.iter().position(|question| question.name.eq_ignore_ascii_case(name));
        place.map_or_else(Vec::new, |place| self.begun.swap_remove(place).waiters)
    }

    /// Removes a waiter. A question without waiters is dropped, unless its lookup has begun.
    pub fn leave(&mut self, name: &str, waiter: &W) {
        let Some(question) = self.question(name) else { return };
        question.waiters.retain(|other| other != waiter);
        self.waiting.retain(|question| !question.waiters.is_empty());
    }

    /// How many names are being looked up.
    pub fn begun(&self) -> usize {
        self.begun.len()
    }

    /// How many names wait for a thread.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn question(&mut self, name: &str) -> Option<&mut Question<W>> {
        let mut questions = self.begun.iter_mut().chain(&mut self.waiting);
        questions.find(|question| question.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun<W: PartialEq>(names: &mut Names<W>) -> Vec<String> {
        core::iter::from_fn(|| names.begin()).collect()
    }

    #[test]
    fn each_name_has_a_thread_up_to_the_limit_and_the_rest_wait_in_order() {
        let mut names = Names::new(LOOKUPS);
        for k in 0..LOOKUPS + 2 {
            names.ask(&std::format!("n{k}"), k);
        }
        assert_eq!(begun(&mut names), ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"]);
        assert_eq!(names.waiting(), 2);
        assert_eq!(names.answered("n3"), [3]);
        assert_eq!(begun(&mut names), ["n8"]);
        assert_eq!(names.answered("n8"), [8]);
        assert_eq!(begun(&mut names), ["n9"]);
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_its_waiters() {
        let mut names = Names::new(LOOKUPS);
        names.ask("a", 1);
        names.ask("A", 2);
        assert_eq!(begun(&mut names), ["a"]);
        names.ask("a", 3);
        assert_eq!(begun(&mut names), [""; 0]);
        assert_eq!(names.answered("a"), [1, 2, 3]);
        assert_eq!(names.answered("a"), [0; 0], "an answer comes once");
        names.ask("a", 4);
        assert_eq!(begun(&mut names), ["a"], "an answer is not kept");
    }

    #[test]
    fn a_question_without_waiters_is_dropped_unless_it_has_begun() {
        let mut names = Names::new(1);
        names.ask("a", 1);
        names.ask("b", 2);
        names.ask("b", 3);
        names.ask("c", 4);
        assert_eq!(names.begin().as_deref(), Some("a"));
        names.leave("a", &1);
        names.leave("b", &2);
        assert_eq!(names.waiting(), 2, "b has a waiter left");
        names.leave("b", &3);
        assert_eq!(names.waiting(), 1);
        names.leave("b", &3);
        assert_eq!(names.begin(), None, "a is still being looked up, and holds its thread");
        names.ask("a", 5);
        assert_eq!(names.answered("a"), [5], "a later waiter joins");
        assert_eq!(begun(&mut names), ["c"]);
    }

    #[test]
    fn a_limit_of_zero_is_one() {
        let mut names = Names::new(0);
        names.ask("a", ());
        assert_eq!(begun(&mut names), ["a"]);
    }
}
