//! What of an answer is believed, and what of ours means anything to whom we give it.

use libp2p::kad::{K_VALUE, KadPeer};
use libp2p::{Multiaddr, PeerId};
use samara_proto::limits::ADDRESS_BYTES;

use crate::net::address::{Reach, is_link_local, reach};
use crate::net::discovery::policy::{Endpoint, is_believable};

/// Addresses kept of one node or peer that an answer names.
const ADDRESSES: usize = 8;

/// What is believed of the peers that somebody as near as `teller` names: as many as an answer may hold,
/// with the addresses that somebody there can know. Whoever has none left is dropped, unless he is `known`.
pub(super) fn believed(peers: Vec<KadPeer>, teller: Reach, known: impl Fn(&PeerId) -> bool) -> Vec<KadPeer> {
    let peers = peers.into_iter().take(K_VALUE.get()).map(|peer| {
        let is_usable = |address: &Multiaddr| {
            address.len() <= ADDRESS_BYTES && is_believable(address, teller) && !is_link_local(address)
        };
        let multiaddrs = peer.multiaddrs.into_iter().filter(is_usable).take(ADDRESSES).collect();
        KadPeer { multiaddrs, ..peer }
    });
    peers.filter(|peer| !peer.multiaddrs.is_empty() || known(&peer.node_id)).collect()
}

/// Of the peers in our answer those with addresses that mean something to somebody as near as `asker`.
pub(super) fn tellable(peers: Vec<KadPeer>, asker: Reach) -> Vec<KadPeer> {
    let peers = peers.into_iter().map(|peer| {
        let multiaddrs = told(&peer.multiaddrs, asker);
        KadPeer { multiaddrs, ..peer }
    });
    peers.filter(|peer| !peer.multiaddrs.is_empty()).collect()
}

/// Of `addresses` those that mean something to somebody as near as `listener`, nearest first.
pub(super) fn told(addresses: &[Multiaddr], listener: Reach) -> Vec<Multiaddr> {
    let is_useful = |address: &&Multiaddr| {
        Endpoint::of(address).is_some() && reach(address) <= listener && !is_link_local(address)
    };
    let mut useful: Vec<Multiaddr> = addresses.iter().filter(is_useful).cloned().collect();
    useful.sort_by_key(|address| std::cmp::Reverse(reach(address)));
    useful.truncate(ADDRESSES);
    useful
}

#[cfg(test)]
mod tests {
    use libp2p::kad::ConnectionType;

    use super::*;

    const ALL: [&str; 6] = [
        "/ip4/192.0.2.1/tcp/1",
        "/ip4/10.0.0.1/tcp/1",
        "/ip4/127.0.0.1/tcp/1",
        "/ip6/fe80::1/tcp/1",
        "/dns4/example.org/tcp/1",
        "/ip4/192.0.2.1/tcp/0",
    ];

    fn peer(addresses: &[&str]) -> KadPeer {
        let multiaddrs = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        KadPeer { node_id: PeerId::random(), multiaddrs, connection_ty: ConnectionType::NotConnected }
    }

    fn counts(peers: &[KadPeer]) -> Vec<usize> {
        peers.iter().map(|peer| peer.multiaddrs.len()).collect()
    }

    #[test]
    fn nobody_is_believed_about_addresses_nearer_than_himself() {
        let answer = || vec![peer(&ALL), peer(&ALL[1..])];
        assert_eq!(counts(&believed(answer(), Reach::Everybody, |_| false)), [1]);
        assert_eq!(counts(&believed(answer(), Reach::LocalNetwork, |_| false)), [2, 1]);
        assert_eq!(counts(&believed(answer(), Reach::ThisMachine, |_| false)), [3, 2]);
        assert_eq!(counts(&believed(answer(), Reach::Everybody, |_| true)), [1, 0], "a known peer stays");
    }

    #[test]
    fn of_a_thousand_peers_in_an_answer_twenty_are_looked_at() {
        let answer = (0..1000).map(|_| peer(&ALL)).collect();
        assert_eq!(believed(answer, Reach::Everybody, |_| true).len(), 20);
    }

    #[test]
    fn nobody_is_told_what_means_nothing_to_him() {
        let answer = || vec![peer(&ALL), peer(&ALL[1..])];
        assert_eq!(counts(&tellable(answer(), Reach::Everybody)), [1]);
        assert_eq!(counts(&tellable(answer(), Reach::ThisMachine)), [3, 2]);
        let nearest = told(&peer(&ALL).multiaddrs, Reach::ThisMachine);
        assert_eq!(nearest[0], ALL[2].parse().expect("an address"));
    }
}
