//! Swarms with liars in them, compared with the same swarms without.

use samara_peer::engine::event::{DisconnectReason, HolderKey};

use crate::sim::lie::Lie;
use crate::sim::plan::{Params, Plan};
use crate::sim::report::{Report, mean};
use crate::sim::scenario::play;
use crate::sim::world::World;

/// Every fourth is a free rider.
const RIDER_EVERY: usize = 4;
/// Every tenth is a corrupter.
const CORRUPTER_EVERY: usize = 10;
/// Every second is the next name of one corrupter.
const NAME_EVERY: usize = 2;
/// Every third is a liar.
const LIAR_EVERY: usize = 3;
/// Slowness of riders who got nothing at all.
const NOTHING_GOT: f64 = 1000.0;

/// All that lie in other ways than the two scenarios of their own.
const LIES: [(&str, Lie); 7] = [
    ("claims all", Lie::ClaimsAll),
    ("stalls", Lie::Stalls),
    ("under-reports", Lie::UnderReports),
    ("floods", Lie::Floods),
    ("storms", Lie::Storms),
    ("corrupts some", Lie::Corrupts(8)),
    ("rides", Lie::FreeRides),
];

/// Thirty-two, eight of them free riders.
pub fn riders_params() -> Params {
    Params { leeches: 32, ..Params::default() }
}

/// A quarter of the leeches give nothing.
pub fn riders(params: &Params) -> Plan {
    with_liars(params, RIDER_EVERY, |_| ("rider", Lie::FreeRides))
}

/// Forty, four of them corrupters, and a v2 torrent.
pub fn corrupters_params() -> Params {
    Params { leeches: 40, v2: true, ..Params::default() }
}

/// A tenth of the leeches give wrong bytes only.
pub fn corrupters(params: &Params) -> Plan {
    with_liars(params, CORRUPTER_EVERY, |_| ("corrupter", Lie::Corrupts(1)))
}

/// Twenty, half of them corrupters, and a v2 torrent.
pub fn one_address_params() -> Params {
    Params { leeches: 20, v2: true, ..Params::default() }
}

/// Every second leech gives wrong bytes only. All of these are at one address, and come one after the other while the
/// others fetch.
pub fn one_address(params: &Params) -> Plan {
    let mut plan = with_liars(params, NAME_EVERY, |_| ("corrupter", Lie::Corrupts(1)));
    let names = params.leeches.div_ceil(NAME_EVERY as u32);
    let (mut number, apart) = (0, plan.bound / (names + 1));
    for (host, spec) in plan.hosts.iter_mut().enumerate() {
        if spec.lie.is_honest() {
            spec.holder = Some(HolderKey(1 + host as u128));
        } else {
            spec.holder = Some(HolderKey(0));
            spec.start += apart * number;
            number += 1;
        }
    }
    plan
}

/// From how many corrupters one host took a wrong block, at most; and how often one was refused for what others did.
pub fn add_culprits(_: &Params, _: &Plan, world: &World, report: &mut Report) {
    let honest = || world.hosts.iter().filter(|host| host.spec.lie.is_honest());
    let most = honest().map(|host| host.counts.spoilt_by.len()).max().unwrap_or(0);
    let bans = honest().flat_map(|host| &host.counts.bans);
    let refused = bans.filter(|(_, reason)| *reason == DisconnectReason::HolderBanned).count();
    report.extra.insert("culprits_most", most as f64);
    report.extra.insert("refused", refused as f64);
}

/// Forty-two, two of every kind of liar.
pub fn liars_params() -> Params {
    Params { leeches: 42, ..Params::default() }
}

/// A third of the leeches lie, each kind in its way.
pub fn liars(params: &Params) -> Plan {
    with_liars(params, LIAR_EVERY, |number| LIES[number % LIES.len()])
}

fn with_liars(params: &Params, every: usize, lie: impl Fn(usize) -> (&'static str, Lie)) -> Plan {
    let mut hosts = params.crowd();
    for (number, host) in hosts.iter_mut().skip(1).step_by(every).enumerate() {
        (host.class, host.lie) = lie(number);
    }
    Plan::calm(params, hosts)
}

/// The mean time over that in a world without the liars.
pub fn add_world_without(_: &Params, plan: &Plan, _: &World, report: &mut Report) {
    let mut without = plan.clone();
    without.hosts.retain(|host| host.lie.is_honest());
    let (world, complete) = play(&without);
    let same = Report::of(report.scenario, report.leeches, &without, &world, complete);
    report.extra.insert("mean_seconds_without", same.mean_seconds);
    report.extra.insert("mean_over_without", report.mean_seconds / same.mean_seconds.max(1e-9));
}

/// The same, and how much slower the riders were fed for as long as a contributor missed something.
pub fn add_riders(params: &Params, plan: &Plan, world: &World, report: &mut Report) {
    add_world_without(params, plan, world, report);
    let rates = world.hosts.iter().filter(|host| host.spec.lie == Lie::FreeRides).filter_map(|rider| {
        let until = rider.completed_at.unwrap_or(world.now);
        let seconds = (until - rider.started_at?) as f64 / 1e9;
        Some(rider.counts.received as f64 / seconds)
    });
    let (riders, contributors) = (mean(rates), params.bytes() / report.mean_seconds.max(1e-9));
    let slowness = if riders > 0.0 { contributors / riders } else { NOTHING_GOT };
    report.extra.insert("rider_slowness", slowness);
}
