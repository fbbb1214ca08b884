//! The randomness of the fake kernel and of its scripts.

pub(super) type Rng = ws_kit::random::Rng<0x5851_f42d_4c95_7f2d>;
