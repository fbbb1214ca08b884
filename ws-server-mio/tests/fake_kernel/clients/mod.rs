//! Clients over fake sockets.

mod app;
mod checks;
mod ending;
mod host;
mod model;
mod world;

pub(super) use world::World;

/// Each seed is a separate run, as with servers.
#[test]
fn every_attempt_ends_once_whatever_the_network_does() {
    super::runs(250, |seed, trace| World::new(seed, trace, None).run());
}
