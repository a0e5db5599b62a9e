//! Peers that speak libp2p, alone or besides BitTorrent over TCP.

use std::sync::Arc;

use libp2p_identity::Keypair;
use samara_proto::record::{Multiaddr, PeerId, SignedRecord};

use super::*;

fn key(byte: u8) -> Keypair {
    Keypair::ed25519_from_bytes([byte; 32]).unwrap()
}

fn contact(byte: u8, seq: u64, source: &str, addresses: &[&str]) -> Contact {
    let addresses: Vec<Multiaddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Contact::new(SignedRecord::sign(&key(byte), seq, &addresses).unwrap(), source.parse().unwrap())
}

/// The addresses of a record announced from `source` that a peer at `viewer` is told.
fn passed_on(source: &str, viewer: &str, addresses: &[&str]) -> Vec<String> {
    let contact = contact(1, 1, source, addresses);
    let told = contact
        .addresses_for(viewer.parse().unwrap())
        .map(|bytes| Multiaddr::try_from(bytes.to_vec()).unwrap());
    told.map(|address| address.to_string()).collect()
}

/// A libp2p-only downloader that came from `source` with a record of those addresses.
fn node(byte: u8, seq: u64, source: &str, addresses: &[&str]) -> Announce {
    let mut announce = anonymous(source);
    announce.libp2p = Some(Arc::new(contact(byte, seq, source, addresses)));
    announce
}

/// A downloader that does not say how it can be reached.
fn anonymous(source: &str) -> Announce {
    let mut announce = peer(&SocketAddr::new(source.parse().unwrap(), 0).to_string());
    announce.tcp = None;
    announce.wants.libp2p = true;
    announce
}

fn at(byte: u8, ip: &str) -> Announce {
    node(byte, 1, ip, &[&format!("/ip4/{ip}/tcp/1")])
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
    let with_seq = |seq| node(1, seq, "20.0.0.1", &["/ip4/20.0.0.1/tcp/1"]);
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
    let with_seq = |seq| node(1, seq, "20.0.0.1", &[&format!("/ip4/20.0.0.1/tcp/{seq}")]);
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
    world.announce(&anonymous("20.0.0.1").event(Event::Stopped));
    assert_eq!(world.figures(), [0, 0, 1, 1]);
}

#[test]
fn a_replayed_record_can_stop_only_what_the_replayer_listed() {
    let mut world = World::new();
    let replayed = node(1, 1, "20.0.0.66", &["/ip4/20.0.0.1/tcp/1"]);
    world.announce(&at(1, "20.0.0.1"));
    world.announce(&replayed);
    assert_eq!(told(&mut world, &at(2, "20.0.0.2")), ids(&[1]), "told of once");
    world.announce(&replayed.event(Event::Stopped));
    assert_eq!(told(&mut world, &at(2, "20.0.0.2")), ids(&[1]));
}

#[test]
fn a_node_that_came_from_two_addresses_is_told_of_once_and_never_of_itself() {
    let mut world = World::new();
    let addresses = ["/ip4/20.0.0.1/tcp/1", "/ip6/2a00::1/tcp/1"];
    world.announce(&node(1, 1, "2a00::1", &addresses));
    assert!(told(&mut world, &node(1, 1, "20.0.0.1", &addresses)).is_empty());
    assert_eq!(told(&mut world, &at(2, "20.0.0.2")), ids(&[1]));
}

#[test]
fn a_seed_beside_the_tracker_is_told_to_all_around() {
    let mut world = World::new();
    world.announce(&node(1, 1, "127.0.0.1", &["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1"]).seed());
    world.announce(&node(2, 1, "127.0.0.1", &["/ip4/127.0.0.1/tcp/2"]).seed());
    assert_eq!(told(&mut world, &at(3, "10.0.0.3")), ids(&[1]));
    assert_eq!(told(&mut world, &at(4, "127.0.0.1")), ids(&[1, 2, 3]));
    assert_eq!(told(&mut world, &at(5, "20.0.0.5")), ids(&[]));
}

/// One address of each kind.
const EVERYWHERE: [&str; 6] = [
    "/ip4/127.0.0.1/tcp/1",
    "/ip4/10.0.0.1/udp/1/quic-v1",
    "/ip4/20.0.0.1/tcp/1",
    "/ip4/20.0.0.2/tcp/1",
    "/ip6/2a00::1/tcp/1",
    "/dns/a.b/tcp/1",
];

const RELAY: &str = "/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X/p2p-circuit";

#[test]
fn on_the_internet_only_the_address_a_node_announced_from_is_passed_on() {
    for viewer in ["127.0.0.1", "10.0.0.2", "20.0.0.3"] {
        assert_eq!(passed_on("20.0.0.1", viewer, &EVERYWHERE), ["/ip4/20.0.0.1/tcp/1"], "{viewer}");
        assert_eq!(passed_on("::ffff:20.0.0.1", viewer, &EVERYWHERE), ["/ip4/20.0.0.1/tcp/1"], "{viewer}");
        assert_eq!(passed_on("2a00::1", viewer, &EVERYWHERE), ["/ip6/2a00::1/tcp/1"], "{viewer}");
        assert!(passed_on("20.0.0.9", viewer, &EVERYWHERE).is_empty(), "{viewer}");
    }
}

#[test]
fn beside_the_tracker_all_but_the_internet_is_passed_on_to_those_it_reaches() {
    for source in ["127.0.0.1", "10.0.0.1"] {
        assert_eq!(passed_on(source, "127.0.0.1", &EVERYWHERE), EVERYWHERE[..2], "{source}");
        assert_eq!(passed_on(source, "10.0.0.2", &EVERYWHERE), EVERYWHERE[1..2], "{source}");
        assert!(passed_on(source, "20.0.0.3", &EVERYWHERE).is_empty(), "{source}");
    }
}

#[test]
fn a_node_in_two_private_networks_is_told_to_each_at_its_address_there() {
    let both = ["/ip4/10.0.0.1/tcp/1", "/ip4/172.17.0.1/tcp/1"];
    assert_eq!(passed_on("10.0.0.1", "10.0.0.2", &both), both[..1]);
    assert_eq!(passed_on("10.0.0.1", "172.17.0.2", &both), both[1..]);
    assert!(passed_on("10.0.0.1", "192.168.0.2", &both).is_empty());
}

#[test]
fn an_address_that_names_a_second_host_is_not_passed_on() {
    for second in ["/ip4/30.0.0.1/tcp/80", "/ip6/2a00::9/tcp/80", "/dns/a.b/tcp/80", "/dnsaddr/a.b"] {
        let address = format!("/ip4/20.0.0.1/tcp/1{second}");
        assert!(passed_on("20.0.0.1", "20.0.0.3", &[&address]).is_empty(), "{address}");
    }
}

#[test]
fn relays_count_only_where_there_is_no_direct_way() {
    let relayed = format!("/ip4/20.0.0.9/tcp/1{RELAY}");
    let direct = "/ip4/20.0.0.1/tcp/1";
    assert_eq!(passed_on("20.0.0.1", "20.0.0.3", &[&relayed, direct]), [direct]);
    assert!(!contact(1, 1, "20.0.0.1", &[&relayed, direct]).is_relayed());
    // The direct way is not where the announce came from.
    assert_eq!(passed_on("20.0.0.2", "20.0.0.3", &[&relayed, direct]), [relayed.as_str()]);
    assert!(contact(1, 1, "20.0.0.2", &[&relayed, direct]).is_relayed());
    assert_eq!(passed_on("10.0.0.1", "20.0.0.3", &[&relayed]), [relayed]);
}

#[test]
fn nobody_on_the_internet_names_a_relay_in_a_private_network() {
    for host in ["ip4/10.0.0.9", "ip4/127.0.0.1", "dns/a.b"] {
        let relayed = format!("/{host}/tcp/1{RELAY}");
        assert!(passed_on("20.0.0.1", "127.0.0.1", &[&relayed]).is_empty(), "{relayed}");
    }
}

#[test]
fn a_node_nobody_can_be_told_of_is_counted_all_the_same() {
    let mut world = World::new();
    for (byte, addresses) in [(1, &[][..]), (2, &["/dns/a.b/tcp/1"]), (3, &["/ip4/10.0.0.1/tcp/1"])] {
        world.announce(&node(byte, 1, "20.0.0.1", addresses));
    }
    assert_eq!(world.figures(), [0, 0, 3, 3]);
    assert!(told(&mut world, &at(4, "127.0.0.1")).is_empty());
}

#[test]
fn a_replayed_record_leads_nobody_astray() {
    let mut world = World::new();
    world.announce(&node(1, 1, "20.0.0.66", &["/ip4/20.0.0.1/tcp/1"]));
    assert!(told(&mut world, &at(2, "20.0.0.2")).is_empty());
}

#[test]
fn long_records_do_not_make_long_answers() {
    let mut world = World::new();
    let long = |n| format!("/ip4/127.0.0.1/tcp/{n}/tls/sni/{}/ws", "x".repeat(200));
    let addresses: Vec<_> = (1..=8).map(long).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    for byte in 1..=50 {
        world.announce(&node(byte, 1, "127.0.0.1", &addresses).wanting(0));
    }
    let told = world.announce(&at(101, "127.0.0.1").wanting(200)).libp2p;
    let bytes: usize = told.iter().map(|(_, contact)| contact.record().as_bytes().len()).sum();
    assert!((60_000..=64 * 1024).contains(&bytes), "{bytes}");
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
