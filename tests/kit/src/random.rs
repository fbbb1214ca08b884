//! Reproducible randomness: a seed always gives the same numbers, because seeds that found a fault are kept. There
//! are several generators because sequences of each were recorded.

use std::time::Duration;

/// SplitMix64. Test trees use different `SALT`s, so the same seed is a different run in each of them.
#[derive(Clone, Debug)]
pub struct Rng<const SALT: u64>(u64);

impl<const SALT: u64> Rng<SALT> {
    pub fn new(seed: u64) -> Self {
        // Decorrelate neighbouring seeds.
        let mut rng = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ SALT);
        rng.next();
        rng
    }

    #[allow(clippy::should_implement_trait)] // infinite
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A number from `low` to `high`, both inclusive.
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for k in (1..list.len()).rev() {
            let j = self.below(k + 1);
            list.swap(k, j);
        }
    }

    /// A duration up to `most`; short ones are as likely as long ones.
    pub fn time(&mut self, most: Duration) -> Duration {
        let most = (most.as_nanos() as u64).max(1);
        let bits = self.below(most.ilog2() as usize + 1) as u32;
        Duration::from_nanos((self.next() % (2 << bits)).min(most))
    }

    /// 32 bytes to seed a client's masks.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for eight in seed.chunks_mut(8) {
            eight.copy_from_slice(&self.next().to_le_bytes());
        }
        seed
    }
}

/// Xorshift64, from its nonzero state.
#[derive(Clone, Debug)]
pub struct Xorshift(pub u64);

impl Xorshift {
    #[allow(clippy::should_implement_trait)] // infinite
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Knuth's linear congruential generator, from its state.
#[derive(Clone, Debug)]
pub struct Lcg(pub u64);

impl Lcg {
    /// 31 bits: the low bits of the state have short periods.
    #[allow(clippy::should_implement_trait)] // infinite
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// The 32-bit variant, with the constants of "Numerical Recipes"; returns the whole state.
#[derive(Clone, Debug)]
pub struct Lcg32(pub u32);

impl Lcg32 {
    #[allow(clippy::should_implement_trait)] // infinite
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins the numbers behind the simulation seeds. Changing them changes every run.
    #[test]
    fn a_seed_gives_fixed_numbers() {
        let mut rng = Rng::<0x2545_f491_4f6c_dd1d>::new(7);
        assert_eq!([rng.next(), rng.next()], [0x6f57_55bc_ad2b_49b0, 0xd3b5_acf9_5292_c819]);
        let mut rng = Rng::<0x5851_f42d_4c95_7f2d>::new(7);
        assert_eq!([rng.next(), rng.next()], [0xe5c8_696c_f01c_af09, 0xa630_80df_917d_eda2]);
        let mut rng = Rng::<0x632b_e59b_d9b4_e019>::new(7);
        assert_eq!([rng.next(), rng.next()], [0x4146_4ee4_dc0f_6d89, 0xc32f_1f34_7535_3367]);
        let mut rng = Xorshift(7);
        assert_eq!([rng.next(), rng.next()], [0x0000_0001_c38e_e1c7, 0x7001_c712_2401_6dc4]);
        let mut rng = Lcg(7);
        assert_eq!([rng.next(), rng.next()], [1_059_165_278, 2_052_263_231]);
        let mut rng = Lcg32(7);
        assert_eq!([rng.next(), rng.next()], [1_025_555_898, 3_923_423_697]);
    }
}
