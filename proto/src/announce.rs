//! What clients and trackers say to each other, over HTTP and UDP.

pub mod http;
pub mod udp;

/// Why a client announces (BEP 3; `paused` is BEP 21's).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Event {
    /// A regular announce, at the interval the tracker asked for.
    #[default]
    None,
    /// The first announce of a torrent.
    Started,
    /// The download has just finished.
    Completed,
    /// The client leaves the swarm.
    Stopped,
    /// A partial seed: has all it wants, but not all there is (BEP 21). libtorrent and Transmission
    /// send it with every regular announce in that state.
    Paused,
}

/// What a tracker knows of one swarm (BEP 48).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwarmCounts {
    /// Peers with every piece.
    pub complete: u32,
    /// Times a peer was seen to finish.
    pub downloaded: u32,
    /// Peers that still miss something, partial seeds included.
    pub incomplete: u32,
}
