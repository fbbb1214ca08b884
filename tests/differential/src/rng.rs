//! Reproducible randomness for the streams.

pub(crate) type Rng = ws_kit::random::Rng<0x632b_e59b_d9b4_e019>;
