//! Every drill of the `drill` command, with little content. Those that need network namespaces skip without root.

use samara_tests::drill::{Drill, Needs, Options, Scale};
use samara_tests::netns;

/// Decides the random choices; the command tries others.
const RNG_SEED: u64 = 1;

fn check(name: &str) {
    let drill = Drill::named(name).expect("a drill of this name");
    if drill.needs == Needs::Namespaces && !netns::available(name) {
        return;
    }
    let report = drill.try_once(Options { scale: Scale::Small, rng_seed: RNG_SEED });
    if let Err(why) = report.result {
        panic!("{name} (rng seed {RNG_SEED}) claims: {}\n{why}", drill.claim);
    }
}

#[test]
fn tracker_killed_before() {
    check("tracker-killed-before");
}

#[test]
fn tracker_killed_during() {
    check("tracker-killed-during");
}

#[test]
fn tracker_killed_after() {
    check("tracker-killed-after");
}

#[test]
fn newcomer_by_dht() {
    check("newcomer-by-dht");
}

#[test]
fn newcomer_by_lan() {
    check("newcomer-by-lan");
}

#[test]
fn newcomer_by_pex() {
    check("newcomer-by-pex");
}

#[test]
fn newcomer_by_cache() {
    check("newcomer-by-cache");
}

#[test]
fn newcomer_by_link() {
    check("newcomer-by-link");
}

#[test]
fn bootstrap_node_killed() {
    check("bootstrap-node-killed");
}

#[test]
fn seed_gone_at_1_05() {
    check("seed-gone-at-1.05");
}

#[test]
fn a_quarter_killed() {
    check("a-quarter-killed");
}

#[test]
fn network_split() {
    check("network-split");
}

#[test]
fn poisoned_tracker() {
    check("poisoned-tracker");
}

#[test]
fn poisoned_pex() {
    check("poisoned-pex");
}

#[test]
fn poisoned_dht() {
    check("poisoned-dht");
}

#[test]
fn poisoned_lan() {
    check("poisoned-lan");
}
