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

/// Longest text kept of a failure, warning or error, in bytes.
const TEXT_BYTES: usize = 512;

/// A tracker's message to the user: at most [`TEXT_BYTES`] of it, whatever is no UTF-8 replaced.
fn text(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES)]).into_owned();
    let end = (0..=TEXT_BYTES).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(text.len());
    text.truncate(end);
    text
}
