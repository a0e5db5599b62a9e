//! What plain TCP gets of the links: whether the machine carries the star that a plan asks for.

use std::time::Duration;

use super::bound::Link;
use super::hub::{Host, Hub};
use super::plan::Plan;
use super::rate::Rate;
use crate::process::Samara;
use crate::scene::PROMPT;

const SCRIPT: &str = include_str!("stream.py");
/// A stream takes so long at the full rate of its link.
const SECONDS: f64 = 5.0;
/// Slower than this, the machine does not carry what it should.
const SLOWEST_SHARE: f64 = 0.02;

/// What streams got of the rate of their narrowest link; headers take 0.04 of it.
#[derive(Clone, Debug)]
pub struct Share {
    /// Which streams.
    pub what: String,
    /// The share of the slowest of them.
    pub slowest: f64,
    /// Of the fastest.
    pub fastest: f64,
}

/// Tries one stream, and then one from every host to its neighbour at the same time.
///
/// # Panics
/// Without `python3`, or when a stream breaks.
pub fn links(plan: &Plan) -> Vec<Share> {
    let mut hub = Hub::new();
    let seed_link = Link { up: plan.seed_up, down: plan.down };
    let mut hosts = vec![(hub.host("seed", seed_link), seed_link)];
    for number in 0..plan.leeches {
        hosts.push((hub.host(&format!("leech{number}"), plan.link(number)), plan.link(number)));
    }
    let pairs: Vec<(usize, usize)> = (0..hosts.len()).map(|from| (from, (from + 1) % hosts.len())).collect();
    vec![
        stream("one stream, from the seed to a leech".to_owned(), &hosts, &pairs[..1]),
        stream(format!("{} streams, each host to its neighbour", pairs.len()), &hosts, &pairs),
    ]
}

fn stream(what: String, hosts: &[(Host, Link)], pairs: &[(usize, usize)]) -> Share {
    let rate = |(from, to): (usize, usize)| hosts[from].1.up.min(hosts[to].1.down);
    let bytes = |rate: Rate| (rate.bytes_per_second() * SECONDS) as u64;
    let start = |host: &Host, role: &str, at: &str, bytes: u64| {
        let mut command = host.command("python3");
        command.args(["-c", SCRIPT, role, at, &bytes.to_string()]);
        Samara::listen_to(role, command)
    };
    let mut takers: Vec<Samara> = pairs
        .iter()
        .map(|pair| start(&hosts[pair.1].0, "take", &hosts[pair.1].0.address, bytes(rate(*pair))))
        .collect();
    for taker in &mut takers {
        taker.wait_for("listening", PROMPT);
    }
    let givers: Vec<Samara> = pairs
        .iter()
        .map(|pair| start(&hosts[pair.0].0, "give", &hosts[pair.1].0.address, bytes(rate(*pair))))
        .collect();
    let limit = Duration::from_secs_f64(SECONDS / SLOWEST_SHARE);
    let shares: Vec<f64> = takers
        .iter_mut()
        .zip(pairs)
        .map(|(taker, pair)| {
            let end = taker.wait_for("complete", limit);
            let [bytes, seconds] = ["bytes", "seconds"].map(|field| end[field].as_f64().expect("it says so"));
            bytes / seconds / rate(*pair).bytes_per_second()
        })
        .collect();
    drop(givers);
    Share {
        what,
        slowest: shares.iter().copied().fold(f64::INFINITY, f64::min),
        fastest: shares.iter().copied().fold(0.0, f64::max),
    }
}
