//! The table of scenarios, and how one is run.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::plan::{Params, Plan};
use super::report::Report;
use super::scenarios::{arrivals, crowds, faults, hostile};
use super::world::World;

/// A world with a name.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// What is chosen if nothing else is.
    pub defaults: fn() -> Params,
    /// Makes the world.
    pub plan: fn(&Params) -> Plan,
    /// Adds what only this scenario has to say.
    pub add: fn(&Params, &Plan, &World, &mut Report),
}

const fn scenario(
    name: &'static str,
    about: &'static str,
    defaults: fn() -> Params,
    plan: fn(&Params) -> Plan,
    add: fn(&Params, &Plan, &World, &mut Report),
) -> Scenario {
    Scenario { name, about, defaults, plan, add }
}

/// Every scenario.
pub const ALL: &[Scenario] = &[
    scenario(
        "flash-crowd",
        "one seed, and leeches that come at once with equal links",
        Params::default,
        crowds::flash,
        nothing,
    ),
    scenario(
        "slow-seed",
        "a flash crowd whose seed has half a leech's uplink",
        crowds::slow_seed,
        crowds::flash,
        nothing,
    ),
    scenario(
        "home-links",
        "a flash crowd whose uplinks are slow, and slower than its downlinks",
        crowds::home_links,
        crowds::flash,
        nothing,
    ),
    scenario(
        "full-uplinks",
        "a flash crowd with a fast seed and hardly any uplinks of its own",
        crowds::full_uplinks,
        crowds::flash,
        nothing,
    ),
    scenario(
        "large-pieces",
        "a flash crowd for a v2 torrent of few and large pieces",
        crowds::large_pieces,
        crowds::flash,
        nothing,
    ),
    scenario(
        "mixed-links",
        "three classes of links, 1:4:16",
        crowds::mixed_params,
        crowds::mixed,
        crowds::add_worst_class,
    ),
    scenario(
        "steady-arrivals",
        "leeches come one after the other and go soon after they have everything",
        arrivals::steady_params,
        arrivals::steady,
        arrivals::add_slowdown,
    ),
    scenario(
        "seed-leaves",
        "the only seed goes after giving 1.05 copies",
        crowds::leaving_params,
        crowds::seed_leaves,
        crowds::add_lost_pieces,
    ),
    scenario(
        "free-riders",
        "a quarter of the leeches give nothing",
        hostile::riders_params,
        hostile::riders,
        hostile::add_riders,
    ),
    scenario(
        "corrupters",
        "a tenth of the leeches give wrong bytes",
        hostile::corrupters_params,
        hostile::corrupters,
        hostile::add_world_without,
    ),
    scenario(
        "one-address",
        "corrupters come one after the other, all from one address",
        hostile::one_address_params,
        hostile::one_address,
        hostile::add_culprits,
    ),
    scenario(
        "liars",
        "a third of the leeches lie, each in its way",
        hostile::liars_params,
        hostile::liars,
        hostile::add_world_without,
    ),
    scenario(
        "churn",
        "a tenth of the leeches goes in a minute, and as many come",
        faults::churn_params,
        faults::churn,
        nothing,
    ),
    scenario(
        "crash-resume",
        "every leech crashes once and resumes",
        faults::crash_params,
        faults::crash,
        nothing,
    ),
    scenario(
        "partition",
        "half of the leeches lose the rest for a while",
        faults::partition_params,
        faults::partition,
        nothing,
    ),
    scenario(
        "hiccups",
        "links that stall, are cut and vary in latency",
        faults::hiccups_params,
        faults::hiccups,
        nothing,
    ),
    scenario(
        "tracker-gone",
        "the tracker is there for the first half only",
        arrivals::tracker_gone_params,
        arrivals::tracker_gone,
        nothing,
    ),
    scenario(
        "last-piece",
        "everybody lacks the same piece, and goes when he has it",
        crowds::last_piece_params,
        crowds::last_piece,
        nothing,
    ),
    scenario(
        "slow-disks",
        "half of the leeches hash more slowly than their links deliver",
        Params::default,
        crowds::slow_disks,
        nothing,
    ),
    scenario("two-peers", "one seed and two leeches", crowds::two_peers, crowds::flash, nothing),
    scenario("thousand", "a flash crowd of a thousand", crowds::thousand, crowds::flash, nothing),
];

fn nothing(_: &Params, _: &Plan, _: &World, _: &mut Report) {}

impl Scenario {
    /// The scenario of that name.
    pub fn named(name: &str) -> Option<&'static Scenario> {
        ALL.iter().find(|scenario| scenario.name == name)
    }

    /// Runs it once.
    pub fn run(&self, params: &Params) -> Report {
        let plan = (self.plan)(params);
        let (mut world, complete) = play(&plan);
        if !complete && world.violation.is_none() {
            let waiting =
                world.hosts.iter().filter(|host| host.must_complete() && host.completed_at.is_none());
            let waiting = waiting.count();
            world.violation = Some(format!("{waiting} honest hosts never had everything"));
        }
        let mut report = Report::of(self.name, params.leeches, &plan, &world, complete);
        (self.add)(params, &plan, &world, &mut report);
        report
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scenario({})", self.name)
    }
}

/// Runs a world to its end; whether everybody has everything. A panic of an engine is a broken claim.
pub fn play(plan: &Plan) -> (World, bool) {
    let mut world = World::new(plan.settings.clone(), plan.hosts.clone(), plan.script.clone());
    let result = catch_unwind(AssertUnwindSafe(|| world.run(plan.limit)));
    let complete = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        world.violation.get_or_insert(format!("it panicked: {text}"));
        false
    });
    (world, complete)
}
