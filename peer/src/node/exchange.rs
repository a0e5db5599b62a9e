//! Peers that tell each other of peers: who is told of whom, who is believed, who proved that he can be dialled.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use samara_proto::limits::RECORD_ADDRESSES;
use samara_proto::moment::Moment;
use samara_proto::record::SignedRecord;
use samara_proto::wire::extension::PexFlags;

use super::NodeLoop;
use super::links::LinkEntry;
use crate::engine::event::{LinkId, PeerKey, Source, TorrentId};
use crate::net::address::{Reach, is_link_local, is_tcp, reach, reach_of};
use crate::net::discovery::pex::{Neighbour, Outbox, Teller, Told};
use crate::net::discovery::policy::is_believable;
use crate::net::discovery::{Discovered, Voice, seconds_since_1970};
use crate::net::transport::stays_on;

/// Peers being dialled at once to see whether they can be.
const PROBES: usize = 8;
/// Seeds part when neither needs the other, and meet again after a quarter of an hour: so long, and some more,
/// they tell newcomers of each other.
const PARTED: Duration = Duration::from_secs(30 * 60);
/// Before a peer that could not be dialled is tried again; doubled each time.
const PROBE_AGAIN: Duration = Duration::from_secs(60);

/// What one link was told and told us.
#[derive(Default)]
pub(super) struct Exchange {
    outbox: Outbox,
    teller: Teller,
    /// The remote's own words on where it can be dialled.
    record: Option<SignedRecord>,
    /// The addresses in the record of ours that it was given.
    own_told: Option<Vec<Multiaddr>>,
    /// The state of [`NodeLoop::neighbours`] of which it has heard everything.
    heard_up_to: u64,
    probe_not_before: Moment,
    probe_failures: u32,
}

/// A peer with which there was nothing to trade.
pub(super) struct Parted {
    record: SignedRecord,
    at: Moment,
}

impl Parted {
    /// Whether it is most likely still there.
    pub(super) fn is_recent(&self, now: Moment) -> bool {
        now.since(self.at) <= PARTED
    }
}

/// A dial made only to see whether the peer can be dialled.
pub(super) struct Probe {
    addresses: Vec<Multiaddr>,
}

impl NodeLoop {
    /// How near a peer is by the connection we have with it, or by where we must stay.
    pub(super) fn nearness(&self, id: &PeerId) -> Reach {
        let by_bind = self.config.bind.map_or(Reach::Everybody, reach_of);
        self.contacts.get(id).copied().unwrap_or(Reach::Everybody).max(by_bind)
    }

    /// A connection is up: where it ends tells how near the peer is and, if we dialled, that it can be.
    pub(super) fn note_contact(&mut self, id: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        // The address of a relayed connection is the relay's.
        if !endpoint.is_relayed() {
            let near = reach(endpoint.get_remote_address());
            let known = self.contacts.entry(id).or_insert(near);
            *known = near.max(*known);
        }
        let probe = self.probes.remove(&connection);
        if let ConnectedPoint::Dialer { address, .. } = endpoint
            && !endpoint.is_relayed()
        {
            let peer = self.peers.key(id);
            self.peers.prove(peer, address.clone());
            self.policy.on_worked(address);
            self.neighbours += 1;
        }
        let Some(probe) = probe else { return };
        for address in &probe.addresses {
            self.policy.on_abandoned(address);
        }
        // Whoever waits for a connection may have this one.
        if !self.dialling.contains_key(&id) {
            self.swarm.close_connection(connection);
        }
    }

    /// A dial failed that may have been a probe.
    pub(super) fn note_probe_failed(&mut self, connection: ConnectionId) {
        let Some(probe) = self.probes.remove(&connection) else { return };
        let now = self.now();
        for address in &probe.addresses {
            self.policy.on_failed(now, address);
        }
    }

    pub(super) fn on_told(&mut self, link: LinkId, told: Told) {
        let Some(entry) = self.links.get_mut(&link) else { return };
        let (torrent, peer) = (entry.torrent, entry.peer);
        let Some(exchange) = &mut entry.exchange else { return };
        for id in &told.dropped {
            exchange.teller.on_dropped(*id);
        }
        let own_words = told.me.as_ref().map(|record| record.addresses().to_vec());
        if told.me.is_some() {
            exchange.record = told.me;
            self.neighbours += 1;
        }
        let Some(id) = self.peers.id(peer) else { return };
        let teller = self.nearness(&id);
        let believed = |addresses: &[Multiaddr]| -> Vec<Multiaddr> {
            addresses.iter().filter(|address| is_believable(address, teller)).cloned().collect()
        };
        if let Some(addresses) = own_words {
            self.peers.learn(peer, Source::Incoming, believed(&addresses));
        }
        let has_all = self
            .torrents
            .get(&torrent)
            .is_some_and(|state| state.active().is_some_and(|active| active.completed));
        for (record, flags) in told.added {
            let named = record.peer_id();
            let addresses = believed(record.addresses());
            if named == self.own_id || addresses.is_empty() {
                continue;
            }
            let is_linked = self.is_linked(torrent, named);
            if has_all && flags.has(PexFlags::SEED) && !is_linked {
                self.note_named(torrent, &named);
                continue;
            }
            let teller = self.links.get_mut(&link).and_then(|entry| entry.exchange.as_mut());
            if teller.is_some_and(|exchange| exchange.teller.on_named(named, is_linked)) {
                self.on_discovered(Discovered {
                    torrent,
                    peer: named,
                    addresses,
                    source: Source::Pex,
                    voice: Voice::default(),
                });
            }
        }
    }

    /// A peer we have no use for was named by another: it could be found that way.
    fn note_named(&mut self, torrent: TorrentId, id: &PeerId) {
        let (now, peer) = (self.now(), self.peers.known_key(id));
        let state = self.torrents.get_mut(&torrent);
        if let Some(sightings) = state.zip(peer).and_then(|(state, peer)| state.known.get_mut(&peer)) {
            sightings.see(Source::Pex, now);
        }
    }

    fn is_linked(&mut self, torrent: TorrentId, id: PeerId) -> bool {
        let Some(peer) = self.peers.known_key(&id) else { return false };
        self.links.values().any(|entry| entry.torrent == torrent && entry.peer == peer)
    }

    /// Whoever named `peer` was right, or wrong.
    pub(super) fn judge_tellers(&mut self, torrent: TorrentId, peer: PeerKey, worked: bool) {
        let Some(id) = self.peers.id(peer) else { return };
        let tellers = self.links.values_mut().filter(|entry| entry.torrent == torrent);
        for exchange in tellers.filter_map(|entry| entry.exchange.as_mut()) {
            if worked { exchange.teller.on_worked(id) } else { exchange.teller.on_failed(id) }
        }
    }

    /// Tells every link what it has not heard, if its time has come, and finds out who can be dialled.
    pub(super) fn exchange_peers(&mut self) {
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for link in ids {
            self.probe(link);
            self.tell_peers(link);
        }
    }

    /// Tells one link what it has not heard, if its time has come.
    pub(super) fn tell_peers(&mut self, link: LinkId) {
        let now = self.now();
        let Some(entry) = self.links.get_mut(&link) else { return };
        let Some(exchange) = entry.exchange.as_mut().filter(|exchange| exchange.outbox.is_open(now)) else {
            return;
        };
        let (torrent, peer, heard_up_to) = (entry.torrent, entry.peer, exchange.heard_up_to);
        let own_told = exchange.own_told.clone();
        // Lent out while the other links' records are read.
        let mut outbox = std::mem::take(&mut exchange.outbox);
        let scope = self.peers.id(peer).map_or(Reach::Everybody, |id| self.nearness(&id));
        let own = own_addresses(&self.addresses.borrow(), scope);
        let own_changed = !own.is_empty() && own_told.as_ref() != Some(&own);
        let me = own_changed.then(|| self.own_record(&own)).flatten();
        let message = if me.is_some() || heard_up_to != self.neighbours {
            outbox.next(now, &self.neighbours_of(torrent, peer, scope), me.as_ref())
        } else {
            None
        };
        let Some(entry) = self.links.get_mut(&link) else { return };
        let Some(exchange) = &mut entry.exchange else { return };
        exchange.outbox = outbox;
        let Some(message) = message else {
            exchange.heard_up_to = self.neighbours;
            return;
        };
        if me.is_some() {
            exchange.own_told = Some(own);
            self.reachability.on_told(now);
        }
        if entry.link.tell(&message).is_err() {
            tracing::debug!(link = link.0, "the remote reads too slowly");
            self.end_link(link);
        }
    }

    /// Whom to tell `listener` of, who is linked with us from as far as `scope`.
    fn neighbours_of(
        &self,
        torrent: TorrentId,
        listener: PeerKey,
        scope: Reach,
    ) -> BTreeMap<PeerId, Neighbour<'_>> {
        let Some(state) = self.torrents.get(&torrent) else { return BTreeMap::new() };
        let now = self.now();
        let recent = state.parted.iter().filter(|(_, parted)| parted.is_recent(now));
        let parted = recent.map(|(&peer, parted)| (peer, &parted.record, true));
        let linked = self.links.values().filter(|other| other.torrent == torrent).filter_map(|other| {
            let record = other.exchange.as_ref()?.record.as_ref()?;
            Some((other.peer, record, other.has.is_full()))
        });
        let tellable = parted
            .chain(linked)
            .filter(|&(peer, record, _)| peer != listener && self.can_be_passed_on(peer, record, scope));
        let told = tellable.map(|(_, record, is_seed)| {
            let seed = if is_seed { PexFlags::SEED } else { PexFlags::default() };
            (record.peer_id(), Neighbour { record, flags: PexFlags::REACHED.with(seed) })
        });
        told.collect()
    }

    /// A link ended. If both ends had everything, the other is most likely still there.
    pub(super) fn part(&mut self, entry: LinkEntry) {
        self.neighbours += 1;
        let now = self.now();
        let Some(state) = self.torrents.get_mut(&entry.torrent) else { return };
        state.remembered.on_parted(entry.peer);
        let Some(active) = state.active() else { return };
        let pieces = active.metainfo.layout().piece_count();
        // A leech that completes hangs up before its last words are out.
        let nearly_all = pieces - (pieces / 16 + 8).min(pieces);
        if entry.has.count_ones() >= nearly_all
            && active.completed
            && let Some(record) = entry.exchange.and_then(|exchange| exchange.record)
        {
            state.parted.insert(entry.peer, Parted { record, at: now });
        }
    }

    fn own_record(&self, addresses: &[Multiaddr]) -> Option<SignedRecord> {
        SignedRecord::sign(self.identity.keypair(), seconds_since_1970(), addresses)
            .inspect_err(|error| tracing::warn!(%error, "our own addresses cannot be signed"))
            .ok()
    }

    /// Whether others that are linked with us from as far as `scope` may be told of `peer`: it must have
    /// answered at an address in its record, and at one that means the same to them.
    fn can_be_passed_on(&self, peer: PeerKey, record: &SignedRecord, scope: Reach) -> bool {
        self.peers.proven(peer).any(|address| reach(address) <= scope && record.addresses().contains(address))
    }

    /// Dials the remote of `link` where it says it can be dialled, if nobody knows yet whether that is true.
    fn probe(&mut self, link: LinkId) {
        let now = self.now();
        let Some(entry) = self.links.get(&link) else { return };
        let Some(exchange) = &entry.exchange else { return };
        let Some(record) = &exchange.record else { return };
        if now < exchange.probe_not_before
            || self.probes.len() >= PROBES
            || self.can_be_passed_on(entry.peer, record, Reach::ThisMachine)
        {
            return;
        }
        let (id, bind) = (record.peer_id(), self.config.bind);
        let near = self.nearness(&id);
        let usable = |address: &&Multiaddr| {
            is_believable(address, near) && stays_on(bind, address) && !is_link_local(address)
        };
        let mut addresses: Vec<Multiaddr> = record.addresses().iter().filter(usable).cloned().collect();
        if addresses.iter().any(is_tcp) {
            addresses.retain(is_tcp);
        }
        addresses.retain(|address| self.policy.permit(now, address));
        let Some(exchange) = self.links.get_mut(&link).and_then(|entry| entry.exchange.as_mut()) else {
            return;
        };
        exchange.probe_not_before = now + PROBE_AGAIN * (1 << exchange.probe_failures.min(6));
        exchange.probe_failures += 1;
        if addresses.is_empty() {
            return;
        }
        let options = DialOpts::peer_id(id)
            .condition(PeerCondition::Always)
            .addresses(addresses.clone())
            // From our listening port it would be the same connection once more.
            .allocate_new_port()
            .build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => _ = self.probes.insert(connection, Probe { addresses }),
            Err(error) => {
                tracing::debug!(peer = %id, %error, "cannot probe");
                addresses.iter().for_each(|address| self.policy.on_abandoned(address));
            }
        }
    }

    /// What is told once stays true until it is taken back: links, and what the user and earlier sessions
    /// know, go on naming whom they named.
    pub(super) fn refresh_sightings(&mut self) {
        self.refresh_neighbours();
        let now = self.now();
        for state in self.torrents.values_mut() {
            state.parted.retain(|_, parted| parted.is_recent(now));
        }
        for entry in self.links.values() {
            let Some(state) = self.torrents.get_mut(&entry.torrent) else { continue };
            if let Some(sightings) = state.known.get_mut(&entry.peer) {
                for source in [Source::Link, Source::Cache] {
                    if sightings.is_named_by(source) {
                        sightings.see(source, now);
                    }
                }
            }
            for id in entry.exchange.iter().flat_map(|exchange| exchange.teller.standing()) {
                let known = self.peers.known_key(&id).and_then(|peer| state.known.get_mut(&peer));
                if let Some(sightings) = known {
                    sightings.see(Source::Pex, now);
                }
            }
        }
    }
}

/// Our addresses that mean something to a peer as near as `scope`, nearest first: as many as a record holds.
fn own_addresses(all: &[Multiaddr], scope: Reach) -> Vec<Multiaddr> {
    let is_useful = |address: &&Multiaddr| reach(address) <= scope && !is_link_local(address);
    let mut useful: Vec<Multiaddr> = all.iter().filter(is_useful).cloned().collect();
    useful.sort_by_key(|address| std::cmp::Reverse(reach(address)));
    useful.truncate(RECORD_ADDRESSES);
    useful
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_is_told_of_addresses_it_can_use_alone() {
        let all: Vec<Multiaddr> =
            ["/ip4/192.0.2.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1"]
                .map(|text| text.parse().expect("an address"))
                .into();
        assert_eq!(own_addresses(&all, Reach::Everybody), all[..1]);
        assert_eq!(own_addresses(&all, Reach::LocalNetwork), [all[1].clone(), all[0].clone()]);
        assert_eq!(own_addresses(&all, Reach::ThisMachine).len(), 3);
    }
}
