//! Swarms to which something happens: parts that lose each other, hosts that come, go, crash and stall.

use std::time::Duration;

use samara_peer::engine::rng::EngineRng;

use crate::sim::agenda::HostNo;
use crate::sim::host::{HostSpec, MBIT};
use crate::sim::plan::{Params, Plan, SEED_LEAD};
use crate::sim::script::Step;

/// Links across the parts of a divided net are dead after this: keep-alives of lower layers see to it.
const DEAD_AFTER: Duration = Duration::from_secs(30);
/// How long the net stays divided.
const DIVIDED: Duration = Duration::from_secs(40);
/// Between two departures, one in ten leaves in a minute.
const CHURN_PER_MINUTE: f64 = 0.1;
/// How long people come and go.
const CHURN: Duration = Duration::from_secs(120);

/// The chance that faults follow.
struct Fate(EngineRng);

impl Fate {
    fn new(params: &Params) -> Self {
        let mut seed = [0xfa; 32];
        seed[..8].copy_from_slice(&params.rng_seed.to_le_bytes());
        Self(EngineRng::new(seed))
    }

    fn between(&mut self, from: f64, to: f64) -> Duration {
        let part = f64::from(self.0.below(1_000_000)) / 1e6;
        Duration::from_secs_f64(from + (to - from) * part)
    }
}

/// Sixteen leeches.
pub fn partition_params() -> Params {
    Params { leeches: 16, ..Params::default() }
}

/// A fifth of the way, half of the leeches lose the seed and the others; later they are one net again.
pub fn partition(params: &Params) -> Plan {
    let mut plan = Plan::calm(params, params.crowd());
    let at = SEED_LEAD + plan.bound / 5;
    let parts = (0..plan.hosts.len()).map(|host| u8::from(host > 0 && host % 2 == 0)).collect();
    let healed = at + DIVIDED;
    plan.script =
        vec![(at, Step::Divide(parts)), (at + DEAD_AFTER, Step::DropCrossing), (healed, Step::Heal)];
    ends(plan, healed)
}

/// Thirty leeches with slow links, so that enough of them come and go.
pub fn churn_params() -> Params {
    Params { leeches: 30, seed_up: 12.5, up: 12.5, down: 12.5, ..Params::default() }
}

/// A tenth of the leeches goes in a minute, without a word, and as many come.
pub fn churn(params: &Params) -> Plan {
    let mut fate = Fate::new(params);
    let mut hosts = params.crowd();
    let mut script = Vec::new();
    let every = 60.0 / (CHURN_PER_MINUTE * f64::from(params.leeches));
    let mut present: Vec<HostNo> = (1..=params.leeches).collect();
    let mut at = every / 2.0;
    while at < CHURN.as_secs_f64() && !present.is_empty() {
        let goes = present.swap_remove(fate.0.index(present.len()));
        script.push((SEED_LEAD + Duration::from_secs_f64(at), Step::Leave(goes)));
        let start = SEED_LEAD + Duration::from_secs_f64(at) + fate.between(0.0, every / 2.0);
        present.push(hosts.len() as HostNo);
        hosts.push(HostSpec { start, class: "late", ..params.leech(hosts.len() as u32) });
        at += every;
    }
    // The bound is that of those who are there at one time.
    let mut plan = Plan::calm(params, hosts);
    plan.bound = Plan::calm(params, params.crowd()).bound;
    plan.script = script;
    ends(plan, SEED_LEAD + CHURN)
}

/// Sixteen leeches.
pub fn crash_params() -> Params {
    Params { leeches: 16, ..Params::default() }
}

/// Every leech crashes once while it fetches, and resumes with what is on its disk.
pub fn crash(params: &Params) -> Plan {
    let mut fate = Fate::new(params);
    let mut plan = Plan::calm(params, params.crowd());
    let bound = plan.bound.as_secs_f64();
    let mut last = Duration::ZERO;
    for host in 1..=params.leeches {
        let at = SEED_LEAD + fate.between(bound * 0.05, bound * 0.8);
        let back = at + fate.between(1.0, 10.0);
        plan.script.extend([(at, Step::Crash(host)), (back, Step::Resume(host))]);
        last = last.max(back);
    }
    ends(plan, last)
}

/// Sixteen leeches.
pub fn hiccups_params() -> Params {
    Params { leeches: 16, jitter: Duration::from_millis(20), ..Params::default() }
}

/// Every host's links stall now and then, and some are cut.
pub fn hiccups(params: &Params) -> Plan {
    let mut fate = Fate::new(params);
    let mut plan = Plan::calm(params, params.crowd());
    let bound = (params.bytes() / (params.down * MBIT)).max(5.0);
    let mut last = Duration::ZERO;
    for host in 0..=params.leeches {
        let at = SEED_LEAD + fate.between(1.0, bound);
        let wait = fate.between(0.5, 5.0);
        let cut = SEED_LEAD + fate.between(1.0, bound);
        plan.script.extend([(at, Step::Stall(host, wait)), (cut, Step::CutOne(host))]);
        last = last.max(at + wait).max(cut);
    }
    ends(plan, last)
}

/// The faults of a plan are over at `at`.
fn ends(mut plan: Plan, at: Duration) -> Plan {
    plan.script.push((at, Step::Pause));
    plan.faults_end = Some(at);
    plan.limit += at;
    plan
}
