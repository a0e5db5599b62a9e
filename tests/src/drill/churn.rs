//! Peers are killed at random, and as many join, until everybody alive has everything.

use std::time::{Duration, Instant};

use rand::seq::SliceRandom;

use super::stage::{Peer, Stage};
use crate::patience;

/// The share of the peers that is killed each time: one in so many.
const SHARE: usize = 4;
/// Rounds that must have passed for this to have been a drill.
const ROUNDS_MIN: u32 = 2;

/// Whoever joins knows the tracker alone, which goes on naming the dead.
pub(super) fn a_quarter_killed(stage: &mut Stage) -> String {
    let content = stage.content(stage.by_scale(6, 24));
    let (count, round) = stage.by_scale((8, Duration::from_secs(3)), (12, Duration::from_secs(10)));
    // So slow that several rounds pass before the first are through.
    stage.move_to_box(stage.by_scale(64, 100));
    let tracker = stage.tracker();
    let link = content.link(&[], &[&tracker.http]);
    let mut peers = vec![stage.seed("seed", &content, &["--tracker", &tracker.http])];
    let mut joined = 0;
    let mut join = |stage: &Stage, peers: &mut Vec<Peer>| {
        peers.push(stage.join(&format!("peer {joined}"), &link, &[]));
        joined += 1;
    };
    while peers.len() < count {
        join(stage, &mut peers);
    }

    let mut rounds = 0;
    while !wait_for_all(&mut peers, round) {
        // While nobody else has everything, nobody could go on without the seed.
        let spared = usize::from(!peers[1..].iter_mut().any(Peer::is_complete));
        peers[spared..].shuffle(&mut stage.rng);
        for mut peer in peers.split_off(peers.len() - count / SHARE) {
            peer.process.kill();
        }
        while peers.len() < count {
            join(stage, &mut peers);
        }
        rounds += 1;
    }
    assert!(rounds >= ROUNDS_MIN, "after {rounds} rounds all were through: make it slower");
    for peer in &mut peers {
        if peer.process.name() != "seed" {
            peer.complete(&content);
        }
    }
    format!("{rounds} rounds, {joined} joined, {count} at a time")
}

/// Whether everybody has everything within `limit`.
fn wait_for_all(peers: &mut [Peer], limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if peers.iter_mut().all(|peer| peer.process.name() == "seed" || peer.is_complete()) {
            return true;
        }
        patience::let_pass(Duration::from_millis(20));
    }
    false
}
