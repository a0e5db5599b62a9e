//! Leeches that come at once.

use std::time::Duration;

use samara_proto::layout::PieceIndex;

use crate::sim::host::{HostSpec, Leaves, MBIT};
use crate::sim::plan::{Params, Plan, bound};
use crate::sim::report::Report;
use crate::sim::world::World;

/// Copies that the seed gives before it goes.
const COPIES: f64 = 1.05;
/// Pieces that everybody lacks but the seed.
const LACKING: u32 = 1;
/// A disk slower than the links: bytes hashed a second.
const SLOW_HASHING: u64 = 4_000_000;

/// A seed and a crowd.
pub fn flash(params: &Params) -> Plan {
    Plan::calm(params, params.crowd())
}

/// The seed has half a leech's uplink.
pub fn slow_seed() -> Params {
    Params { seed_up: 25.0, ..Params::default() }
}

/// Two leeches.
pub fn two_peers() -> Params {
    Params { leeches: 2, ..Params::default() }
}

/// A thousand leeches.
pub fn thousand() -> Params {
    Params { leeches: 1000, ..Params::default() }
}

/// Uplinks as homes have them: slow, and a quarter of the downlinks.
pub fn home_links() -> Params {
    Params {
        leeches: 30,
        pieces: 512,
        piece_length: 65536,
        seed_up: 2.0,
        up: 2.0,
        down: 8.0,
        ..Params::default()
    }
}

/// A fast seed, and leeches whose uplinks are a small part of their downlinks: they can give each other next to nothing,
/// and what they ask the seed for waits behind it.
pub fn full_uplinks() -> Params {
    Params { leeches: 5, pieces: 256, seed_up: 200.0, up: 1.0, down: 16.0, ..Params::default() }
}

/// As few pieces as other tools make.
pub fn large_pieces() -> Params {
    Params { pieces: 64, piece_length: 1024 * 1024, v2: true, ..Params::default() }
}

/// Links of 5, 20 and 80 Mbit/s.
pub fn mixed_params() -> Params {
    Params { leeches: 24, seed_up: 80.0, up: 80.0, down: 80.0, ..Params::default() }
}

/// A third of the leeches has a quarter of the rates, another third a sixteenth.
pub fn mixed(params: &Params) -> Plan {
    let mut hosts = params.crowd();
    for (number, host) in hosts.iter_mut().skip(1).enumerate() {
        let (class, part) = [("fast", 1.0), ("middle", 4.0), ("slow", 16.0)][number % 3];
        (host.class, host.up, host.down) = (class, host.up / part, host.down / part);
    }
    Plan::calm(params, hosts)
}

/// The least of all classes' own bound over what its last member took.
pub fn add_worst_class(_: &Params, _: &Plan, _: &World, report: &mut Report) {
    let own = |bound: f64, last: f64| if last > 0.0 { bound / last } else { 0.0 };
    let ratios = report.classes.iter().map(|class| own(class.bound_seconds, class.last_seconds));
    report.extra.insert("worst_class_efficiency", ratios.fold(f64::INFINITY, f64::min));
}

/// A crowd so large that the seed has to give more before everybody has everything.
pub fn leaving_params() -> Params {
    Params { leeches: 50, pieces: 256, ..Params::default() }
}

/// The seed goes when it has given a little more than one copy.
pub fn seed_leaves(params: &Params) -> Plan {
    let mut hosts = params.crowd();
    hosts[0].leaves = Leaves::AfterGiving(COPIES);
    Plan::calm(params, hosts)
}

/// Pieces that nobody has any more.
pub fn add_lost_pieces(params: &Params, _: &Plan, world: &World, report: &mut Report) {
    let running = || world.hosts.iter().filter(|host| host.is_up);
    let has = |piece: u32| running().any(|host| host.disk.verified().get(PieceIndex(piece)));
    let lost = (0..params.pieces).filter(|&piece| !has(piece)).count();
    report.extra.insert("lost_pieces", lost as f64);
}

/// Many leeches.
pub fn last_piece_params() -> Params {
    Params { leeches: 32, ..Params::default() }
}

/// Everybody comes with all but one piece, which only the seed has, and goes when he has it.
pub fn last_piece(params: &Params) -> Plan {
    let mut hosts = params.crowd();
    for host in hosts.iter_mut().skip(1) {
        host.preloaded = 1000;
        host.lacks = LACKING;
        host.leaves = Leaves::AfterCompletion(Duration::ZERO);
    }
    let mut plan = Plan::calm(params, hosts);
    plan.bound = bound(f64::from(LACKING * params.piece_length), &plan.hosts);
    plan
}

/// Half of the leeches have disks that hash more slowly than their links deliver.
pub fn slow_disks(params: &Params) -> Plan {
    let mut hosts = params.crowd();
    let slow = |host: &mut HostSpec| {
        host.hash_rate = SLOW_HASHING;
        host.class = "slow disk";
    };
    hosts.iter_mut().skip(1).step_by(2).for_each(slow);
    let mut plan = Plan::calm(params, hosts);
    let hashing = params.bytes() / SLOW_HASHING as f64;
    plan.bound = plan.bound.max(Duration::from_secs_f64(hashing.max(params.bytes() / (params.down * MBIT))));
    plan
}
