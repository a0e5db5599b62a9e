//! Watching a run: who has arrived when, and a seed that leaves when it has sent enough.

use std::time::{Duration, Instant};

use super::hub::Host;
use super::outcome::Arrival;
use super::plan::{Plan, Twist};
use super::system::Leech;
use super::traffic::Traffic;
use crate::patience;
use crate::process::Samara;
use crate::scene::PROMPT;

/// Whoever needs so many times what a server alone would, or the bound if that is more, does not arrive any more.
const PATIENCE: f64 = 3.0;
/// How often it is looked who has arrived.
const LOOK: Duration = Duration::from_millis(5);
/// How often it is looked what the seed has sent, if that matters: each look starts a process.
const LOOK_AT_LINK: Duration = Duration::from_millis(50);
/// Bytes of a stream that carry one of content: encryption, framing and messages add about a hundredth.
const STREAM_OF_CONTENT: f64 = 1.01;

/// A leech that did not arrive.
pub(super) struct Lost {
    /// Its number.
    pub leech: usize,
    /// Why nobody waits for it any more.
    pub why: String,
}

/// Longest that a run by this plan may take.
pub(super) fn limit(plan: &Plan) -> Duration {
    let by_server = plan.leeches as f64 * plan.bytes as f64 / plan.seed_up.bytes_per_second();
    Duration::from_secs_f64(PATIENCE * by_server.max(plan.bound_seconds())) + PROMPT
}

/// Ends the seed when it has sent enough, if the plan says so.
pub(super) struct SeedWatch<'a> {
    seed: &'a mut Samara,
    host: &'a Host,
    before: &'a Traffic,
    enough_bytes: Option<f64>,
    looked: Instant,
}

impl<'a> SeedWatch<'a> {
    /// `before` is what the seed's link had carried when the run began.
    pub(super) fn new(plan: &Plan, seed: &'a mut Samara, host: &'a Host, before: &'a Traffic) -> Self {
        let enough_bytes = match plan.twist {
            Twist::SeedLeaves { copies } => Some(copies * plan.bytes as f64 * STREAM_OF_CONTENT),
            Twist::Calm | Twist::Corrupter => None,
        };
        Self { seed, host, before, enough_bytes, looked: Instant::now() }
    }

    fn look(&mut self) {
        let Some(enough) = self.enough_bytes else { return };
        if self.looked.elapsed() < LOOK_AT_LINK {
            return;
        }
        self.looked = Instant::now();
        if self.host.traffic().since(self.before).sent.stream_bytes() as f64 >= enough {
            self.seed.kill();
            self.enough_bytes = None;
        }
    }
}

/// Waits until everybody has everything.
pub(super) fn until_complete(
    plan: &Plan,
    leeches: &mut [Leech],
    began: Instant,
    seed: &mut SeedWatch<'_>,
) -> Result<Vec<Arrival>, Lost> {
    let mut seconds: Vec<Option<f64>> = vec![None; leeches.len()];
    let end = began + limit(plan);
    loop {
        for (number, (leech, seconds)) in leeches.iter_mut().zip(&mut seconds).enumerate() {
            if seconds.is_none() && is_complete(leech, number)? {
                *seconds = Some(began.elapsed().as_secs_f64());
            }
        }
        let Some(missing) = seconds.iter().position(Option::is_none) else { break };
        seed.look();
        let late = (Instant::now() >= end).then_some("it is far beyond the bound");
        if let Some(why) = patience::is_over().or(late) {
            let arrived = seconds.iter().flatten().count();
            let why = format!("{why}; it has not everything, and {arrived} of {} have", leeches.len());
            return Err(Lost { leech: missing, why });
        }
        std::thread::sleep(LOOK);
    }
    let arrived = seconds.into_iter().flatten().enumerate();
    Ok(arrived.map(|(number, seconds)| Arrival { class: plan.classes.class_of(number), seconds }).collect())
}

fn is_complete(leech: &mut Leech, number: usize) -> Result<bool, Lost> {
    if has_said_so(leech) {
        return Ok(true);
    }
    if leech.process.is_running() {
        return Ok(false);
    }
    // What it said last may still be on its way.
    leech.process.wait_exit(PROMPT);
    if has_said_so(leech) {
        return Ok(true);
    }
    Err(Lost { leech: number, why: "it ended before it had everything".to_owned() })
}

fn has_said_so(leech: &mut Leech) -> bool {
    leech.process.events().iter().any(|event| event["event"] == "complete")
}
