//! Signed peer records: where a peer says it can be reached, provably in its own words.
//!
//! A record is a libp2p `SignedEnvelope` around a `PeerRecord` (libp2p RFC 2 and 3) in the form that
//! go-libp2p and js-libp2p use too: domain `libp2p-peer-record`, payload type `0x03 0x01`. The
//! signature proves that the addresses are what the owner of the identity claims, not that anybody
//! answers there.

mod payload;

use libp2p_core::peer_record::FromEnvelopeError;
use libp2p_core::signed_envelope::DecodingError;
use libp2p_core::{PeerRecord, SignedEnvelope};
use libp2p_identity::{Keypair, SigningError};
use thiserror::Error;

pub use libp2p_core::{Multiaddr, PeerId};

use crate::limits::{ADDRESS_BYTES, RECORD_ADDRESSES, RECORD_BYTES};

/// What the signature covers besides the payload, so that it can stand for nothing else.
const DOMAIN: &str = "libp2p-peer-record";

/// The multicodec `libp2p-peer-record`.
const PAYLOAD_TYPE: [u8; 2] = [0x03, 0x01];

/// A peer's addresses with its valid signature, within the limits for size and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRecord {
    peer_id: PeerId,
    seq: u64,
    addresses: Vec<Multiaddr>,
    bytes: Vec<u8>,
}

impl SignedRecord {
    /// Reads a record that came from anywhere, and checks it.
    ///
    /// # Errors
    /// If it is too long, no signed peer record, not signed by the peer it names, or has too many or
    /// too long addresses.
    pub fn verify(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > RECORD_BYTES {
            return Err(RecordError::TooLong(bytes.len()));
        }
        let envelope = SignedEnvelope::from_protobuf_encoding(bytes)?;
        Self::from_envelope(envelope)
    }

    /// Makes a record of our own. Of two records of one peer the higher `seq` is the later one;
    /// seconds since 1970 are customary.
    ///
    /// # Errors
    /// If there are too many or too long addresses, or the key cannot sign.
    pub fn sign(keypair: &Keypair, seq: u64, addresses: &[Multiaddr]) -> Result<Self, RecordError> {
        let peer_id = keypair.public().to_peer_id();
        let payload = payload::encode(&peer_id, seq, addresses);
        let envelope = SignedEnvelope::new(keypair, DOMAIN.into(), PAYLOAD_TYPE.into(), payload)?;
        Self::from_envelope(envelope)
    }

    /// Whose record it is.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Higher in later records of the same peer.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Where the peer says it can be reached.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    /// The record as it is passed on. The payload and its signature are as they came; the envelope
    /// around them is written anew, so that nothing can hide in it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn from_envelope(envelope: SignedEnvelope) -> Result<Self, RecordError> {
        let record = PeerRecord::from_signed_envelope_interop(envelope.clone())?;
        if record.addresses().len() > RECORD_ADDRESSES {
            return Err(RecordError::TooManyAddresses(record.addresses().len()));
        }
        if record.addresses().iter().any(|address| address.len() > ADDRESS_BYTES) {
            return Err(RecordError::AddressTooLong);
        }
        let bytes = envelope.into_protobuf_encoding();
        if bytes.len() > RECORD_BYTES {
            return Err(RecordError::TooLong(bytes.len()));
        }
        Ok(Self {
            peer_id: record.peer_id(),
            seq: record.seq(),
            addresses: record.addresses().to_vec(),
            bytes,
        })
    }
}

/// Why bytes are not a signed record we accept, or why none can be made.
#[derive(Debug, Error)]
pub enum RecordError {
    /// More bytes than the cap.
    #[error("a signed peer record of {0} bytes is longer than {RECORD_BYTES}")]
    TooLong(usize),
    /// Not an envelope, or signed with a kind of key we do not know.
    #[error("not a signed libp2p envelope: {0}")]
    Envelope(#[from] DecodingError),
    /// An envelope whose signature is wrong, or with something else inside.
    #[error("not a valid signed peer record: {0}")]
    Record(#[from] FromEnvelopeError),
    /// More addresses than the cap.
    #[error("a signed peer record with {0} addresses, where {RECORD_ADDRESSES} is the most")]
    TooManyAddresses(usize),
    /// An address with more bytes than the cap.
    #[error("a signed peer record with an address longer than {ADDRESS_BYTES} bytes")]
    AddressTooLong,
    /// The key cannot sign.
    #[error("cannot sign the peer record: {0}")]
    Signing(#[from] SigningError),
}

#[cfg(test)]
mod tests;
