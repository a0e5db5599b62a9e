//! How much less a grown swarm asks its tracker than one that has no other source.

use std::time::{Duration, Instant};

use super::{Figure, grown, stage};
use crate::patience;
use crate::transition::watch::{announces, metrics_address};

/// Short intervals, so that minutes show what hours would: seconds between announces of a peer that needs the
/// tracker are about the least, of one that does not about the longest.
const TRACKER: &str = "[announce]\ninterval_secs = 32\nmin_interval_secs = 8\n";
const PEERS: usize = 12;
/// The swarm grows up in this time.
const GROWING: Duration = Duration::from_secs(60);
/// Announces are counted for so long: several of the longest intervals.
const COUNTED: Duration = Duration::from_secs(120);

/// Requests per peer and hour, assisted and grown, and their ratio.
pub fn run() -> Vec<Figure> {
    let assisted = per_hour("tracker");
    let grown = per_hour("tracker,dht,pex,lan,cache");
    let rate = |what: &str, value| Figure {
        what: format!("tracker requests per peer and hour, {what}"),
        value,
        unit: "1/h",
        wanted_below: None,
    };
    let ratio = Figure {
        what: "the same, grown to assisted".to_owned(),
        value: grown / assisted,
        unit: "",
        wanted_below: Some(1.0 / 3.0),
    };
    vec![rate("by trackers alone", assisted), rate("grown swarm", grown), ratio]
}

fn per_hour(discovery: &str) -> f64 {
    let stage = stage();
    let content = stage.content(8);
    let config = stage.scene.path("tracker.toml");
    std::fs::write(&config, TRACKER).expect("the scratch folder is writable");
    let tracker = stage.tracker_with(&["--config", &config.to_string_lossy()]);
    let args = ["--discovery", discovery, "--tracker", &tracker.http];
    let _seed = stage.seed("seed", &content, &args);
    let _peers = grown(&stage, &content, PEERS - 1, &content.link(&[], &[]), &args);
    patience::let_pass(GROWING);
    let figures = metrics_address(&tracker.http);
    let counted = || announces(&figures).expect("the tracker tells its figures");
    let (before, began) = (counted(), Instant::now());
    patience::let_pass(COUNTED);
    (counted() - before) as f64 / PEERS as f64 * 3600.0 / began.elapsed().as_secs_f64()
}
