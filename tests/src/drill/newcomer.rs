//! A newcomer finds a swarm whose tracker is dead, by one source alone.

use super::network::{Machine, Network};
use super::stage::{Content, Peer, Stage};
use crate::patience;
use crate::scene::PROMPT;

/// What a machine's cable carries, in megabits a second.
const CABLE: u32 = 400;
/// Leaves no source but the link: nothing is remembered yet.
const LINK_ALONE: [&str; 2] = ["--discovery", "cache"];

/// The newcomer knows a node of the DHT that has nothing to do with the torrent.
pub(super) fn by_dht(stage: &mut Stage) -> String {
    let content = stage.content(stage.by_scale(4, 16));
    let mut node = stage.node("bootstrap node", &["--discovery", "dht"]);
    let way_in = node.address();
    let _swarm = grown(stage, &content, &["--discovery", "tracker,dht", "--bootstrap", &way_in]);

    let args = ["--discovery", "dht", "--bootstrap", &way_in];
    let mut newcomer = stage.join("newcomer", &content.link(&[], &[]), &args);
    let found = newcomer.complete(&content);
    assert!(found.by("dht") > 0 && found.only_by(&["dht"]), "{found}");
    found.to_string()
}

/// Everybody is on a machine of its own at one switch; nothing is said about the torrent but in handshakes.
pub(super) fn by_lan(stage: &mut Stage) -> String {
    let content = stage.content(stage.by_scale(4, 16));
    let mut network = Network::new();
    let machines: Vec<Machine> = (0..4).map(|_| network.machine("left", CABLE)).collect();
    let link = content.link(&[], &[]);
    let mut tracker = stage.tracker_on(&machines[3]);
    let args = ["--discovery", "tracker,lan", "--tracker", &tracker.http];
    stage.move_to(machines[0].place());
    let _seed = stage.seed("seed", &content, &args);
    stage.move_to(machines[1].place());
    let mut first = stage.join("first", &link, &args);
    first.complete(&content);
    tracker.process.kill();

    stage.move_to(machines[2].place());
    let mut newcomer = stage.join("newcomer", &link, &["--discovery", "lan"]);
    let found = newcomer.complete(&content);
    assert!(found.by("lan") > 0 && found.only_by(&["lan"]), "{found}");
    found.to_string()
}

/// The newcomer knows one peer, and learns of the others from it.
pub(super) fn by_pex(stage: &mut Stage) -> String {
    const PEX: [&str; 2] = ["--discovery", "pex"];
    // Large enough that something is still wanted when the others are linked.
    let content = stage.content(stage.by_scale(48, 128));
    let mut swarm = grown(stage, &content, &["--discovery", "tracker,pex"]);
    let known = swarm[0].address();

    let mut newcomer = stage.join("newcomer", &content.link(&[&known], &[]), &PEX);
    let found = newcomer.complete(&content);
    assert!(found.by("pex") > 0 && found.only_by(&["pex", "link"]), "{found}");
    found.to_string()
}

/// Everybody is killed and starts again; one has lost its copy, but not its memory of whom it met.
pub(super) fn by_cache(stage: &mut Stage) -> String {
    const CACHE: [&str; 2] = ["--discovery", "cache"];
    let content = stage.content(stage.by_scale(4, 16));
    let mut swarm = grown(stage, &content, &["--discovery", "tracker,cache"]);
    let memory = stage.scene.state("peer 1").join("peers");
    patience::wait_for("peers are remembered on disk", PROMPT, || {
        memory.read_dir().is_ok_and(|mut files| files.next().is_some()).then_some(())
    });
    for peer in &mut swarm {
        peer.process.kill();
    }

    let _seed = stage.seed("seed", &content, &CACHE);
    let _first = stage.join("peer 0", &content.link(&[], &[]), &CACHE);
    let mut again = stage.join_into("peer 1", "peer 1 again", &content.link(&[], &[]), &CACHE);
    let found = again.complete(&content);
    assert!(found.by("cache") > 0 && found.only_by(&["cache"]), "{found}");
    found.to_string()
}

/// The newcomer's link names a peer that took everything, not the original seed.
pub(super) fn by_link(stage: &mut Stage) -> String {
    let content = stage.content(stage.by_scale(4, 16));
    let mut swarm = grown(stage, &content, &["--discovery", "tracker"]);
    let known = swarm[2].address();

    let mut newcomer = stage.join("newcomer", &content.link(&[&known], &[]), &LINK_ALONE);
    let found = newcomer.complete(&content);
    assert!(found.by("link") == content.bytes && found.peers == 1, "{found}");
    found.to_string()
}

/// A seed and two more that got everything by a tracker, which is dead by now.
fn grown(stage: &Stage, content: &Content, args: &[&str]) -> Vec<Peer> {
    let mut tracker = stage.tracker();
    let args = [&["--tracker", &tracker.http], args].concat();
    let mut swarm = vec![stage.seed("seed", content, &args)];
    for n in 0..2 {
        let mut peer = stage.join(&format!("peer {n}"), &content.link(&[], &[]), &args);
        peer.complete(content);
        swarm.push(peer);
    }
    tracker.process.kill();
    swarm
}
