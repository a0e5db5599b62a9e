//! What strangers can make the registry keep.

use super::*;

fn limits() -> Limits {
    Limits::default()
}

#[test]
fn a_full_swarm_forgets_one_that_was_silent_for_long() {
    let mut world = World::with(Limits { peers_per_swarm: 100, ..limits() });
    for n in 0..100 {
        world.announce(&nth(n));
        world.wait(1);
    }
    world.wait(100);
    for n in 90..100 {
        world.announce(&nth(n));
    }
    for n in 100..150 {
        world.announce(&nth(n));
    }
    assert_eq!(world.figures(), [0, 0, 100, 100]);
    assert_eq!(world.registry.totals().evicted_peers, 50);
    // The newest are there: to announce again evicts nobody.
    for n in 140..150 {
        world.announce(&nth(n));
    }
    assert!(world.registry.totals().evicted_peers <= 52);
}

#[test]
fn a_full_registry_forgets_small_silent_swarms_for_new_ones() {
    let mut world = World::with(Limits { swarms: 8, ..limits() });
    for n in 0..5 {
        world.announce(&nth(n).of(1));
    }
    for swarm in 2..=200 {
        world.wait(1);
        world.announce(&nth(swarm.into()).of(swarm));
    }
    let totals = world.registry.totals();
    assert_eq!((totals.swarms, totals.evicted_swarms), (8, 192));
    assert_eq!(world.figures(), [0, 0, 5, 5], "the swarm with most peers is still there");
}

#[test]
fn one_address_cannot_fill_the_registry() {
    let mut world = World::with(Limits { peers_per_ip: 10, ..limits() });
    for port in 1..=10 {
        world.announce(&peer(&format!("20.0.0.1:{port}")));
    }
    let refused = world.try_announce(&peer("20.0.0.1:11"));
    assert_eq!(refused.unwrap_err(), Refusal::TooManyFromSource);
    let elsewhere = world.try_announce(&peer("20.0.0.1:1").of(2));
    assert_eq!(elsewhere.unwrap_err(), Refusal::TooManyFromSource);
    // Those it has may still change, and leave room for others.
    world.announce(&peer("20.0.0.1:10").seed());
    world.announce(&peer("20.0.0.1:10").event(Event::Stopped));
    world.announce(&peer("20.0.0.1:11"));
    world.announce(&peer("20.0.0.2:1"));
}

#[test]
fn one_address_of_the_internet_cannot_fill_a_swarm_and_a_private_one_may_stand_for_many() {
    let mut world = World::with(Limits { peers_per_swarm_and_ip: 10, ..limits() });
    for port in 1..=10 {
        world.announce(&peer(&format!("20.0.0.1:{port}")).seed());
    }
    let refused = world.try_announce(&peer("20.0.0.1:11").seed());
    assert_eq!(refused.unwrap_err(), Refusal::TooManyFromSource);
    assert_eq!(world.figures(), [10, 0, 0, 0]);
    world.announce(&peer("20.0.0.1:11").of(2));
    world.announce(&peer("20.0.0.2:11"));
    world.announce(&peer("20.0.0.1:10").event(Event::Stopped));
    world.announce(&peer("20.0.0.1:11"));
    // Those that fell silent leave room too.
    world.wait(24 * 3600);
    world.announce(&peer("20.0.0.1:12"));
    for port in 1..=20 {
        world.announce(&peer(&format!("10.0.0.1:{port}")));
        world.announce(&peer(&format!("127.0.0.1:{port}")));
    }
}

#[test]
fn one_ipv6_network_counts_as_one_address() {
    let mut world = World::with(Limits { peers_per_ip: 2, ..limits() });
    world.announce(&peer("[2a00::1]:1"));
    world.announce(&peer("[2a00::2]:1"));
    assert!(world.try_announce(&peer("[2a00::3]:1")).is_err());
    world.announce(&peer("[2a00:0:0:1::3]:1"));
}

#[test]
fn whoever_wants_no_entry_is_answered_though_its_address_has_too_many() {
    let mut world = World::with(Limits { peers_per_ip: 1, ..limits() });
    world.announce(&peer("20.0.0.1:1"));
    assert_eq!(world.told(&peer("20.0.0.1:0")).len(), 1);
}

#[test]
fn memory_stays_within_its_limit_in_many_swarms_and_in_one() {
    let limits = Limits { memory_mib: 1, ..limits() };
    let mut many = World::with(limits);
    let mut one = World::with(limits);
    for n in 0..20_000_u32 {
        let mut hash = [0; 20];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        let mut announce = nth(n).wanting(0);
        one.announce(&announce);
        announce.info_hash = InfoHash(hash);
        many.announce(&announce);
    }
    for world in [&many, &one] {
        let bytes = world.registry.totals().bytes;
        assert!((900_000..=(1 << 20) + 1000).contains(&bytes), "{bytes}");
    }
    assert!(many.registry.totals().evicted_swarms > 0);
    assert!(one.registry.totals().evicted_peers > 0);
}

#[test]
fn no_swarm_is_accounted_for_with_less_than_it_takes() {
    let mut world = World::new();
    for n in 0..100 {
        world.announce(&nth(n).wanting(0));
        let swarm = &world.registry.swarms[&HASH];
        let taken = size_of_val(swarm) + swarm.tcp.allocated() + swarm.libp2p.allocated();
        let bytes = world.registry.totals().bytes;
        assert!(bytes >= taken as u64, "{n}: {bytes} for {taken}");
    }
}

#[test]
fn swarms_that_have_gone_take_no_memory() {
    let mut world = World::new();
    for n in 0..10_000_u32 {
        let mut announce = nth(n).wanting(0);
        announce.info_hash.0[..4].copy_from_slice(&n.to_be_bytes());
        world.announce(&announce);
    }
    world.wait(24 * 3600);
    world.registry.sweep(world.now, 10_000);
    assert!(world.registry.swarms.capacity() < 100);
}
