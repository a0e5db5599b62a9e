//! Figures for progress bars, metrics and tests; computed when asked for.

use std::collections::BTreeMap;

use super::event::{LinkId, PeerKey, TorrentId};

/// Everything the engine can say about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Each torrent.
    pub torrents: BTreeMap<TorrentId, TorrentStats>,
}

/// One torrent's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TorrentStats {
    /// Pieces in all.
    pub pieces: u32,
    /// Pieces verified.
    pub pieces_verified: u32,
    /// Pieces begun and not verified.
    pub pieces_begun: usize,
    /// Content bytes of verified pieces.
    pub bytes_done: u64,
    /// Bytes received in blocks, those received in vain included.
    pub downloaded: u64,
    /// Bytes sent in blocks.
    pub uploaded: u64,
    /// Bytes received that were there already.
    pub wasted: u64,
    /// Bytes received a second.
    pub down_rate: u64,
    /// Bytes sent a second.
    pub up_rate: u64,
    /// Peers that want something from us.
    pub interested: usize,
    /// Candidates known, linked ones included.
    pub candidates: usize,
    /// Each linked peer.
    pub links: BTreeMap<LinkId, LinkStats>,
}

/// One linked peer's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStats {
    /// Who it is.
    pub peer: PeerKey,
    /// Pieces it has.
    pub pieces: u32,
    /// Bytes received from it in blocks.
    pub downloaded: u64,
    /// Bytes sent to it in blocks.
    pub uploaded: u64,
    /// Bytes received a second, over the last second.
    pub down_rate: u64,
    /// Bytes sent a second, over the last second.
    pub up_rate: u64,
    /// Bytes asked for and not yet received.
    pub in_flight: u64,
    /// Requests it made that wait.
    pub waiting: usize,
    /// It may not take from us.
    pub we_choke: bool,
    /// We may not take from it.
    pub chokes_us: bool,
    /// It has something we miss.
    pub we_want: bool,
    /// It wants something from us.
    pub wants_us: bool,
    /// It gave nothing for long while we waited.
    pub snubbed: bool,
}
