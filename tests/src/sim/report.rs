//! What a run came to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::host::Host;
use super::plan::{Plan, class_bound};
use super::world::World;

/// How one class of leeches fared.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassReport {
    /// Its name.
    pub class: &'static str,
    /// Hosts that had to complete.
    pub count: usize,
    /// Mean seconds from start to completion, of those who completed.
    pub mean_seconds: f64,
    /// The same of the last.
    pub last_seconds: f64,
    /// What the fluid bound allows for the class's own downlink.
    pub bound_seconds: f64,
    /// Content bytes each gave, over F.
    pub given_ratio: f64,
}

/// What one run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
    /// Leeches in it.
    pub leeches: u32,
    /// Pieces of the content.
    pub pieces: u32,
    /// The run's name.
    pub rng_seed: u64,
    /// Everybody who must has everything.
    pub complete: bool,
    /// From the start of the first leech to the completion of the last; after faults, from their end.
    pub seconds: f64,
    /// The least it can be.
    pub bound_seconds: f64,
    /// Content bytes that seeds gave, over F.
    pub seed_bytes_ratio: f64,
    /// Content bytes received in vain by honest leeches, over what they needed.
    pub duplicate_ratio: f64,
    /// All other bytes of honest hosts, over what leeches needed.
    pub control_ratio: f64,
    /// The fingerprint.
    pub trace_hash: u64,
    /// Mean seconds from start to completion of honest leeches.
    pub mean_seconds: f64,
    /// Jain's index of what honest leeches gave: 1 if all gave alike.
    pub fairness: f64,
    /// Each class of honest leeches.
    pub classes: Vec<ClassReport>,
    /// Links that honest hosts ended for an offence of a liar.
    pub bans: usize,
    /// Most wrong blocks that one honest host took from one liar.
    pub wrong_blocks_most: u32,
    /// Pairs of an honest host and a liar from whom it took a wrong block, and that never broke.
    pub unpunished: usize,
    /// Facts that engines were told.
    pub facts: u64,
    /// The claim that was broken, if one was.
    pub violation: Option<String>,
    /// What only this scenario has to say.
    pub extra: BTreeMap<&'static str, f64>,
}

impl Report {
    /// The figures of a world that has been run.
    pub fn of(scenario: &'static str, leeches: u32, plan: &Plan, world: &World, complete: bool) -> Self {
        let bytes = world.settings.shape.bytes() as f64;
        let honest: Vec<&Host> =
            world.hosts.iter().filter(|host| host.spec.lie.is_honest() && !host.spec.is_seed).collect();
        let must: Vec<&Host> = honest.iter().copied().filter(|host| host.must_complete()).collect();
        let first = must.iter().filter_map(|host| host.started_at).min().unwrap_or(0);
        let last = must.iter().map(|host| host.completed_at.unwrap_or(world.now)).max().unwrap_or(world.now);
        let from = plan.faults_end.map_or(first, super::world::nanos);
        let needed: f64 = honest.iter().map(|host| needed(host, bytes)).sum();
        let sum = |figure: fn(&Host) -> u64| honest.iter().map(|host| figure(host)).sum::<u64>() as f64;
        let honest_all = world.hosts.iter().filter(|host| host.spec.lie.is_honest());
        let control: u64 = honest_all.clone().map(|host| host.counts.control).sum();
        let seeds = world.hosts.iter().filter(|host| host.spec.is_seed);
        let seed_given: u64 = seeds.map(|host| host.counts.given).sum();
        let wrong = honest.iter().flat_map(|host| host.counts.spoilt_by.iter().map(move |pair| (host, pair)));
        let unpunished = wrong
            .clone()
            .filter(|(host, (liar, _))| host.counts.bans.iter().all(|(banned, _)| banned != liar))
            .count();
        Self {
            scenario,
            leeches,
            pieces: world.settings.shape.pieces,
            rng_seed: world.settings.rng_seed,
            complete,
            seconds: last.saturating_sub(from) as f64 / 1e9,
            bound_seconds: plan.bound.as_secs_f64(),
            seed_bytes_ratio: seed_given as f64 / bytes,
            duplicate_ratio: sum(|host| host.counts.duplicate) / needed,
            control_ratio: control as f64 / needed,
            trace_hash: world.trace.value(),
            mean_seconds: mean(must.iter().filter_map(|host| seconds(host))),
            fairness: jain(must.iter().map(|host| host.counts.given as f64)),
            classes: classes(&must, plan, bytes),
            bans: honest_all.map(|host| host.counts.bans.len()).sum(),
            wrong_blocks_most: wrong.map(|(_, (_, blocks))| *blocks).max().unwrap_or(0),
            unpunished,
            facts: world.facts_fed,
            violation: world.violation.clone(),
            extra: BTreeMap::new(),
        }
    }

    /// T_min / T.
    pub fn efficiency(&self) -> f64 {
        match self.complete {
            // Nothing was left to do when the faults were over.
            true if self.seconds <= 0.0 => 1.0,
            true => self.bound_seconds / self.seconds,
            false => 0.0,
        }
    }

    /// Everybody completed and no claim was broken.
    pub fn is_good(&self) -> bool {
        self.complete && self.violation.is_none()
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let round = |value: f64| (value * 1e6).round() / 1e6;
        let classes: Vec<Value> = self
            .classes
            .iter()
            .map(|class| {
                json!({ "class": class.class, "count": class.count, "mean_seconds": round(class.mean_seconds),
                        "last_seconds": round(class.last_seconds), "bound_seconds": round(class.bound_seconds),
                        "given_ratio": round(class.given_ratio) })
            })
            .collect();
        let mut object = Map::new();
        for (key, value) in [
            ("scenario", json!(self.scenario)),
            ("leeches", json!(self.leeches)),
            ("pieces", json!(self.pieces)),
            ("rng_seed", json!(self.rng_seed)),
            ("complete", json!(self.complete)),
            ("seconds", json!(round(self.seconds))),
            ("bound_seconds", json!(round(self.bound_seconds))),
            ("efficiency", json!(round(self.efficiency()))),
            ("seed_bytes_ratio", json!(round(self.seed_bytes_ratio))),
            ("duplicate_ratio", json!(round(self.duplicate_ratio))),
            ("control_ratio", json!(round(self.control_ratio))),
            ("trace_hash", json!(format!("{:016x}", self.trace_hash))),
            ("mean_seconds", json!(round(self.mean_seconds))),
            ("fairness", json!(round(self.fairness))),
            ("classes", json!(classes)),
            ("bans", json!(self.bans)),
            ("wrong_blocks_most", json!(self.wrong_blocks_most)),
            ("unpunished", json!(self.unpunished)),
            ("facts", json!(self.facts)),
            ("violation", json!(self.violation)),
        ] {
            object.insert(key.to_owned(), value);
        }
        for (&key, &value) in &self.extra {
            object.insert(key.to_owned(), json!(round(value)));
        }
        Value::Object(object)
    }
}

/// Content bytes that a host lacked when it came.
fn needed(host: &Host, bytes: f64) -> f64 {
    let pieces = f64::from(host.disk.verified().len().max(1));
    let brought = (pieces - f64::from(host.spec.lacks)) * f64::from(host.spec.preloaded) / 1000.0;
    bytes * (1.0 - brought / pieces)
}

fn seconds(host: &Host) -> Option<f64> {
    Some((host.completed_at? - host.started_at?) as f64 / 1e9)
}

fn classes(hosts: &[&Host], plan: &Plan, bytes: f64) -> Vec<ClassReport> {
    let mut groups: BTreeMap<&'static str, Vec<&Host>> = BTreeMap::new();
    for host in hosts {
        groups.entry(host.spec.class).or_default().push(host);
    }
    let report = |(class, group): (&'static str, Vec<&Host>)| {
        let down = group.iter().map(|host| host.spec.down).fold(f64::INFINITY, f64::min);
        ClassReport {
            class,
            count: group.len(),
            mean_seconds: mean(group.iter().filter_map(|host| seconds(host))),
            last_seconds: group.iter().filter_map(|host| seconds(host)).fold(0.0, f64::max),
            bound_seconds: class_bound(bytes, &plan.hosts, down).as_secs_f64(),
            given_ratio: mean(group.iter().map(|host| host.counts.given as f64)) / bytes,
        }
    };
    groups.into_iter().map(report).collect()
}

/// The mean; 0 of nothing.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Jain's index: 1 if all values are alike, 1/n if one has everything.
fn jain(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, squares, count) =
        values.fold((0.0, 0.0, 0.0), |(sum, squares, count), v| (sum + v, squares + v * v, count + 1.0));
    if squares > 0.0 { sum * sum / (squares * count) } else { 1.0 }
}
