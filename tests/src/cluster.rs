//! Real nodes in one process, on loopback, each with a state folder of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use samara_peer::choice::Choice;
use samara_peer::disk::{CreateOptions, create};
use samara_peer::engine::event::Source;
use samara_peer::handle::{AddOptions, Node, NodeConfig, Role, Torrent, TorrentEvent, TorrentSource};
use samara_peer::net::discovery::DiscoverySet;
use samara_proto::magnet::Magnet;
use samara_proto::metainfo::{Format, Metainfo};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::content;

/// A transfer of a cluster's size takes a second or two; a machine with much else to do takes longer.
pub const TRANSFER: Duration = Duration::from_secs(60);

/// A scratch folder for nodes and their content.
pub struct Cluster {
    folder: TempDir,
}

/// How a transfer ended.
#[derive(Debug)]
pub struct Completed {
    /// Content bytes.
    pub bytes: u64,
    /// Content bytes received, by source.
    pub bytes_from: Vec<(Source, u64)>,
    /// Peers that gave something.
    pub peers: usize,
}

impl Cluster {
    /// An empty cluster.
    ///
    /// # Panics
    /// When the system's folder for temporary files cannot be written.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self { folder: TempDir::with_prefix("samara-").expect("the temporary folder is writable") }
    }

    /// A path in the scratch folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a node that asks no trackers unless the test starts one.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn node(&self, name: &str) -> Node {
        self.node_with(name, DiscoverySet::default()).await
    }

    /// Starts a node that finds peers by `discovery` alone.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn node_with(&self, name: &str, discovery: DiscoverySet) -> Node {
        self.node_by(name, discovery, &[]).await
    }

    /// Starts a node that finds peers by `discovery` alone and comes into the DHT by `bootstrap`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn node_by(&self, name: &str, discovery: DiscoverySet, bootstrap: &[Multiaddr]) -> Node {
        let config = NodeConfig {
            bind: Some(IpAddr::from([127, 0, 0, 1])),
            state_dir: Some(self.path(&format!("{name}.state"))),
            discovery,
            bootstrap: bootstrap.to_vec(),
            ..NodeConfig::default()
        };
        Node::start(config).await.expect("a node starts on loopback")
    }

    /// Makes a file of `size` bytes and its metainfo.
    ///
    /// # Panics
    /// When either cannot be made.
    pub fn file(&self, name: &str, size: u64, format: Format) -> Arc<Metainfo> {
        let path = self.path(name);
        content::write_file(&path, size, size ^ 7).expect("the scratch folder is writable");
        metainfo_of(&path, format)
    }

    /// Makes a file of `size` bytes and its metainfo, with pieces of one length.
    ///
    /// # Panics
    /// When either cannot be made.
    pub fn file_in_pieces(&self, name: &str, size: u64, piece_length: u32, format: Format) -> Arc<Metainfo> {
        let path = self.path(name);
        content::write_file(&path, size, size ^ 7).expect("the scratch folder is writable");
        let options = CreateOptions { piece_length: Some(piece_length), ..create_options(format) };
        Arc::new(create(&path, options, |_, _| ()).expect("the content can be hashed").metainfo)
    }

    /// Makes a file of `size` bytes and the metainfo of a private torrent (BEP 27).
    ///
    /// # Panics
    /// When either cannot be made.
    pub fn private_file(&self, name: &str, size: u64) -> Arc<Metainfo> {
        let path = self.path(name);
        content::write_file(&path, size, size ^ 7).expect("the scratch folder is writable");
        let options = CreateOptions { private: true, ..create_options(Format::V1) };
        Arc::new(create(&path, options, |_, _| ()).expect("the content can be hashed").metainfo)
    }
}

/// Peers are found by a link alone.
pub const NOTHING: DiscoverySet =
    DiscoverySet { tracker: false, dht: false, pex: false, lan: false, cache: false };

/// Starts a tracker on loopback and gives its announce URL.
///
/// # Panics
/// When it does not start.
pub async fn tracker() -> (samara_tracker::Tracker, String) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listen = samara_tracker::Listen { http: Some(any), udp: None };
    let config = samara_tracker::TrackerConfig { listen, ..Default::default() };
    let tracker = samara_tracker::start(config).await.expect("a tracker starts on loopback");
    let address = tracker.http_address().expect("it listens on HTTP");
    (tracker, format!("http://{address}/announce"))
}

/// Makes the metainfo of what lies at `path`.
///
/// # Panics
/// When it cannot be made.
pub fn metainfo_of(path: &Path, format: Format) -> Arc<Metainfo> {
    Arc::new(create(path, create_options(format), |_, _| ()).expect("the content can be hashed").metainfo)
}

fn create_options(format: Format) -> CreateOptions {
    CreateOptions {
        format,
        piece_length: None,
        trackers: Vec::new(),
        url_list: Vec::new(),
        comment: None,
        private: false,
        created_by: None,
        creation_date: None,
    }
}

/// Shares content that is there whole; returns when others can ask for it.
///
/// # Panics
/// When it is not there.
pub async fn seed(node: &Node, metainfo: &Arc<Metainfo>, root: &Path, trackers: &[String]) -> Torrent {
    let source = TorrentSource::Metainfo(metainfo.clone());
    let mut torrent = add(node, source, root, Role::Seed, &[], trackers).await;
    finish(&mut torrent, TRANSFER).await;
    torrent
}

/// Begins to fetch.
pub async fn get(node: &Node, source: TorrentSource, root: &Path, peers: &[Multiaddr]) -> Torrent {
    add(node, source, root, Role::Get, peers, &[]).await
}

/// Takes part in a torrent.
///
/// # Panics
/// When the node refuses.
pub async fn add(
    node: &Node,
    source: TorrentSource,
    root: &Path,
    role: Role,
    peers: &[Multiaddr],
    trackers: &[String],
) -> Torrent {
    let options = AddOptions {
        root: root.to_owned(),
        trackers: trackers.to_vec(),
        peers: peers.to_vec(),
        choice: Choice::default(),
        role,
    };
    node.add(source, options).await.expect("a torrent can be added once")
}

/// Waits until the torrent is complete.
///
/// # Panics
/// When it fails, or takes longer than `limit`.
pub async fn finish(torrent: &mut Torrent, limit: Duration) -> Completed {
    let waiting = async {
        loop {
            match torrent.next_event().await.expect("the node goes on") {
                TorrentEvent::Complete { bytes, bytes_from, peers, .. } => {
                    return Completed { bytes, bytes_from, peers };
                }
                TorrentEvent::Failed(why) => panic!("the torrent failed: {why}"),
                _ => {}
            }
        }
    };
    timeout(limit, waiting).await.expect("the transfer ends in time")
}

/// Waits until the torrent has its metainfo, has checked its files and takes part in its swarm.
///
/// # Panics
/// When it fails, or does not come so far in time.
pub async fn wait_ready(torrent: &mut Torrent) {
    let waiting = async {
        loop {
            match torrent.next_event().await.expect("the node goes on") {
                TorrentEvent::Ready { .. } => return,
                TorrentEvent::Failed(why) => panic!("the torrent failed: {why}"),
                _ => {}
            }
        }
    };
    timeout(TRANSFER, waiting).await.expect("the torrent is ready in time");
}

/// The link that names a torrent by `hashes` alone.
pub fn bare_magnet(hashes: samara_proto::infohash::InfoHashes) -> TorrentSource {
    let text = match hashes {
        samara_proto::infohash::InfoHashes::V1(v1) => format!("magnet:?xt=urn:btih:{v1}"),
        samara_proto::infohash::InfoHashes::V2(v2) => format!("magnet:?xt=urn:btmh:1220{v2}"),
        samara_proto::infohash::InfoHashes::Hybrid(v1, v2) => {
            format!("magnet:?xt=urn:btih:{v1}&xt=urn:btmh:1220{v2}")
        }
    };
    TorrentSource::Magnet(text.parse::<Magnet>().expect("a link made of hashes"))
}
