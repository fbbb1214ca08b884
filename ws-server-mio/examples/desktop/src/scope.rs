//! What the window and the pages show alike, and what can change it. It does no I/O and reads no clock, so its
//! tests need neither.

use crate::meter::Report;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::f32::consts::{PI, TAU};

/// Percent of the height.
const AMPLITUDE: (f32, f32) = (0.0, 100.0);
/// Waves in the width.
const FREQUENCY: (f32, f32) = (1.0, 12.0);
/// Radians that the wave moves on in a frame: a turn in two seconds.
const STEP: f32 = TAU / 120.0;

/// A curve that moves.
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

/// What a page says: what it wants to be otherwise.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    amplitude: Option<f32>,
    frequency: Option<f32>,
}

/// What a connection is for, by the path that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A page: it is sent the state and may change it.
    Page,
    /// One of many that only want an answer to all they say.
    Flood,
}

/// Somebody who is connected.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) kind: Kind,
    /// 1 when it has just said something, then fading to 0.
    pub(crate) glow: f32,
}

/// What the pages are told in every frame.
#[derive(Serialize)]
struct State<'s> {
    #[serde(flatten)]
    wave: &'s Wave,
    pages: usize,
    floods: usize,
    #[serde(flatten)]
    report: &'s Report,
}

/// All that is shown, but for the measurements. `C` is what a connection is known by.
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

    /// In an order in which nobody changes places.
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

    /// A client has said something, whatever it was.
    pub(crate) fn heard(&mut self, client: &C) {
        if let Some(client) = self.clients.get_mut(client) {
            client.glow = 1.0;
        }
    }

    /// Does what a page asks for: `{"amplitude": 40}`.
    ///
    /// # Errors
    /// When it cannot be understood; nothing has changed then.
    pub(crate) fn receive(&mut self, json: &str) -> Result<(), serde_json::Error> {
        let change: Change = serde_json::from_str(json)?;
        self.set(change.amplitude, change.frequency);
        Ok(())
    }

    /// Sets what is given, within bounds.
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
        // Numbers always make JSON.
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
    fn whatever_is_asked_for_stays_within_bounds() {
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
    fn what_cannot_be_understood_changes_nothing() {
        let mut scope = Scope::<u32>::new();
        let before = *scope.wave();
        for json in ["", "77", "[]", "{", r#"{"amplitude": "77"}"#, r#"{"amplitude": 5, "colour": 1}"#] {
            assert!(scope.receive(json).is_err(), "{json}");
        }
        assert_eq!(*scope.wave(), before);
    }

    #[test]
    fn who_speaks_glows_and_who_leaves_is_gone() {
        let mut scope = Scope::new();
        scope.join(1, Kind::Page);
        scope.join(2, Kind::Flood);
        scope.advance();
        scope.heard(&2);
        scope.heard(&3);
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
