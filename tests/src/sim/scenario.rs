//! The table of scenarios, and how one is run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::plan::{Params, Plan};
use super::report::Report;
use super::scenarios::crowds;
use super::world::World;

/// A world with a name.
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

/// Every scenario.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "flash-crowd",
        about: "one seed and leeches that come at once, with equal links",
        defaults: Params::default,
        plan: crowds::flash,
        add: nothing,
    },
    Scenario {
        name: "slow-seed",
        about: "a flash crowd whose seed has half a leech's uplink",
        defaults: crowds::slow_seed,
        plan: crowds::flash,
        add: nothing,
    },
    Scenario {
        name: "two-peers",
        about: "one seed and two leeches",
        defaults: crowds::two_peers,
        plan: crowds::flash,
        add: nothing,
    },
    Scenario {
        name: "thousand",
        about: "a flash crowd of a thousand",
        defaults: crowds::thousand,
        plan: crowds::flash,
        add: nothing,
    },
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

    /// The command that runs it again.
    pub fn replay(&self, params: &Params) -> String {
        let d = (self.defaults)();
        let mut command = format!(
            "cargo run --release -p samara-tests --bin sim -- --scenario {} --rng-seed {}",
            self.name, params.rng_seed
        );
        let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        for (flag, value, default) in [
            ("leeches", f64::from(params.leeches), f64::from(d.leeches)),
            ("pieces", f64::from(params.pieces), f64::from(d.pieces)),
            ("piece-length", f64::from(params.piece_length), f64::from(d.piece_length)),
            ("seed-up", params.seed_up, d.seed_up),
            ("up", params.up, d.up),
            ("down", params.down, d.down),
            ("latency", millis(params.latency), millis(d.latency)),
            ("jitter", millis(params.jitter), millis(d.jitter)),
            ("overhead", f64::from(params.overhead), f64::from(d.overhead)),
            ("socket-buffer", f64::from(params.socket_bytes), f64::from(d.socket_bytes)),
            ("window", f64::from(params.window_bytes), f64::from(d.window_bytes)),
        ] {
            if value != default {
                command.push_str(&format!(" --{flag} {value}"));
            }
        }
        if params.v2 != d.v2 {
            command.push_str(if params.v2 { " --v2" } else { " --v1" });
        }
        command
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
