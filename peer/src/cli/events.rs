//! What `--json` prints: the events and objects of the contract. Fields may be added, never renamed or
//! removed.

use std::collections::BTreeMap;

use samara_proto::infohash::InfoHashes;
use serde::Serialize;

use crate::engine::event::Source;
use crate::handle::{Progress, Stage, Waiting};
use crate::metrics::source_name;

/// One line of a running command.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A socket is open.
    Listening {
        /// `tcp`, `quic`, `http` or `udp`.
        protocol: &'static str,
        /// A multiaddress of a node, or `address:port` of a tracker.
        address: String,
        /// Which node of a demo it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<&'static str>,
    },
    /// Who can dial this node became known, or changed.
    Reachable {
        /// `everybody`, `local_network` or `this_machine`: from where somebody has; `nobody` when peers know
        /// its addresses and none has come.
        by: &'static str,
        /// The addresses that peers are told.
        addresses: Vec<String>,
    },
    /// A peer and this node take part in a torrent together now.
    Linked {
        #[serde(flatten)]
        which: Which,
        /// Its peer id.
        peer: String,
        /// The source that found it: `tracker`, `dht`, `pex`, `lan`, `cache`, `link`; `incoming` if it found us.
        source: &'static str,
    },
    /// A `.torrent` was written.
    Created {
        /// Its path.
        torrent: String,
        #[serde(flatten)]
        hashes: Hashes,
    },
    /// A torrent is being shared.
    Seeding {
        /// The torrent's name.
        name: String,
        /// A link that names the swarm and the addresses below.
        magnet: String,
        /// The path of its `.torrent`.
        torrent: String,
        #[serde(flatten)]
        hashes: Hashes,
        /// Where others can dial us.
        addresses: Vec<String>,
        /// Which node of a demo shares it.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<&'static str>,
    },
    /// Figures, about once a second from when the metainfo is known, in the beginning oftener.
    Progress {
        #[serde(flatten)]
        which: Which,
        /// Content bytes that are here and verified.
        bytes_done: u64,
        /// Content bytes in all.
        bytes_total: u64,
        /// Bytes a second received.
        down_rate: u64,
        /// Bytes a second sent.
        up_rate: u64,
        /// Content bytes received since the command began, whatever became of them.
        bytes_received: u64,
        /// Content bytes sent since the command began.
        bytes_sent: u64,
        /// Connected peers.
        peers: usize,
        /// `assisted`, `hybrid` or `autonomous`.
        stage: &'static str,
        /// From 0 to 1.
        autonomy: f64,
        /// Live peers that each source has named in the last half hour.
        named_by: BTreeMap<&'static str, usize>,
        /// Peers known to be there: connected, or seeds like us with which there is nothing to trade.
        live_peers: usize,
        /// What a download waits for that is not getting on: `peers`, `pieces` (no connected peer has any of the
        /// missing ones) or `turn` (connected peers have some and give none); null otherwise.
        waiting_for: Option<&'static str>,
        /// Missing pieces that no connected peer has.
        pieces_unseen: u32,
    },
    /// The swarm became more or less dependent on its tracker.
    Stage {
        #[serde(flatten)]
        which: Which,
        /// `assisted`, `hybrid` or `autonomous`.
        stage: &'static str,
        /// From 0 to 1.
        autonomy: f64,
        /// What changed, for humans.
        why: String,
    },
    /// Everything is here and verified.
    Complete {
        #[serde(flatten)]
        which: Which,
        /// Content bytes.
        bytes: u64,
        /// Since the command began with this torrent.
        seconds: f64,
        /// Bytes received, by the source that found the giving peer.
        bytes_from: BTreeMap<&'static str, u64>,
        /// Peers that gave something.
        peers: usize,
    },
    /// The user should know; the work goes on.
    Warning {
        /// One sentence.
        message: String,
        /// Which node of a demo it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<&'static str>,
    },
    /// What a warning was about is over.
    Note {
        /// One sentence.
        message: String,
    },
    /// The command failed.
    Error {
        /// One sentence.
        message: String,
    },
}

/// The full names of a torrent; null where it has none of that version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hashes {
    /// Lower-case hexadecimal SHA-1.
    pub infohash_v1: Option<String>,
    /// Lower-case hexadecimal SHA-256.
    pub infohash_v2: Option<String>,
}

impl From<InfoHashes> for Hashes {
    fn from(hashes: InfoHashes) -> Self {
        Self {
            infohash_v1: hashes.v1().map(|hash| hash.to_string()),
            infohash_v2: hashes.v2().map(|hash| hash.to_string()),
        }
    }
}

/// Which torrent of several an event is about, and in a demo which node.
#[derive(Clone, Debug, Serialize)]
pub struct Which {
    /// The node's name in a demo, where several run in one process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'static str>,
    /// Its name; of a magnet link without one, its hash.
    pub name: String,
    #[serde(flatten)]
    /// What tells it from another of the same name.
    pub hashes: Hashes,
}

/// What `show --json` prints; null where unknown.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The torrent's name.
    pub name: Option<String>,
    #[serde(flatten)]
    /// Its full names.
    pub hashes: Hashes,
    /// Bytes in a piece.
    pub piece_length: Option<u32>,
    /// How many pieces.
    pub pieces: Option<u32>,
    /// Content bytes.
    pub total_size: Option<u64>,
    /// Whether only trackers may name peers.
    pub private: Option<bool>,
    /// Announce URLs, tier after tier.
    pub trackers: Vec<String>,
    /// A link to it.
    pub magnet: String,
    /// What it holds.
    pub files: Option<Vec<ShownFile>>,
    /// The remark of whoever made it.
    pub comment: Option<String>,
    /// The program that made it.
    pub created_by: Option<String>,
    /// Peers that a link names.
    pub peers: Vec<String>,
    /// What each tracker says of the swarm; absent unless that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swarm: Option<Vec<ShownSwarm>>,
}

/// What one tracker says of a torrent's swarm, or why it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ShownSwarm {
    /// It answered.
    Figures {
        /// Its announce URL.
        tracker: String,
        /// Peers that have everything.
        seeds: u32,
        /// Peers that miss something.
        leeches: u32,
        /// Times that a peer was seen to finish.
        completed: u32,
    },
    /// It did not.
    Error {
        /// Its announce URL.
        tracker: String,
        /// Why.
        error: String,
    },
}

/// A file of a torrent.
#[derive(Clone, Debug, Serialize)]
pub struct ShownFile {
    /// As `--only` counts files, from 1.
    pub number: u32,
    /// Components joined with `/`, from the download folder down.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// What `verify --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The torrent's name.
    pub name: String,
    #[serde(flatten)]
    /// Its full names.
    pub hashes: Hashes,
    /// How many pieces the torrent has.
    pub pieces_total: u32,
    /// How many of them are on disk.
    pub pieces_good: u32,
    /// Whether nothing is missing, empty files included.
    pub complete: bool,
    /// The files that are not as they should be.
    pub files: Vec<ProblemFile>,
}

/// A file that is not what the torrent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProblemFile {
    /// Components joined with `/`, from the download folder down.
    pub path: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// It is not there under its own name.
    Missing,
    /// It is there under the name of an incomplete file.
    Incomplete,
    /// Its size is right, its content is not.
    Bad,
    /// It is shorter or longer than it should be; `get` does not touch such a file.
    WrongSize,
}

impl Problem {
    /// For humans.
    pub fn words(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Incomplete => "incomplete",
            Self::Bad => "bad",
            Self::WrongSize => "wrong size",
        }
    }
}

impl Which {
    /// A torrent of the only node.
    pub fn new(name: &str, hashes: InfoHashes) -> Self {
        Self { node: None, name: name.to_owned(), hashes: hashes.into() }
    }
}

impl Event {
    /// The figures of `progress`.
    pub fn progress(which: Which, progress: &Progress) -> Self {
        Self::Progress {
            which,
            bytes_done: progress.bytes_done,
            bytes_total: progress.bytes_total,
            down_rate: progress.down_rate,
            up_rate: progress.up_rate,
            bytes_received: progress.bytes_received,
            bytes_sent: progress.bytes_sent,
            peers: progress.peers,
            stage: stage_name(progress.stage),
            autonomy: progress.autonomy,
            live_peers: progress.live_peers,
            waiting_for: progress.waiting.map(waiting_name),
            pieces_unseen: progress.pieces_unseen,
            named_by: progress
                .named_by
                .iter()
                .map(|(source, peers)| (source_name(*source), *peers))
                .collect(),
        }
    }
}

/// The stage's name in the contract.
pub fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Assisted => "assisted",
        Stage::Hybrid => "hybrid",
        Stage::Autonomous => "autonomous",
    }
}

/// What is waited for, in the contract's words.
fn waiting_name(waiting: Waiting) -> &'static str {
    match waiting {
        Waiting::ForPeers => "peers",
        Waiting::ForPieces => "pieces",
        Waiting::ForTurn => "turn",
    }
}

/// Bytes by the name of their source.
pub fn bytes_from(sources: &[(Source, u64)]) -> BTreeMap<&'static str, u64> {
    let mut by_name = BTreeMap::new();
    for &(source, bytes) in sources {
        *by_name.entry(source_name(source)).or_default() += bytes;
    }
    by_name
}

#[cfg(test)]
mod tests;
