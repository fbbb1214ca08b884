//! The state that the window and the pages share, and its changes. It does no I/O and reads no clock, so its
//! tests need neither.

use crate::meter::Report;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::f32::consts::{PI, TAU};

/// The range of the amplitude, in percent of the height.
const AMPLITUDE: (f32, f32) = (0.0, 100.0);
/// The range of the frequency, in waves over the width.
const FREQUENCY: (f32, f32) = (1.0, 12.0);
/// Radians that the wave advances per frame: a full turn in two seconds.
const STEP: f32 = TAU / 120.0;

/// A moving curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Wave {
    pub(crate) amplitude: f32,
    pub(crate) frequency: f32,
    phase: f32,
}

impl Wave {
    /// Its height, from -1 to 1, at `x` from 0 to 1. The page has the same formula.
    pub(crate) fn at(&self, x: f32) -> f32 {
        let angle = TAU * self.frequency * (x - 0.5);
        let shape = 0.8 * (angle + self.phase).sin() + 0.2 * (2.0 * angle - self.phase).sin();
        shape * (PI * x).sin() * self.amplitude / AMPLITUDE.1
    }
}

/// A page's request: the values it changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    amplitude: Option<f32>,
    frequency: Option<f32>,
}

/// The purpose of a connection, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A page: it receives the state and may change it.
    Page,
    /// One of many whose messages are only echoed.
    Flood,
}

/// A connected client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) kind: Kind,
    /// 1 right after a message, then fading to 0.
    pub(crate) glow: f32,
}

/// The state sent to the pages in every frame.
#[derive(Serialize)]
struct State<'s> {
    #[serde(flatten)]
    wave: &'s Wave,
    pages: usize,
    floods: usize,
    #[serde(flatten)]
    report: &'s Report,
}

/// All visible state except the measurements. `C` identifies a connection.
pub(crate) struct Scope<C> {
    wave: Wave,
    clients: BTreeMap<C, Client>,
}

impl<C: Ord> Scope<C> {
    pub(crate) fn new() -> Self {
        let wave = Wave { amplitude: 60.0, frequency: 3.0, phase: 0.0 };
        Self { wave, clients: BTreeMap::new() }
    }

    pub(crate) fn wave(&self) -> &Wave {
        &self.wave
    }

    /// In a stable order.
    pub(crate) fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values()
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.clients().filter(|client| client.kind == kind).count()
    }

    pub(crate) fn is_page(&self, client: &C) -> bool {
        self.clients.get(client).is_some_and(|client| client.kind == Kind::Page)
    }

    pub(crate) fn join(&mut self, client: C, kind: Kind) {
        self.clients.insert(client, Client { kind, glow: 1.0 });
    }

    pub(crate) fn leave(&mut self, client: &C) {
        self.clients.remove(client);
    }

    /// A client has sent a message.
    pub(crate) fn message_received(&mut self, client: &C) {
        if let Some(client) = self.clients.get_mut(client) {
            client.glow = 1.0;
        }
    }

    /// Applies a page's request: `{"amplitude": 40}`.
    ///
    /// # Errors
    /// If it is invalid; nothing has changed.
    pub(crate) fn receive(&mut self, json: &str) -> Result<(), serde_json::Error> {
        let change: Change = serde_json::from_str(json)?;
        self.set(change.amplitude, change.frequency);
        Ok(())
    }

    /// Sets the given values, clamped.
    pub(crate) fn set(&mut self, amplitude: Option<f32>, frequency: Option<f32>) {
        let Wave { amplitude: a, frequency: f, .. } = &mut self.wave;
        *a = amplitude.unwrap_or(*a).clamp(AMPLITUDE.0, AMPLITUDE.1);
        *f = frequency.unwrap_or(*f).clamp(FREQUENCY.0, FREQUENCY.1);
    }

    /// A frame has passed.
    pub(crate) fn advance(&mut self) {
        self.wave.phase = (self.wave.phase + STEP) % TAU;
        for client in self.clients.values_mut() {
            client.glow *= 0.92;
        }
    }

    /// Everything, as JSON.
    pub(crate) fn state(&self, report: &Report) -> String {
        let (pages, floods) = (self.count(Kind::Page), self.count(Kind::Flood));
        // Numbers always serialise.
        serde_json::to_string(&State { wave: &self.wave, pages, floods, report }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_changes_what_it_names_and_nothing_else() {
        let mut scope = Scope::<u32>::new();
        let before = *scope.wave();
        scope.receive(r#"{"amplitude": 77}"#).unwrap();
        assert_eq!(*scope.wave(), Wave { amplitude: 77.0, ..before });
        scope.receive(r#"{"frequency": 4.5}"#).unwrap();
        assert_eq!(*scope.wave(), Wave { amplitude: 77.0, frequency: 4.5, ..before });
        scope.receive("{}").unwrap();
        assert_eq!(scope.wave().amplitude, 77.0);
    }

    #[test]
    fn requests_are_clamped() {
        let mut scope = Scope::<u32>::new();
        scope.receive(r#"{"amplitude": 1e30, "frequency": -5}"#).unwrap();
        assert_eq!((scope.wave().amplitude, scope.wave().frequency), (100.0, 1.0));
        scope.receive(r#"{"amplitude": -1, "frequency": 1e300}"#).unwrap();
        assert_eq!((scope.wave().amplitude, scope.wave().frequency), (0.0, 12.0));
        for x in 0..=100 {
            assert!(scope.wave().at(x as f32 / 100.0).abs() <= 1.0);
        }
    }

    #[test]
    fn an_invalid_request_changes_nothing() {
        let mut scope = Scope::<u32>::new();
        let before = *scope.wave();
        for json in ["", "77", "[]", "{", r#"{"amplitude": "77"}"#, r#"{"amplitude": 5, "colour": 1}"#] {
            assert!(scope.receive(json).is_err(), "{json}");
        }
        assert_eq!(*scope.wave(), before);
    }

    #[test]
    fn a_client_glows_after_a_message_and_is_removed_when_it_leaves() {
        let mut scope = Scope::new();
        scope.join(1, Kind::Page);
        scope.join(2, Kind::Flood);
        scope.advance();
        scope.message_received(&2);
        scope.message_received(&3);
        let glows: Vec<f32> = scope.clients().map(|client| client.glow).collect();
        assert!(glows[0] < 1.0 && glows[1] == 1.0);
        assert_eq!((scope.count(Kind::Page), scope.count(Kind::Flood)), (1, 1));
        scope.leave(&1);
        scope.leave(&1);
        assert_eq!((scope.count(Kind::Page), scope.count(Kind::Flood)), (0, 1));
    }

    #[test]
    fn the_state_is_one_flat_object() {
        let mut scope = Scope::new();
        scope.join(1, Kind::Page);
        let state: serde_json::Value = serde_json::from_str(&scope.state(&Report::default())).unwrap();
        assert_eq!(
            (&state["amplitude"], &state["pages"], &state["frames"]),
            (&60.0.into(), &1.into(), &0.into())
        );
    }
}
