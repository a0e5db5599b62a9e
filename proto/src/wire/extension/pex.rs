//! Peer exchange (after BEP 11) with signed peer records in place of bare addresses.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use thiserror::Error;

use crate::bencode::{self, BencodeError, Limits};
use crate::limits::{PEER_ID_BYTES, PEX_PEERS, RECORD_BYTES};

/// What the sender knows of a peer it names; the bits of BEP 11.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PexFlags(pub u8);

impl PexFlags {
    /// It has everything, or wants nothing more.
    pub const SEED: Self = Self(0x02);
    /// The sender dialled it with success.
    pub const REACHED: Self = Self(0x10);

    /// Both sets of flags together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A peer that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PexPeer {
    /// Its signed record, as it came: verify before use.
    pub record: Vec<u8>,
    /// What the sender knows of it.
    pub flags: PexFlags,
}

/// What changed among the peers that the sender is linked with, since its last message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PexMessage {
    /// The sender's own signed record; in its first message and whenever its addresses change.
    pub me: Option<Vec<u8>>,
    /// Peers that came.
    pub added: Vec<PexPeer>,
    /// PeerIds, in their binary form, of peers named before that went.
    pub dropped: Vec<Vec<u8>>,
}

impl PexMessage {
    /// The payload of the extended message, its id not included.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = |list: &[u8]| ByteBuf::from(list);
        let wire = Wire {
            added: self.added.iter().map(|peer| bytes(&peer.record)).collect(),
            flags: self.added.iter().map(|peer| peer.flags.0).collect::<Vec<u8>>().into(),
            dropped: self.dropped.iter().map(|id| bytes(id)).collect(),
            me: self.me.as_deref().map(bytes),
        };
        bencode::to_bytes(&wire)
    }

    /// Reads the payload of an extended message that came under our id for
    /// [`SAMARA_PEX`](super::SAMARA_PEX). Records are bytes within the cap, no more: nothing is verified yet.
    /// Flags that are missing count as none set.
    ///
    /// # Errors
    /// If it is not one bencoded dictionary within the limits, or names more or longer things than one
    /// message may.
    pub fn decode(payload: &[u8]) -> Result<Self, PexError> {
        let wire: Wire = bencode::from_bytes(payload, Limits::EXTENSION)?;
        if wire.added.len() > PEX_PEERS || wire.dropped.len() > PEX_PEERS {
            return Err(PexError::TooManyPeers);
        }
        let is_long = |record: &ByteBuf| record.len() > RECORD_BYTES;
        if wire.added.iter().chain(&wire.me).any(is_long) {
            return Err(PexError::RecordTooLong);
        }
        if wire.dropped.iter().any(|id| id.len() > PEER_ID_BYTES) {
            return Err(PexError::PeerIdTooLong);
        }
        let flags = wire.flags.iter().copied().chain(std::iter::repeat(0)).map(PexFlags);
        let added = wire.added.into_iter().zip(flags);
        Ok(Self {
            me: wire.me.map(ByteBuf::into_vec),
            added: added.map(|(record, flags)| PexPeer { record: record.into_vec(), flags }).collect(),
            dropped: wire.dropped.into_iter().map(ByteBuf::into_vec).collect(),
        })
    }
}

/// Why a payload is not a peer exchange message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PexError {
    /// It is not one bencoded dictionary, is beyond the limits, or has a value of the wrong type.
    #[error("the peer exchange message is malformed: {0}")]
    Bencode(#[from] BencodeError),
    /// More peers than one message may name or take back.
    #[error("the peer exchange message has more than {PEX_PEERS} peers in a list")]
    TooManyPeers,
    /// A record longer than any may be.
    #[error("the peer exchange message has a record longer than {RECORD_BYTES} bytes")]
    RecordTooLong,
    /// A PeerId longer than any is.
    #[error("the peer exchange message has a PeerId longer than {PEER_ID_BYTES} bytes")]
    PeerIdTooLong,
}

/// The message as bencode has it; fields in the order of their keys.
#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    added: Vec<ByteBuf>,
    #[serde(default, rename = "added.f", skip_serializing_if = "is_empty")]
    flags: ByteBuf,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<ByteBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    me: Option<ByteBuf>,
}

fn is_empty(bytes: &ByteBuf) -> bool {
    bytes.is_empty()
}

#[cfg(test)]
mod tests;
