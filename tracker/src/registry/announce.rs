//! What the registry is told, and what it answers.

use std::net::IpAddr;
use std::sync::Arc;

use samara_proto::announce::Event;
use samara_proto::announce::http::{Scraped, TcpPeer};
use samara_proto::infohash::InfoHash;
use thiserror::Error;

use super::Contact;

/// An announce, whatever it came by.
#[derive(Clone, Debug)]
pub struct Announce {
    /// The swarm.
    pub info_hash: InfoHash,
    /// The address it came from.
    pub source: IpAddr,
    /// Where the peer listens for BitTorrent, if it does.
    pub tcp: Option<TcpContact>,
    /// How the peer is reached over libp2p, if it is.
    pub libp2p: Option<Arc<Contact>>,
    /// How far the peer has come.
    pub progress: Progress,
    /// Why it announces.
    pub event: Event,
    /// How many peers of each kind it wants; `None` leaves that to the tracker.
    pub num_want: Option<u32>,
    /// The kinds of peers it wants.
    pub wants: Wants,
}

/// A peer at the source's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpContact {
    /// The port it listens on; a peer at port 0 is not listed.
    pub port: u16,
    /// What it calls itself.
    pub peer_id: [u8; 20],
}

/// How far a peer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// It wants more.
    Downloader,
    /// It has all it wants, but not all there is (BEP 21).
    PartialSeed,
    /// It has everything.
    Seed,
}

/// The kinds of peers an announcer can make use of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// BitTorrent at IPv4 addresses.
    pub v4: bool,
    /// BitTorrent at IPv6 addresses.
    pub v6: bool,
    /// libp2p.
    pub libp2p: bool,
}

/// The answer to an announce.
#[derive(Clone, Debug)]
pub struct Announced {
    /// Figures of the swarm, the announcer included.
    pub swarm: Scraped,
    /// Seconds until the next announce.
    pub interval_secs: u32,
    /// Seconds the client must wait whatever happens.
    pub min_interval_secs: u32,
    /// Peers that listen for BitTorrent.
    pub peers: Vec<TcpPeer>,
    /// Peers that speak libp2p.
    pub libp2p: Vec<(Progress, Arc<Contact>)>,
}

/// Why an announce was not accepted. The text is fit for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// One household has announced more than its share.
    #[error("too many peers announce from your address")]
    TooManyFromSource,
    /// A peer is to leave by a record older than the one it came with: somebody may be replaying it.
    #[error("the signed record is older than one this tracker has seen")]
    StaleRecord,
}
