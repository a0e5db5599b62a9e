//! Who is counted, as what, and until when.

use super::*;

#[test]
fn twenty_announces_are_counted_as_seeds_and_others() {
    let mut world = World::new();
    for n in 0..20 {
        let announce = if n % 3 == 0 { nth(n).seed() } else { nth(n) };
        let counts = world.announce(&announce).swarm.counts;
        assert_eq!(counts.complete + counts.incomplete, n + 1);
    }
    assert_eq!(world.figures(), [7, 0, 13, 13]);
}

#[test]
fn a_second_announce_changes_a_peer_and_adds_none() {
    let mut world = World::new();
    for _ in 0..3 {
        world.announce(&nth(1));
    }
    assert_eq!(world.figures(), [0, 0, 1, 1]);
    world.announce(&nth(1).seed());
    assert_eq!(world.figures(), [1, 0, 0, 0]);
}

#[test]
fn the_same_peer_id_at_two_addresses_is_two_peers() {
    let mut world = World::new();
    let named = |address| peer(address).called([7; 20]);
    world.announce(&named("20.0.0.1:1"));
    world.announce(&named("20.0.0.1:2"));
    world.announce(&named("20.0.0.2:1").event(Event::Stopped));
    assert_eq!(world.figures(), [0, 0, 2, 2], "nobody can sign another off by its peer id");
}

#[test]
fn a_finished_download_is_counted_once() {
    let mut world = World::new();
    let completed = nth(1).seed().event(Event::Completed);
    world.announce(&nth(1));
    world.announce(&completed);
    world.announce(&completed);
    assert_eq!(world.figures(), [1, 1, 0, 0]);
    // Going back and forth does not count again.
    world.announce(&nth(1));
    world.announce(&completed);
    assert_eq!(world.figures(), [1, 1, 0, 0]);
}

#[test]
fn a_stranger_that_claims_to_have_finished_is_not_believed() {
    let mut world = World::new();
    world.announce(&nth(1).seed().event(Event::Completed));
    world.announce(&nth(2).event(Event::Completed));
    assert_eq!(world.figures(), [1, 0, 1, 1]);
}

#[test]
fn a_partial_seed_is_no_downloader() {
    let mut world = World::new();
    world.announce(&nth(1).partial());
    assert_eq!(world.figures(), [0, 0, 1, 0]);
    world.announce(&nth(1));
    assert_eq!(world.figures(), [0, 0, 1, 1], "it has chosen more files");
}

#[test]
fn a_peer_that_stops_is_gone_and_told_of_nobody() {
    let mut world = World::new();
    world.announce(&nth(1));
    world.announce(&nth(2));
    let stopped = world.announce(&nth(1).event(Event::Stopped));
    assert!(stopped.peers.is_empty());
    assert_eq!(stopped.swarm.counts.incomplete, 1);
    world.announce(&nth(1).event(Event::Stopped));
    assert_eq!(world.figures(), [0, 0, 1, 1]);
}

#[test]
fn to_stop_makes_no_swarm() {
    let mut world = World::new();
    world.announce(&nth(1).event(Event::Stopped));
    assert_eq!(world.registry.totals(), Totals::default());
}

#[test]
fn a_silent_peer_expires_after_two_intervals_and_a_little() {
    let mut world = World::new();
    let interval = u64::from(world.announce(&nth(1)).interval_secs);
    world.wait(2 * interval + 59);
    assert_eq!(world.figures(), [0, 0, 1, 1]);
    world.wait(31);
    assert_eq!(world.figures(), [0, 0, 0, 0]);
}

#[test]
fn whoever_announces_in_time_stays() {
    let mut world = World::new();
    for _ in 0..20 {
        let interval = u64::from(world.announce(&nth(1)).interval_secs);
        world.wait(interval + 30);
        assert_eq!(world.figures(), [0, 0, 1, 1]);
    }
}

#[test]
fn an_expired_peer_is_told_to_nobody_even_before_it_is_forgotten() {
    let mut world = World::new();
    let interval = u64::from(world.announce(&nth(1)).interval_secs);
    world.wait(2 * interval + 59);
    assert_eq!(world.told(&nth(2)).len(), 1, "this announce looked for silent peers");
    world.wait(2);
    assert_eq!(world.told(&nth(3)), ["20.0.0.2:6881"]);
}

#[test]
fn a_sweep_forgets_silent_peers_and_their_swarms() {
    let mut world = World::new();
    for swarm in 1..=10 {
        world.announce(&nth(swarm.into()).of(swarm));
    }
    world.wait(3600);
    for _ in 0..5 {
        world.registry.sweep(world.now, 2);
    }
    assert_eq!(world.registry.totals(), Totals::default());
}

#[test]
fn the_count_of_downloads_outlives_the_peers_for_a_day() {
    let mut world = World::new();
    world.announce(&nth(1));
    world.announce(&nth(1).seed().event(Event::Completed));
    world.wait(20 * 3600);
    world.registry.sweep(world.now, 10);
    assert_eq!(world.figures(), [0, 1, 0, 0]);
    world.wait(5 * 3600);
    world.registry.sweep(world.now, 10);
    assert_eq!(world.registry.totals(), Totals::default());
}

#[test]
fn a_peer_at_port_0_gets_peers_but_is_not_listed() {
    let mut world = World::new();
    world.announce(&nth(1));
    assert_eq!(world.told(&peer("20.0.0.9:0")).len(), 1);
    assert_eq!(world.figures(), [0, 0, 1, 1]);
}

#[test]
fn a_peer_at_an_address_no_host_can_have_is_not_listed() {
    let mut world = World::new();
    for address in ["0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1"] {
        world.announce(&peer(address));
    }
    assert_eq!(world.figures(), [0, 0, 0, 0]);
}

#[test]
fn totals_return_to_nothing_when_everybody_has_left() {
    let mut world = World::new();
    for n in 0..50 {
        world.announce(&nth(n));
        world.announce(&nth(n).seed());
    }
    assert_eq!(world.registry.totals().entries, 50);
    for n in 0..50 {
        world.announce(&nth(n).event(Event::Stopped));
    }
    world.registry.sweep(world.now, 1);
    assert_eq!(world.registry.totals(), Totals::default());
}

#[test]
fn when_there_is_much_to_do_no_client_may_come_as_often() {
    let mut world = World::with_pace(Pace { announces_per_sec: 1, ..Pace::default() });
    for n in 0..2000 {
        world.announce(&nth(n).wanting(0));
    }
    world.wait(300);
    let busy = world.announce(&nth(1));
    assert!(busy.interval_secs >= 1500 && busy.min_interval_secs >= 150, "{busy:?}");
}
