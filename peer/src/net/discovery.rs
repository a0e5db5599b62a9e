//! Sources of candidates; each yields peers with signed addresses into one place.

pub mod tracker;

use libp2p::{Multiaddr, PeerId};

use crate::engine::event::{Source, TorrentId};

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
}
