//! How long a newcomer waits for its first byte, in a swarm without a tracker, by each source alone.

use std::time::{Duration, Instant};

use super::{Figure, NODES, grown, stage};
use crate::drill::network::Network;
use crate::drill::stage::{Content, Peer, Stage};
use crate::patience;
use crate::scene::PROMPT;

const MEBIBYTES: u64 = 16;
/// A source that has not led to a byte by then has failed.
const LONGEST: Duration = Duration::from_secs(60);
/// What a cable carries, in megabits a second: no limit on what these figures are about.
const CABLE: u32 = 1000;

/// By every source; the local network only where namespaces can be made.
pub fn run(has_namespaces: bool) -> Vec<Figure> {
    let mut figures = vec![by_dht(), by_pex(), by_link(), by_cache()];
    if has_namespaces {
        figures.push(by_lan());
    }
    figures
}

fn figure(source: &str, waited: Duration, wanted_below: f64) -> Figure {
    let what = format!("from start to first byte by {source} alone, {NODES} nodes");
    Figure { what, value: waited.as_secs_f64(), unit: "s", wanted_below: Some(wanted_below) }
}

/// Starts a newcomer and waits until the first of its bytes is on disk.
fn first_byte(stage: &Stage, source: &str, args: &[&str]) -> Duration {
    let began = Instant::now();
    let newcomer = stage.join("newcomer", source, args);
    wait_byte(&newcomer);
    began.elapsed()
}

fn wait_byte(newcomer: &Peer) {
    use std::os::unix::fs::MetadataExt;
    let (part, file) = (newcomer.part(), newcomer.file.clone());
    patience::wait_for("the first byte", LONGEST, || {
        [&part, &file].into_iter().any(|path| path.metadata().is_ok_and(|m| m.blocks() > 0)).then_some(())
    });
}

fn by_dht() -> Figure {
    let stage = stage();
    let content = stage.content(MEBIBYTES);
    let mut way_in = stage.node("way in", &["--discovery", "dht"]);
    let address = way_in.address();
    let args = ["--discovery", "dht", "--bootstrap", &address];
    let _seed = stage.seed("seed", &content, &args);
    let link = content.link(&[], &[]);
    let _peers = grown(&stage, &content, NODES - 2, &link, &args);
    figure("dht", first_byte(&stage, &link, &args), 2.0)
}

/// A swarm of a tracker that is dead by now.
fn orphaned(stage: &Stage, content: &Content, discovery: &str) -> Vec<Peer> {
    let mut tracker = stage.tracker();
    let args = ["--discovery", discovery, "--tracker", &tracker.http];
    let seed = stage.seed("seed", content, &args);
    let mut peers = vec![seed];
    peers.extend(grown(stage, content, NODES - 1, &content.link(&[], &[]), &args));
    tracker.process.kill();
    peers
}

fn by_pex() -> Figure {
    let stage = stage();
    let content = stage.content(MEBIBYTES);
    let mut peers = orphaned(&stage, &content, "tracker,pex");
    let link = content.link(&[&peers[1].address()], &[]);
    figure("pex, knowing one peer,", first_byte(&stage, &link, &["--discovery", "pex"]), 1.0)
}

fn by_link() -> Figure {
    let stage = stage();
    let content = stage.content(MEBIBYTES);
    let mut peers = orphaned(&stage, &content, "tracker");
    let link = content.link(&[&peers[1].address()], &[]);
    figure("link", first_byte(&stage, &link, &["--discovery", "cache"]), 1.0)
}

fn by_cache() -> Figure {
    let stage = stage();
    let content = stage.content(MEBIBYTES);
    let mut tracker = stage.tracker();
    let args = ["--discovery", "tracker,cache", "--tracker", &tracker.http];
    let _seed = stage.seed("seed", &content, &args);
    let link = content.link(&[], &[]);
    let _peers = grown(&stage, &content, NODES - 2, &link, &args);
    let mut before = stage.join("newcomer", &link, &args);
    before.complete(&content);
    let memory = stage.scene.state("newcomer").join("peers");
    patience::wait_for("peers are remembered on disk", PROMPT, || {
        memory.read_dir().is_ok_and(|mut files| files.next().is_some()).then_some(())
    });
    before.process.kill();
    tracker.process.kill();
    let began = Instant::now();
    let again = stage.join_into("newcomer", "newcomer again", &link, &["--discovery", "cache"]);
    wait_byte(&again);
    figure("cache", began.elapsed(), 1.0)
}

fn by_lan() -> Figure {
    const LAN: [&str; 2] = ["--discovery", "lan"];
    let mut stage = stage();
    let content = stage.content(MEBIBYTES);
    let mut network = Network::new();
    let machines: Vec<_> = (0..=NODES).map(|_| network.machine("left", CABLE)).collect();
    stage.move_to(machines[0].place());
    let _seed = stage.seed("seed", &content, &LAN);
    let link = content.link(&[], &[]);
    let mut peers = Vec::new();
    for (number, machine) in machines[1..NODES].iter().enumerate() {
        stage.move_to(machine.place());
        peers.push(stage.join(&format!("peer {number}"), &link, &LAN));
    }
    for peer in &mut peers {
        peer.complete(&content);
    }
    stage.move_to(machines[NODES].place());
    figure("lan", first_byte(&stage, &link, &LAN), 3.0)
}
