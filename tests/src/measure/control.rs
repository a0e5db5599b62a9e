//! Everything a swarm sends that is not content, as a share of content; and what it sends when nothing happens.

use std::time::Duration;

use super::{Figure, NODES, stage};
use crate::drill::network::counter;
use crate::netns::Namespace;
use crate::patience;
use crate::process::place::Place;

/// Quiet is measured for so long.
const QUIET: Duration = Duration::from_secs(60);

/// A transfer of so many mebibytes from one seed to all others, in a namespace with nothing but loopback, where
/// every byte is counted, headers and acknowledgements included.
pub fn run(mebibytes: u64) -> Vec<Figure> {
    let namespace = Namespace::new("control");
    let mut stage = stage();
    let content = stage.content(mebibytes);
    stage.move_to(Place::bound(&namespace, "127.0.0.1"));
    let tracker = stage.tracker();
    let args = ["--tracker", &tracker.http];
    let mut peers = vec![stage.seed("seed", &content, &args)];
    let before = counter(&namespace, "lo", "rx_bytes");
    for number in 1..NODES {
        peers.push(stage.join(&format!("peer {number}"), &content.link(&[], &[]), &args));
    }
    for peer in &mut peers[1..] {
        peer.complete(&content);
    }
    let all = counter(&namespace, "lo", "rx_bytes") - before;
    let received: u64 = peers[1..].iter_mut().map(|peer| peer.bytes_received()).sum();
    let quiet_before = counter(&namespace, "lo", "rx_bytes");
    patience::let_pass(QUIET);
    let quiet = counter(&namespace, "lo", "rx_bytes") - quiet_before;
    vec![
        Figure {
            what: format!("all traffic besides content, {mebibytes} MiB to {} nodes", NODES - 1),
            value: (all as f64 - received as f64) / received as f64 * 100.0,
            unit: "% of content",
            wanted_below: Some(1.0),
        },
        Figure {
            what: "traffic of the grown swarm when nothing happens, per node".to_owned(),
            value: quiet as f64 / NODES as f64 / 1024.0 / (QUIET.as_secs_f64() / 60.0),
            unit: "KiB/min",
            wanted_below: None,
        },
    ]
}
