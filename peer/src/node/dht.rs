//! The node's part in the DHT: when torrents are looked up and announced there, and whom it dials for that.

mod ways;

use std::collections::HashMap;

use libp2p::kad::QueryId;
use libp2p::swarm::dial_opts::PeerCondition;
use libp2p::{Multiaddr, PeerId, identify};
use rand::RngExt;
use samara_proto::dht::DhtKey;
use tokio::sync::watch;

use super::NodeLoop;
use super::links::Dialling;
use super::peers::Dialable;
use super::torrent::{Phase, TorrentState};
use crate::engine::event::{Source, TorrentId};
use crate::net::address::is_tcp;
use crate::net::discovery::dht::pace::{Need, Pace};
use crate::net::discovery::dht::{DhtBehaviour, DhtEvent};
use crate::net::discovery::policy::Endpoint;
use crate::net::discovery::{Discovered, Voice};
use crate::net::reachability::Dialability;
use crate::net::transport::stays_on;
use ways::Ways;

/// Lookups at once; others wait for their turn.
const LOOKUPS: usize = 16;
/// Announces at once; others wait for their turn.
const ANNOUNCES: usize = 16;

/// What a query is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errand {
    LookUp(TorrentId),
    Announce(TorrentId),
}

/// The node's state in the DHT.
pub(super) struct InDht {
    errands: HashMap<QueryId, Errand>,
    ways: Ways,
    nodes: watch::Sender<usize>,
}

impl InDht {
    /// `nodes` is told how many nodes are known.
    pub(super) fn new(nodes: watch::Sender<usize>) -> Self {
        Self { errands: HashMap::new(), ways: Ways::default(), nodes }
    }
}

/// A torrent's state in the DHT.
#[derive(Default)]
pub(super) struct TorrentInDht {
    pace: Pace,
    lookups: Vec<QueryId>,
    announces: Vec<QueryId>,
    /// The fewest nodes that one of the announces reached.
    reached: usize,
}

impl NodeLoop {
    /// Does in the DHT whatever is due.
    pub(super) fn tend_dht(&mut self) {
        if !self.swarm.behaviour().dht.is_enabled() {
            return;
        }
        self.show_reachable();
        self.try_ways();
        self.remember_nodes();
        let now = self.now();
        if let Some(dht) = self.dht() {
            dht.hasten_announces(now);
        }
        self.look_up_torrents();
        self.announce_torrents();
    }

    /// Looks up the torrents whose time has come.
    fn look_up_torrents(&mut self) {
        let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() else { return };
        if dht.nodes() == 0 {
            return;
        }
        let now = self.now();
        let mut running: usize = self.torrents.values().map(|state| state.dht.lookups.len()).sum();
        let ids: Vec<TorrentId> = self.torrents.keys().copied().collect();
        for torrent in ids {
            let need = self.need(torrent);
            let is_due = |state: &TorrentState| {
                may_be_known(state)
                    && matches!(state.phase, Phase::Fetching(_) | Phase::Active(_))
                    && state.dht.pace.is_lookup_due(now, need)
            };
            if running >= LOOKUPS || !self.torrents.get(&torrent).is_some_and(is_due) {
                continue;
            }
            let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() else { return };
            let Some(state) = self.torrents.get_mut(&torrent) else { continue };
            state.dht.pace.on_lookup();
            state.dht.lookups = state.names.wire().map(|name| dht.look_up(DhtKey::of(name))).collect();
            running += state.dht.lookups.len();
            let errands = state.dht.lookups.iter().map(|&query| (query, Errand::LookUp(torrent)));
            self.dht.errands.extend(errands);
        }
    }

    /// Announces the torrents whose time has come.
    fn announce_torrents(&mut self) {
        let now = self.now();
        let nodes = self.dht_nodes();
        let mut running: usize = self.torrents.values().map(|state| state.dht.announces.len()).sum();
        let ids: Vec<TorrentId> = self.torrents.keys().copied().collect();
        for torrent in ids {
            let is_due = |state: &TorrentState| {
                may_be_known(state) && state.active().is_some() && state.dht.pace.is_announce_due(now, nodes)
            };
            if running >= ANNOUNCES || !self.torrents.get(&torrent).is_some_and(is_due) {
                continue;
            }
            let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() else { return };
            let Some(state) = self.torrents.get_mut(&torrent) else { continue };
            state.dht.pace.on_announce(nodes);
            state.dht.reached = usize::MAX;
            let names = state.names.wire();
            state.dht.announces = names.filter_map(|name| dht.announce(now, DhtKey::of(name))).collect();
            running += state.dht.announces.len();
            let errands = state.dht.announces.iter().map(|&query| (query, Errand::Announce(torrent)));
            self.dht.errands.extend(errands);
        }
    }

    fn need(&self, torrent: TorrentId) -> Need {
        let is_complete = self
            .torrents
            .get(&torrent)
            .is_some_and(|state| state.active().is_some_and(|active| active.completed));
        let is_linked = self.links.values().any(|entry| entry.torrent == torrent);
        if is_complete || is_linked { Need::Fine } else { Need::Lonely }
    }

    pub(super) fn on_dht_event(&mut self, event: DhtEvent) {
        match event {
            DhtEvent::Wanted { peer, addresses } => self.dial_for_dht(peer, addresses),
            DhtEvent::Found { query, providers } => {
                let Some(&Errand::LookUp(torrent)) = self.dht.errands.get(&query) else { return };
                for (peer, addresses) in providers {
                    self.on_discovered(Discovered {
                        torrent,
                        peer,
                        addresses,
                        source: Source::Dht,
                        voice: Voice::default(),
                    });
                }
            }
            DhtEvent::Ended { query, reached } => self.on_errand_done(query, reached),
            DhtEvent::Nodes { count } => {
                self.dht.nodes.send_if_modified(|known| std::mem::replace(known, count) != count);
                self.on_nodes_known(count);
                self.tend_dht();
            }
        }
    }

    fn on_errand_done(&mut self, query: QueryId, reached: usize) {
        let (now, chance) = (self.now(), rand::rng().random());
        match self.dht.errands.remove(&query) {
            Some(Errand::LookUp(torrent)) => {
                let need = self.need(torrent);
                let Some(state) = self.torrents.get_mut(&torrent) else { return };
                state.dht.lookups.retain(|&running| running != query);
                if state.dht.lookups.is_empty() {
                    state.dht.pace.on_looked_up(now, need, chance);
                }
            }
            Some(Errand::Announce(torrent)) => {
                let Some(state) = self.torrents.get_mut(&torrent) else { return };
                state.dht.announces.retain(|&running| running != query);
                state.dht.reached = state.dht.reached.min(reached);
                if state.dht.announces.is_empty() {
                    state.dht.pace.on_announced(now, state.dht.reached, chance);
                }
            }
            None => return,
        }
        // The next one may have waited for its turn.
        self.look_up_torrents();
        self.announce_torrents();
    }

    /// Neither asks nor tells anybody about a torrent any more, and forgets whom the DHT alone named: it is
    /// left, or it turned out private (BEP 27).
    pub(super) fn leave_dht(&mut self, torrent: TorrentId) {
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        let left = std::mem::take(&mut state.dht);
        state.known.retain(|_, sightings| !sightings.is_named_only_by(&[Source::Dht]));
        let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() else { return };
        for query in left.lookups.into_iter().chain(left.announces) {
            self.dht.errands.remove(&query);
            dht.give_up(query);
        }
        state.names.wire().for_each(|name| dht.withdraw(DhtKey::of(name)));
    }

    /// Dials a node that a query wants to speak to, by the same rules as any other peer: where it answered
    /// before too, as nobody vouches for what the DHT says.
    fn dial_for_dht(&mut self, id: PeerId, addresses: Vec<Multiaddr>) {
        let bind = self.config.bind;
        let mut named: Vec<Dialable> = addresses
            .into_iter()
            .filter(|address| stays_on(bind, address))
            .map(|address| Dialable { address, is_trusted: false })
            .collect();
        if let Some(peer) = self.peers.known_key(&id) {
            let (tcp, others) = self.peers.dialable(peer, bind);
            for known in tcp.into_iter().chain(others) {
                if named.iter().all(|other| other.address != known.address) {
                    // A name to be looked up is the user's own word, and the policy knows no names.
                    let is_trusted = known.is_trusted && Endpoint::of(&known.address).is_none();
                    named.push(Dialable { is_trusted, ..known });
                }
            }
        }
        if !self.dial_node(id, named)
            && let Some(dht) = self.swarm.behaviour_mut().dht.as_mut()
        {
            dht.on_not_dialled(id);
        }
    }

    /// Dials a node of the DHT, TCP first; whether it is, or will be, connected or known not to answer.
    fn dial_node(&mut self, id: PeerId, addresses: Vec<Dialable>) -> bool {
        if self.swarm.is_connected(&id) || self.dialling.contains_key(&id) {
            return true;
        }
        let (tcp, others): (Vec<_>, Vec<_>) =
            addresses.into_iter().partition(|dialable| is_tcp(&dialable.address));
        let now = self.now();
        let dialling = match self.attempt(id, tcp, PeerCondition::NotDialing) {
            Some(attempts) => Dialling::for_nobody(attempts, others, now),
            None => match self.attempt(id, others, PeerCondition::NotDialing) {
                Some(attempts) => Dialling::for_nobody(attempts, Vec::new(), now),
                None => return false,
            },
        };
        self.dialling.insert(id, dialling);
        true
    }

    /// A connected peer said what it speaks and where it listens.
    pub(super) fn on_identified(&mut self, peer: PeerId, info: &identify::Info) {
        if let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() {
            dht.on_identified(peer, &info.protocols, &info.listen_addrs);
        }
    }

    /// Whether others can dial us, as far as we know.
    fn is_reachable(&self) -> bool {
        let is_here = self.config.bind.is_some_and(|bind| bind.is_loopback());
        let was_dialled = matches!(self.reachability.dialability(self.now()), Dialability::From(_));
        is_here || was_dialled || self.swarm.external_addresses().next().is_some()
    }

    /// Only who can be reached answers for the DHT: others would wait for him in vain.
    pub(super) fn show_reachable(&mut self) {
        let is_reachable = self.is_reachable();
        if let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() {
            dht.set_reachable(is_reachable);
        }
    }

    /// Where we can be dialled changed.
    pub(super) fn tell_dht_addresses(&mut self) {
        let addresses = self.addresses.borrow().clone();
        if let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() {
            dht.set_addresses(addresses);
            self.torrents.values_mut().for_each(|state| state.dht.pace.on_moved());
        }
    }

    /// Forgets what others announced to us and did not announce again.
    pub(super) fn expire_providers(&mut self) {
        if let Some(dht) = self.dht() {
            dht.expire();
        }
    }

    /// Nodes in the table.
    pub(super) fn dht_nodes(&mut self) -> usize {
        self.dht().map_or(0, |dht| dht.nodes())
    }

    fn dht(&mut self) -> Option<&mut DhtBehaviour> {
        self.swarm.behaviour_mut().dht.as_mut()
    }
}

/// Whether strangers may hear of a torrent: only a private one's tracker may say who takes part in it.
fn may_be_known(state: &TorrentState) -> bool {
    let metainfo = match &state.phase {
        Phase::Active(active) => Some(&*active.metainfo),
        Phase::Fetching(fetching) => fetching.partial.as_ref(),
        Phase::Checking { .. } | Phase::Failed => return false,
    };
    metainfo.is_none_or(|metainfo| !metainfo.is_private())
}
