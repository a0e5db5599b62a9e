//! The tracker is killed before, during and after a transfer; newcomers join afterwards.

use super::stage::{Content, Peer, Stage};

/// How many peers fetch before anything happens.
const PEERS: usize = 3;

/// The seed told the tracker, and then the tracker is gone: nobody else ever heard it answer.
pub(super) fn killed_before(stage: &mut Stage) -> String {
    let content = stage.content(stage.by_scale(8, 48));
    let mut tracker = stage.tracker();
    let mut seed = stage.seed("seed", &content, &["--tracker", &tracker.http]);
    tracker.process.kill();

    let known = seed.address();
    let mut first = stage.join("first", &content.link(&[&known], &[&tracker.http]), &[]);
    first.complete(&content);
    let found = newcomer(stage, &content, &mut first, &tracker.http);
    assert_one_line(&mut first, &tracker.http);
    found
}

/// The tracker is the only way to meet, and dies when the first have a quarter.
pub(super) fn killed_during(stage: &mut Stage) -> String {
    let content = stage.content(stage.by_scale(32, 96));
    let mut tracker = stage.tracker();
    let _seed = stage.seed("seed", &content, &["--tracker", &tracker.http]);
    let mut peers = leeches(stage, &content, &tracker.http);
    peers[0].wait_share(&content, 25);
    tracker.process.kill();

    for peer in &mut peers {
        peer.complete(&content);
    }
    newcomer(stage, &content, &mut peers[1], &tracker.http)
}

/// The tracker dies when everybody has everything, and the original seed leaves with it.
pub(super) fn killed_after(stage: &mut Stage) -> String {
    let content = stage.content(stage.by_scale(8, 48));
    let mut tracker = stage.tracker();
    let mut seed = stage.seed("seed", &content, &["--tracker", &tracker.http]);
    let mut peers = leeches(stage, &content, &tracker.http);
    for peer in &mut peers {
        peer.complete(&content);
    }
    tracker.process.kill();
    seed.process.kill();
    newcomer(stage, &content, &mut peers[2], &tracker.http)
}

fn leeches(stage: &Stage, content: &Content, tracker: &str) -> Vec<Peer> {
    let link = content.link(&[], &[tracker]);
    (0..PEERS).map(|n| stage.join(&format!("peer {n}"), &link, &[])).collect()
}

/// Joins with a link that names one living peer and the dead tracker.
fn newcomer(stage: &Stage, content: &Content, known: &mut Peer, tracker: &str) -> String {
    let link = content.link(&[&known.address()], &[tracker]);
    let mut newcomer = stage.join("newcomer", &link, &[]);
    let found = newcomer.complete(content);
    assert_eq!(found.by("tracker"), 0, "the tracker is dead: {found}");
    assert_one_line(&mut newcomer, tracker);
    format!("newcomer: {found}")
}

/// A dead tracker costs nothing but a line.
fn assert_one_line(peer: &mut Peer, tracker: &str) {
    let host = tracker.trim_start_matches("http://").trim_end_matches("/announce");
    let lines = peer.warnings().iter().filter(|warning| warning.contains(host)).count();
    if lines > 1 {
        peer.process.fail(&format!("{lines} warnings about one dead tracker"));
    }
}
