//! The node's loop: the only driver of the engine, between it and swarm, disk, trackers and commands.

mod autonomy;
mod dht;
mod exchange;
mod figures;
mod identity;
mod interface;
mod lan;
mod links;
mod open;
mod peers;
mod reach;
mod remember;
mod retract;
mod select;
mod torrent;
mod torrents;
mod unreached;
mod waiting;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, ping};
use samara_proto::infohash::InfoHash;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::REQUEST_LENGTH;
use samara_proto::metainfo::Metainfo;
use samara_proto::moment::Moment;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

pub use identity::{IdentityError, KnownFor, NodeIdentity};

use crate::disk::{DiskPool, OpenError, StoreError, StoreEvent};
use crate::engine::Engine;
use crate::engine::config::EngineConfig;
use crate::engine::event::{DisconnectReason, Input, LinkId, Output, PeerKey, TorrentId, Verdict};
use crate::handle::{Command, NodeConfig, TorrentEvent};
use crate::net::address::{Reach, is_tcp, reach};
use crate::net::behaviour::{Behaviour, BehaviourEvent};
use crate::net::bind::Binding;
use crate::net::discovery::policy::DialPolicy;
use crate::net::discovery::tracker::{Client, TrackerEvent};
use crate::net::holder::first_address;
use crate::net::link::{Hosted, Identity, LinkEvent, REQUEST_QUEUE};
use crate::net::reachability::{Dialability, Reachability};
use crate::net::wire::Ticket;
use dht::InDht;
use exchange::Probe;
use interface::Interface;
use lan::Neighbourhood;
use links::{Dialling, LinkEntry, Setup};
use open::{Fetched, Opened};
use peers::Peers;
use select::{Chose, Wish};
use torrent::TorrentState;

/// Facts from links waiting for the loop; beyond it the links wait, and with them their remotes.
const LINK_EVENTS: usize = 1024;
/// Facts taken from one queue before the others get their turn.
const BATCH: usize = 256;
/// Results of slow work and findings of sources that may wait.
const WORK_QUEUE: usize = 256;
/// Listeners say where they listen within milliseconds; whoever has not by then has no address.
const SETTLING: Duration = Duration::from_millis(500);
/// How often figures are told and things looked after.
const TICK: Duration = Duration::from_secs(1);
/// How often it is looked after who is to be told of new peers, and how a torrent that has just begun stands.
const EXCHANGE_TICK: Duration = Duration::from_millis(250);
/// How often what stays true is noted again.
const REFRESH: Duration = Duration::from_secs(60);

/// Results of work done beside the loop.
pub(crate) enum Work {
    /// Handshakes on a stream ended.
    Shaken(Box<Setup>),
    /// A torrent's files are open and checked.
    Opened {
        /// Which torrent.
        torrent: TorrentId,
        /// How it went.
        result: Box<Result<Opened, OpenError>>,
    },
    /// A torrent's files cannot be checked before peers gave its piece layers.
    LayersMissing {
        /// Which torrent.
        torrent: TorrentId,
        /// What is known of it.
        metainfo: Arc<Metainfo>,
    },
    /// A peer was asked for metainfo.
    Fetched(Fetched),
    /// A complete torrent has its final names and is safely on disk, or not.
    Finished {
        /// Which torrent.
        torrent: TorrentId,
        /// How it went.
        result: Result<(), StoreError>,
    },
    /// The disk is ready for other files being wanted, or cannot be.
    Chose(Box<Chose>),
}

/// The torrents that answer to inbound handshakes.
type Directory = Arc<RwLock<BTreeMap<InfoHash, (TorrentId, Hosted)>>>;

/// The node.
pub(crate) struct NodeLoop {
    config: NodeConfig,
    identity: NodeIdentity,
    handshake_id: Identity,
    own_id: PeerId,
    swarm: Swarm<Behaviour>,
    listeners: Vec<ListenerId>,
    /// The router passes connections on to us.
    has_mapping: bool,
    /// Listeners that have not said where they listen; some never do, where a family has no address.
    settling: HashSet<ListenerId>,
    engine: Engine,
    epoch: Instant,
    peers: Peers,
    torrents: BTreeMap<TorrentId, TorrentState>,
    directory: Directory,
    links: BTreeMap<LinkId, LinkEntry>,
    /// Streams being opened, and for which torrent.
    opening: BTreeMap<Ticket, (TorrentId, PeerKey)>,
    dialling: BTreeMap<PeerId, Dialling>,
    policy: DialPolicy,
    dht: InDht,
    /// Dials made only to see whether a peer can be dialled.
    probes: HashMap<ConnectionId, Probe>,
    /// How near connected peers are.
    contacts: BTreeMap<PeerId, Reach>,
    /// Where connections end.
    remotes: HashMap<ConnectionId, IpAddr>,
    reachability: Reachability,
    /// Where the remote is that identified itself last.
    witness: Option<IpAddr>,
    /// Grows when links may have to be told something new.
    neighbours: u64,
    refreshed: Instant,
    /// Inbound handshakes under way.
    answering: BTreeMap<PeerId, usize>,
    /// Torrents that were left, saving what is needed to resume and saying goodbye.
    leaving: JoinSet<()>,
    next_number: u64,
    /// Of a node that must stay on one.
    interface: Option<Interface>,
    neighbourhood: Neighbourhood,
    pool: DiskPool,
    tracker_client: Client,
    addresses: watch::Sender<Vec<Multiaddr>>,
    dialability: watch::Sender<Dialability>,
    warnings: mpsc::Sender<String>,
    commands: mpsc::Receiver<Command>,
    link_events: Channel<(LinkId, LinkEvent)>,
    tracker_events: Channel<TrackerEvent>,
    store_events: Channel<(TorrentId, StoreEvent)>,
    work: Channel<Work>,
}

/// Both ends of a queue into the loop.
struct Channel<T> {
    sender: mpsc::Sender<T>,
    receiver: mpsc::Receiver<T>,
}

impl<T> Channel<T> {
    fn new(capacity: usize) -> Self {
        let (sender, receiver) = mpsc::channel(capacity);
        Self { sender, receiver }
    }
}

/// What a node is made of before it runs.
pub(crate) struct Parts {
    pub(crate) config: NodeConfig,
    pub(crate) identity: NodeIdentity,
    pub(crate) binding: Option<Binding>,
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) settling: HashSet<ListenerId>,
    pub(crate) pool: DiskPool,
    pub(crate) tracker_client: Client,
    pub(crate) addresses: watch::Sender<Vec<Multiaddr>>,
    pub(crate) dialability: watch::Sender<Dialability>,
    pub(crate) dht_nodes: watch::Sender<usize>,
    pub(crate) warnings: mpsc::Sender<String>,
    pub(crate) commands: mpsc::Receiver<Command>,
}

impl NodeLoop {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
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
            commands,
        } = parts;
        let mut rng_seed = [0; 32];
        rand::fill(&mut rng_seed);
        let own_id = *swarm.local_peer_id();
        let exchanges_peers = config.discovery.pex;
        let neighbourhood = Neighbourhood::new(&config, &identity, binding.as_ref(), &addresses);
        Self {
            config,
            identity,
            handshake_id: Identity { peer_id: handshake_id(&own_id), exchanges_peers },
            own_id,
            swarm,
            listeners: settling.iter().copied().collect(),
            has_mapping: false,
            settling,
            engine: Engine::new(engine_config(), rng_seed),
            epoch: Instant::now(),
            peers: Peers::default(),
            torrents: BTreeMap::new(),
            directory: Directory::default(),
            links: BTreeMap::new(),
            opening: BTreeMap::new(),
            dialling: BTreeMap::new(),
            policy: DialPolicy::default(),
            dht: InDht::new(dht_nodes),
            probes: HashMap::new(),
            contacts: BTreeMap::new(),
            remotes: HashMap::new(),
            reachability: Reachability::default(),
            witness: None,
            neighbours: 1,
            refreshed: Instant::now(),
            answering: BTreeMap::new(),
            leaving: JoinSet::new(),
            next_number: 0,
            interface: binding.map(Interface::new),
            neighbourhood,
            pool,
            tracker_client,
            addresses,
            dialability,
            warnings,
            commands,
            link_events: Channel::new(LINK_EVENTS),
            tracker_events: Channel::new(WORK_QUEUE),
            store_events: Channel::new(LINK_EVENTS),
            work: Channel::new(WORK_QUEUE),
        }
    }

    /// Runs until told to shut down or until the last handle is gone.
    pub(crate) async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut exchange_tick = interval(EXCHANGE_TICK);
        exchange_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut link_batch = Vec::with_capacity(BATCH);
        let mut store_batch = Vec::with_capacity(BATCH);
        self.join_dht();
        loop {
            let deadline = self.engine.deadline().map(|(moment, _)| self.instant(moment));
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                _ = self.link_events.receiver.recv_many(&mut link_batch, BATCH) => {
                    for (link, event) in link_batch.drain(..) {
                        self.on_link_event(link, event);
                    }
                }
                _ = self.store_events.receiver.recv_many(&mut store_batch, BATCH) => {
                    for (torrent, event) in store_batch.drain(..) {
                        self.on_store_event(torrent, event);
                    }
                }
                Some(work) = self.work.receiver.recv() => self.on_work(work),
                Some(event) = self.tracker_events.receiver.recv() => self.on_tracker_event(event),
                event = self.neighbourhood.next_event() => self.on_lan_event(event),
                command = self.commands.recv() => match command {
                    Some(Command::Add { source, options, reply }) => {
                        let _ = reply.send(self.add(*source, options));
                    }
                    Some(Command::Figures { reply }) => _ = reply.send(self.figures()),
                    Some(Command::Select { torrent, choice, reply }) => {
                        self.select(torrent, Wish { choice, reply });
                    }
                    Some(Command::Remove { torrent, done }) => self.remove(torrent, done),
                    Some(Command::Shutdown { done }) => {
                        self.shut_down().await;
                        // Whoever starts again at once finds identity and port free.
                        drop(self);
                        let _ = done.send(());
                        return;
                    }
                    None => return self.shut_down().await,
                },
                Some(_) = self.leaving.join_next() => {}
                () = wake_at(deadline) => self.drive(Input::Wake),
                _ = tick.tick() => self.on_tick(),
                _ = exchange_tick.tick() => {
                    self.tell_beginnings();
                    self.hasten_dials();
                    self.exchange_peers();
                    self.offer_neighbours();
                }
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::from_micros(u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn instant(&self, moment: Moment) -> Instant {
        self.epoch + moment.since(Moment::ZERO)
    }

    /// A number never given before: for links and streams being opened.
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Tells the engine a fact and carries out what it orders.
    fn drive(&mut self, input: Input) {
        self.engine.handle(self.now(), input);
        // Carrying out an order may bring up another fact (a full queue ends its link), which the
        // engine answers with further orders: they queue up behind those still to be carried out.
        while let Some(output) = self.engine.next_output() {
            if let Some(fact) = self.carry_out(output) {
                self.engine.handle(self.now(), fact);
            }
        }
    }

    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Dial { torrent, peer } => self.dial(torrent, peer),
            Output::Send { link, message } => self.send(link, message),
            Output::SendBlock { link, block } => self.send_block(link, block),
            Output::CheckPiece { torrent, piece } => {
                self.check_piece(torrent, piece);
                None
            }
            Output::Judge { link, block } => self.judge(link, block),
            Output::FetchLeaves { link, piece } => self.fetch_leaves(link, piece),
            Output::CheckBlocks { torrent, block, order } => {
                self.check_blocks(torrent, block, order);
                None
            }
            Output::Disconnect { link, reason } => {
                match reason {
                    DisconnectReason::Offence(_) => {
                        tracing::info!(link = link.0, ?reason, "disconnecting a peer that misbehaved");
                    }
                    _ => tracing::debug!(link = link.0, ?reason, "disconnecting"),
                }
                self.drop_link(link)
            }
            Output::HolderBanned { holder, ban } => {
                let (address, seconds) = (first_address(holder), ban.as_secs());
                tracing::warn!(%address, seconds, "several peers at this address gave corrupt pieces: it is banned");
                None
            }
            Output::Completed { torrent } => {
                self.on_completed(torrent);
                None
            }
        }
    }

    /// Queues a check beside the loop, which must not wait for room in the disk's queues. The writes of
    /// the piece are queued already.
    fn check_piece(&self, torrent: TorrentId, piece: PieceIndex) {
        let Some(active) = self.torrents.get(&torrent).and_then(TorrentState::active) else { return };
        let store = active.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.check_piece(piece).await {
                tracing::debug!(%error, piece = piece.0, "a piece is not checked any more");
            }
        });
    }

    fn check_blocks(&self, torrent: TorrentId, block: BlockRef, order: u32) {
        let Some(active) = self.torrents.get(&torrent).and_then(TorrentState::active) else { return };
        let store = active.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.check_blocks(block, order).await {
                tracing::debug!(%error, piece = block.piece.0, "blocks are not checked any more");
            }
        });
    }

    fn on_store_event(&mut self, torrent: TorrentId, event: StoreEvent) {
        match event {
            StoreEvent::Checked { piece, verdict } => {
                if verdict == Verdict::Good
                    && let Some(state) = self.torrents.get_mut(&torrent)
                {
                    state.on_good(piece);
                }
                self.drive(Input::PieceChecked { torrent, piece, verdict });
            }
            StoreEvent::BlocksChecked { block, order, bad } => {
                self.drive(Input::BlocksChecked { torrent, block, order, bad });
            }
            StoreEvent::Changed { message, pieces } => {
                if let Some(state) = self.torrents.get_mut(&torrent) {
                    state.retraction.on_lost();
                    if let Some(active) = state.active_mut() {
                        pieces.iter().for_each(|&piece| active.on_lost(piece));
                    }
                }
                for piece in pieces {
                    self.drive(Input::PieceLost { torrent, piece });
                }
                self.warn(torrent, message);
            }
            StoreEvent::Failed(error) => self.fail(torrent, error.to_string()),
        }
    }

    fn on_work(&mut self, work: Work) {
        match work {
            Work::Shaken(setup) => self.on_shaken(*setup),
            Work::Opened { torrent, result } => self.on_opened(torrent, *result),
            Work::LayersMissing { torrent, metainfo } => {
                self.fetch(torrent, Some(Arc::unwrap_or_clone(metainfo)));
            }
            Work::Fetched(fetched) => self.on_fetched(fetched),
            Work::Finished { torrent, result } => self.on_finished(torrent, result),
            Work::Chose(chose) => self.on_chose(*chose),
        }
    }

    fn on_tracker_event(&mut self, event: TrackerEvent) {
        match event {
            TrackerEvent::Found(found) => self.on_discovered(found),
            TrackerEvent::Failed { torrent, url, message } => {
                let state = self.torrents.get_mut(&torrent);
                if state.is_some_and(|state| state.on_tracker_silent(url)) {
                    self.warn(torrent, message);
                }
            }
            TrackerEvent::Recovered { torrent, url, message } => {
                let state = self.torrents.get_mut(&torrent);
                if let Some(state) = state
                    && state.on_tracker_back(&url)
                {
                    state.tell(TorrentEvent::Note(message));
                }
            }
            TrackerEvent::WaysNamed { addresses } => self.on_ways_named(addresses),
            TrackerEvent::Warned { torrent, message } => {
                self.warn(torrent, format!("a tracker says: {}", message.escape_debug()));
            }
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Wire(event)) => self.on_wire_event(event),
            SwarmEvent::Behaviour(BehaviourEvent::Dht(event)) => self.on_dht_event(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                peer,
                connection,
                result: Err(error @ (ping::Failure::Timeout | ping::Failure::Other { .. })),
            })) => {
                tracing::debug!(%peer, %error, "a connection no longer answers");
                self.give_up(peer, connection);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify_event(&event),
            SwarmEvent::Behaviour(BehaviourEvent::Upnp(event)) => self.on_upnp_event(&event),
            SwarmEvent::NewExternalAddrCandidate { address } => self.on_observed(address),
            SwarmEvent::NewListenAddr { address, listener_id } => {
                self.settling.remove(&listener_id);
                if let Some(interface) = &mut self.interface {
                    interface.on_listening(listener_id, address.clone());
                }
                if let Some(Protocol::Tcp(port)) = address.iter().find(|p| matches!(p, Protocol::Tcp(_))) {
                    self.identity.remember_port(port);
                }
                self.publish_addresses();
            }
            SwarmEvent::ExpiredListenAddr { .. } => self.note_moved(),
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => {
                self.publish_addresses();
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.note_remote(connection_id, &endpoint);
                self.note_dialled(&endpoint);
                self.note_contact(peer_id, connection_id, &endpoint);
                self.on_connected(peer_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.remotes.remove(&connection_id);
                if num_established == 0 {
                    self.contacts.remove(&peer_id);
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, connection_id } => {
                tracing::debug!(?peer_id, %error, "dialling failed");
                self.note_probe_failed(connection_id);
                if let Some(peer) = peer_id {
                    self.on_dial_failed(peer, connection_id, &error);
                }
            }
            // Strangers' doing, such as a connection that ends before it was accepted.
            SwarmEvent::ListenerError { error, .. } => tracing::debug!(%error, "a listener has trouble"),
            SwarmEvent::ListenerClosed { addresses, reason, listener_id } => {
                self.settling.remove(&listener_id);
                let is_ours =
                    self.interface.as_mut().is_some_and(|interface| interface.on_closed(listener_id));
                if !is_ours {
                    tracing::warn!(?addresses, ?reason, "a listener is closed");
                }
                self.publish_addresses();
            }
            _ => {}
        }
    }

    /// Where we can be dialled, most widely reachable first; said once every listener is up.
    fn publish_addresses(&mut self) {
        if !self.settling.is_empty() {
            return;
        }
        let mut all: Vec<Multiaddr> =
            self.swarm.external_addresses().chain(self.swarm.listeners()).cloned().collect();
        all.sort_by_key(|address| (reach(address), !is_tcp(address)));
        all.dedup();
        self.addresses.send_if_modified(|old| {
            let changed = *old != all;
            *old = all;
            changed
        });
        self.tell_dht_addresses();
    }

    fn on_tick(&mut self) {
        if self.epoch.elapsed() >= SETTLING && !self.settling.is_empty() {
            self.settling.clear();
            self.publish_addresses();
        }
        self.look_after_interface();
        let instant = Instant::now();
        self.retract(instant);
        self.tell_progress();
        if instant.duration_since(self.refreshed) >= REFRESH {
            self.refreshed = instant;
            self.refresh_sightings();
            self.expire_providers();
        }
        let torrents: Vec<TorrentId> = self.torrents.keys().copied().collect();
        for torrent in torrents {
            self.remember_peers(torrent, instant);
        }
        self.ask_for_metainfo();
        self.tell_none_reached();
        self.tell_dialability();
        self.tend_dht();
    }

    /// Tells whoever started the node, or the log if nobody listens.
    fn warn_of_node(&self, message: String) {
        if let Err(unheard) = self.warnings.try_send(message) {
            tracing::warn!("{}", unheard.into_inner());
        }
    }

    fn warn(&self, torrent: TorrentId, message: String) {
        if let Some(state) = self.torrents.get(&torrent) {
            state.tell(TorrentEvent::Warning(message));
        }
    }
}

/// The engine must count with what the handshakes promise, and hold twice as many requests: a remote
/// that keeps to the promise asks anew when a block reaches it, which may be before we know it is sent.
fn engine_config() -> EngineConfig {
    let request_queue = 2 * REQUEST_QUEUE;
    EngineConfig { request_queue, request_length: REQUEST_LENGTH, ..EngineConfig::default() }
}

async fn wake_at(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The handshake's 20-byte id: who made the client (BEP 20), then the end of the libp2p identity, so
/// that it is the same on every link.
fn handshake_id(own_id: &PeerId) -> [u8; 20] {
    let mut id = *b"-SA0100-------------";
    let bytes = own_id.to_bytes();
    id[8..].copy_from_slice(&bytes[bytes.len() - 12..]);
    id
}
