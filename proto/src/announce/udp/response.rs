//! What trackers send.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

use super::extension::Libp2pAnswer;
use super::{ConnectionId, PEERS_V4, PEERS_V6, RESPONSE_BYTES, Reader, SCRAPE_HASHES, TransactionId, action};
use crate::announce::{SwarmCounts, text};

/// The address family of the socket an answer travels on: it alone says how peers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 6 bytes a peer.
    V4,
    /// 18 bytes a peer.
    V6,
}

impl Family {
    /// The family of packets to or from `address`. An IPv4 address mapped into IPv6 is IPv4.
    pub fn of(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => Self::V4,
            SocketAddr::V6(_) => Self::V6,
        }
    }

    /// Most peers an answer of this family may have.
    pub fn peers(self) -> usize {
        match self {
            Self::V4 => PEERS_V4,
            Self::V6 => PEERS_V6,
        }
    }
}

/// A tracker's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// A connection id, good for two minutes at the tracker and one at the client.
    Connect {
        /// The request's.
        transaction_id: TransactionId,
        /// To be shown with later requests.
        connection_id: ConnectionId,
    },
    /// Peers of a swarm.
    Announce {
        /// The request's.
        transaction_id: TransactionId,
        /// What the tracker says.
        announced: Announced,
    },
    /// Figures of swarms, in the order asked.
    Scrape {
        /// The request's.
        transaction_id: TransactionId,
        /// One for each info-hash asked for.
        counts: Vec<SwarmCounts>,
    },
    /// The request failed.
    Error {
        /// The request's.
        transaction_id: TransactionId,
        /// For the user; untrusted text.
        message: String,
    },
}

/// The body of an answer to an announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Seconds until the next announce.
    pub interval_secs: u32,
    /// Peers that still miss something.
    pub leechers: u32,
    /// Peers with every piece.
    pub seeders: u32,
    /// Peers, all of the packet's family.
    pub peers: Vec<SocketAddr>,
    /// What a client that asked for libp2p peers gets in place of `peers`.
    pub libp2p: Option<Libp2pAnswer>,
}

/// Why a packet is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ResponseError {
    /// The packet ends too early.
    #[error("the packet is too short")]
    TooShort,
    /// An action BEP 15 does not know.
    #[error("unknown action {0}")]
    UnknownAction(u32),
}

impl Response {
    /// The request this answers.
    pub fn transaction_id(&self) -> TransactionId {
        match *self {
            Self::Connect { transaction_id, .. }
            | Self::Announce { transaction_id, .. }
            | Self::Scrape { transaction_id, .. }
            | Self::Error { transaction_id, .. } => transaction_id,
        }
    }

    /// Reads a packet that came over `family`. Peers without a usable address are skipped, and so is
    /// what follows the last whole entry.
    ///
    /// # Errors
    ///
    /// When the packet is no answer; see [`ResponseError`].
    pub fn decode(packet: &[u8], family: Family) -> Result<Self, ResponseError> {
        Self::read(&mut Reader::new(packet), family).ok_or(ResponseError::TooShort)?
    }

    fn read(reader: &mut Reader<'_>, family: Family) -> Option<Result<Self, ResponseError>> {
        let action = reader.u32()?;
        let transaction_id = TransactionId(reader.u32()?);
        Some(Ok(match action {
            action::CONNECT => Self::Connect { transaction_id, connection_id: ConnectionId(reader.u64()?) },
            action::ANNOUNCE => {
                Self::Announce { transaction_id, announced: Announced::read(reader, family)? }
            }
            action::SCRAPE => Self::Scrape { transaction_id, counts: read_counts(reader) },
            action::ERROR => Self::Error { transaction_id, message: read_text(reader.rest) },
            unknown => return Some(Err(ResponseError::UnknownAction(unknown))),
        }))
    }

    /// The packet, never longer than [`RESPONSE_BYTES`]: peers and figures beyond that are left out, as
    /// are peers of another family than the first.
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(64);
        match self {
            Self::Connect { transaction_id, connection_id } => {
                append_head(&mut packet, action::CONNECT, *transaction_id);
                packet.extend(connection_id.0.to_be_bytes());
            }
            Self::Announce { transaction_id, announced } => {
                append_head(&mut packet, action::ANNOUNCE, *transaction_id);
                announced.append(&mut packet);
            }
            Self::Scrape { transaction_id, counts } => {
                append_head(&mut packet, action::SCRAPE, *transaction_id);
                for swarm in counts.iter().take(SCRAPE_HASHES) {
                    for number in [swarm.complete, swarm.downloaded, swarm.incomplete] {
                        packet.extend(number.to_be_bytes());
                    }
                }
            }
            Self::Error { transaction_id, message } => {
                append_head(&mut packet, action::ERROR, *transaction_id);
                packet.extend(message.bytes().take(RESPONSE_BYTES - packet.len()));
            }
        }
        packet
    }
}

fn append_head(packet: &mut Vec<u8>, action: u32, transaction_id: TransactionId) {
    packet.extend(action.to_be_bytes());
    packet.extend(transaction_id.0.to_be_bytes());
}

impl Announced {
    fn read(reader: &mut Reader<'_>, family: Family) -> Option<Self> {
        let interval_secs = reader.u32()?;
        let leechers = reader.u32()?;
        let seeders = reader.u32()?;
        let libp2p = Libp2pAnswer::read(reader.rest);
        let peers = match family {
            _ if libp2p.is_some() => Vec::new(),
            Family::V4 => read_v4(reader.rest),
            Family::V6 => read_v6(reader.rest),
        };
        Some(Self { interval_secs, leechers, seeders, peers, libp2p })
    }

    fn append(&self, packet: &mut Vec<u8>) {
        for number in [self.interval_secs, self.leechers, self.seeders] {
            packet.extend(number.to_be_bytes());
        }
        if let Some(libp2p) = &self.libp2p {
            return libp2p.append(packet);
        }
        let Some(first) = self.peers.first() else { return };
        let family = Family::of(*first);
        for peer in self.peers.iter().filter(|peer| Family::of(**peer) == family).take(family.peers()) {
            match peer.ip().to_canonical() {
                IpAddr::V4(ip) => packet.extend(ip.octets()),
                IpAddr::V6(ip) => packet.extend(ip.octets()),
            }
            packet.extend(peer.port().to_be_bytes());
        }
    }
}

fn read_v4(list: &[u8]) -> Vec<SocketAddr> {
    let (entries, _) = list.as_chunks::<6>();
    let peers = entries.iter().map(|&[a, b, c, d, high, low]| {
        SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))
    });
    peers.filter(is_usable).collect()
}

fn read_v6(list: &[u8]) -> Vec<SocketAddr> {
    let (entries, _) = list.as_chunks::<18>();
    let peers = entries.iter().filter_map(|entry| {
        let (ip, port) = entry.split_first_chunk::<16>()?;
        Some(SocketAddr::new(Ipv6Addr::from(*ip).into(), u16::from_be_bytes(port.try_into().ok()?)))
    });
    peers.filter(is_usable).collect()
}

fn is_usable(peer: &SocketAddr) -> bool {
    peer.port() != 0 && !peer.ip().is_unspecified()
}

fn read_counts(reader: &mut Reader<'_>) -> Vec<SwarmCounts> {
    let mut counts = Vec::new();
    while counts.len() < SCRAPE_HASHES
        && let (Some(complete), Some(downloaded), Some(incomplete)) =
            (reader.u32(), reader.u32(), reader.u32())
    {
        counts.push(SwarmCounts { complete, downloaded, incomplete });
    }
    counts
}

/// Some trackers end the text with NULs; what is cut from a long one may end with NULs too.
fn read_text(bytes: &[u8]) -> String {
    text(bytes).trim_end_matches('\0').to_owned()
}
