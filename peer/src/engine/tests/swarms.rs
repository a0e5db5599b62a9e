//! Engines among themselves: everything arrives, once, soon, from whoever can give it.

use std::time::Duration;

use samara_proto::layout::PieceIndex;
use samara_proto::moment::Moment;

use super::host::HostSpec;
use super::world::{TORRENT, World};
use crate::engine::config::EngineConfig;
use crate::engine::event::{DisconnectReason, Input, Offence, PeerKey, PeerTraits, Verdict};

const MIB: u64 = 1024 * 1024;
const PIECE: u32 = 256 * 1024;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn swarm(size: u64, latency: Duration, specs: Vec<HostSpec>) -> World {
    let mut world = World::new(size, PIECE, latency, specs);
    world.introduce_all();
    world
}

fn seconds(since: Moment) -> f64 {
    since.as_micros() as f64 / 1e6
}

#[test]
fn a_fast_link_is_full_within_a_tenth_of_a_second_and_nothing_is_sent_twice() {
    let gigabyte = 1_000_000_000;
    let mut world = swarm(64 * MIB, millis(0), vec![HostSpec::seed(gigabyte), HostSpec::leech(gigabyte)]);
    world.run(millis(50), |_| false);
    assert!(world.hosts[1].received > 40 * MIB, "{}", world.hosts[1].received);
    assert!(world.run(millis(1000), World::all_complete));
    assert_eq!(world.hosts[1].received, 64 * MIB);
    assert!(seconds(world.now) < 0.08, "{}", seconds(world.now));
}

#[test]
fn a_far_seed_fills_the_link_too() {
    let up = 50_000_000;
    let mut world = swarm(256 * MIB, millis(50), vec![HostSpec::seed(up), HostSpec::leech(up)]);
    assert!(world.run(Duration::from_secs(20), World::all_complete));
    let bound = 256.0 * MIB as f64 / up as f64;
    assert!(seconds(world.now) < bound / 0.8, "{} against {bound}", seconds(world.now));
}

#[test]
fn long_requests_are_used_where_they_are_agreed() {
    let traits = PeerTraits {
        fast: true,
        request_length: 1 << 20,
        request_queue: 1024,
        upload_only: false,
        blocks: false,
    };
    let specs = [HostSpec::seed(100_000_000), HostSpec::leech(100_000_000)];
    let specs = specs.into_iter().map(|spec| HostSpec { traits, ..spec }).collect();
    let mut world = swarm(32 * MIB + 12_345, millis(1), specs);
    assert!(world.run(Duration::from_secs(5), World::all_complete));
    assert_eq!(world.hosts[1].received, 32 * MIB + 12_345);
    assert!(world.hosts[1].asked.values().all(|&times| times == 1));
}

#[test]
fn peers_without_the_fast_extension_are_served_too() {
    let traits =
        PeerTraits { fast: false, request_length: 0, request_queue: 250, upload_only: false, blocks: false };
    let specs = [HostSpec::seed(5_000_000), HostSpec::leech(5_000_000), HostSpec::leech(5_000_000)];
    let specs = specs.into_iter().map(|spec| HostSpec { traits, ..spec }).collect();
    let mut world = swarm(16 * MIB, millis(10), specs);
    assert!(world.run(Duration::from_secs(60), World::all_complete));
}

#[test]
fn one_seed_and_eight_leeches_share_the_work() {
    let up = 6_250_000;
    let mut specs = vec![HostSpec::seed(up)];
    specs.resize(9, HostSpec::leech(up));
    let mut world = swarm(64 * MIB, millis(5), specs);
    assert!(world.run(Duration::from_secs(120), World::all_complete));
    let bound = 64.0 * MIB as f64 / up as f64;
    let efficiency = bound / seconds(world.now);
    let seed_ratio = world.hosts[0].sent as f64 / (64 * MIB) as f64;
    let received: u64 = world.hosts[1..].iter().map(|host| host.received).sum();
    let duplicates = received as f64 / (8 * 64 * MIB) as f64 - 1.0;
    assert!(seed_ratio < 1.1, "the seed sends {seed_ratio} F");
    assert!(efficiency > 0.88, "efficiency {efficiency}");
    assert!(duplicates < 0.02, "duplicates {duplicates}");
}

#[test]
fn equal_seeds_of_chance_give_equal_runs() {
    let run = || {
        let mut specs = vec![HostSpec::seed(2_000_000)];
        specs.resize(5, HostSpec::leech(2_000_000));
        let mut world = swarm(8 * MIB, millis(20), specs);
        assert!(world.run(Duration::from_secs(120), World::all_complete));
        (world.now, world.trace)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_leech_goes_on_by_itself_when_the_only_seed_returns() {
    let up = 4_000_000;
    let mut world = swarm(32 * MIB, millis(10), vec![HostSpec::seed(up), HostSpec::leech(up)]);
    assert!(world.run(Duration::from_secs(60), |world| world.hosts[1].received > 12 * MIB));
    world.kill(0);
    world.run(Duration::from_secs(20), |_| false);
    world.start(0);
    let back = world.now;
    assert!(world.run(Duration::from_secs(100), World::all_complete));
    assert!(world.now.since(back) < Duration::from_secs(45), "{:?}", world.now.since(back));
    assert!(world.hosts[1].received < 34 * MIB);
}

#[test]
fn a_leech_that_crashed_resumes_with_what_it_had() {
    let up = 4_000_000;
    let mut world = swarm(32 * MIB, millis(10), vec![HostSpec::seed(up), HostSpec::leech(up)]);
    assert!(world.run(Duration::from_secs(60), |world| world.hosts[1].disk.count_ones() > 60));
    world.kill(1);
    world.start(1);
    world.introduce_all();
    assert!(world.run(Duration::from_secs(60), World::all_complete));
    assert!(world.hosts[1].received < 34 * MIB, "{}", world.hosts[1].received);
}

#[test]
fn a_corrupter_is_banned_and_nothing_bad_is_kept() {
    let up = 4_000_000;
    let corrupter = HostSpec { corrupts: true, ..HostSpec::seed(up) };
    let mut specs = vec![HostSpec::seed(up), corrupter];
    specs.resize(6, HostSpec::leech(up));
    let mut world = swarm(32 * MIB, millis(10), specs);
    assert!(world.run(Duration::from_secs(120), World::all_complete));
    let bans = |host: usize, peer: u64| {
        let offence = DisconnectReason::Offence(Offence::CorruptPiece);
        world.hosts[host].disconnects.contains(&(PeerKey(peer), offence))
    };
    for leech in 2..6 {
        assert!(bans(leech, 1), "leech {leech} did not ban the corrupter");
        for honest in (0..6).filter(|&peer| peer != 1 && peer != leech) {
            assert!(!bans(leech, honest as u64), "leech {leech} banned honest {honest}");
        }
    }
}

#[test]
fn those_who_give_are_served_before_those_who_do_not() {
    let up = 2_000_000;
    let silent = EngineConfig { upload_slots: 0..=0, ..EngineConfig::default() };
    let mut specs = vec![HostSpec::seed(up)];
    specs.resize(9, HostSpec::leech(up));
    specs.resize(12, HostSpec { config: silent, ..HostSpec::leech(up) });
    let mut world = swarm(64 * MIB, millis(10), specs);
    // Afterwards everybody has more to give than anybody wants.
    let is_hungry = |world: &World| world.hosts[1..9].iter().all(|host| host.completed_at.is_none());
    assert!(world.run(Duration::from_secs(600), |world| !is_hungry(world)));
    let mean = |hosts: std::ops::Range<usize>| {
        let count = hosts.len() as u64;
        hosts.map(|n| world.hosts[n].received).sum::<u64>() / count
    };
    let (givers, takers) = (mean(1..9), mean(9..12));
    assert!(takers * 3 < givers * 2, "givers {givers} bytes, takers {takers} bytes");
    assert!(world.run(Duration::from_secs(600), World::all_complete), "and yet they get all");
}

#[test]
fn a_slow_giver_does_not_hold_up_the_end() {
    let specs = vec![HostSpec::seed(5_000_000), HostSpec::seed(20_000), HostSpec::leech(5_000_000)];
    let mut world = swarm(32 * MIB, millis(10), specs);
    assert!(world.run(Duration::from_secs(120), World::all_complete));
    assert!(seconds(world.now) < 10.0, "{}", seconds(world.now));
    assert!(world.hosts[2].received < 33 * MIB + MIB / 2);
    assert!(world.hosts[2].asked.values().all(|&times| times <= 2));
}

#[test]
fn two_complete_peers_part() {
    let mut world = swarm(MIB, millis(10), vec![HostSpec::seed(MIB), HostSpec::seed(MIB)]);
    world.run(Duration::from_secs(60), |_| false);
    let links = |host: usize| world.hosts[host].engine.as_ref().unwrap().link_count(TORRENT);
    assert_eq!((links(0), links(1)), (0, 0));
    let cuts = world.hosts[0].disconnects.len() + world.hosts[1].disconnects.len();
    assert!((1..=2).contains(&cuts), "{cuts} cuts in a minute");
}

#[test]
fn a_lost_piece_is_fetched_again_but_not_by_a_seed() {
    let up = 4_000_000;
    let mut world = swarm(4 * MIB, millis(10), vec![HostSpec::seed(up), HostSpec::leech(up)]);
    assert!(world.run(Duration::from_secs(60), |world| world.hosts[1].disk.count_ones() > 8));
    let piece = world.hosts[1].disk.iter_ones().next().unwrap();
    world.hosts[1].disk.clear(piece);
    world.tell(1, Input::PieceLost { torrent: TORRENT, piece });
    assert!(world.run(Duration::from_secs(60), World::all_complete));

    let mut world = swarm(4 * MIB, millis(10), vec![HostSpec::seed(up), HostSpec::seed(up)]);
    let piece = PieceIndex(3);
    world.hosts[1].disk.clear(piece);
    world.tell(1, Input::PieceLost { torrent: TORRENT, piece });
    world.run(Duration::from_secs(60), |_| false);
    assert_eq!(world.hosts[1].received, 0);
}

#[test]
fn a_seed_that_lost_pieces_and_has_them_again_gives_them_to_old_links_and_new_ones() {
    let up = 4_000_000;
    let mut world = swarm(4 * MIB, millis(10), vec![HostSpec::seed(up), HostSpec::leech(up)]);
    world.run(millis(300), |_| false);
    let pieces: Vec<PieceIndex> = world.hosts[0].disk.iter_ones().collect();
    for _ in 0..2 {
        for &piece in &pieces {
            world.tell(0, Input::PieceLost { torrent: TORRENT, piece });
        }
        world.run(Duration::from_secs(3), |_| false);
        for &piece in &pieces {
            world.tell(0, Input::PieceChecked { torrent: TORRENT, piece, verdict: Verdict::Good });
        }
    }
    assert!(world.run(Duration::from_secs(60), |world| world.hosts[1].disk.is_full()));
    world.kill(1);
    let late = world.add_host(HostSpec::leech(up));
    world.introduce_all();
    assert!(world.run(Duration::from_secs(60), |world| world.hosts[late].disk.is_full()));
}

#[test]
fn who_is_left_alone_with_the_seed_gets_what_others_took_along() {
    let up = 4_000_000;
    let mut world = swarm(16 * MIB, millis(10), vec![HostSpec::seed(up), HostSpec::leech(up)]);
    let mut left = vec![1];
    for wait in [700, 900, 300] {
        world.run(millis(wait), |_| false);
        left.push(world.add_host(HostSpec::leech(up)));
        world.introduce_all();
    }
    while let Some(&last) = left.last() {
        let done = |world: &World| left.iter().copied().find(|&host| world.hosts[host].disk.is_full());
        assert!(world.run(Duration::from_secs(30), |world| done(world).is_some()), "{last} is stuck");
        let gone = done(&world).unwrap();
        world.kill(gone);
        left.retain(|&host| host != gone);
    }
}
