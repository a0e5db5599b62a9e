//! Leeches that come one after the other.

use std::time::Duration;

use crate::sim::host::{Leaves, MBIT};
use crate::sim::plan::{Params, Plan, SEED_LEAD, bound};
use crate::sim::report::Report;
use crate::sim::script::Step;
use crate::sim::world::World;

/// Leeches that come within the time one needs at least.
const AT_ONCE: f64 = 10.0;
/// How long a leech that has everything stays.
const LINGER: Duration = Duration::from_secs(10);

/// Four times as many as are there at once.
pub fn steady_params() -> Params {
    Params { leeches: 40, ..Params::default() }
}

/// One comes after the other and goes soon after it has everything; the seed stays.
pub fn steady(params: &Params) -> Plan {
    let mut hosts = params.crowd();
    let own = params.bytes() / (params.down * MBIT);
    for (number, host) in hosts.iter_mut().skip(1).enumerate() {
        host.start = SEED_LEAD + Duration::from_secs_f64(own / AT_ONCE * number as f64);
        host.leaves = Leaves::AfterCompletion(LINGER);
    }
    let mut plan = Plan::calm(params, hosts);
    let last = Duration::from_secs_f64(own / AT_ONCE * f64::from(params.leeches.saturating_sub(1)) + own);
    plan.bound = plan.bound.max(last);
    plan.limit = plan.bound * 10;
    plan
}

/// How many times the least a leech takes on average.
pub fn add_slowdown(params: &Params, _: &Plan, _: &World, report: &mut Report) {
    let own = params.bytes() / (params.down * MBIT);
    report.extra.insert("mean_over_least", report.mean_seconds / own);
}

/// Half as many again.
pub fn tracker_gone_params() -> Params {
    Params { leeches: 16, ..Params::default() }
}

/// The tracker is there for the first half only; each of the others knows one who came before, by a link.
pub fn tracker_gone(params: &Params) -> Plan {
    let mut hosts = params.crowd();
    let own = params.bytes() / (params.down * MBIT);
    let gone = Duration::from_secs_f64(own / 10.0) + SEED_LEAD;
    let early = params.leeches.div_ceil(2);
    for number in early..params.leeches {
        let host = &mut hosts[number as usize + 1];
        host.start = gone + Duration::from_secs_f64(own / 100.0 * f64::from(number - early + 1));
        host.knows = Some(1 + number % early);
        host.class = "late";
    }
    let start = hosts.iter().map(|host| host.start).max().unwrap_or_default();
    let mut plan = Plan::calm(params, hosts);
    plan.bound = bound(params.bytes(), &plan.hosts) + start.saturating_sub(SEED_LEAD);
    plan.script = vec![(gone, Step::TrackerGone)];
    plan
}
