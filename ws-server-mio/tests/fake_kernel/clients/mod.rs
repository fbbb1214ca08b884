//! Clients over sockets that are not real.

mod app;
mod checks;
mod ending;
mod host;
mod model;
mod world;

/// Each seed is a run of its own, as with servers.
#[test]
fn whatever_the_network_answers_every_attempt_ends_once_and_nothing_is_left() {
    super::runs(250, |seed, trace| world::World::new(seed, trace).run());
}
