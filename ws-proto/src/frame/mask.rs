//! Masking (RFC 6455 §5.3).

use alloc::boxed::Box;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use fearless_simd::{Level, dispatch};

/// From this length on, it pays to ask which instructions the machine has.
const WIDE_FROM: usize = 1024;

/// XORs `data` with the masking key, and returns the key rotated for the next byte: a payload can be unmasked in parts.
#[inline(always)]
pub(crate) fn apply(data: &mut [u8], key: [u8; 4]) -> [u8; 4] {
    if data.len() < WIDE_FROM { apply_blocks(data, key) } else { apply_wide(data, key) }
}

#[inline(never)]
fn apply_wide(data: &mut [u8], key: [u8; 4]) -> [u8; 4] {
    dispatch!(Level::new(), _simd => apply_blocks(data, key))
}

/// Compiled for each kind of machine: it must be inlined.
#[inline(always)]
fn apply_blocks(data: &mut [u8], key: [u8; 4]) -> [u8; 4] {
    let bits = u32::from_ne_bytes(key);
    let wide = u64::from(bits) << 32 | u64::from(bits);
    // Blocks become vector instructions, at least four per loop iteration.
    let (blocks, rest) = data.as_chunks_mut::<128>();
    for block in blocks {
        for word in block.as_chunks_mut::<8>().0 {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
    }
    let (words, rest) = rest.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    let tail = rest.len();
    for (byte, key) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
    }
    let mut next = key;
    next.rotate_left(tail % 4);
    next
}

/// A client's masking keys: unpredictable to the author of the payload (§10.3), so they come from their own
/// cryptographic stream.
pub(crate) struct MaskingKeys(Box<ChaCha20Rng>);

impl core::fmt::Debug for MaskingKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MaskingKeys")
    }
}

impl MaskingKeys {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(Box::new(ChaCha20Rng::from_seed(seed)))
    }

    pub(crate) fn next(&mut self) -> [u8; 4] {
        self.0.next_u32().to_le_bytes()
    }

    /// Sixteen bytes for `Sec-WebSocket-Key` (§4.1).
    pub(crate) fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        self.0.fill_bytes(&mut nonce);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmasking_is_independent_of_cuts() {
        let key = [1, 2, 3, 4];
        let plain: Vec<u8> = (0..64).collect();
        let mut whole = plain.clone();
        apply(&mut whole, key);
        for (i, byte) in whole.iter().enumerate() {
            assert_eq!(*byte, plain[i] ^ key[i % 4]);
        }
        for cut in 0..plain.len() {
            let mut parts = plain.clone();
            let (a, b) = parts.split_at_mut(cut);
            let next = apply(a, key);
            apply(b, next);
            assert_eq!(parts, whole, "cut at {cut}");
        }
    }

    #[test]
    fn each_byte_is_unmasked_at_any_length_and_place() {
        let key = [0x81, 2, 0x83, 4];
        let plain: Vec<u8> = (0..WIDE_FROM as u32 + 300).map(|k| (k % 251) as u8).collect();
        let lengths = || (0..300).chain(WIDE_FROM - 3..WIDE_FROM + 280);
        for (from, len) in (0..9).flat_map(|from| lengths().map(move |len| (from, len))) {
            let mut data = plain.clone();
            let next = apply(&mut data[from..from + len], key);
            for (k, byte) in data.iter().enumerate() {
                let bit = if (from..from + len).contains(&k) { key[(k - from) % 4] } else { 0 };
                assert_eq!(*byte, plain[k] ^ bit, "{len} from {from}, at {k}");
            }
            assert_eq!(next[0], key[len % 4]);
        }
    }

    #[test]
    fn keys_of_different_seeds_are_unrelated() {
        const COUNT: usize = 1_000_000;
        let keys = |seed| {
            let mut keys = MaskingKeys::new(seed);
            (0..COUNT).map(|_| u32::from_ne_bytes(keys.next())).collect::<Vec<_>>()
        };
        let one = keys([1; 32]);
        assert_eq!(one, keys([1; 32]));
        // Seeds that differ in one bit.
        let mut next = [1; 32];
        next[31] ^= 1;
        let other = keys(next);
        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same < 5, "{same} of a million are the same in the same place");
        // As many bits differ as in unrelated data, and half of them are set.
        for count in [
            one.iter().zip(&other).map(|(a, b)| (a ^ b).count_ones() as usize).sum::<usize>(),
            one.iter().map(|a| a.count_ones() as usize).sum(),
            one.windows(2).map(|two| (two[0] ^ two[1]).count_ones() as usize).sum(),
        ] {
            assert!(count.abs_diff(16 * COUNT) < 4 * COUNT / 100, "{count} bits of {}", 32 * COUNT);
        }
    }
}
