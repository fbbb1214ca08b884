//! The loop over a fake system, which does what real systems may do but rarely do. `ws_kit::oracle` checks the events
//! of each connection, and `checks` the lists of the loop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a panic is how a test fails
#![allow(clippy::print_stdout)] // the trace of one run, on request

mod app;
mod behaviour;
mod bulk;
mod checks;
mod clients;
mod dialling;
mod downloads;
mod ending;
#[cfg(feature = "tls")]
mod ends;
mod kernel;
mod layer;
mod listeners;
mod living;
mod overdue;
mod peer;
mod proxies;
mod remote_peer;
mod replies;
mod rng;
mod rounds;
mod script;
mod scripted;
mod setting;
mod streams;
mod system;
#[cfg(feature = "tls")]
mod tls;
mod uploads;
mod web_socket;
mod wire;
mod world;

use behaviour::Behaviour;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use world::World;
use ws_kit::seeds::run_each;

/// The payload of a handler's panic that is to be caught.
const CAUGHT: &str = "a handler panics";

/// Panics without output.
fn panic_in_handler() {
    resume_unwind(Box::new(CAUGHT));
}

/// The outcome of a turn, unless a handler panicked in it.
fn catching<T>(turn: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(turn)) {
        Ok(done) => Some(done),
        Err(cause) if cause.downcast_ref() == Some(&CAUGHT) => None,
        Err(cause) => resume_unwind(cause),
    }
}

/// Runs each seed; a failure names its seed.
fn runs(seeds: u64, run: impl Fn(u64, bool) + Sync) {
    run_each(seeds, 1, run);
}

#[test]
fn nothing_is_lost_forgotten_or_leaked_whatever_the_kernel_does() {
    let shelf = setting::shelf();
    runs(2000, |seed, trace| World::new(seed, &shelf, trace, Behaviour::default()).run());
}

/// Runs in which applications and peers behave as users do.
fn users(seeds: u64, behaviour: impl Fn(&mut rng::Rng) -> Behaviour + Sync) {
    let shelf = setting::shelf();
    runs(seeds, |seed, trace| {
        let behaviour = Behaviour { users: true, ..behaviour(&mut rng::Rng::new(seed ^ 0xbe4a)) };
        World::new(seed, &shelf, trace, behaviour).run();
    });
}

#[test]
fn two_ends_that_both_send_never_deadlock() {
    users(80, |_| Behaviour { bulk: true, ..Behaviour::default() });
}

#[test]
fn a_peer_is_read_however_much_is_sent_to_it() {
    users(40, |_| Behaviour { refill: true, ..Behaviour::default() });
}

#[test]
fn dead_peers_are_detected_while_output_is_sent_to_them() {
    users(100, |_| Behaviour { feed: true, ..Behaviour::default() });
}

#[test]
fn a_stop_truncates_no_response_silently() {
    users(80, |_| Behaviour { stops: true, streams: true, ..Behaviour::default() });
}

#[test]
fn a_peer_that_leaves_a_stream_is_detected() {
    users(60, |_| Behaviour { streams: true, ..Behaviour::default() });
}

#[test]
fn the_close_code_is_the_peers_whatever_fails_later() {
    users(100, |_| Behaviour { farewells: true, ..Behaviour::default() });
}

#[test]
fn paused_reading_ends_no_connection() {
    users(100, |_| Behaviour { pauses: true, feed: true, ..Behaviour::default() });
}

#[test]
fn a_caught_panic_in_a_handler_harms_no_connection() {
    users(60, |_| Behaviour { panics: true, bulk: true, ..Behaviour::default() });
}

#[test]
fn all_connections_together_stay_within_the_memory_limit() {
    let memory = Some(300_000);
    users(40, |_| Behaviour { memory, bulk: true, ..Behaviour::default() });
}

#[test]
fn extreme_settings_lose_nothing() {
    users(60, |_| Behaviour { extremes: true, bulk: true, ..Behaviour::default() });
}

#[test]
fn nothing_is_lost_forgotten_or_leaked_whatever_users_do() {
    users(150, Behaviour::mixed);
}
