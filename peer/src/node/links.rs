//! From a candidate to a running link: dialling, streams, handshakes, and which of two links stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, Stream};
use samara_proto::bitfield::Bitfield;
use samara_proto::infohash::InfoHash;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::moment::Moment;
use tracing::Instrument;

use super::autonomy::Sightings;
use super::exchange::Exchange;
use super::peers::Dialable;
use super::torrent::{Phase, TorrentState};
use super::{NodeLoop, Work, unreached};
use crate::engine::event::{Direction, Input, LinkId, PeerKey, PeerMessage, Source, TorrentId};
use crate::handle::TorrentEvent;
use crate::metrics::source_name;
use crate::net::address::ip_of;
use crate::net::discovery::{Discovered, Voice};
use crate::net::holder::holder_of;
use crate::net::link::{Established, Link, LinkEvent, NotAsked, SetupError, greet, respond};
use crate::net::wire::{Ticket, WireEvent};

/// Inbound handshakes at once; further streams are dropped until some are done.
const ANSWERING: usize = 128;
/// The same for one peer: a few torrents are asked for at once.
const ANSWERING_PER_PEER: usize = 16;

/// Streams with one peer that we add to: a muxer breaks its connection at 64, and libp2p needs some itself.
const STREAMS_PER_PEER: usize = 40;
/// Peers known of one torrent; further ones are taken up only if the user names them or they come by
/// themselves. Twice what the engine keeps as candidates.
const KNOWN: usize = 2000;

/// The same for those who come by themselves: what others say of a thousand peers is to keep nobody out who
/// is there.
const KNOWN_AND_CAME: usize = KNOWN + 256;

/// Peers of a torrent that begins which are linked because a connection is there: as many as are asked for
/// metainfo at once.
const LINKED_AT_ONCE: usize = 8;

/// How long TCP has to answer before QUIC is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Dials under way, and the addresses of each.
pub(super) type Attempts = BTreeMap<ConnectionId, Vec<Multiaddr>>;

/// A running link.
pub(super) struct LinkEntry {
    pub(super) link: Link,
    pub(super) torrent: TorrentId,
    pub(super) peer: PeerKey,
    pub(super) direction: Direction,
    pub(super) connection: ConnectionId,
    pub(super) wants_us: bool,
    /// Pieces it said it has; all of them if it has everything, whatever it shows.
    pub(super) has: Bitfield,
    /// Peers are exchanged on it.
    pub(super) exchange: Option<Exchange>,
}

/// A peer being dialled.
pub(super) struct Dialling {
    /// The torrents that wait for it.
    torrents: BTreeSet<TorrentId>,
    /// Dials under way, and the addresses of each. Empty while another part of us makes the connection.
    attempts: Attempts,
    /// Addresses to try when those being dialled fail, or take their time.
    fallback: Vec<Dialable>,
    /// Why the first attempt failed.
    reason: Option<String>,
    since: Moment,
}

impl Dialling {
    /// A dial for no torrent's sake.
    pub(super) fn for_nobody(attempts: Attempts, fallback: Vec<Dialable>, since: Moment) -> Self {
        Self { torrents: BTreeSet::new(), attempts, fallback, reason: None, since }
    }
}

/// Over what a link runs.
struct Via {
    peer: PeerId,
    connection: ConnectionId,
    direction: Direction,
}

/// Handshakes that ended.
pub(crate) struct Setup {
    peer: PeerId,
    connection: ConnectionId,
    direction: Direction,
    /// Known beforehand on our own streams only.
    torrent: Option<TorrentId>,
    /// What the remote asked for, on its streams.
    asked_for: Option<InfoHash>,
    result: Result<Established, SetupError>,
}

impl NodeLoop {
    /// Somebody who may have a torrent became known.
    pub(super) fn on_discovered(&mut self, found: Discovered) {
        let is_vouched_for = matches!(found.source, Source::Link | Source::Cache);
        if found.peer == self.own_id || (!is_vouched_for && self.peers.is_full()) {
            return;
        }
        let now = self.now();
        let peer = self.peers.key(found.peer);
        let Some(state) = self.torrents.get_mut(&found.torrent) else { return };
        let room = if found.source == Source::Incoming { KNOWN_AND_CAME } else { KNOWN };
        if state.known.len() >= room && !is_vouched_for && !state.known.contains_key(&peer) {
            let linked: BTreeSet<PeerKey> = self.links.values().map(|link| link.peer).collect();
            if !state.make_room((found.source, found.voice), &linked) {
                return;
            }
        }
        let sighting = || Sightings::new(found.source, now).told_by(found.voice);
        state.known.entry(peer).or_insert_with(sighting).see(found.source, now);
        self.peers.learn(peer, found.source, found.addresses);
        match state.phase {
            Phase::Active(_) => {
                let (torrent, source) = (found.torrent, found.source);
                self.drive(Input::Candidate { torrent, peer, source });
            }
            Phase::Fetching(_) => self.ask_for_metainfo(),
            Phase::Checking { .. } | Phase::Failed => {}
        }
    }

    /// Begins to reach `peer`; gives the fact that it failed if that is clear at once.
    pub(super) fn dial(&mut self, torrent: TorrentId, peer: PeerKey) -> Option<Input> {
        let failed = Some(Input::DialFailed { torrent, peer });
        let Some(id) = self.peers.id(peer) else { return failed };
        if self.swarm.behaviour().wire.is_connected(&id) {
            self.open_stream(id, torrent, peer);
            return None;
        }
        if let Some(dialling) = self.dialling.get_mut(&id) {
            dialling.torrents.insert(torrent);
            return None;
        }
        if self.is_held(torrent, peer) {
            return None;
        }
        let (tcp, others) = self.peers.dialable(peer, self.config.bind);
        if tcp.is_empty()
            && others.is_empty()
            && let Some(reason) = self.why_undialled(peer)
        {
            self.tell_unreached(torrent, peer, &reason);
        }
        // TCP moves bulk data at half the cost of QUIC; the others are for when it does not get through.
        let (first, fallback) = if tcp.is_empty() { (others, Vec::new()) } else { (tcp, others) };
        let Some(attempts) = self.attempt(id, first, PeerCondition::NotDialing) else { return failed };
        let (torrents, since) = (BTreeSet::from([torrent]), self.now());
        self.dialling.insert(id, Dialling { torrents, attempts, fallback, reason: None, since });
        None
    }

    /// Dials those of `addresses` that may be dialled now, and gives the attempt; `None` if nothing is under way.
    pub(super) fn attempt(
        &mut self,
        id: PeerId,
        addresses: Vec<Dialable>,
        condition: PeerCondition,
    ) -> Option<Attempts> {
        let now = self.now();
        let is_banned = |to: &Dialable| {
            ip_of(&to.address).and_then(holder_of).is_some_and(|holder| self.engine.has_banned(holder))
        };
        let mut may_dial =
            |to: &Dialable| !is_banned(to) && (to.is_trusted || self.policy.permit(now, &to.address));
        let addresses: Vec<Multiaddr> =
            addresses.into_iter().filter(|to| may_dial(to)).map(|to| to.address).collect();
        if addresses.is_empty() {
            return None;
        }
        let options = DialOpts::peer_id(id).condition(condition).addresses(addresses.clone()).build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => Some(BTreeMap::from([(connection, addresses)])),
            Err(error) => {
                addresses.iter().for_each(|address| self.policy.on_abandoned(address));
                tracing::debug!(peer = %id, %error, "cannot dial");
                // A connection is being made already, and will do.
                matches!(error, DialError::DialPeerConditionFalse(_)).then(BTreeMap::new)
            }
        }
    }

    /// Whoever does not answer over TCP soon is tried over QUIC beside it (RFC 8305): a firewall that drops
    /// packets without a word costs a moment, not the whole time allowed for a handshake.
    pub(super) fn hasten_dials(&mut self) {
        let now = self.now();
        let slow =
            |dialling: &Dialling| !dialling.fallback.is_empty() && now.since(dialling.since) >= HEAD_START;
        let ids: Vec<PeerId> =
            self.dialling.iter().filter(|(_, dialling)| slow(dialling)).map(|(id, _)| *id).collect();
        for id in ids {
            self.fall_back(id);
        }
    }

    /// Tries the addresses kept for later; whether anything is under way now.
    fn fall_back(&mut self, id: PeerId) -> bool {
        let Some(dialling) = self.dialling.get_mut(&id) else { return false };
        let fallback = std::mem::take(&mut dialling.fallback);
        let attempts = self.attempt(id, fallback, PeerCondition::Always).unwrap_or_default();
        let Some(dialling) = self.dialling.get_mut(&id) else { return false };
        dialling.attempts.extend(attempts);
        !dialling.attempts.is_empty()
    }

    pub(super) fn on_connected(&mut self, id: PeerId, endpoint: &ConnectedPoint) {
        let Some(dialling) = self.dialling.remove(&id) else { return };
        let abandoned = dialling.attempts.values().flatten();
        for address in abandoned.filter(|address| *address != endpoint.get_remote_address()) {
            self.policy.on_abandoned(address);
        }
        for torrent in dialling.torrents {
            let peer = self.peers.key(id);
            self.open_stream(id, torrent, peer);
        }
    }

    pub(super) fn on_dial_failed(&mut self, id: PeerId, connection: ConnectionId, error: &DialError) {
        if self.swarm.behaviour().wire.is_connected(&id) {
            return;
        }
        let now = self.now();
        let Some(dialling) = self.dialling.get_mut(&id) else { return };
        for address in dialling.attempts.remove(&connection).unwrap_or_default() {
            self.policy.on_failed(now, &address);
        }
        dialling.reason.get_or_insert_with(|| unreached::reason(error));
        if !dialling.attempts.is_empty() || self.fall_back(id) {
            return;
        }
        let Some(dialling) = self.dialling.remove(&id) else { return };
        self.doubt_neighbour(id);
        if let Some(reason) = &dialling.reason {
            self.tell_no_way(id, reason);
        }
        let peer = self.peers.key(id);
        for torrent in dialling.torrents {
            if let Some(reason) = &dialling.reason {
                self.tell_unreached(torrent, peer, reason);
            }
            self.not_reached(torrent, peer);
        }
    }

    fn open_stream(&mut self, id: PeerId, torrent: TorrentId, peer: PeerKey) {
        let linked = self.links.values().filter(|entry| entry.peer == peer).count();
        let opening = self.opening.values().filter(|(_, opening)| *opening == peer).count();
        if linked + opening >= STREAMS_PER_PEER {
            return self.not_reached(torrent, peer);
        }
        let ticket = Ticket(self.number());
        self.opening.insert(ticket, (torrent, peer));
        self.swarm.behaviour_mut().wire.open(id, ticket);
    }

    /// Links with those of `peers` that a connection leads to already, such as whoever gave the metainfo: they
    /// are there, and need not wait until the others have been tried.
    pub(super) fn link_with_those_here(&mut self, torrent: TorrentId, peers: impl Iterator<Item = PeerKey>) {
        let named = peers.filter_map(|peer| Some((peer, self.peers.id(peer)?)));
        let here = named.filter(|(_, id)| self.swarm.behaviour().wire.is_connected(id));
        for (peer, id) in here.take(LINKED_AT_ONCE).collect::<Vec<_>>() {
            let is_opening = self.opening.values().any(|&opening| opening == (torrent, peer));
            if !is_opening && !self.links.values().any(|link| link.torrent == torrent && link.peer == peer) {
                self.open_stream(id, torrent, peer);
            }
        }
    }

    /// An attempt to reach `peer` ended without a link.
    fn not_reached(&mut self, torrent: TorrentId, peer: PeerKey) {
        self.judge_tellers(torrent, peer, false);
        if let Some(state) = self.torrents.get_mut(&torrent) {
            state.parted.remove(&peer);
        }
        match self.torrents.get(&torrent).map(|state| &state.phase) {
            Some(Phase::Fetching(_)) => self.on_not_asked(torrent, peer),
            Some(_) => self.drive(Input::DialFailed { torrent, peer }),
            None => {}
        }
    }

    pub(super) fn on_wire_event(&mut self, event: WireEvent) {
        match event {
            WireEvent::Inbound { peer, connection, stream } => self.answer(peer, connection, stream),
            WireEvent::Opened { peer, connection, ticket, stream } => {
                if let Some((torrent, key)) = self.opening.remove(&ticket) {
                    self.introduce(peer, connection, torrent, key, stream);
                }
            }
            WireEvent::OpenFailed { ticket } => {
                if let Some((torrent, peer)) = self.opening.remove(&ticket) {
                    self.not_reached(torrent, peer);
                }
            }
        }
    }

    /// Shakes hands on a stream of ours, or begins to ask it for metainfo.
    fn introduce(
        &mut self,
        id: PeerId,
        connection: ConnectionId,
        torrent: TorrentId,
        peer: PeerKey,
        stream: Stream,
    ) {
        let Some(state) = self.torrents.get(&torrent) else { return };
        let hosted = match &state.phase {
            Phase::Fetching(_) => return self.fetch_from(torrent, peer, stream),
            Phase::Active(active) => active.hosted(),
            Phase::Checking { .. } | Phase::Failed => return,
        };
        let name = state.names.wire().next().expect("a torrent has a name");
        let (identity, work) = (self.handshake_id, self.work.sender.clone());
        tokio::spawn(async move {
            let shaking = greet(stream, identity, name, Some(hosted));
            let result = shaking.instrument(tracing::trace_span!("greeting", peer = %id)).await;
            let (direction, torrent) = (Direction::Outbound, Some(torrent));
            let setup = Setup { peer: id, connection, direction, torrent, asked_for: None, result };
            // Fails only when the node is gone.
            let _ = work.send(Work::Shaken(Box::new(setup))).await;
        });
    }

    /// Shakes hands on a stream a remote opened.
    fn answer(&mut self, peer: PeerId, connection: ConnectionId, stream: Stream) {
        let of_all: usize = self.answering.values().sum();
        let of_peer = self.answering.get(&peer).copied().unwrap_or(0);
        if of_all >= ANSWERING || of_peer >= ANSWERING_PER_PEER {
            tracing::debug!(%peer, "too many handshakes at once; a stream is dropped");
            return;
        }
        self.answering.insert(peer, of_peer + 1);
        let (identity, work, directory) =
            (self.handshake_id, self.work.sender.clone(), self.directory.clone());
        tokio::spawn(async move {
            let mut asked_for = None;
            let lookup = |name| {
                asked_for = Some(name);
                let known = directory.read().expect("no holder panics");
                known.get(&name).map(|(_, hosted)| hosted.clone())
            };
            let shaking = respond(stream, identity, lookup);
            let result = shaking.instrument(tracing::trace_span!("responding", %peer)).await;
            let (direction, torrent) = (Direction::Inbound, None);
            let setup = Setup { peer, connection, direction, torrent, asked_for, result };
            // Fails only when the node is gone.
            let _ = work.send(Work::Shaken(Box::new(setup))).await;
        });
    }

    fn answered(&mut self, peer: PeerId) {
        let Some(of_peer) = self.answering.get_mut(&peer) else { return };
        *of_peer -= 1;
        if *of_peer == 0 {
            self.answering.remove(&peer);
        }
    }

    pub(super) fn on_shaken(&mut self, setup: Setup) {
        if setup.direction == Direction::Inbound {
            self.answered(setup.peer);
        }
        let established = match setup.result {
            Ok(established) => established,
            Err(error) => {
                tracing::debug!(peer = %setup.peer, %error, "no link");
                if let Some(torrent) = setup.torrent {
                    let peer = self.peers.key(setup.peer);
                    match error.is_refusal() && self.is_mere_neighbour(torrent, peer) {
                        true => self.on_refused(torrent, peer),
                        false => self.not_reached(torrent, peer),
                    }
                } else if let (SetupError::UnknownTorrent, Some(name)) = (error, setup.asked_for) {
                    self.on_came_early(name, setup.peer);
                }
                return;
            }
        };
        let peer = self.peers.key(setup.peer);
        let named = self.directory.read().expect("no holder panics");
        let torrent = named.get(&established.info_hash).map(|(torrent, _)| *torrent);
        drop(named);
        if let Some(torrent) = torrent
            && setup.peer != self.own_id
        {
            let via = Via { peer: setup.peer, connection: setup.connection, direction: setup.direction };
            self.start_link(torrent, peer, via, established);
        }
    }

    /// Somebody asked for a torrent whose metainfo is not here yet: most likely he has it, and he is there.
    fn on_came_early(&mut self, name: InfoHash, peer: PeerId) {
        let wanted = |state: &TorrentState| {
            matches!(state.phase, Phase::Fetching(_)) && state.names.wire().any(|own| own == name)
        };
        let Some(torrent) = self.torrents.iter().find(|(_, state)| wanted(state)).map(|(&id, _)| id) else {
            return;
        };
        let (addresses, source, voice) = (Vec::new(), Source::Incoming, Voice::default());
        self.on_discovered(Discovered { torrent, peer, addresses, source, voice });
    }

    fn start_link(&mut self, torrent: TorrentId, peer: PeerKey, via: Via, established: Established) {
        let Via { peer: id, connection, direction } = via;
        let twin = self.links.iter().find(|(_, entry)| entry.torrent == torrent && entry.peer == peer);
        if let Some((&old, entry)) = twin {
            if !self.newer_stays(id, entry.direction, direction) {
                tracing::debug!(peer = %id, "a second link is dropped");
                return;
            }
            self.end_link(old);
        }
        let now = self.now();
        let holder = self.remotes.get(&connection).copied().and_then(holder_of);
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        let Phase::Active(active) = &state.phase else { return };
        let traits = established.traits();
        let pieces = active.metainfo.layout().piece_count();
        // One that has everything may show it piece by piece.
        let has = match established.remote.upload_only {
            Some(true) => Bitfield::full(pieces),
            _ => Bitfield::new(pieces),
        };
        let (metainfo, store) = (active.metainfo.clone(), active.store.clone());
        if direction == Direction::Inbound {
            let sighting = || Sightings::new(Source::Incoming, now);
            state.known.entry(peer).or_insert_with(sighting).see(Source::Incoming, now);
        }
        let source = state.known.get(&peer).map_or(Source::Incoming, Sightings::found_by);
        tracing::info!(peer = %id, by = source_name(source), "linked");
        state.tell(TorrentEvent::Linked { peer: id, source });
        let link = LinkId(self.number());
        let (torrent_parts, exchanges) = ((metainfo, store), self.handshake_id.exchanges_peers);
        let events = self.link_events.sender.clone();
        let running = Link::start(link, id, established, torrent_parts, exchanges, events);
        let exchange = running.exchanges_peers().then(Exchange::default);
        let entry =
            LinkEntry { link: running, torrent, peer, direction, connection, wants_us: false, has, exchange };
        self.judge_tellers(torrent, peer, true);
        self.links.insert(link, entry);
        self.drive(Input::Connected { torrent, peer, holder, link, direction, traits });
        self.tell_peers(link);
    }

    /// Of two links opened by different ends both keep the one opened by the smaller identity; of two
    /// opened by the same end the newer, because that end would not have opened it had the old one lived.
    fn newer_stays(&self, remote: PeerId, old: Direction, new: Direction) -> bool {
        let ours_stays = self.own_id.to_bytes() < remote.to_bytes();
        old == new || (new == Direction::Outbound) == ours_stays
    }

    pub(super) fn on_link_event(&mut self, link: LinkId, event: LinkEvent) {
        let Some(entry) = self.links.get_mut(&link) else { return };
        match event {
            LinkEvent::Received(message) => {
                match message {
                    PeerMessage::Interested => entry.wants_us = true,
                    PeerMessage::NotInterested => entry.wants_us = false,
                    PeerMessage::HaveAll => entry.has = Bitfield::full(entry.has.len()),
                    PeerMessage::Bitfield(ref bits) => entry.has = bits.clone(),
                    PeerMessage::Have(piece) => _ = entry.has.set(piece),
                    _ => {}
                }
                self.drive(Input::Received { link, message });
            }
            LinkEvent::BlockReceived(block) => {
                let (torrent, peer) = (entry.torrent, entry.peer);
                if let Some(state) = self.torrents.get_mut(&torrent) {
                    *state.given.entry(peer).or_default() += u64::from(block.length);
                    state.figures.downloaded.fetch_add(block.length.into(), Ordering::Relaxed);
                }
                self.drive(Input::BlockReceived { link, block });
            }
            LinkEvent::BlockSent(block) => {
                if let Some(state) = self.torrents.get(&entry.torrent) {
                    state.figures.uploaded.fetch_add(block.length.into(), Ordering::Relaxed);
                }
                self.drive(Input::BlockSent { link, block });
            }
            LinkEvent::BlockUnreadable(block) => self.drive(Input::BlockUnreadable { link, block }),
            LinkEvent::Judged(block, bad) => self.drive(Input::Judged { link, block, bad }),
            LinkEvent::Unjudged(block) => self.drive(Input::Unjudged { link, block }),
            LinkEvent::LeavesCame(piece) => {
                let torrent = entry.torrent;
                self.drive(Input::LeavesCame { torrent, piece });
            }
            LinkEvent::NoLeaves(piece) => self.drive(Input::NoLeaves { link, piece }),
            LinkEvent::Told(told) => self.on_told(link, *told),
            LinkEvent::Ended(why) => {
                tracing::debug!(link = link.0, why, "a link ended");
                self.end_link(link);
            }
        }
    }

    pub(super) fn send(&mut self, link: LinkId, message: PeerMessage) -> Option<Input> {
        let entry = self.links.get(&link)?;
        if entry.link.say(message).is_err() {
            tracing::debug!(link = link.0, "the remote reads too slowly");
            return self.drop_link(link);
        }
        None
    }

    pub(super) fn send_block(&mut self, link: LinkId, block: BlockRef) -> Option<Input> {
        let entry = self.links.get(&link)?;
        if entry.link.send_block(block).is_err() {
            return self.drop_link(link);
        }
        None
    }

    pub(super) fn judge(&mut self, link: LinkId, block: BlockRef) -> Option<Input> {
        let asked = self.links.get(&link)?.link.judge(block);
        self.asked(link, asked, Input::Unjudged { link, block })
    }

    pub(super) fn fetch_leaves(&mut self, link: LinkId, piece: PieceIndex) -> Option<Input> {
        let asked = self.links.get(&link)?.link.fetch_leaves(piece);
        self.asked(link, asked, Input::NoLeaves { link, piece })
    }

    /// What the engine is to know of a question: `unknown` if the remote cannot be asked it.
    fn asked(&mut self, link: LinkId, asked: Result<(), NotAsked>, unknown: Input) -> Option<Input> {
        match asked {
            Ok(()) => None,
            Err(NotAsked::Unknown) => Some(unknown),
            Err(NotAsked::Overflow) => self.drop_link(link),
        }
    }

    /// Ends a link and gives the fact for the engine.
    pub(super) fn drop_link(&mut self, link: LinkId) -> Option<Input> {
        let entry = self.links.remove(&link)?;
        self.part(entry);
        Some(Input::Disconnected { link })
    }

    /// A connection is dead. libp2p closes it in its own time, which may be long if bytes wait to be sent:
    /// its links end now, and nothing new is opened on it.
    pub(super) fn give_up(&mut self, peer: PeerId, connection: ConnectionId) {
        self.swarm.behaviour_mut().wire.forget(peer, connection);
        let links = self.links.iter().filter(|(_, entry)| entry.connection == connection);
        let links: Vec<LinkId> = links.map(|(&link, _)| link).collect();
        links.into_iter().for_each(|link| self.end_link(link));
        self.swarm.close_connection(connection);
    }

    pub(super) fn end_link(&mut self, link: LinkId) {
        if let Some(fact) = self.drop_link(link) {
            self.drive(fact);
        }
    }
}
