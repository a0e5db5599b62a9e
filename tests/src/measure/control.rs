//! What a swarm sends to find its peers, as a share of content; everything else it sends besides content; and
//! what it sends when nothing happens.

use std::time::{Duration, Instant};

use super::{Figure, NODES, stage};
use crate::drill::network::counter;
use crate::drill::stage::{Peer, Stage};
use crate::netns::Namespace;
use crate::patience;
use crate::process::place::Place;

/// Quiet is measured for so long.
const QUIET: Duration = Duration::from_secs(60);
/// Content of the swarm that shows what discovery sends: next to nothing.
const LITTLE: u64 = 1;

/// A swarm in a namespace with nothing but loopback, where every byte is counted, headers and acknowledgements
/// included.
struct Swarm {
    peers: Vec<Peer>,
    before: u64,
    began: Instant,
    _stage: Stage,
    /// Dropped last: processes run in it.
    namespace: Namespace,
}

/// A transfer of so many mebibytes from one seed to all others, and the same swarm for as long with next to no
/// content: what that sends besides content is what finding each other and staying connected takes.
pub fn run(mebibytes: u64) -> Vec<Figure> {
    let mut large = Swarm::that_fetched(mebibytes);
    let took = large.began.elapsed();
    let (content, besides) = large.sent();
    let quiet_before = large.counted();
    patience::let_pass(QUIET);
    let quiet = large.counted() - quiet_before;
    drop(large);

    let mut small = Swarm::that_fetched(LITTLE);
    patience::let_pass(took.saturating_sub(small.began.elapsed()));
    let (_, discovery) = small.sent();
    let percent = |bytes: f64| bytes / content * 100.0;
    vec![
        Figure {
            what: format!("discovery and idle links, {:.0} s, {NODES} nodes", took.as_secs_f64()),
            value: percent(discovery),
            unit: "% of content",
            wanted_below: Some(1.0),
        },
        Figure {
            what: format!("all besides content, headers too, {mebibytes} MiB to {} nodes", NODES - 1),
            value: percent(besides),
            unit: "% of content",
            wanted_below: None,
        },
        Figure {
            what: "the grown swarm when nothing happens, per node".to_owned(),
            value: quiet as f64 / NODES as f64 / 1024.0 / (QUIET.as_secs_f64() / 60.0),
            unit: "KiB/min",
            wanted_below: None,
        },
    ]
}

impl Swarm {
    /// Everybody has everything.
    fn that_fetched(mebibytes: u64) -> Self {
        let namespace = Namespace::new("control");
        let mut stage = stage();
        let content = stage.content(mebibytes);
        stage.move_to(Place::bound(&namespace, "127.0.0.1"));
        let tracker = stage.tracker();
        let args = ["--tracker", &tracker.http];
        let (before, began) = (counter(&namespace, "lo", "rx_bytes"), Instant::now());
        let seed = stage.seed("seed", &content, &args);
        let link = content.link(&[], &[]);
        let mut peers: Vec<Peer> =
            (1..NODES).map(|number| stage.join(&format!("peer {number}"), &link, &args)).collect();
        for peer in &mut peers {
            peer.complete(&content);
        }
        peers.push(seed);
        peers.push(Peer { process: tracker.process, file: content.path });
        Self { namespace, peers, before, began, _stage: stage }
    }

    fn counted(&self) -> u64 {
        counter(&self.namespace, "lo", "rx_bytes")
    }

    /// Bytes of content that were sent so far, and all others.
    fn sent(&mut self) -> (f64, f64) {
        let content: u64 = self.peers.iter_mut().map(Peer::bytes_received).sum();
        (content as f64, (self.counted() - self.before) as f64 - content as f64)
    }
}
