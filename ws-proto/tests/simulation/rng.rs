//! The randomness of the simulation.

pub(crate) type Rng = ws_kit::random::Rng<0x2545_f491_4f6c_dd1d>;
