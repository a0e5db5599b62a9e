//! Who is told of whom.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn a_downloader_is_told_of_everybody_but_itself() {
    let mut world = World::new();
    world.announce(&peer("20.0.0.1:1"));
    world.announce(&peer("20.0.0.2:1").seed());
    world.announce(&peer("20.0.0.3:1").partial());
    assert_eq!(world.told(&peer("20.0.0.1:1")), ["20.0.0.2:1", "20.0.0.3:1"]);
}

#[test]
fn a_client_that_announces_over_both_families_is_not_told_of_itself() {
    let mut world = World::new();
    let named = |address| peer(address).called([7; 20]);
    world.announce(&named("20.0.0.1:1"));
    assert!(world.told(&named("[2a00::1]:1")).is_empty());
    assert!(world.told(&named("20.0.0.1:1")).is_empty());
    assert_eq!(world.told(&peer("20.0.0.2:1")), ["20.0.0.1:1", "[2a00::1]:1"]);
}

#[test]
fn who_has_all_it_wants_is_told_of_downloaders_alone() {
    let mut world = World::new();
    world.announce(&peer("20.0.0.1:1"));
    for n in 2..9 {
        world.announce(&peer(&format!("20.0.0.{n}:1")).seed());
        world.announce(&peer(&format!("20.0.1.{n}:1")).partial());
    }
    assert_eq!(world.told(&peer("20.0.0.2:1").seed()), ["20.0.0.1:1"]);
    assert_eq!(world.told(&peer("20.0.1.2:1").partial()), ["20.0.0.1:1"]);
}

#[test]
fn swarms_do_not_mix() {
    let mut world = World::new();
    world.announce(&nth(1).of(1));
    assert!(world.told(&nth(2).of(2)).is_empty());
}

#[test]
fn loopback_peers_are_told_of_each_other_and_nobody_else_of_them() {
    let mut world = World::new();
    world.announce(&peer("127.0.0.1:1"));
    world.announce(&peer("[::1]:1"));
    world.announce(&peer("10.0.0.1:1"));
    world.announce(&peer("20.0.0.1:1"));
    assert_eq!(world.told(&peer("127.0.0.1:2")), ["10.0.0.1:1", "127.0.0.1:1", "20.0.0.1:1", "[::1]:1"]);
    assert_eq!(world.told(&peer("10.0.0.2:1")), ["10.0.0.1:1", "20.0.0.1:1"]);
    assert_eq!(world.told(&peer("20.0.0.2:1")), ["20.0.0.1:1"]);
}

#[test]
fn peers_in_other_private_networks_take_the_place_of_few_of_the_own() {
    let mut world = World::new();
    for n in 0..100 {
        world.announce(&peer(&format!("10.0.0.{n}:1")));
        world.announce(&peer(&format!("192.168.0.{n}:1")));
    }
    let told = world.told(&peer("10.0.0.1:1"));
    assert!(told.iter().all(|address| address.starts_with("10.")), "{told:?}");
    assert!(told.len() > 35, "{}", told.len());
}

#[test]
fn an_ipv4_address_in_ipv6_is_ipv4() {
    let mut world = World::new();
    world.announce(&peer("[::ffff:20.0.0.1]:1"));
    world.announce(&peer("20.0.0.1:1"));
    assert_eq!(world.figures(), [0, 0, 1, 1]);
}

#[test]
fn a_family_that_is_not_wanted_is_not_told() {
    let mut world = World::new();
    world.announce(&peer("20.0.0.1:1"));
    world.announce(&peer("[2a00::1]:1"));
    let mut only_v6 = peer("[2a00::2]:1");
    only_v6.wants = Wants { v4: false, v6: true, libp2p: false };
    assert_eq!(world.told(&only_v6), ["[2a00::1]:1"]);
}

#[test]
fn how_many_are_told_is_what_was_asked_for_within_limits() {
    let mut world = World::new();
    for n in 0..500 {
        world.announce(&nth(n).wanting(0));
    }
    assert_eq!(world.told(&nth(1)).len(), 50);
    assert_eq!(world.told(&nth(1).wanting(0)).len(), 0);
    assert_eq!(world.told(&nth(1).wanting(7)).len(), 7);
    assert_eq!(world.told(&nth(1).wanting(u32::MAX)).len(), 200);
}

#[test]
fn every_peer_is_told_of_equally_often() {
    const PEERS: u32 = 40;
    const ROUNDS: u32 = 4000;
    let mut world = World::new();
    for n in 0..PEERS {
        // Of every class, as classes lie in places of their own.
        let announce = match n % 3 {
            0 => nth(n),
            1 => nth(n).seed(),
            _ => nth(n).partial(),
        };
        world.announce(&announce);
    }
    let mut times = BTreeMap::new();
    for _ in 0..ROUNDS {
        for address in world.told(&peer("20.9.9.9:1").wanting(10)) {
            *times.entry(address).or_insert(0_u32) += 1;
        }
        world.announce(&peer("20.9.9.9:1").event(Event::Stopped));
    }
    let expected = ROUNDS * 10 / PEERS;
    assert_eq!(times.len() as u32, PEERS);
    for (address, times) in times {
        // Five standard deviations of a binomial with p = 1/4.
        assert!(times.abs_diff(expected) < 137, "{address}: {times} instead of {expected}");
    }
}

fn any_announce() -> impl Strategy<Value = Announce> {
    let ip = prop_oneof![
        (0..40_u32).prop_map(|n| nth(n).source),
        (1..4_u8).prop_map(|n| IpAddr::from([127, 0, 0, n])),
        (1..4_u8).prop_map(|n| IpAddr::from([10, 0, 0, n])),
        (1..4_u8).prop_map(|n| IpAddr::from([192, 168, 0, n])),
        (0..4_u16).prop_map(|n| IpAddr::from([0x2a00, 0, 0, n, 0, 0, 0, 1])),
        Just(IpAddr::from([0_u8; 4])),
    ];
    let progress = prop_oneof![Just(Progress::Downloader), Just(Progress::PartialSeed), Just(Progress::Seed)];
    let event = prop_oneof![
        4 => Just(Event::None),
        1 => Just(Event::Started),
        1 => Just(Event::Completed),
        1 => Just(Event::Stopped),
    ];
    (ip, 0..3_u16, progress, event, proptest::option::of(0..60_u32), 1..4_u8).prop_map(
        |(ip, port, progress, event, num_want, swarm)| {
            let mut announce = peer(&SocketAddr::new(ip, port).to_string()).event(event).of(swarm);
            announce.progress = progress;
            announce.num_want = num_want;
            announce
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_announced_answers_are_sane(
        announces in vec((any_announce(), 0..400_u64), 1..200),
        peers_per_swarm in 1..30_usize,
        swarms in 1..4_usize,
        peers_per_ip in 1..6_u32,
    ) {
        let limits = Limits { swarms, peers_per_swarm, peers_per_ip, ..Limits::default() };
        let mut world = World::with(limits);
        for (announce, wait) in announces {
            world.wait(wait);
            world.registry.sweep(world.now, 1);
            let Ok(announced) = world.try_announce(&announce) else { continue };

            let told: BTreeSet<_> = announced.peers.iter().map(|peer| peer.address).collect();
            prop_assert_eq!(told.len(), announced.peers.len(), "nobody twice");
            prop_assert!(told.len() <= announce.num_want.unwrap_or(50).min(200) as usize);
            for address in &told {
                prop_assert!(address.port() != 0);
                prop_assert!(*address != SocketAddr::new(announce.source, announce.tcp.unwrap().port));
                prop_assert!(scope::may_learn(announce.source, address.ip()));
            }
            let counts = announced.swarm.counts;
            prop_assert!(counts.complete + counts.incomplete <= u32::try_from(peers_per_swarm).unwrap());
            prop_assert!(announced.min_interval_secs <= announced.interval_secs / 2);
            prop_assert!((300..=1800).contains(&announced.interval_secs));

            let totals = world.registry.totals();
            prop_assert!(totals.swarms <= u64::try_from(swarms).unwrap());
            prop_assert!(totals.entries <= totals.swarms * u64::try_from(peers_per_swarm).unwrap());
        }
        world.wait(100 * 3600);
        world.registry.sweep(world.now, 10);
        let totals = world.registry.totals();
        prop_assert_eq!((totals.swarms, totals.entries, totals.bytes), (0, 0, 0), "nothing leaks");
    }
}
