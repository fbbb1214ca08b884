//! The cryptography of ring, but with randomness and a key exchange that are the same in each run: of no use but here.

use std::cell::Cell;
use std::sync::Arc;
use ws_host::tls::rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup, ring,
};
use ws_host::tls::rustls::{CipherSuite, Error, NamedGroup, PeerMisbehaved, SupportedCipherSuite};

/// Which end acts. Each has its own randomness, so that it does the same without the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

thread_local! {
    static SIDE: Cell<Side> = const { Cell::new(Side::Client) };
    static RANDOM: [Cell<u64>; 2] = const { [Cell::new(0), Cell::new(0)] };
}

/// The same randomness again.
pub(crate) fn reset() {
    RANDOM.with(|random| {
        random[0].set(0x6455);
        random[1].set(0x8446);
    });
}

/// Runs this as what one end does.
pub(crate) fn as_side<T>(side: Side, run: impl FnOnce() -> T) -> T {
    SIDE.set(side);
    run()
}

/// What the two ends agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terms {
    Tls13,
    Tls12,
    /// TLS 1.3, after the server has asked for a key share of another group.
    Retry,
}

/// The cryptography of an end.
pub(crate) fn provider(side: Side, terms: Terms) -> Arc<CryptoProvider> {
    static X25519: Group = Group(NamedGroup::X25519, 32);
    static P_256: Group = Group(NamedGroup::secp256r1, 65);
    let mut provider = ring::default_provider();
    provider.secure_random = &Random;
    provider.kx_groups = match (terms, side) {
        (Terms::Retry, Side::Server) => vec![&P_256],
        _ => vec![&X25519, &P_256],
    };
    let is_1_2 = |suite: &SupportedCipherSuite| matches!(suite, SupportedCipherSuite::Tls12(_));
    // One that needs no special instructions of the processor, so that every machine chooses it.
    let (of_1_2, of_1_3) =
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider.cipher_suites.retain(|suite| {
        if terms == Terms::Tls12 { is_1_2(suite) && suite.suite() == of_1_2 } else { suite.suite() == of_1_3 }
    });
    Arc::new(provider)
}

#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        RANDOM.with(|random| {
            let random = &random[SIDE.get() as usize];
            for byte in buffer {
                let next = random
                    .get()
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                random.set(next);
                *byte = (next >> 56) as u8;
            }
        });
        Ok(())
    }
}

/// A group whose shares have the length of the real one. Both ends know the secret, and so does everybody.
#[derive(Debug)]
struct Group(NamedGroup, usize);

struct Exchange {
    group: NamedGroup,
    share: Vec<u8>,
}

impl SupportedKxGroup for Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut share = vec![4; self.1];
        Random.fill(&mut share[1..])?;
        Ok(Box::new(Exchange { group: self.0, share }))
    }

    fn name(&self) -> NamedGroup {
        self.0
    }
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        if peer.len() != self.share.len() {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        let secret: Vec<u8> =
            self.share.iter().zip(peer).map(|(ours, theirs)| ours ^ theirs).take(32).collect();
        Ok(SharedSecret::from(secret))
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}
