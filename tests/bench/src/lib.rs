//! What the benchmarks share with the comparison in `peers`.

pub mod system;
