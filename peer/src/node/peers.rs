//! Everybody the node has heard of: numbers for the engine, addresses for the dialler.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use crate::engine::event::{PeerKey, Source};
use crate::net::address::is_tcp;
use crate::net::discovery::policy::Endpoint;
use crate::net::transport::stays_on;

/// Addresses kept of one peer from one source; a signed record holds eight.
const ADDRESSES_PER_SOURCE: usize = 8;
/// Addresses kept at which one peer answered.
const PROVEN_ADDRESSES: usize = 4;
/// Peers remembered; the addresses of further ones are not kept.
const PEERS: usize = 100_000;

/// Numbers and addresses of remote identities.
#[derive(Default)]
pub(super) struct Peers {
    keys: BTreeMap<PeerId, PeerKey>,
    entries: BTreeMap<PeerKey, Entry>,
    next: u64,
}

struct Entry {
    id: PeerId,
    /// What each source says; a later word of one source does not touch another's.
    addresses: BTreeMap<Source, BTreeSet<Multiaddr>>,
    /// Where we dialled it and it answered.
    proven: BTreeSet<Multiaddr>,
}

/// An address to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialable {
    pub(super) address: Multiaddr,
    /// It worked before or the user gave it: no false record led us there.
    pub(super) is_trusted: bool,
}

impl Peers {
    /// The number of `id`, given now if it is new.
    pub(super) fn key(&mut self, id: PeerId) -> PeerKey {
        if let Some(&key) = self.keys.get(&id) {
            return key;
        }
        let key = PeerKey(self.next);
        self.next += 1;
        self.keys.insert(id, key);
        self.entries.insert(key, Entry { id, addresses: BTreeMap::new(), proven: BTreeSet::new() });
        key
    }

    /// The number of `id`, if it has one.
    pub(super) fn known_key(&self, id: &PeerId) -> Option<PeerKey> {
        self.keys.get(id).copied()
    }

    /// Whether so many peers are known that new ones from public sources are not taken up.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= PEERS
    }

    /// The identity behind a number.
    pub(super) fn id(&self, key: PeerKey) -> Option<PeerId> {
        self.entries.get(&key).map(|entry| entry.id)
    }

    /// Learns from `source` where `key` can be dialled. A signed record is complete: it replaces what the
    /// source said before. What the user and earlier sessions say adds up.
    pub(super) fn learn(
        &mut self,
        key: PeerKey,
        source: Source,
        addresses: impl IntoIterator<Item = Multiaddr>,
    ) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let id = entry.id;
        let adds_up = matches!(source, Source::Link | Source::Cache);
        let fresh: Vec<Multiaddr> = addresses
            .into_iter()
            .filter_map(|address| bare(address, id))
            // A name to be looked up, and whatever else the transport understands, is the user's privilege.
            .filter(|address| source == Source::Link || Endpoint::of(address).is_some())
            .take(ADDRESSES_PER_SOURCE)
            .collect();
        if fresh.is_empty() {
            return;
        }
        let known = entry.addresses.entry(source).or_default();
        if !adds_up {
            known.clear();
        }
        let room = 2 * ADDRESSES_PER_SOURCE - known.len().min(2 * ADDRESSES_PER_SOURCE);
        known.extend(fresh.into_iter().take(room));
    }

    /// Takes note that `key` answered at `address` when we dialled it.
    pub(super) fn prove(&mut self, key: PeerKey, address: Multiaddr) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Some(address) = bare(address, entry.id) else { return };
        if entry.proven.len() >= PROVEN_ADDRESSES {
            entry.proven.pop_first();
        }
        entry.proven.insert(address);
    }

    /// Where `key` answered when we dialled it.
    pub(super) fn proven(&self, key: PeerKey) -> impl Iterator<Item = &Multiaddr> {
        self.entries.get(&key).into_iter().flat_map(|entry| &entry.proven)
    }

    /// The addresses of `key` that the user or a link named.
    pub(super) fn named_addresses(&self, key: PeerKey) -> impl Iterator<Item = &Multiaddr> {
        self.entries.get(&key).and_then(|entry| entry.addresses.get(&Source::Link)).into_iter().flatten()
    }

    /// Where to dial `key` from a node bound to `bind`: TCP addresses, and the others.
    pub(super) fn dialable(&self, key: PeerKey, bind: Option<IpAddr>) -> (Vec<Dialable>, Vec<Dialable>) {
        let Some(entry) = self.entries.get(&key) else { return Default::default() };
        let is_given = |source: Source| matches!(source, Source::Link | Source::Cache);
        let mut all: BTreeMap<&Multiaddr, bool> = BTreeMap::new();
        for (&source, addresses) in &entry.addresses {
            for address in addresses {
                *all.entry(address).or_default() |= is_given(source);
            }
        }
        all.extend(entry.proven.iter().map(|address| (address, true)));
        all.into_iter()
            .filter(|(address, _)| stays_on(bind, address))
            .map(|(address, is_trusted)| Dialable { address: address.clone(), is_trusted })
            .partition(|dialable| is_tcp(&dialable.address))
    }
}

/// The address without a trailing `/p2p/…`; `None` if that names somebody else.
fn bare(mut address: Multiaddr, id: PeerId) -> Option<Multiaddr> {
    if let Some(Protocol::P2p(named)) = address.iter().last() {
        if named != id {
            return None;
        }
        address.pop();
    }
    Some(address)
}

/// The identity at the end of an address that a user gave, if there is one.
pub(super) fn named_peer(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(id)) => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_identity_has_one_number() {
        let mut peers = Peers::default();
        let id = PeerId::random();
        let key = peers.key(id);
        assert_eq!(peers.key(id), key);
        assert_ne!(peers.key(PeerId::random()), key);
        assert_eq!(peers.id(key), Some(id));
    }

    fn addresses(list: &[Dialable]) -> Vec<String> {
        list.iter().map(|dialable| dialable.address.to_string()).collect()
    }

    #[test]
    fn tcp_is_told_from_the_rest_and_foreign_names_are_dropped() {
        let mut peers = Peers::default();
        let id = PeerId::random();
        let key = peers.key(id);
        let own = format!("/ip4/127.0.0.1/tcp/1/p2p/{id}");
        let other = format!("/ip4/127.0.0.1/tcp/2/p2p/{}", PeerId::random());
        let all = [address(&own), address(&other), address("/ip4/127.0.0.1/udp/1/quic-v1")];
        peers.learn(key, Source::Tracker, all);
        let (tcp, rest) = peers.dialable(key, None);
        assert_eq!(addresses(&tcp), ["/ip4/127.0.0.1/tcp/1"]);
        assert_eq!(addresses(&rest), ["/ip4/127.0.0.1/udp/1/quic-v1"]);
    }

    #[test]
    fn a_source_replaces_its_own_word_and_nobody_elses() {
        let mut peers = Peers::default();
        let key = peers.key(PeerId::random());
        peers.learn(key, Source::Tracker, [address("/ip4/10.0.0.1/tcp/1")]);
        peers.learn(key, Source::Pex, [address("/ip4/10.0.0.1/tcp/2")]);
        peers.learn(key, Source::Pex, [address("/ip4/10.0.0.1/tcp/3")]);
        peers.learn(key, Source::Link, [address("/ip4/10.0.0.1/tcp/4")]);
        peers.learn(key, Source::Link, [address("/ip4/10.0.0.1/tcp/5")]);
        let (tcp, _) = peers.dialable(key, None);
        assert_eq!(addresses(&tcp), [1, 3, 4, 5].map(|port| format!("/ip4/10.0.0.1/tcp/{port}")));
        let trusted: Vec<bool> = tcp.iter().map(|dialable| dialable.is_trusted).collect();
        assert_eq!(trusted, [false, false, true, true]);
    }

    #[test]
    fn names_are_looked_up_for_the_user_alone() {
        let mut peers = Peers::default();
        let key = peers.key(PeerId::random());
        peers.learn(key, Source::Tracker, [address("/dns4/example.org/tcp/1")]);
        assert_eq!(peers.dialable(key, None).0, []);
        peers.learn(key, Source::Link, [address("/dns4/example.org/tcp/1")]);
        assert_eq!(peers.dialable(key, None).0.len(), 1);
    }

    #[test]
    fn where_a_peer_answered_is_trusted_whoever_named_it() {
        let mut peers = Peers::default();
        let key = peers.key(PeerId::random());
        peers.learn(key, Source::Pex, [address("/ip4/10.0.0.1/tcp/1")]);
        assert!(!peers.dialable(key, None).0[0].is_trusted);
        peers.prove(key, address("/ip4/10.0.0.1/tcp/1"));
        assert!(peers.dialable(key, None).0[0].is_trusted);
    }
}
