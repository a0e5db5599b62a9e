//! What a program embedding a node calls, and what the node tells it.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::Swarm;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Multiaddr, PeerId};
use samara_proto::infohash::InfoHashes;
use samara_proto::metainfo::Metainfo;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::choice::{Choice, ChoiceError};
use crate::disk::{DiskPool, OpenError};
use crate::engine::event::{Source, TorrentId};
use crate::metrics::NodeFigures;
use crate::net::address::{Reach, reach_of};
use crate::net::behaviour::Behaviour;
use crate::net::bind::{BindError, Binding, Sharing};
use crate::net::discovery::DiscoverySet;
use crate::net::discovery::dht::DhtBehaviour;
use crate::net::discovery::tracker::{Client, ClientError, Figures as Reported};
use crate::net::reachability::Dialability;
use crate::net::transport::{self, TransportError, default_listen, stays_on, why_off};
use crate::node::{IdentityError, NodeIdentity, NodeLoop, Parts};

pub use crate::node::KnownFor;

/// Commands that may wait for the node.
const COMMANDS: usize = 32;
/// Warnings that wait for whoever started the node; more of them would say nothing new.
const WARNINGS: usize = 32;
/// Ports tried until one is free for both TCP and UDP.
const PORT_TRIES: usize = 16;
/// Listening takes no longer than this on a healthy machine.
const LISTEN_WAIT: Duration = Duration::from_secs(5);
/// A node that ended lets go of its port within this time.
const RELEASE_WAIT: Duration = Duration::from_secs(1);
/// How often that is looked after.
const RELEASE_POLL: Duration = Duration::from_millis(20);

/// How a node is set up; the default suits a desktop.
#[derive(Clone, Debug, Default)]
pub struct NodeConfig {
    /// Where to listen; empty means every interface (or `bind`), TCP and QUIC, on free ports.
    pub listen: Vec<Multiaddr>,
    /// Every socket, listening or dialling, stays on this address, or fails.
    pub bind: Option<IpAddr>,
    /// Identity, resume data and saved metainfo live here; `None` keeps everything in memory.
    pub state_dir: Option<PathBuf>,
    /// What its address is handed out for: of the identities in `state_dir` it takes the one it had for this before.
    pub known_for: KnownFor,
    /// How peers may be found.
    pub discovery: DiscoverySet,
    /// Ways into the DHT besides those that links, trackers and peers yield; each ends in `/p2p/<peer id>`.
    pub bootstrap: Vec<Multiaddr>,
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
    /// What of it is wanted; what is shared is shared whole. [`Node::select`] changes it later.
    pub choice: Choice,
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

/// How decentralized a torrent's swarm is, as seen from here; the less it needs its tracker, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Verified content bytes, of those that are wanted.
    pub bytes_done: u64,
    /// All content bytes that are wanted.
    pub bytes_total: u64,
    /// Received content bytes a second.
    pub down_rate: u64,
    /// Sent content bytes a second.
    pub up_rate: u64,
    /// Content bytes received in this session.
    pub bytes_received: u64,
    /// Content bytes sent in this session.
    pub bytes_sent: u64,
    /// Linked peers.
    pub peers: usize,
    /// Linked peers that still want something from us.
    pub interested_peers: usize,
    /// How decentralized the swarm is.
    pub stage: Stage,
    /// Share of live known peers that a source other than the tracker has also yielded in the last 30 minutes.
    pub autonomy: f64,
    /// Why the stage is what it is, for people.
    pub why: String,
    /// Live peers that each source has named in the last 30 minutes.
    pub named_by: Vec<(Source, usize)>,
    /// Peers known to be there: the linked ones, and seeds with which there is nothing to trade.
    pub live_peers: usize,
    /// What a download waits for that is not getting on.
    pub waiting: Option<Waiting>,
    /// Missing pieces that no linked peer has.
    pub pieces_unseen: u32,
    /// Peers known of, linked or not.
    pub found_peers: usize,
    /// Connected peers that are being asked what the torrent is, while that is not known.
    pub asked_peers: usize,
}

/// What a download waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// No peer is linked.
    ForPeers,
    /// No linked peer has any of the missing pieces.
    ForPieces,
    /// Linked peers have missing pieces, and for some seconds none has given anything.
    ForTurn,
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
        /// Wanted content bytes that need not be fetched.
        bytes_present: u64,
        /// All content bytes that are wanted.
        bytes_total: u64,
    },
    /// A peer is linked that was found by this source; [`Source::Incoming`] if it found us.
    Linked {
        /// Who.
        peer: PeerId,
        /// How it was found.
        source: Source,
    },
    /// Figures, about once a second, in the beginning oftener.
    Progress(Progress),
    /// Every piece that is wanted is verified and every file that is wanted has its final name. Said again when more
    /// was wanted after that, and has come too.
    Complete {
        /// Content bytes that are wanted.
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
    /// Something that was warned of is over.
    Note(String),
    /// The torrent cannot go on; what is verified stays and can be resumed.
    Failed(String),
}

/// What a handle asks of its node.
pub(crate) enum Command {
    /// Take part in a torrent.
    Add { source: Box<TorrentSource>, options: AddOptions, reply: oneshot::Sender<Result<Torrent, AddError>> },
    /// Want something else of one.
    Select { torrent: TorrentId, choice: Choice, reply: oneshot::Sender<Result<(), SelectError>> },
    /// Leave one.
    Remove { torrent: TorrentId, done: oneshot::Sender<()> },
    /// Tell what goes on.
    Figures { reply: oneshot::Sender<NodeFigures> },
    /// Leave all and end.
    Shutdown { done: oneshot::Sender<()> },
}

/// Why a node cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The state folder cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Nothing can be kept where the node must stay.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system refuses what the network needs.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The system refuses threads for the disk.
    #[error("cannot start the disk workers: {0}")]
    Disk(std::io::Error),
    /// The system refuses what asking trackers needs.
    #[error("cannot set up tracker announces: {0}")]
    Tracker(#[from] ClientError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}; choose another address or port with --listen")]
    Listen {
        /// Which.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
    /// An address to listen on is not the one the node must stay on.
    #[error("cannot listen on {address}: {}", why_off(*bind, address))]
    OffBind {
        /// Which.
        address: Multiaddr,
        /// What the node must stay on.
        bind: IpAddr,
    },
}

/// Why a torrent cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddError {
    /// It is there already.
    #[error("this torrent was added already")]
    Duplicate,
    /// The node has ended.
    #[error("the node has shut down")]
    NodeGone,
}

/// Why something else cannot be wanted of a torrent; it goes on as before.
#[derive(Debug, Error)]
pub enum SelectError {
    /// The node never took part in it, has left it, or could not go on with it.
    #[error("the node does not take part in this torrent any more")]
    NoSuchTorrent,
    /// It is there for giving alone.
    #[error("what is shared is shared whole")]
    SharedWhole,
    /// The choice makes no sense for it.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// The disk has no room or place for what is wanted.
    #[error(transparent)]
    Disk(#[from] OpenError),
    /// The node has ended.
    #[error("the node has shut down")]
    NodeGone,
}

/// A running node. Dropping it ends the node without saying goodbye; [`Node::shutdown`] is kinder.
pub struct Node {
    commands: mpsc::Sender<Command>,
    addresses: Addresses,
    dialability: watch::Receiver<Dialability>,
    dht_nodes: watch::Receiver<usize>,
    warnings: Option<mpsc::Receiver<String>>,
    is_lasting: bool,
}

/// Where a node can be dialled, as that changes. Cheap to clone; it does not keep the node running.
#[derive(Clone)]
pub struct Addresses {
    receiver: watch::Receiver<Vec<Multiaddr>>,
    peer_id: PeerId,
}

impl Addresses {
    /// The addresses of this moment; see [`Node::addresses`].
    pub fn now(&self) -> Vec<Multiaddr> {
        let named = |address: &Multiaddr| address.clone().with_p2p(self.peer_id).unwrap_or_else(|own| own);
        self.receiver.borrow().iter().map(named).collect()
    }

    /// Waits until they are others than when last looked at; `false` when the node has ended.
    pub async fn changed(&mut self) -> bool {
        self.receiver.changed().await.is_ok()
    }
}

impl Node {
    /// Starts a node and waits until it listens. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let mut identity = match &config.state_dir {
            Some(dir) => NodeIdentity::open(dir, config.known_for)?,
            None => NodeIdentity::ephemeral(),
        };
        let binding = config.bind.map(Binding::find).transpose()?;
        let mut swarm = transport::build(identity.keypair(), binding.as_ref())?;
        let peer_id = *swarm.local_peer_id();
        if config.discovery.dht {
            let scope = config.bind.map_or(Reach::Everybody, reach_of);
            swarm.behaviour_mut().dht = Toggle::from(Some(DhtBehaviour::new(peer_id, scope)));
        }
        let mut strange = identity.take_warnings();
        if let Some(port) = identity.last_port().filter(|_| config.listen.is_empty())
            && !wait_until_free(binding.as_ref(), port).await
        {
            strange.push(format!(
                "port {port}, on which this node listened last time, is taken, so it listens on another: links and \
                 addresses that name the old one do not work"
            ));
        }
        let settling = listen(&mut swarm, &config, binding.as_ref(), identity.last_port())?;
        let is_lasting = identity.is_lasting();
        let (addresses, announced) = watch::channel(Vec::new());
        let (dialability, reachable) = watch::channel(Dialability::default());
        let (dht_nodes, known_nodes) = watch::channel(0);
        let (commands, queue) = mpsc::channel(COMMANDS);
        let (warnings, warned) = mpsc::channel(WARNINGS);
        for warning in strange {
            // There is room for more than a start can warn of.
            let _ = warnings.try_send(warning);
        }
        let pool = DiskPool::new().map_err(StartError::Disk)?;
        let tracker_client = Client::new(config.bind)?;
        let parts = Parts {
            config,
            identity,
            binding,
            swarm,
            settling,
            pool,
            tracker_client,
            addresses,
            dialability,
            dht_nodes,
            warnings,
            commands: queue,
        };
        tokio::spawn(NodeLoop::new(parts).run());
        let addresses = Addresses { receiver: announced, peer_id };
        let (dialability, dht_nodes, warnings) = (reachable, known_nodes, Some(warned));
        let mut node = Self { commands, addresses, dialability, dht_nodes, warnings, is_lasting };
        // A listener that comes up late is announced when it does.
        let _ = timeout(LISTEN_WAIT, node.addresses.receiver.wait_for(|list| !list.is_empty())).await;
        Ok(node)
    }

    /// Takes part in a torrent.
    ///
    /// # Errors
    /// See [`AddError`]. What goes wrong later is told by [`TorrentEvent::Failed`].
    pub async fn add(&self, source: TorrentSource, options: AddOptions) -> Result<Torrent, AddError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Add { source: Box::new(source), options, reply };
        self.commands.send(command).await.map_err(|_| AddError::NodeGone)?;
        answer.await.map_err(|_| AddError::NodeGone)?
    }

    /// Wants something else of a torrent from now on: other files, or in another order. Links stay up.
    ///
    /// What is not wanted any more is not asked for; what is there of it stays, and whole pieces of it are shared.
    /// [`Progress`] counts what is wanted now, and [`TorrentEvent::Complete`] comes again once that is here, if it was
    /// not already. Returns when it is so: while the files are being checked, after that. Of several calls at a time
    /// the last one counts. Before the metainfo is known a choice cannot be checked: what is wrong with it ends the
    /// torrent later, as with [`Node::add`].
    ///
    /// # Errors
    /// See [`SelectError`].
    pub async fn select(&self, torrent: TorrentId, choice: Choice) -> Result<(), SelectError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Select { torrent, choice, reply };
        self.commands.send(command).await.map_err(|_| SelectError::NodeGone)?;
        // It was left, or failed, while this waited.
        answer.await.unwrap_or(Err(SelectError::NoSuchTorrent))
    }

    /// Leaves a torrent: saves what is needed to resume and says goodbye to its trackers.
    pub async fn remove(&self, torrent: TorrentId) {
        let (done, answer) = oneshot::channel();
        if self.commands.send(Command::Remove { torrent, done }).await.is_ok() {
            // An error means that the node is gone, and the torrent with it.
            let _ = answer.await;
        }
    }

    /// Where others can dial this node, most widely reachable first; each ends in `/p2p/<peer id>`.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.addresses.now()
    }

    /// The same as they change.
    pub fn watch_addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// Where the node's figures can be read.
    pub fn figures(&self) -> Figures {
        Figures { commands: self.commands.downgrade() }
    }

    /// Whether others can dial this node; changes as it becomes known.
    pub fn dialability(&self) -> watch::Receiver<Dialability> {
        self.dialability.clone()
    }

    /// How many nodes of the DHT this one knows; a change can be waited for.
    pub fn dht_nodes(&self) -> watch::Receiver<usize> {
        self.dht_nodes.clone()
    }

    /// Whether its identity will be the same at the next start: it is known for something, and no other node that is
    /// known for the same runs from its state folder.
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// What the user should know that is about no single torrent, from the start on; `None` if somebody has taken
    /// it already.
    pub fn take_warnings(&mut self) -> Option<mpsc::Receiver<String>> {
        self.warnings.take()
    }

    /// The node's libp2p identity.
    pub fn peer_id(&self) -> PeerId {
        self.addresses.peer_id
    }

    /// Leaves every torrent and ends; everything can be resumed.
    pub async fn shutdown(self) {
        let (done, answer) = oneshot::channel();
        if self.commands.send(Command::Shutdown { done }).await.is_ok() {
            // An error means that the node is gone already.
            let _ = answer.await;
        }
    }
}

/// Reads a node's figures. Cheap to clone; it does not keep the node running.
#[derive(Clone)]
pub struct Figures {
    commands: mpsc::WeakSender<Command>,
}

impl Figures {
    /// What the node is doing; nothing when it has ended.
    pub async fn read(&self) -> NodeFigures {
        let Some(commands) = self.commands.upgrade() else { return NodeFigures::default() };
        let (reply, answer) = oneshot::channel();
        // An error means that the node is gone, and does nothing any more.
        let _ = commands.send(Command::Figures { reply }).await;
        answer.await.unwrap_or_default()
    }
}

/// Begins to listen. Addresses the user named must work; of the default ones some may not, on a machine
/// without IPv6 for instance, and the last port may be taken.
fn listen(
    swarm: &mut Swarm<Behaviour>,
    config: &NodeConfig,
    binding: Option<&Binding>,
    last_port: Option<u16>,
) -> Result<HashSet<ListenerId>, StartError> {
    let mut listeners = HashSet::new();
    for address in &config.listen {
        if let Some(bind) = config.bind
            && !stays_on(config.bind, address)
        {
            return Err(StartError::OffBind { address: address.clone(), bind });
        }
        if is_taken(binding, address) {
            let reason = "somebody listens there already".to_owned();
            return Err(StartError::Listen { address: address.clone(), reason });
        }
        listeners.insert(listen_on(swarm, address)?);
    }
    if !config.listen.is_empty() {
        return Ok(listeners);
    }
    let port = last_port.filter(|&port| is_free(binding, port)).or_else(|| free_port(binding));
    let mut last_error = None;
    for address in default_listen(config.bind, port.unwrap_or(0)) {
        match listen_on(swarm, &address) {
            Ok(listener) => _ = listeners.insert(listener),
            Err(error) => last_error = Some(error),
        }
    }
    match last_error {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

fn listen_on(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Result<ListenerId, StartError> {
    swarm.listen_on(address.clone()).map_err(|error| {
        let (address, reason) = (address.clone(), innermost_cause(&error));
        StartError::Listen { address, reason }
    })
}

/// What the system said; the layers of the transport around it say nothing.
pub(crate) fn innermost_cause(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}

/// Whether somebody listens on an address. The transport shares ports with all who do the same, and
/// would not notice.
fn is_taken(binding: Option<&Binding>, address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
        _ => return false,
    };
    let bound = match parts.next() {
        Some(Protocol::Tcp(port)) => try_tcp(binding, ip, port).map(drop),
        Some(Protocol::Udp(port)) => try_udp(binding, ip, port),
        _ => return false,
    };
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// Whether nobody listens on `port`, over TCP or UDP.
fn is_free(binding: Option<&Binding>, port: u16) -> bool {
    let any = IpAddr::from([0; 4]);
    try_tcp(binding, any, port).is_ok() && try_udp(binding, any, port).is_ok()
}

/// Waits for a node that ended a moment ago to let go of `port`, for as long as that can take; whether it has.
async fn wait_until_free(binding: Option<&Binding>, port: u16) -> bool {
    let free = async {
        while !is_free(binding, port) {
            sleep(RELEASE_POLL).await;
        }
    };
    // Whoever holds it for longer is somebody else, and another port is found.
    timeout(RELEASE_WAIT, free).await.is_ok()
}

/// A port on which nobody listens, over TCP or UDP: one number is easier to open in a firewall.
fn free_port(binding: Option<&Binding>) -> Option<u16> {
    let offered = || try_tcp(binding, IpAddr::from([0; 4]), 0).ok();
    (0..PORT_TRIES).filter_map(|_| offered()).find(|&port| is_free(binding, port))
}

/// Listens for a moment where the node would, on `ip` unless it stays on one address; gives the port.
fn try_tcp(binding: Option<&Binding>, ip: IpAddr, port: u16) -> io::Result<u16> {
    let listener = match binding {
        Some(binding) => binding.tcp_listener(port, Sharing::Alone)?,
        None => TcpListener::bind((ip, port))?,
    };
    listener.local_addr().map(|address| address.port())
}

fn try_udp(binding: Option<&Binding>, ip: IpAddr, port: u16) -> io::Result<()> {
    match binding {
        Some(binding) => binding.udp_socket(port).map(drop),
        None => UdpSocket::bind((ip, port)).map(drop),
    }
}

/// One torrent that a node takes part in.
pub struct Torrent {
    pub(crate) id: TorrentId,
    pub(crate) names: InfoHashes,
    pub(crate) events: mpsc::Receiver<TorrentEvent>,
    pub(crate) figures: Arc<Reported>,
}

impl Torrent {
    /// Its number on this node.
    pub fn id(&self) -> TorrentId {
        self.id
    }

    /// Its info-hashes, as far as they were known when it was added.
    pub fn names(&self) -> InfoHashes {
        self.names
    }

    /// Content bytes received so far, at any moment; some of them may still turn out bad.
    pub fn bytes_received(&self) -> u64 {
        self.watch_received().bytes()
    }

    /// The same for somebody else than whoever waits for events.
    pub fn watch_received(&self) -> Received {
        Received { figures: self.figures.clone() }
    }

    /// What happens next; `None` when the node has left the torrent.
    pub async fn next_event(&mut self) -> Option<TorrentEvent> {
        self.events.recv().await
    }
}

/// Tells how much of a torrent has been received, also when the node has left it.
#[derive(Clone)]
pub struct Received {
    figures: Arc<Reported>,
}

impl Received {
    /// Content bytes received so far.
    pub fn bytes(&self) -> u64 {
        self.figures.downloaded.load(Ordering::Relaxed)
    }
}
