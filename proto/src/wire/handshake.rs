//! The first 68 bytes each end of a wire stream says (BEP 3).

use thiserror::Error;

use crate::infohash::InfoHash;

/// Bytes of a handshake.
pub const HANDSHAKE_LENGTH: usize = 68;

/// What every handshake begins with: the length of the protocol's name, and the name.
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// Which torrent the sender talks about, what it can do, and what it calls itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// One of the torrent's 20-byte names ([`InfoHashes::wire`](crate::infohash::InfoHashes::wire)).
    pub info_hash: InfoHash,
    /// The sender's name for itself (BEP 20). Nobody vouches for it: who a peer is says its libp2p
    /// identity.
    pub peer_id: [u8; 20],
    /// What the sender can do.
    pub reserved: Reserved,
}

impl Handshake {
    /// The handshake as it is sent.
    pub fn encode(&self) -> [u8; HANDSHAKE_LENGTH] {
        let mut bytes = [0; HANDSHAKE_LENGTH];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.reserved.0);
        bytes[28..48].copy_from_slice(self.info_hash.as_bytes());
        bytes[48..].copy_from_slice(&self.peer_id);
        bytes
    }

    /// Reads a handshake.
    ///
    /// # Errors
    /// If it is not BitTorrent's.
    pub fn decode(bytes: &[u8; HANDSHAKE_LENGTH]) -> Result<Self, HandshakeError> {
        if bytes[..20] != PROTOCOL[..] {
            return Err(HandshakeError::OtherProtocol);
        }
        let mut handshake =
            Self { info_hash: InfoHash([0; 20]), peer_id: [0; 20], reserved: Reserved([0; 8]) };
        handshake.reserved.0.copy_from_slice(&bytes[20..28]);
        handshake.info_hash.0.copy_from_slice(&bytes[28..48]);
        handshake.peer_id.copy_from_slice(&bytes[48..]);
        Ok(handshake)
    }
}

/// The eight bytes in which a handshake announces abilities. Bits without a meaning here are kept as
/// they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    /// Everything this implementation can do: BEP 6, BEP 10 and BEP 52.
    pub const OURS: Self = Self([0, 0, 0, 0, 0, 0x10, 0, 0x04 | 0x10]);

    /// Whether the sender speaks the fast extension (BEP 6).
    pub fn fast(self) -> bool {
        self.0[7] & 0x04 != 0
    }

    /// Whether the sender speaks the extension protocol (BEP 10).
    pub fn extended(self) -> bool {
        self.0[5] & 0x10 != 0
    }

    /// Whether the sender knows v2 torrents and their hash messages (BEP 52).
    pub fn v2(self) -> bool {
        self.0[7] & 0x10 != 0
    }

    /// What both ends can do.
    pub fn and(self, other: Self) -> Self {
        let mut both = self;
        for (byte, theirs) in both.0.iter_mut().zip(other.0) {
            *byte &= theirs;
        }
        both
    }
}

/// Why 68 bytes are not a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// They do not begin with the protocol's name.
    #[error("the peer does not speak the BitTorrent protocol")]
    OtherProtocol,
}

#[cfg(test)]
mod tests;
