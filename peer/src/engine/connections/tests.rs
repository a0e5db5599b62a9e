//! Candidates over time.

use super::*;

const A: PeerKey = PeerKey(1);

fn rng() -> EngineRng {
    EngineRng::new([6; 32])
}

fn millis(millis: u64) -> Moment {
    Moment::from_micros(millis * 1000)
}

fn learnt(source: Source) -> Connections {
    let mut connections = Connections::new(100);
    connections.learn(A, source, Need::Urgent, millis(0), &mut rng());
    connections
}

/// How long until the next dial after a failure at `now`.
fn wait(connections: &Connections, now: Moment) -> Option<Duration> {
    connections.next_at().map(|at| at.since(now))
}

#[test]
fn a_candidate_is_dialled_at_once_and_once() {
    let mut connections = learnt(Source::Tracker);
    assert_eq!(connections.take_due(millis(0)), Some(A));
    assert_eq!(connections.take_due(millis(0)), None);
    connections.learn(A, Source::Dht, Need::Urgent, millis(1), &mut rng());
    assert_eq!(connections.take_due(millis(10_000)), None, "it is being dialled");
    assert_eq!((connections.engaged(), connections.count()), (1, 1));
}

#[test]
fn failures_make_the_wait_longer_until_the_candidate_is_forgotten() {
    let mut connections = learnt(Source::Tracker);
    let mut now = millis(0);
    let mut waits = Vec::new();
    while let Some(peer) = connections.take_due(now) {
        connections.on_dial_failed(peer, Need::Urgent, now, &mut rng());
        let Some(wait) = wait(&connections, now) else { break };
        waits.push(wait.as_secs_f64());
        now += wait;
    }
    assert_eq!(waits.len(), 7);
    for (n, wait) in waits.iter().enumerate() {
        let least = f64::from(1 << n);
        assert!((least..=least * 1.25).contains(wait), "{waits:?}");
    }
    assert_eq!((connections.count(), connections.engaged()), (0, 0));
}

#[test]
fn a_peer_the_user_named_is_never_given_up() {
    let mut connections = learnt(Source::Link);
    let mut now = millis(0);
    for _ in 0..100 {
        assert_eq!(connections.take_due(now), Some(A));
        connections.on_dial_failed(A, Need::Urgent, now, &mut rng());
        let wait = wait(&connections, now).unwrap();
        assert!(wait <= LONGEST_WAIT_PROVEN + LONGEST_WAIT_PROVEN / 4);
        now += wait;
    }
}

#[test]
fn a_useful_peer_that_is_lost_is_tried_again_within_about_a_second() {
    let mut connections = learnt(Source::Tracker);
    connections.take_due(millis(0));
    connections.on_linked(A, None, millis(50));
    assert_eq!(connections.next_at(), None);
    connections.on_unlinked(A, Farewell::LostUseful, Need::Urgent, millis(9000), &mut rng());
    let wait = wait(&connections, millis(9000)).unwrap();
    assert!((1000..=1250).contains(&wait.as_millis()), "{wait:?}");
    assert_eq!(connections.engaged(), 0);
}

#[test]
fn a_pair_with_nothing_to_trade_leaves_each_other_alone() {
    let mut connections = learnt(Source::Tracker);
    connections.on_linked(A, None, millis(50));
    connections.on_unlinked(A, Farewell::NothingToTrade, Need::None, millis(60), &mut rng());
    connections.learn(A, Source::Tracker, Need::None, millis(70), &mut rng());
    assert!(wait(&connections, millis(60)).unwrap() >= NOTHING_TO_TRADE_WAIT);
}

#[test]
fn a_seed_lets_others_come_first() {
    let mut connections = Connections::new(100);
    connections.learn(A, Source::Tracker, Need::None, millis(0), &mut rng());
    assert!(connections.next_at().unwrap() >= millis(10_000));
    connections.learn(PeerKey(2), Source::Link, Need::None, millis(0), &mut rng());
    assert_eq!(connections.next_at(), Some(millis(0)), "unless the user said whom to dial");
}

#[test]
fn a_peer_that_came_to_us_is_no_longer_dialled() {
    let mut connections = learnt(Source::Tracker);
    connections.on_linked(A, None, millis(5));
    assert_eq!(connections.take_due(millis(99_999)), None);
    connections.on_dial_failed(A, Need::Urgent, millis(6), &mut rng());
    assert_eq!((connections.engaged(), connections.next_at()), (1, None));
}

#[test]
fn the_memory_is_bounded_and_prefers_those_that_did_not_fail() {
    let mut connections = Connections::new(10);
    for peer in 0..1000 {
        connections.learn(PeerKey(peer), Source::Dht, Need::Urgent, millis(0), &mut rng());
    }
    assert_eq!(connections.count(), 10);
    let failing = connections.take_due(millis(0)).unwrap();
    connections.on_dial_failed(failing, Need::Urgent, millis(0), &mut rng());
    connections.learn(PeerKey(5000), Source::Dht, Need::Urgent, millis(1), &mut rng());
    assert_eq!(connections.count(), 10);
    assert!(connections.candidates.contains_key(&PeerKey(5000)));
    assert!(!connections.candidates.contains_key(&failing));
}

#[test]
fn a_peer_that_does_not_take_part_is_left_alone_until_it_is_learnt_anew() {
    let mut connections = learnt(Source::Lan);
    assert_eq!(connections.take_due(millis(0)), Some(A));
    connections.on_refused(A);
    assert_eq!((connections.count(), connections.engaged(), connections.next_at()), (0, 0, None));
    connections.learn(A, Source::Lan, Need::Urgent, millis(5), &mut rng());
    assert_eq!(connections.take_due(millis(5)), Some(A));
    connections.on_linked(A, None, millis(6));
    connections.on_refused(A);
    assert_eq!((connections.count(), connections.engaged()), (1, 1), "it came to us meanwhile");
}
