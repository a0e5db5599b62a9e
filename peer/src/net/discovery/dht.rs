//! The DHT: libp2p's Kademlia, held to our own rules on whom to dial, whom to believe and what to keep.
//!
//! The ready-made behaviour dials whomever an answer names, takes providers for nodes of the DHT, forgets
//! their addresses when a query ends, and keeps or passes on addresses whoever they belong to. So every
//! answer is sifted before it sees it, and every answer of ours before it leaves; announces are kept by our
//! own store; and whom it wants to dial is a question to the node, which owns the one dial policy.

mod answers;
pub mod pace;
mod records;
mod store;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::kad::{
    self, AddProviderPhase, KadPeer, Mode, QueryId, QueryInfo, QueryResult, RecordKey, RoutingUpdate,
};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, DialError, FromSwarm, NetworkBehaviour, NotifyHandler, StreamProtocol,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use samara_proto::dht::DhtKey;
use samara_proto::moment::Moment;

use super::policy::Endpoint as Door;
use crate::net::address::{Reach, canonical, ip_of, is_link_local, reach_of, without_identity};
use records::Records;
use store::{PROVIDER_TTL, Provider};
use table::Table;

/// The name under which it is negotiated: a network of its own, whose nodes keep the same rules.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/samara/kad/1.0.0");

/// A query that has not ended by then has found what it will find.
const QUERY_TIMEOUT: Duration = Duration::from_secs(15);
/// An announce looks for so long for the nodes nearest to its key and then tells those that answered: when a
/// query times out while it looks, libp2p tells nobody, and one liar who names nodes that do not answer is
/// enough for that.
const ANNOUNCE_LOOKING: Duration = Duration::from_secs(8);
/// Room for the longest honest answer: forty peers with eight addresses each.
const PACKET_BYTES: usize = 64 * 1024;
/// How often the routing table is refreshed by looking for our neighbours.
const REFRESH: Duration = Duration::from_secs(600);
/// A lookup ends when so many nodes named providers: one alone, or a few of one owner, could be lying.
const ENOUGH_ANSWERS: usize = 4;
/// And they named so many: as many as are asked of a tracker.
const ENOUGH_PROVIDERS: usize = 50;
/// Providers taken from one lookup; a lookup that is told of more is being flooded.
const MOST_PROVIDERS: usize = 200;
/// Addresses of one node in the routing table.
const NODE_ADDRESSES: usize = 4;

type Kad = kad::Behaviour<Records>;
type FromHandler = THandlerOutEvent<Kad>;
type ToHandler = THandlerInEvent<Kad>;

/// What the DHT tells the node.
#[derive(Clone, Debug)]
pub enum DhtEvent {
    /// A query wants to speak to a node: it waits until a connection is up or a dial failed, or
    /// [`DhtBehaviour::on_not_dialled`] is called.
    Wanted {
        /// Whom.
        peer: PeerId,
        /// Where it may be, as far as others can be believed. Nobody vouches for them.
        addresses: Vec<Multiaddr>,
    },
    /// A lookup was told of peers.
    Found {
        /// Which lookup.
        query: QueryId,
        /// Who, and where they may be, as far as others can be believed. Nobody vouches for them.
        providers: Vec<(PeerId, Vec<Multiaddr>)>,
    },
    /// A lookup or announce ended.
    Ended {
        /// Which.
        query: QueryId,
        /// How many nodes answered it.
        reached: usize,
    },
    /// Nodes came into the routing table or left it.
    Nodes {
        /// How many are in it.
        count: usize,
    },
}

/// A connection with somebody.
struct Contact {
    connection: ConnectionId,
    /// Its address there, if the connection says.
    ip: Option<IpAddr>,
    /// Where we dialled it.
    dialled: Option<Multiaddr>,
}

/// What a lookup has found so far.
#[derive(Default)]
struct Lookup {
    answers: usize,
    providers: BTreeSet<PeerId>,
}

/// Takes part in the DHT: asks, answers, keeps what others announce.
pub struct DhtBehaviour {
    inner: Kad,
    own_id: PeerId,
    /// How near everybody is whom we can speak to at all.
    scope: Reach,
    contacts: BTreeMap<PeerId, Vec<Contact>>,
    table: Table,
    lookups: HashMap<QueryId, Lookup>,
    announces: HashSet<QueryId>,
    /// Announces in the order in which they began, as far as they may still be looking for the nodes to tell.
    looking: VecDeque<(Moment, QueryId)>,
    /// Where we can be dialled.
    addresses: Vec<Multiaddr>,
    /// What came up outside `poll`; bounded by what one connection can say before it is polled.
    actions: VecDeque<ToSwarm<DhtEvent, ToHandler>>,
}

impl DhtBehaviour {
    /// The DHT of the node with this identity, which speaks to nobody farther away than `scope`. It asks
    /// others and does not answer until it is told that others can reach it.
    pub fn new(own_id: PeerId, scope: Reach) -> Self {
        let mut config = kad::Config::new(PROTOCOL);
        config
            .disjoint_query_paths(true)
            .set_query_timeout(QUERY_TIMEOUT)
            .set_max_packet_size(PACKET_BYTES)
            .set_provider_record_ttl(Some(PROVIDER_TTL))
            // What is announced again, and when, is decided by the node.
            .set_provider_publication_interval(None)
            .set_record_ttl(None)
            .set_replication_interval(None)
            .set_publication_interval(None)
            .set_record_filtering(kad::StoreInserts::FilterBoth)
            .set_kbucket_inserts(kad::BucketInserts::Manual)
            .set_caching(kad::Caching::Disabled)
            .set_periodic_bootstrap_interval(Some(REFRESH));
        let mut inner = Kad::with_config(own_id, Records::new(own_id), config);
        inner.set_mode(Some(Mode::Client));
        Self {
            inner,
            own_id,
            scope,
            contacts: BTreeMap::new(),
            table: Table::default(),
            lookups: HashMap::new(),
            announces: HashSet::new(),
            looking: VecDeque::new(),
            addresses: Vec::new(),
            actions: VecDeque::new(),
        }
    }

    /// Asks who provides `key`: answered by any number of [`DhtEvent::Found`] and one [`DhtEvent::Ended`].
    pub fn look_up(&mut self, key: DhtKey) -> QueryId {
        let query = self.inner.get_providers(RecordKey::new(key.as_bytes()));
        self.lookups.insert(query, Lookup::default());
        let kept = self.inner.store_mut().announced(&key);
        self.on_named(query, kept);
        query
    }

    /// Announces that we provide `key`: answered by one [`DhtEvent::Ended`].
    pub fn announce(&mut self, now: Moment, key: DhtKey) -> Option<QueryId> {
        let query = self.inner.start_providing(RecordKey::new(key.as_bytes())).ok()?;
        self.announces.insert(query);
        self.looking.push_back((now, query));
        Some(query)
    }

    /// Lets announces that have looked long enough for nodes tell those they found.
    pub fn hasten_announces(&mut self, now: Moment) {
        while let Some(&(at, query)) = self.looking.front()
            && now.since(at) >= ANNOUNCE_LOOKING
        {
            self.looking.pop_front();
            let Some(mut query) = self.inner.query_mut(&query) else { continue };
            if matches!(query.info(), QueryInfo::AddProvider { phase: AddProviderPhase::GetClosestPeers, .. })
            {
                query.finish();
            }
        }
    }

    /// Gives up a lookup or announce; nothing more is heard of it.
    pub fn give_up(&mut self, query: QueryId) {
        self.lookups.remove(&query);
        self.announces.remove(&query);
        if let Some(mut query) = self.inner.query_mut(&query) {
            query.finish();
        }
    }

    /// We provide `key` no longer. Others forget it in their own time.
    pub fn withdraw(&mut self, key: DhtKey) {
        self.inner.stop_providing(&RecordKey::new(key.as_bytes()));
    }

    /// Others can reach us, so we answer them; or not.
    pub fn set_reachable(&mut self, is_reachable: bool) {
        let mode = if is_reachable { Mode::Server } else { Mode::Client };
        if self.inner.mode() != mode {
            tracing::debug!(%mode, "in the DHT");
            self.inner.set_mode(Some(mode));
        }
    }

    /// Where we say we can be dialled when we announce.
    pub fn set_addresses(&mut self, addresses: Vec<Multiaddr>) {
        self.addresses = addresses;
    }

    /// A node that a query wants to speak to is not dialled.
    pub fn on_not_dialled(&mut self, peer: PeerId) {
        let error = &DialError::NoAddresses;
        let connection_id = ConnectionId::new_unchecked(0);
        let failure = DialFailure { peer_id: Some(peer), error, connection_id };
        self.inner.on_swarm_event(FromSwarm::DialFailure(failure));
    }

    /// A connected peer says which protocols it speaks and where it listens. If it serves the DHT, it is
    /// taken into the routing table with what is proven: addresses where we dialled it, or where it is
    /// connected from.
    pub fn on_identified(&mut self, peer: PeerId, protocols: &[StreamProtocol], listens: &[Multiaddr]) {
        if !protocols.contains(&PROTOCOL) {
            return self.remove(&peer);
        }
        let Some(contacts) = self.contacts.get(&peer) else { return };
        let ips: Vec<IpAddr> = contacts.iter().filter_map(|contact| contact.ip).collect();
        let is_there = |address: &&Multiaddr| {
            Door::of(address).is_some_and(|door| ips.contains(&door.ip())) && !is_link_local(address)
        };
        let dialled = contacts.iter().filter_map(|contact| contact.dialled.as_ref());
        let mut addresses: Vec<Multiaddr> = Vec::with_capacity(NODE_ADDRESSES);
        for address in dialled.chain(listens.iter().filter(is_there)) {
            if addresses.len() < NODE_ADDRESSES && !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        let ip = ips.first().copied();
        if addresses.is_empty() || !self.table.admits(&peer, ip) {
            return;
        }
        for address in &addresses {
            // A full bucket takes a node in when another is found to be gone: it is told then.
            if let RoutingUpdate::Success = self.inner.add_address(&peer, address.clone()) {
                self.table.on_met(peer, ip);
            }
        }
        for old in self.addresses_of(&peer) {
            if !addresses.contains(&without_identity(&old)) {
                self.inner.remove_address(&peer, &old);
            }
        }
    }

    /// Where a node of the routing table can be dialled.
    fn addresses_of(&mut self, peer: &PeerId) -> Vec<Multiaddr> {
        let Some(bucket) = self.inner.kbucket(*peer) else { return Vec::new() };
        let node = bucket.iter().find(|entry| entry.node.key.preimage() == peer);
        node.map_or_else(Vec::new, |entry| entry.node.value.iter().cloned().collect())
    }

    /// How many nodes are in the routing table.
    pub fn nodes(&self) -> usize {
        self.table.len()
    }

    /// Whether a node is in the routing table.
    pub fn knows(&self, peer: &PeerId) -> bool {
        self.table.contains(peer)
    }

    /// The nodes in the routing table and where they can be dialled.
    pub fn known_nodes(&mut self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let nodes = self.inner.kbuckets().flat_map(|bucket| {
            let entries = bucket.iter().map(|entry| {
                let addresses = entry.node.value.iter().cloned().collect();
                (*entry.node.key.preimage(), addresses)
            });
            entries.collect::<Vec<_>>()
        });
        nodes.collect()
    }

    /// Forgets providers that have not announced again in time.
    pub fn expire(&mut self) {
        self.inner.store_mut().expire();
    }

    fn remove(&mut self, peer: &PeerId) {
        if self.table.contains(peer) {
            self.table.on_removed(peer);
            self.inner.remove_peer(peer);
            self.tell_count();
        }
    }

    fn tell_count(&mut self) {
        let count = self.table.len();
        self.actions.push_back(ToSwarm::GenerateEvent(DhtEvent::Nodes { count }));
    }

    /// How near a peer is by the connections we have with it.
    fn nearness(&self, peer: &PeerId) -> Reach {
        let contacts = self.contacts.get(peer).into_iter().flatten();
        contacts.filter_map(|contact| contact.ip).map(reach_of).fold(self.scope, Reach::max)
    }

    fn on_named(&mut self, query: QueryId, providers: Vec<Provider>) {
        let Some(lookup) = self.lookups.get_mut(&query) else { return };
        if providers.is_empty() {
            return;
        }
        lookup.answers += 1;
        let room = MOST_PROVIDERS.saturating_sub(lookup.providers.len());
        let others = providers.into_iter().filter(|(id, _)| *id != self.own_id);
        let providers: Vec<Provider> = others.take(room).collect();
        lookup.providers.extend(providers.iter().map(|(id, _)| *id));
        if lookup.answers >= ENOUGH_ANSWERS
            && lookup.providers.len() >= ENOUGH_PROVIDERS
            && let Some(mut query) = self.inner.query_mut(&query)
        {
            query.finish();
        }
        if !providers.is_empty() {
            self.actions.push_back(ToSwarm::GenerateEvent(DhtEvent::Found { query, providers }));
        }
    }

    /// Sifts what a remote's handler says; `None` if it is dealt with.
    fn sift(&mut self, source: PeerId, connection: ConnectionId, event: FromHandler) -> Option<FromHandler> {
        let teller = self.nearness(&source);
        let believed = |peers: Vec<KadPeer>| {
            answers::believed(peers, teller, |peer| {
                self.contacts.contains_key(peer) || self.table.contains(peer)
            })
        };
        match event {
            FromHandler::FindNodeRes { closer_peers, query_id } => {
                Some(FromHandler::FindNodeRes { closer_peers: believed(closer_peers), query_id })
            }
            FromHandler::GetRecordRes { record, closer_peers, query_id } => {
                Some(FromHandler::GetRecordRes { record, closer_peers: believed(closer_peers), query_id })
            }
            FromHandler::GetProvidersRes { closer_peers, provider_peers, query_id } => {
                let (closer_peers, providers) = (believed(closer_peers), believed(provider_peers));
                let named = providers.into_iter().map(|peer| (peer.node_id, peer.multiaddrs)).collect();
                self.on_named(query_id, named);
                // Providers are nobody to ask about other providers.
                let provider_peers = Vec::new();
                Some(FromHandler::GetProvidersRes { closer_peers, provider_peers, query_id })
            }
            FromHandler::AddProvider { key, provider } => {
                self.on_announce(source, &key, provider);
                None
            }
            FromHandler::PutRecord { request_id, .. } => {
                let (handler, event) = (NotifyHandler::One(connection), ToHandler::Reset(request_id));
                self.actions.push_back(ToSwarm::NotifyHandler { peer_id: source, handler, event });
                None
            }
            other => Some(other),
        }
    }

    /// Somebody announces a key: himself only, and with addresses only that he is connected from.
    fn on_announce(&mut self, source: PeerId, key: &RecordKey, provider: KadPeer) {
        let Some(key) = DhtKey::from_slice(key.as_ref()) else { return };
        if provider.node_id != source {
            return;
        }
        let contacts = self.contacts.get(&source).into_iter().flatten();
        let from: Vec<IpAddr> = contacts.filter_map(|contact| contact.ip).collect();
        if let Err(why) = self.inner.store_mut().keep(key, source, &from, provider.multiaddrs) {
            tracing::debug!(%source, ?why, "an announce is not kept");
        }
    }

    /// Sifts what is about to be said to a remote.
    fn sift_ours(&self, listener: &PeerId, event: ToHandler) -> ToHandler {
        let near = self.nearness(listener);
        match event {
            ToHandler::AddProvider { key, mut provider, query_id } => {
                provider.multiaddrs = answers::told(&self.addresses, near);
                ToHandler::AddProvider { key, provider, query_id }
            }
            ToHandler::FindNodeRes { closer_peers, request_id } => {
                let closer_peers = answers::tellable(closer_peers, near);
                ToHandler::FindNodeRes { closer_peers, request_id }
            }
            ToHandler::GetRecordRes { record, closer_peers, request_id } => {
                let closer_peers = answers::tellable(closer_peers, near);
                ToHandler::GetRecordRes { record, closer_peers, request_id }
            }
            ToHandler::GetProvidersRes { closer_peers, mut provider_peers, request_id } => {
                for own in provider_peers.iter_mut().filter(|peer| peer.node_id == self.own_id) {
                    own.multiaddrs = self.addresses.clone();
                }
                let closer_peers = answers::tellable(closer_peers, near);
                let provider_peers = answers::tellable(provider_peers, near);
                ToHandler::GetProvidersRes { closer_peers, provider_peers, request_id }
            }
            other => other,
        }
    }

    fn on_inner(&mut self, event: kad::Event) -> Option<DhtEvent> {
        match event {
            kad::Event::OutboundQueryProgressed { id, result, stats, step } if step.last => {
                // An announce that failed told nobody, however many were asked for the way.
                let has_failed = matches!(result, QueryResult::StartProviding(Err(_)));
                let is_ours = match result {
                    QueryResult::GetProviders(_) => self.lookups.remove(&id).is_some(),
                    QueryResult::StartProviding(_) => self.announces.remove(&id),
                    _ => false,
                };
                let reached = if has_failed { 0 } else { stats.num_successes() as usize };
                is_ours.then_some(DhtEvent::Ended { query: id, reached })
            }
            kad::Event::RoutingUpdated { peer, is_new_peer: true, old_peer, .. } => {
                if let Some(old) = old_peer {
                    self.table.on_removed(&old);
                }
                if !self.table.contains(&peer) {
                    let contacts = self.contacts.get(&peer).into_iter().flatten();
                    let ip = contacts.filter_map(|contact| contact.ip).next();
                    self.table.on_met(peer, ip);
                }
                Some(DhtEvent::Nodes { count: self.table.len() })
            }
            _ => None,
        }
    }

    fn wanted(&mut self, peer: PeerId) -> DhtEvent {
        let connection = ConnectionId::new_unchecked(0);
        let nothing = &[];
        let addresses =
            self.inner.handle_pending_outbound_connection(connection, Some(peer), nothing, Endpoint::Dialer);
        // It refuses nobody.
        let addresses = addresses.unwrap_or_default();
        let addresses: BTreeSet<Multiaddr> =
            addresses.iter().filter(|address| Door::of(address).is_some()).map(without_identity).collect();
        DhtEvent::Wanted { peer, addresses: addresses.into_iter().collect() }
    }

    fn on_connected(&mut self, made: ConnectionEstablished<'_>) {
        let remote = made.endpoint.get_remote_address();
        let is_direct = !made.endpoint.is_relayed();
        let dialled = match made.endpoint {
            ConnectedPoint::Dialer { address, .. } if is_direct => Some(without_identity(address)),
            _ => None,
        };
        let ip = ip_of(remote).map(canonical).filter(|_| is_direct);
        let contact = Contact { connection: made.connection_id, ip, dialled };
        self.contacts.entry(made.peer_id).or_default().push(contact);
        self.table.on_connected(&made.peer_id);
    }

    fn on_closed(&mut self, closed: ConnectionClosed<'_>) {
        let Some(contacts) = self.contacts.get_mut(&closed.peer_id) else { return };
        contacts.retain(|contact| contact.connection != closed.connection_id);
        if contacts.is_empty() {
            self.contacts.remove(&closed.peer_id);
        }
    }

    /// A node that does not answer is forgotten, unless nobody at all answers us.
    fn on_dial_failed(&mut self, failure: DialFailure<'_>) {
        let Some(peer) = failure.peer_id else { return };
        if matches!(failure.error, DialError::Transport(_) | DialError::WrongPeerId { .. })
            && !self.contacts.contains_key(&peer)
            && !self.contacts.is_empty()
            && self.table.on_failed(&peer)
        {
            self.remove(&peer);
        }
    }
}

impl NetworkBehaviour for DhtBehaviour {
    type ConnectionHandler = <Kad as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = DhtEvent;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    // Nobody's dial gets addresses from us by the way: what a query wants is asked of the node.

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(made) => self.on_connected(made),
            FromSwarm::ConnectionClosed(closed) => self.on_closed(closed),
            FromSwarm::DialFailure(failure) => self.on_dial_failed(failure),
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        if let Some(event) = self.sift(peer, connection, event) {
            self.inner.on_connection_handler_event(peer, connection, event);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            let Poll::Ready(action) = self.inner.poll(cx) else { return Poll::Pending };
            match action {
                ToSwarm::GenerateEvent(event) => {
                    if let Some(event) = self.on_inner(event) {
                        return Poll::Ready(ToSwarm::GenerateEvent(event));
                    }
                }
                ToSwarm::Dial { opts } => {
                    if let Some(peer) = opts.get_peer_id() {
                        return Poll::Ready(ToSwarm::GenerateEvent(self.wanted(peer)));
                    }
                }
                ToSwarm::NotifyHandler { peer_id, handler, event } => {
                    let event = self.sift_ours(&peer_id, event);
                    return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event });
                }
                ToSwarm::CloseConnection { peer_id, connection } => {
                    return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection });
                }
                // It asks for nothing else.
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
