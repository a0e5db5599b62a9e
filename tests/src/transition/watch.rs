//! What every node and the tracker say of the swarm at one moment.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::process::Samara;

/// The stages of the contract, from the tracker's child to the grown swarm.
pub const STAGES: [&str; 3] = ["assisted", "hybrid", "autonomous"];

/// One look at everybody.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Seconds since the show began.
    pub secs: f64,
    /// Nodes in each of [`STAGES`].
    pub nodes: [usize; 3],
    /// Mean autonomy of the nodes.
    pub autonomy: f64,
    /// Share of the peers known to be there that a source has named, by source.
    pub named_by: BTreeMap<String, f64>,
    /// Announces the tracker has answered so far.
    pub announces: u64,
    /// Whether the tracker was up.
    pub is_tracker_up: bool,
}

/// Looks again and again.
pub struct Watched {
    tracker: String,
    announces: u64,
}

impl Watched {
    /// With the address at which the tracker tells its figures.
    pub fn new(tracker: String) -> Self {
        Self { tracker, announces: 0 }
    }

    /// Asks everybody for the last figures.
    pub fn look<'a>(
        &mut self,
        at: Duration,
        nodes: impl Iterator<Item = &'a mut Samara>,
        is_tracker_up: bool,
    ) -> Sample {
        if is_tracker_up {
            self.announces = announces(&self.tracker).unwrap_or(self.announces);
        }
        let mut sample =
            Sample { secs: at.as_secs_f64(), announces: self.announces, is_tracker_up, ..Sample::default() };
        let mut live = 0.0;
        for node in nodes {
            let Some(last) = node.events().iter().rev().find(|event| event["event"] == "progress") else {
                continue;
            };
            let Some(stage) = STAGES.iter().position(|stage| last["stage"] == *stage) else { continue };
            sample.nodes[stage] += 1;
            sample.autonomy += last["autonomy"].as_f64().unwrap_or(0.0);
            live += last["live_peers"].as_f64().unwrap_or(0.0);
            for (source, peers) in last["named_by"].as_object().into_iter().flatten() {
                *sample.named_by.entry(source.clone()).or_default() += peers.as_f64().unwrap_or(0.0);
            }
        }
        sample.autonomy /= sample.nodes.iter().sum::<usize>().max(1) as f64;
        sample.named_by.values_mut().for_each(|peers| *peers /= f64::max(live, 1.0));
        sample
    }
}

/// Where the tracker of an HTTP announce URL tells its figures.
pub fn metrics_address(announce: &str) -> String {
    announce.trim_start_matches("http://").trim_end_matches("/announce").to_owned()
}

/// Announces answered so far over HTTP and UDP, by the own count of the tracker at this address.
pub fn announces(tracker: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(tracker).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {tracker}\r\nConnection: close\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    let counts = page.lines().filter(|line| line.starts_with("samara_tracker_announces_total"));
    Some(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// What a swarm's samples come to, for people who read figures.
pub fn summary(samples: &[Sample]) -> Value {
    let rate = |from: usize, to: usize| requests_per_peer_minute(samples, from, to);
    let last_up = samples.iter().rposition(|sample| sample.is_tracker_up).unwrap_or(0);
    let is_assisted = |sample: &&Sample| sample.nodes[2] == 0 && sample.nodes.iter().sum::<usize>() > 0;
    serde_json::json!({
        "assisted_requests_per_peer_minute": rate(0, samples.iter().take_while(|s| is_assisted(s) || s.secs < 5.0).count()),
        "grown_requests_per_peer_minute": rate(last_up.saturating_sub(30), last_up),
        "autonomy_when_the_tracker_died": samples.get(last_up).map(|sample| sample.autonomy),
    })
}

/// Announces for each node and minute between two samples.
pub fn requests_per_peer_minute(samples: &[Sample], from: usize, to: usize) -> Option<f64> {
    let (first, last) = (samples.get(from)?, samples.get(to)?);
    let minutes = (last.secs - first.secs) / 60.0;
    let span = samples.get(from..=to)?;
    let nodes = span.iter().map(|sample| sample.nodes.iter().sum::<usize>()).sum::<usize>() as f64;
    let mean_nodes = nodes / span.len() as f64;
    (minutes > 0.0 && mean_nodes > 0.0)
        .then(|| (last.announces - first.announces) as f64 / minutes / mean_nodes)
}
