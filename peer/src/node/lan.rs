//! Neighbours on the local network: who is asked for which torrent, and how often.
//!
//! That a peer is there says nothing about what it has. So each is asked once for each torrent, by a
//! handshake, and not again before it has something new to tell.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::ops::Bound;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use samara_proto::moment::Moment;
use tokio::sync::watch;

use super::autonomy::Sightings;
use super::torrent::{Phase, TorrentState};
use super::{NodeIdentity, NodeLoop};
use crate::engine::event::{Input, PeerKey, Source, TorrentId};
use crate::handle::NodeConfig;
use crate::net::bind::Binding;
use crate::net::discovery::lan::{Lan, LanConfig, LanEvent};
use crate::net::discovery::{Discovered, Voice};

/// Torrents that one neighbour is asked for between two ticks: half of the handshakes it does at once, of
/// which others want some too.
const OFFERS_PER_NEIGHBOUR: usize = 2;
/// The same for all neighbours together.
const OFFERS: usize = 16;
/// Between two rounds of asking a neighbour that has something new to tell.
const ROUND_GAP: Duration = Duration::from_secs(1);
/// Before a neighbour is asked again although it told nothing new: word of it may have been lost.
const ASK_AGAIN: Duration = Duration::from_secs(600);

/// Everybody heard on the local network.
pub(super) struct Neighbourhood {
    /// `None` if the local network is not used.
    lan: Option<Lan>,
    /// As many as the source keeps.
    neighbours: BTreeMap<PeerId, Neighbour>,
    /// What may still be asked before the next tick.
    allowed: usize,
    /// Who was asked last: whoever follows is next.
    last_asked: Option<PeerId>,
}

struct Neighbour {
    addresses: Vec<Multiaddr>,
    /// Torrents it is still to be asked for.
    pending: BTreeSet<TorrentId>,
    allowed: usize,
    /// When the last round of asking began.
    round: Moment,
    /// It has something new to tell.
    has_news: bool,
}

impl Neighbourhood {
    /// Begins to listen, if that is wanted.
    pub(super) fn new(
        config: &NodeConfig,
        identity: &NodeIdentity,
        binding: Option<&Binding>,
        addresses: &watch::Sender<Vec<Multiaddr>>,
    ) -> Self {
        let lan = config.discovery.lan.then(|| {
            Lan::start(LanConfig {
                keypair: identity.keypair().clone(),
                binding: binding.cloned(),
                addresses: addresses.subscribe(),
            })
        });
        Self { lan, neighbours: BTreeMap::new(), allowed: OFFERS, last_asked: None }
    }

    /// What is heard next; never, if nothing is listened to.
    pub(super) async fn next_event(&mut self) -> LanEvent {
        let Some(lan) = &mut self.lan else { return pending().await };
        match lan.next_event().await {
            Some(event) => event,
            None => {
                self.lan = None;
                pending().await
            }
        }
    }

    /// Takes the next question that may be asked: whom, and for which torrent.
    fn next_offer(&mut self) -> Option<(PeerId, Vec<Multiaddr>, TorrentId)> {
        if self.allowed == 0 {
            return None;
        }
        let after = self.last_asked.map_or(Bound::Unbounded, Bound::Excluded);
        let may_ask = |neighbour: &Neighbour| neighbour.allowed > 0 && !neighbour.pending.is_empty();
        let next = self
            .neighbours
            .range((after, Bound::Unbounded))
            .chain(&self.neighbours)
            .find_map(|(id, neighbour)| may_ask(neighbour).then_some(*id))?;
        let neighbour = self.neighbours.get_mut(&next)?;
        let torrent = neighbour.pending.pop_first()?;
        neighbour.allowed -= 1;
        self.allowed -= 1;
        self.last_asked = Some(next);
        Some((next, neighbour.addresses.clone(), torrent))
    }
}

impl TorrentState {
    /// Whether neighbours may be asked for it. Of a torrent that only its hash is known of, nobody knows yet
    /// whether it is private.
    fn may_use_lan(&self) -> bool {
        match &self.phase {
            Phase::Active(active) => !active.metainfo.is_private(),
            Phase::Fetching(fetching) => {
                fetching.partial.as_ref().is_none_or(|metainfo| !metainfo.is_private())
            }
            Phase::Checking { .. } | Phase::Failed => false,
        }
    }

    /// Whether something of it is missing.
    fn is_incomplete(&self) -> bool {
        match &self.phase {
            Phase::Active(active) => !active.completed,
            Phase::Fetching(_) => true,
            Phase::Checking { .. } | Phase::Failed => false,
        }
    }
}

impl NodeLoop {
    pub(super) fn on_lan_event(&mut self, event: LanEvent) {
        match event {
            LanEvent::Heard { peer, addresses } => self.on_neighbour(peer, addresses),
            LanEvent::Lost { peer } => self.on_neighbour_lost(peer),
        }
    }

    fn on_neighbour(&mut self, id: PeerId, addresses: Vec<Multiaddr>) {
        tracing::debug!(peer = %id, ?addresses, "heard on the local network");
        if let Some(known) = self.neighbourhood.neighbours.get_mut(&id) {
            known.addresses = addresses;
            known.has_news = true;
        } else {
            let pending = self.torrents_where(TorrentState::may_use_lan);
            let (allowed, round) = (OFFERS_PER_NEIGHBOUR, self.now());
            let neighbour = Neighbour { addresses, pending, allowed, round, has_news: false };
            self.neighbourhood.neighbours.insert(id, neighbour);
        }
        self.begin_rounds();
        self.ask_pending();
    }

    /// A dial of `peer` failed.
    pub(super) fn doubt_neighbour(&self, peer: PeerId) {
        if let Some(lan) = self.neighbourhood.lan.as_ref()
            && self.neighbourhood.neighbours.contains_key(&peer)
        {
            lan.doubt(peer);
        }
    }

    fn on_neighbour_lost(&mut self, id: PeerId) {
        self.neighbourhood.neighbours.remove(&id);
        let Some(peer) = self.peers.known_key(&id) else { return };
        for (&torrent, state) in &mut self.torrents {
            let is_linked = || self.links.values().any(|link| link.torrent == torrent && link.peer == peer);
            let named = state.known.get(&peer);
            if named.is_some_and(|sightings| sightings.is_named_only_by(&[Source::Lan])) && !is_linked() {
                state.known.remove(&peer);
            }
        }
    }

    fn torrents_where(&self, holds: impl Fn(&TorrentState) -> bool) -> BTreeSet<TorrentId> {
        self.torrents.iter().filter(|(_, state)| holds(state)).map(|(&torrent, _)| torrent).collect()
    }

    /// Asks all neighbours for a torrent.
    pub(super) fn ask_neighbours(&mut self, torrent: TorrentId) {
        if !self.torrents.get(&torrent).is_some_and(TorrentState::may_use_lan) {
            return;
        }
        for neighbour in self.neighbourhood.neighbours.values_mut() {
            neighbour.pending.insert(torrent);
        }
        self.ask_pending();
    }

    /// Lets the neighbours know that there is a torrent here that was not before. Which it is they are not
    /// told: whoever wants something asks.
    pub(super) fn tell_neighbours(&self, torrent: TorrentId) {
        let is_public = self.torrents.get(&torrent).is_some_and(TorrentState::may_use_lan);
        if let Some(lan) = self.neighbourhood.lan.as_ref().filter(|_| is_public) {
            lan.announce();
        }
    }

    /// Goes on asking, as far as that may be done until the next tick.
    pub(super) fn offer_neighbours(&mut self) {
        self.neighbourhood.allowed = OFFERS;
        for neighbour in self.neighbourhood.neighbours.values_mut() {
            neighbour.allowed = OFFERS_PER_NEIGHBOUR;
        }
        self.begin_rounds();
        self.ask_pending();
    }

    /// Asks those again, for what is still missing here, who have something new to tell or were not asked
    /// for long. Whoever misses what we have comes by himself.
    fn begin_rounds(&mut self) {
        let now = self.now();
        let is_due = |neighbour: &Neighbour| {
            now.since(neighbour.round) >= if neighbour.has_news { ROUND_GAP } else { ASK_AGAIN }
        };
        if !self.neighbourhood.neighbours.values().any(is_due) {
            return;
        }
        let missing = self.torrents_where(|state| state.may_use_lan() && state.is_incomplete());
        for neighbour in self.neighbourhood.neighbours.values_mut().filter(|neighbour| is_due(neighbour)) {
            neighbour.pending.extend(&missing);
            (neighbour.round, neighbour.has_news) = (now, false);
        }
    }

    fn ask_pending(&mut self) {
        while let Some((peer, addresses, torrent)) = self.neighbourhood.next_offer() {
            if self.torrents.get(&torrent).is_some_and(TorrentState::may_use_lan) {
                self.on_discovered(Discovered {
                    torrent,
                    peer,
                    addresses,
                    source: Source::Lan,
                    voice: Voice::default(),
                });
            }
        }
    }

    /// Whether nothing but that it is near speaks for `peer` having the torrent.
    pub(super) fn is_mere_neighbour(&self, torrent: TorrentId, peer: PeerKey) -> bool {
        let known = self.torrents.get(&torrent).and_then(|state| state.known.get(&peer));
        known.is_some_and(|sightings| sightings.is_named_only_by(&[Source::Lan]))
    }

    /// A neighbour does not have the torrent: it is left alone.
    pub(super) fn on_refused(&mut self, torrent: TorrentId, peer: PeerKey) {
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        state.known.remove(&peer);
        match &mut state.phase {
            Phase::Fetching(fetching) => {
                fetching.asking.remove(&peer);
                fetching.failed.remove(&peer);
            }
            _ => self.drive(Input::Refused { torrent, peer }),
        }
    }

    /// A torrent turns out to be private: nobody is kept that only the local network or the DHT named, and no
    /// connection over which the torrent could be had all the same.
    pub(super) fn part_from_neighbours(&mut self, torrent: TorrentId) {
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        let known = std::mem::take(&mut state.known);
        let public = [Source::Lan, Source::Dht];
        let is_mere = |(_, sightings): &(PeerKey, Sightings)| sightings.is_named_only_by(&public);
        let (mere, others): (Vec<_>, Vec<_>) = known.into_iter().partition(is_mere);
        state.known.extend(others);
        for (peer, _) in mere {
            let is_linked = self.links.values().any(|link| link.peer == peer);
            if let Some(id) = self.peers.id(peer).filter(|_| !is_linked) {
                // An error means that there is no connection.
                let _ = self.swarm.disconnect_peer_id(id);
            }
        }
    }

    /// Neighbours that are still there could be found again at any time.
    pub(super) fn refresh_neighbours(&mut self) {
        let now = self.now();
        let there: Vec<PeerKey> =
            self.neighbourhood.neighbours.keys().filter_map(|id| self.peers.known_key(id)).collect();
        for state in self.torrents.values_mut().filter(|state| state.may_use_lan()) {
            for peer in &there {
                if let Some(sightings) = state.known.get_mut(peer) {
                    sightings.see(Source::Lan, now);
                }
            }
        }
    }

    /// Says goodbye to the local network.
    pub(super) async fn leave_neighbours(&mut self) {
        if let Some(lan) = self.neighbourhood.lan.take() {
            lan.stop().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbourhood(neighbours: usize, torrents: u32) -> Neighbourhood {
        let neighbour = || Neighbour {
            addresses: Vec::new(),
            pending: (0..torrents).map(TorrentId).collect(),
            allowed: OFFERS_PER_NEIGHBOUR,
            round: Moment::ZERO,
            has_news: false,
        };
        let neighbours = (0..neighbours).map(|_| (PeerId::random(), neighbour())).collect();
        Neighbourhood { lan: None, neighbours, allowed: OFFERS, last_asked: None }
    }

    #[test]
    fn one_neighbour_is_asked_for_a_few_torrents_at_a_time() {
        let mut neighbourhood = neighbourhood(1, 100);
        let asked: Vec<_> = std::iter::from_fn(|| neighbourhood.next_offer()).collect();
        assert_eq!(asked.len(), OFFERS_PER_NEIGHBOUR);
        assert_ne!(asked[0].2, asked[1].2);
    }

    #[test]
    fn everybody_gets_a_turn_before_somebody_gets_two() {
        let mut neighbourhood = neighbourhood(2 * OFFERS, 100);
        let mut asked = BTreeSet::new();
        for _ in 0..2 {
            neighbourhood.allowed = OFFERS;
            let turn: Vec<_> = std::iter::from_fn(|| neighbourhood.next_offer()).collect();
            assert_eq!(turn.len(), OFFERS);
            asked.extend(turn.into_iter().map(|(peer, ..)| peer));
        }
        assert_eq!(asked.len(), 2 * OFFERS);
    }

    #[test]
    fn nobody_is_asked_twice_for_one_torrent() {
        let mut neighbourhood = neighbourhood(3, 1);
        let asked: Vec<_> = std::iter::from_fn(|| neighbourhood.next_offer()).collect();
        assert_eq!(asked.len(), 3);
        neighbourhood.allowed = OFFERS;
        assert!(neighbourhood.next_offer().is_none());
    }
}
