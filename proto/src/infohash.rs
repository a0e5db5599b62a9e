//! Digests and the names of torrents made from them (BEP 3, BEP 52).

use std::fmt;

use data_encoding::HEXLOWER;

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// The digest in `bytes`, if it has exactly the right length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The digest's bytes.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            /// Lower-case hexadecimal.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

digest!(
    /// A SHA-1 digest: a v1 piece hash or info-hash (BEP 3).
    Sha1Hash,
    20
);
digest!(
    /// A SHA-256 digest: a node of a v2 Merkle tree or a v2 info-hash (BEP 52).
    Sha256Hash,
    32
);
digest!(
    /// The 20 bytes that name a swarm in handshakes and announces: a v1 info-hash, or the first 20
    /// bytes of a v2 one (BEP 52).
    InfoHash,
    20
);

impl From<Sha1Hash> for InfoHash {
    fn from(hash: Sha1Hash) -> Self {
        Self(hash.0)
    }
}

impl From<Sha256Hash> for InfoHash {
    /// Truncates to 20 bytes, as BEP 52 demands of every 20-byte field.
    fn from(hash: Sha256Hash) -> Self {
        let mut short = [0; 20];
        short.copy_from_slice(&hash.0[..20]);
        Self(short)
    }
}

/// The full names of one torrent: v1, v2, or for a hybrid both. Never neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InfoHashes {
    /// A v1 torrent's SHA-1.
    V1(Sha1Hash),
    /// A v2 torrent's SHA-256.
    V2(Sha256Hash),
    /// A hybrid's two names.
    Hybrid(Sha1Hash, Sha256Hash),
}

impl InfoHashes {
    /// The v1 name, if it has one.
    pub fn v1(&self) -> Option<Sha1Hash> {
        match *self {
            Self::V1(v1) | Self::Hybrid(v1, _) => Some(v1),
            Self::V2(_) => None,
        }
    }

    /// The v2 name, if it has one.
    pub fn v2(&self) -> Option<Sha256Hash> {
        match *self {
            Self::V2(v2) | Self::Hybrid(_, v2) => Some(v2),
            Self::V1(_) => None,
        }
    }

    /// The 20-byte names under which this torrent is announced and answered for: one, or two for a
    /// hybrid, v1 first.
    pub fn wire(&self) -> impl Iterator<Item = InfoHash> + use<> {
        let v1 = self.v1().map(InfoHash::from);
        let v2 = self.v2().map(InfoHash::from);
        v1.into_iter().chain(v2)
    }

    /// Whether `wire` is one of this torrent's 20-byte names.
    pub fn answers_to(&self, wire: InfoHash) -> bool {
        self.wire().any(|own| own == wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_answers_to_both_names() {
        let hashes = InfoHashes::Hybrid(Sha1Hash([1; 20]), Sha256Hash([2; 32]));
        assert!(hashes.answers_to(InfoHash([1; 20])));
        assert!(hashes.answers_to(InfoHash([2; 20])));
        assert!(!hashes.answers_to(InfoHash([3; 20])));
    }

    #[test]
    fn digests_print_as_lower_case_hex() {
        assert_eq!(Sha1Hash([0xAB; 20]).to_string(), "ab".repeat(20));
    }
}
