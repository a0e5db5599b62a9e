//! What clients send.

use std::net::Ipv4Addr;

use thiserror::Error;

use super::{ConnectionId, PROTOCOL_ID, Reader, SCRAPE_HASHES, TransactionId, action, options};
use crate::announce::Event;
use crate::infohash::InfoHash;

/// A request to a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Asks for a connection id.
    Connect {
        /// Comes back in the answer.
        transaction_id: TransactionId,
    },
    /// Joins, stays in or leaves a swarm, and asks for peers.
    Announce {
        /// As the tracker gave it.
        connection_id: ConnectionId,
        /// Comes back in the answer.
        transaction_id: TransactionId,
        /// What is announced.
        announce: Announce,
    },
    /// Asks for the figures of swarms.
    Scrape {
        /// As the tracker gave it.
        connection_id: ConnectionId,
        /// Comes back in the answer.
        transaction_id: TransactionId,
        /// At least one, at most [`SCRAPE_HASHES`]; answered in this order, repetitions included.
        info_hashes: Vec<InfoHash>,
    },
}

/// The body of an announce. The address a client may claim for itself is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The swarm.
    pub info_hash: InfoHash,
    /// What the client calls itself in BitTorrent handshakes.
    pub peer_id: [u8; 20],
    /// Content bytes taken.
    pub downloaded: u64,
    /// Content bytes still missing; clients that do not know send the largest number.
    pub left: u64,
    /// Content bytes given.
    pub uploaded: u64,
    /// Why it announces; unknown events count as regular announces.
    pub event: Event,
    /// Tells this client from others behind its address.
    pub key: u32,
    /// How many peers it asks for; `None` (any negative number) leaves that to the tracker.
    pub num_want: Option<u32>,
    /// The TCP port it listens on; 0 if it cannot be reached that way.
    pub port: u16,
    /// Path and query of the announce URL (BEP 41), empty if the client sent none. See [`url_data`](super::url_data).
    pub url_data: Vec<u8>,
}

/// Why a packet is no request. None of these is answered: whoever sent it may not be who it seems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The packet ends too early.
    #[error("the packet is too short")]
    TooShort,
    /// A connect request that does not begin with BEP 15's number.
    #[error("the connect request does not begin with the protocol's number")]
    NotTheProtocol,
    /// An action BEP 15 does not know.
    #[error("unknown action {0}")]
    UnknownAction(u32),
}

impl Request {
    /// Reads a packet. What follows the last known field is skipped, as are the info-hashes beyond the
    /// most a scrape may have.
    ///
    /// # Errors
    ///
    /// When the packet is no request; see [`RequestError`].
    pub fn decode(packet: &[u8]) -> Result<Self, RequestError> {
        Self::read(&mut Reader::new(packet)).ok_or(RequestError::TooShort)?
    }

    fn read(reader: &mut Reader<'_>) -> Option<Result<Self, RequestError>> {
        let first = reader.u64()?;
        let action = reader.u32()?;
        let transaction_id = TransactionId(reader.u32()?);
        let connection_id = ConnectionId(first);
        Some(Ok(match action {
            action::CONNECT if first == PROTOCOL_ID => Self::Connect { transaction_id },
            action::CONNECT => return Some(Err(RequestError::NotTheProtocol)),
            action::ANNOUNCE => {
                Self::Announce { connection_id, transaction_id, announce: Announce::read(reader)? }
            }
            action::SCRAPE => {
                let (hashes, _) = reader.rest.as_chunks::<20>();
                let info_hashes: Vec<_> = hashes.iter().take(SCRAPE_HASHES).copied().map(InfoHash).collect();
                if info_hashes.is_empty() {
                    return None;
                }
                Self::Scrape { connection_id, transaction_id, info_hashes }
            }
            unknown => return Some(Err(RequestError::UnknownAction(unknown))),
        }))
    }

    /// What the client shows to prove that its address is its own; a connect request has nothing to
    /// show yet.
    pub fn connection_id(&self) -> Option<ConnectionId> {
        match *self {
            Self::Connect { .. } => None,
            Self::Announce { connection_id, .. } | Self::Scrape { connection_id, .. } => Some(connection_id),
        }
    }

    /// The packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut packet = Vec::with_capacity(128);
        match self {
            Self::Connect { transaction_id } => {
                append_head(&mut packet, PROTOCOL_ID, action::CONNECT, *transaction_id);
            }
            Self::Announce { connection_id, transaction_id, announce } => {
                append_head(&mut packet, connection_id.0, action::ANNOUNCE, *transaction_id);
                announce.append(&mut packet);
            }
            Self::Scrape { connection_id, transaction_id, info_hashes } => {
                append_head(&mut packet, connection_id.0, action::SCRAPE, *transaction_id);
                for info_hash in info_hashes {
                    packet.extend(info_hash.as_bytes());
                }
            }
        }
        packet
    }
}

fn append_head(packet: &mut Vec<u8>, first: u64, action: u32, transaction_id: TransactionId) {
    packet.extend(first.to_be_bytes());
    packet.extend(action.to_be_bytes());
    packet.extend(transaction_id.0.to_be_bytes());
}

impl Announce {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let info_hash = InfoHash(reader.bytes()?);
        let peer_id = reader.bytes()?;
        let downloaded = reader.u64()?;
        let left = reader.u64()?;
        let uploaded = reader.u64()?;
        let event = event_of(reader.u32()?);
        let _claimed_ip: [u8; 4] = reader.bytes()?;
        let key = reader.u32()?;
        let num_want = reader.u32()?;
        let port = reader.u16()?;
        Some(Self {
            info_hash,
            peer_id,
            downloaded,
            left,
            uploaded,
            event,
            key,
            num_want: i32::try_from(num_want).is_ok().then_some(num_want),
            port,
            url_data: options::url_data(reader.rest),
        })
    }

    fn append(&self, packet: &mut Vec<u8>) {
        packet.extend(self.info_hash.as_bytes());
        packet.extend(self.peer_id);
        packet.extend(self.downloaded.to_be_bytes());
        packet.extend(self.left.to_be_bytes());
        packet.extend(self.uploaded.to_be_bytes());
        packet.extend(event_number(self.event).to_be_bytes());
        packet.extend(Ipv4Addr::UNSPECIFIED.octets());
        packet.extend(self.key.to_be_bytes());
        let num_want = self.num_want.map_or(-1, |wanted| i32::try_from(wanted).unwrap_or(i32::MAX));
        packet.extend(num_want.to_be_bytes());
        packet.extend(self.port.to_be_bytes());
        options::append_url_data(packet, &self.url_data);
    }
}

fn event_of(number: u32) -> Event {
    match number {
        1 => Event::Completed,
        2 => Event::Started,
        3 => Event::Stopped,
        4 => Event::Paused,
        _ => Event::None,
    }
}

fn event_number(event: Event) -> u32 {
    match event {
        Event::None => 0,
        Event::Completed => 1,
        Event::Started => 2,
        Event::Stopped => 3,
        Event::Paused => 4,
    }
}
