//! Peers that speak libp2p, alone or besides BitTorrent over TCP.

use std::sync::Arc;

use libp2p_identity::Keypair;
use samara_proto::record::{Multiaddr, PeerId, SignedRecord};

use super::*;

fn key(byte: u8) -> Keypair {
    Keypair::ed25519_from_bytes([byte; 32]).unwrap()
}

fn contact(byte: u8, seq: u64, addresses: &[&str]) -> Option<Contact> {
    let addresses: Vec<Multiaddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Contact::new(SignedRecord::sign(&key(byte), seq, &addresses).unwrap())
}

/// A libp2p-only downloader that came from `source` with the record of the peer with that key.
fn node(source: &str, contact: Option<Contact>) -> Announce {
    let mut announce = peer(&format!("{source}:0"));
    announce.tcp = None;
    announce.libp2p = contact.map(Arc::new);
    announce.wants.libp2p = true;
    announce
}

fn at(byte: u8, ip: &str) -> Announce {
    node(ip, contact(byte, 1, &[&format!("/ip4/{ip}/tcp/1")]))
}

fn told(world: &mut World, announce: &Announce) -> Vec<PeerId> {
    let mut told: Vec<_> =
        world.announce(announce).libp2p.iter().map(|(_, contact)| contact.peer_id()).collect();
    told.sort();
    told
}

fn ids(bytes: &[u8]) -> Vec<PeerId> {
    let mut ids: Vec<_> = bytes.iter().map(|byte| key(*byte).public().to_peer_id()).collect();
    ids.sort();
    ids
}

#[test]
fn libp2p_peers_are_told_of_each_other_and_counted_for_all() {
    let mut world = World::new();
    world.announce(&at(1, "20.0.0.1").seed());
    assert_eq!(told(&mut world, &at(2, "20.0.0.2")), ids(&[1]));
    assert_eq!(told(&mut world, &at(1, "20.0.0.1").seed()), ids(&[2]));
    let legacy = world.announce(&nth(7));
    assert!(legacy.libp2p.is_empty() && legacy.peers.is_empty());
    assert_eq!(world.figures(), [1, 0, 2, 2]);
}

#[test]
fn a_peer_that_speaks_both_is_in_both_lists_and_counted_once() {
    let mut world = World::new();
    let mut both = at(1, "20.0.0.1");
    both.tcp = Some(TcpContact { port: 5, peer_id: [0; 20] });
    world.announce(&both);
    assert_eq!(world.told(&nth(7)), ["20.0.0.1:5"]);
    assert_eq!(told(&mut world, &at(2, "20.0.0.2")), ids(&[1]));
    assert_eq!(world.figures(), [0, 0, 3, 3]);
    world.announce(&both.event(Event::Stopped));
    assert_eq!(world.figures(), [0, 0, 2, 2]);
    assert!(told(&mut world, &at(2, "20.0.0.2")).is_empty());
}

#[test]
fn a_node_that_finishes_both_ways_at_once_is_counted_once() {
    let mut world = World::new();
    let mut both = at(1, "20.0.0.1");
    both.tcp = Some(TcpContact { port: 5, peer_id: [0; 20] });
    world.announce(&both);
    world.announce(&both.clone().seed().event(Event::Completed));
    world.announce(&both.seed().event(Event::Completed));
    assert_eq!(world.figures(), [1, 1, 0, 0]);
}

#[test]
fn one_address_cannot_fill_the_registry_with_nodes_behind_one_port() {
    let mut world = World::with(Limits { peers_per_ip: 3, ..Limits::default() });
    let both = |byte| {
        let mut both = at(byte, "20.0.0.1");
        both.tcp = Some(TcpContact { port: 5, peer_id: [0; 20] });
        both
    };
    world.announce(&both(1));
    world.announce(&both(2));
    assert_eq!(world.try_announce(&both(3)).unwrap_err(), Refusal::TooManyFromSource);
    world.announce(&both(2));
    assert_eq!(world.registry.totals().entries, 3);
}

#[test]
fn a_node_that_needs_two_entries_is_refused_when_one_is_left() {
    let mut world = World::with(Limits { peers_per_ip: 1, ..Limits::default() });
    let mut both = at(1, "20.0.0.1");
    both.tcp = Some(TcpContact { port: 5, peer_id: [0; 20] });
    assert_eq!(world.try_announce(&both).unwrap_err(), Refusal::TooManyFromSource);
    assert_eq!(world.registry.totals().entries, 0);
}

#[test]
fn an_older_record_cannot_stop_a_newer_one() {
    let mut world = World::new();
    let with_seq = |seq| node("20.0.0.1", contact(1, seq, &["/ip4/20.0.0.1/tcp/1"]));
    world.announce(&with_seq(5));
    let stopped = world.try_announce(&with_seq(4).event(Event::Stopped));
    assert_eq!(stopped.unwrap_err(), Refusal::StaleRecord);
    assert_eq!(world.figures(), [0, 0, 1, 1]);
    world.announce(&with_seq(5).event(Event::Stopped));
    assert_eq!(world.figures(), [0, 0, 0, 0]);
}

#[test]
fn with_an_older_record_a_node_is_listed_on_at_its_latest_addresses() {
    let mut world = World::new();
    let with_seq = |seq| node("20.0.0.1", contact(1, seq, &[&format!("/ip4/20.0.0.1/tcp/{seq}")]));
    world.announce(&with_seq(5));
    world.announce(&at(2, "20.0.0.2"));
    world.wait(590);
    assert_eq!(told(&mut world, &at(2, "20.0.0.2")), ids(&[1]));
    assert_eq!(told(&mut world, &with_seq(4).seed()), ids(&[2]), "its clock may have been set back");
    world.wait(590);
    let answer = world.announce(&at(2, "20.0.0.2"));
    assert_eq!(answer.libp2p.iter().map(|(_, contact)| contact.seq()).collect::<Vec<_>>(), [5]);
    assert_eq!(world.figures(), [1, 0, 1, 1]);
}

#[test]
fn without_a_record_nobody_can_be_stopped() {
    let mut world = World::new();
    world.announce(&at(1, "20.0.0.1"));
    world.announce(&node("20.0.0.1", None).event(Event::Stopped));
    assert_eq!(world.figures(), [0, 0, 1, 1]);
}

#[test]
fn a_replayed_record_can_stop_only_what_the_replayer_listed() {
    let mut world = World::new();
    let own = at(1, "20.0.0.1");
    let mut replayed = own.clone();
    replayed.source = "20.0.0.66".parse().unwrap();
    world.announce(&own);
    world.announce(&replayed);
    assert_eq!(told(&mut world, &at(2, "20.0.0.2")), ids(&[1]), "told of once");
    world.announce(&replayed.event(Event::Stopped));
    assert_eq!(told(&mut world, &at(2, "20.0.0.2")), ids(&[1]));
}

#[test]
fn a_node_is_never_told_of_itself_whatever_address_it_came_from() {
    let mut world = World::new();
    let own = at(1, "20.0.0.1");
    let mut elsewhere = own.clone();
    elsewhere.source = "2a00::1".parse().unwrap();
    world.announce(&elsewhere);
    assert!(told(&mut world, &own).is_empty());
}

#[test]
fn addresses_are_passed_on_only_to_those_they_reach() {
    let all =
        ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/20.0.0.1/tcp/1", "/dns/a.b/tcp/1"];
    let contact = contact(1, 1, &all).unwrap();
    let count = |viewer| contact.addresses_for(viewer).count();
    assert_eq!([Scope::Loopback, Scope::Private, Scope::Global].map(count), [4, 3, 2]);
    assert_eq!(contact.scope(), Scope::Global);
}

#[test]
fn a_seed_beside_the_tracker_is_told_to_all_it_can_be_reached_by() {
    // It announces over loopback, though its record says that the Internet reaches it.
    let mut world = World::new();
    world.announce(&node("127.0.0.1", contact(1, 1, &["/ip4/127.0.0.1/tcp/1", "/ip4/20.0.0.1/tcp/1"])));
    world.announce(&node("127.0.0.1", contact(2, 1, &["/ip4/127.0.0.1/tcp/2"])));
    assert_eq!(told(&mut world, &at(3, "20.0.0.3")), ids(&[1]));
    assert_eq!(told(&mut world, &at(4, "127.0.0.1")), ids(&[1, 2, 3]));
}

#[test]
fn relays_count_only_where_there_is_no_direct_way() {
    let relay = "/ip4/20.0.0.9/tcp/1/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X/p2p-circuit";
    let both = contact(1, 1, &[relay, "/ip4/20.0.0.1/tcp/1"]).unwrap();
    assert!(!both.is_relayed());
    assert_eq!(both.addresses_for(Scope::Global).count(), 1);
    let only = contact(1, 1, &[relay]).unwrap();
    assert!(only.is_relayed());
    assert_eq!(only.addresses_for(Scope::Global).count(), 1);
}

#[test]
fn a_record_without_an_address_anybody_can_dial_is_no_contact() {
    assert!(contact(1, 1, &[]).is_none());
    assert!(contact(1, 1, &["/ip4/0.0.0.0/tcp/1", "/memory/1"]).is_none());
}

#[test]
fn libp2p_entries_are_accounted_for() {
    let mut world = World::new();
    for byte in 1..20 {
        world.announce(&at(byte, &format!("20.0.0.{byte}")));
        world.announce(&at(byte, &format!("20.0.0.{byte}")).seed());
    }
    assert!(world.registry.totals().bytes > 19 * 200);
    world.wait(100 * 3600);
    world.registry.sweep(world.now, 1);
    assert_eq!(world.registry.totals(), Totals::default());
}
