//! Everybody the node has heard of: numbers for the engine, addresses for the dialler.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use crate::engine::event::{PeerKey, Source};
use crate::net::address::is_tcp;
use crate::net::transport::stays_on;

/// Addresses kept of one peer; a signed record holds eight.
const ADDRESSES_PER_PEER: usize = 16;
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
    /// From its latest record.
    signed: BTreeSet<Multiaddr>,
    /// From links and the command line: whoever gave them knows of forwarded ports that no record names.
    given: BTreeSet<Multiaddr>,
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
        self.entries.insert(key, Entry { id, signed: BTreeSet::new(), given: BTreeSet::new() });
        key
    }

    /// Whether so many peers are known that new ones from public sources are not taken up.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= PEERS
    }

    /// The identity behind a number.
    pub(super) fn id(&self, key: PeerKey) -> Option<PeerId> {
        self.entries.get(&key).map(|entry| entry.id)
    }

    /// Learns where `key` can be dialled. What the user gave is kept; a signed record is complete and
    /// replaces the one before.
    pub(super) fn learn(&mut self, key: PeerKey, source: Source, addresses: Vec<Multiaddr>) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let fresh: BTreeSet<Multiaddr> = addresses
            .into_iter()
            .filter_map(|address| bare(address, entry.id))
            .take(ADDRESSES_PER_PEER)
            .collect();
        match source {
            Source::Link if entry.given.len() < ADDRESSES_PER_PEER => entry.given.extend(fresh),
            Source::Link => {}
            _ if fresh.is_empty() => {}
            _ => entry.signed = fresh,
        }
    }

    /// Where to dial `key` from a node bound to `bind`: TCP addresses, and the others.
    pub(super) fn dialable(&self, key: PeerKey, bind: Option<IpAddr>) -> (Vec<Multiaddr>, Vec<Multiaddr>) {
        let Some(entry) = self.entries.get(&key) else { return Default::default() };
        let all = entry.given.union(&entry.signed);
        all.filter(|address| stays_on(bind, address)).cloned().partition(is_tcp)
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

    #[test]
    fn tcp_is_told_from_the_rest_and_foreign_names_are_dropped() {
        let mut peers = Peers::default();
        let id = PeerId::random();
        let key = peers.key(id);
        let own = format!("/ip4/127.0.0.1/tcp/1/p2p/{id}");
        let other = format!("/ip4/127.0.0.1/tcp/2/p2p/{}", PeerId::random());
        let quic = address("/ip4/127.0.0.1/udp/1/quic-v1");
        peers.learn(key, Source::Tracker, vec![address(&own), address(&other), quic]);
        let (tcp, rest) = peers.dialable(key, None);
        assert_eq!(tcp, [address("/ip4/127.0.0.1/tcp/1")]);
        assert_eq!(rest, [address("/ip4/127.0.0.1/udp/1/quic-v1")]);
    }

    #[test]
    fn a_record_replaces_the_last_one_and_leaves_what_the_user_gave() {
        let mut peers = Peers::default();
        let key = peers.key(PeerId::random());
        let [given, old, new] = [1, 2, 3].map(|port| address(&format!("/ip4/192.0.2.1/tcp/{port}")));
        peers.learn(key, Source::Link, vec![given.clone()]);
        peers.learn(key, Source::Tracker, vec![old]);
        peers.learn(key, Source::Tracker, vec![new.clone()]);
        assert_eq!(peers.dialable(key, None).0, [given, new]);
    }
}
