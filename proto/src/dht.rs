//! The key under which the peers of a swarm are found in the DHT.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::infohash::InfoHash;

/// What is hashed before the info-hash, so that a key means nothing anywhere else.
const PREFIX: &[u8] = b"samara dht provider key 1\n";

/// The key of a swarm in the DHT: a digest of its 20-byte name.
///
/// The nodes that keep a swarm's peers see this alone. Whoever knows the name can find the peers; whoever
/// keeps them does not learn the name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DhtKey([u8; 32]);

impl DhtKey {
    /// The key of the swarm with this name. A hybrid has two names and so two keys.
    pub fn of(info_hash: InfoHash) -> Self {
        let digest = Sha256::new().chain_update(PREFIX).chain_update(info_hash.as_bytes()).finalize();
        Self(digest.into())
    }

    /// The key in `bytes`, if it has exactly the right length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The key's bytes, as nodes of the DHT exchange them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for DhtKey {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for DhtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infohash::Sha256Hash;

    #[test]
    fn the_key_is_the_digest_that_the_protocol_says() {
        let counting: [u8; 20] = std::array::from_fn(|at| at as u8);
        assert_eq!(
            DhtKey::of(InfoHash(counting)).to_string(),
            "93d3106f87b03a1df61009f8b3c6eb56ec73dd8c553aae602c4e0d2a6fc35634"
        );
    }

    #[test]
    fn a_v2_name_counts_as_truncated_as_everywhere() {
        let full = Sha256Hash([7; 32]);
        assert_eq!(DhtKey::of(InfoHash::from(full)), DhtKey::of(InfoHash([7; 20])));
    }

    #[test]
    fn a_key_of_another_length_is_none() {
        assert_eq!(DhtKey::from_slice(&[0; 31]), None);
        assert_eq!(DhtKey::from_slice(&[0; 33]), None);
        assert!(DhtKey::from_slice(&[0; 32]).is_some());
    }
}
