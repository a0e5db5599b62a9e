//! What a program embedding a node calls, and what the node tells it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use samara_proto::infohash::InfoHashes;
use samara_proto::metainfo::Metainfo;

use crate::engine::event::Source;

/// How a node is set up; the default suits a desktop.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where to listen; empty means every interface (or `bind`), TCP and QUIC, on free ports.
    pub listen: Vec<Multiaddr>,
    /// Every socket, listening or dialling, stays on this address, or fails.
    pub bind: Option<IpAddr>,
    /// Identity, resume data and saved metainfo live here; `None` keeps everything in memory.
    pub state_dir: Option<PathBuf>,
    /// Whether trackers may be asked.
    pub use_trackers: bool,
}

/// What to share or fetch.
#[derive(Clone, Debug)]
pub enum TorrentSource {
    /// A checked metainfo file.
    Metainfo(Arc<Metainfo>),
    /// A link: the metainfo comes from peers.
    Magnet(samara_proto::magnet::Magnet),
}

/// How one torrent is taken part in.
#[derive(Clone, Debug)]
pub struct AddOptions {
    /// The folder that holds the torrent's file or folder.
    pub root: PathBuf,
    /// Announce URLs besides the torrent's own.
    pub trackers: Vec<String>,
    /// Peers to dial straight away; each ends in `/p2p/<peer id>`.
    pub peers: Vec<Multiaddr>,
    /// What is on disk must be whole (`seed`), or may be missing (`get`).
    pub role: Role,
}

/// What we join a torrent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To give; nothing is ever written.
    Seed,
    /// To receive, and give meanwhile.
    Get,
}

/// How decentralized a torrent's swarm is, as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The tracker is the only way to find peers.
    Assisted,
    /// Other ways work too.
    Hybrid,
    /// The tracker could vanish.
    Autonomous,
}

/// A moment's figures of one torrent.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Verified content bytes.
    pub bytes_done: u64,
    /// All content bytes.
    pub bytes_total: u64,
    /// Received content bytes a second.
    pub down_rate: u64,
    /// Sent content bytes a second.
    pub up_rate: u64,
    /// Linked peers.
    pub peers: usize,
    /// Linked peers that still want something from us.
    pub interested_peers: usize,
    /// How decentralized the swarm is.
    pub stage: Stage,
    /// Share of live known peers that a source other than the tracker has also yielded.
    pub autonomy: f64,
}

/// What happens to one torrent, in order.
#[derive(Clone, Debug)]
pub enum TorrentEvent {
    /// A long hash check of what is on disk goes on: pieces done, pieces in all.
    Checking {
        /// Pieces hashed so far.
        done: u32,
        /// Pieces to hash.
        total: u32,
    },
    /// The metainfo is known (at once, or after it came from peers).
    Metainfo(Arc<Metainfo>),
    /// Checked what was on disk; the torrent takes part in its swarm. Bytes found good there.
    Ready {
        /// Content bytes that need not be fetched.
        bytes_present: u64,
    },
    /// Figures, about once a second.
    Progress(Progress),
    /// Every piece is verified and every file has its final name.
    Complete {
        /// Content bytes.
        bytes: u64,
        /// Since the torrent was added.
        elapsed: Duration,
        /// Content bytes received, by how the giving peer was found.
        bytes_from: Vec<(Source, u64)>,
        /// Peers that gave something.
        peers: usize,
    },
    /// Something the user should know; the transfer goes on.
    Warning(String),
    /// The torrent cannot go on; what is verified stays and can be resumed.
    Failed(String),
}

/// The names of a torrent that was added.
pub type Names = InfoHashes;
