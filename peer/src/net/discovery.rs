//! Sources of candidates; each yields peers with signed addresses into one place.

pub mod cache;
pub mod dht;
pub mod lan;
pub mod pex;
pub mod policy;
pub mod tracker;

use std::time::{SystemTime, UNIX_EPOCH};

use libp2p::{Multiaddr, PeerId};

use crate::engine::event::{Source, TorrentId};

/// Which sources may be used. Peers named by a link or by hand, and peers that come to us, always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscoverySet {
    /// Trackers are asked.
    pub tracker: bool,
    /// The DHT is asked, and served.
    pub dht: bool,
    /// Peers name each other.
    pub pex: bool,
    /// The local network is listened to.
    pub lan: bool,
    /// Peers of earlier sessions are remembered.
    pub cache: bool,
}

impl Default for DiscoverySet {
    fn default() -> Self {
        Self { tracker: true, dht: true, pex: true, lan: true, cache: true }
    }
}

/// Somebody who may have a torrent, and where they say they can be dialled.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// Which torrent.
    pub torrent: TorrentId,
    /// Who.
    pub peer: PeerId,
    /// From a record the peer signed, or from a link the user gave.
    pub addresses: Vec<Multiaddr>,
    /// How we know.
    pub source: Source,
    /// Who of that source said so.
    pub voice: Voice,
}

/// One of several who speak through the same source, such as one tracker; sources that need no such distinction
/// have one voice. Each gets its turn, however much the others say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voice(u64);

impl Voice {
    /// The voice of whoever is called so.
    pub fn of(name: &str) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Orders our records, of which later ones replace earlier ones over restarts too, and dates what is kept on disk.
pub(crate) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
