//! The tracker's answer to an announce, in both directions.

mod decode;
mod encode;

pub(super) use decode::scan_answer;
pub(in crate::announce) use decode::{count, libp2p_peers};
pub(in crate::announce) use encode::{Libp2p, Libp2pEntry};

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use crate::bencode::BencodeError;

/// An answer that is no failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnounceResponse {
    /// Seconds until the next regular announce.
    pub interval_secs: u32,
    /// Seconds before which the client must not announce again, whatever happens.
    pub min_interval_secs: Option<u32>,
    /// Seeds in the swarm.
    pub complete: Option<u32>,
    /// Peers in the swarm that are no seeds.
    pub incomplete: Option<u32>,
    /// Times a peer was seen to finish.
    pub downloaded: Option<u32>,
    /// The address the tracker saw (BEP 24).
    pub external_ip: Option<IpAddr>,
    /// Something the user should read; the announce counted all the same (BEP 3).
    pub warning: Option<String>,
    /// To be sent back with later announces; at most [`TRACKER_ID_BYTES`](super::TRACKER_ID_BYTES).
    pub tracker_id: Option<Vec<u8>>,
    /// Peers that listen for BitTorrent over TCP or uTP, IPv4 and IPv6.
    pub peers: Vec<TcpPeer>,
    /// Peers that speak libp2p; only in answers to clients that asked.
    pub libp2p: Option<Libp2pPeers>,
}

/// A peer at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it calls itself; unknown in compact lists.
    pub peer_id: Option<[u8; 20]>,
}

/// The `libp2p` key of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Libp2pPeers {
    /// Addresses through which the DHT can be joined, as binary multiaddrs.
    pub bootstrap: Vec<Vec<u8>>,
    /// Peers of this swarm.
    pub peers: Vec<Libp2pPeer>,
}

/// A libp2p peer as a tracker hands it out. Nothing in it is verified: a client that wants more than
/// the tracker's word checks `record`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libp2pPeer {
    /// Its addresses as binary multiaddrs.
    pub addresses: Vec<Vec<u8>>,
    /// What the tracker says of it.
    pub flags: PeerFlags,
    /// Its peer id, in binary.
    pub id: Vec<u8>,
    /// Its signed peer record; empty if the tracker gave none.
    pub record: Vec<u8>,
}

/// What the tracker says of a libp2p peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerFlags {
    /// It has every piece.
    pub seed: bool,
    /// It has all it wants (BEP 21).
    pub partial: bool,
    /// It can only be reached through a relay.
    pub relay: bool,
}

impl PeerFlags {
    const SEED: u64 = 1;
    const PARTIAL: u64 = 2;
    const RELAY: u64 = 4;

    /// The number on the wire.
    fn bits(self) -> u64 {
        u64::from(self.seed) * Self::SEED
            + u64::from(self.partial) * Self::PARTIAL
            + u64::from(self.relay) * Self::RELAY
    }

    /// Reads the number on the wire; bits without a meaning are skipped.
    fn from_bits(bits: u64) -> Self {
        Self {
            seed: bits & Self::SEED != 0,
            partial: bits & Self::PARTIAL != 0,
            relay: bits & Self::RELAY != 0,
        }
    }
}

/// How a list of peers is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerFormat {
    /// Strings of 6 (BEP 23) and 18 (BEP 7) bytes a peer.
    Compact,
    /// A dictionary a peer (BEP 3).
    Dictionaries,
    /// A dictionary a peer, without peer ids.
    DictionariesWithoutIds,
}

/// The answer that refuses an announce or a scrape. HTTP's status is 200 all the same: clients throw
/// the body of anything else away.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the tracker refused: {}", reason.escape_debug())]
pub struct Failure {
    /// For the user; untrusted text.
    pub reason: String,
    /// When asking again may help (BEP 31).
    pub retry_in: Option<RetryIn>,
}

/// When to ask again after a failure (BEP 31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryIn {
    /// After so many minutes.
    Minutes(u32),
    /// It will not help.
    Never,
}

/// Why an answer yields no peers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// The tracker said no.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// Not a bencoded value within the limits; often a web page.
    #[error("the tracker's answer is no bencode: {0}")]
    Bencode(#[from] BencodeError),
    /// Bencode, but no dictionary.
    #[error("the tracker's answer is no bencoded dictionary")]
    NoDictionary,
    /// A dictionary, but not an answer.
    #[error("the tracker's answer has no usable {0:?}")]
    Field(&'static str),
}
