//! Somebody who corrupts what it gives and comes back under a new name, as names cost nothing.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use samara_tests::content::difference;
use samara_tests::netns::available;
use samara_tests::process::binary;
use samara_tests::scene::{PROMPT, Scene, path_text};

use super::network::{Machine, Network, TRANSFER, get, seed, share};

/// Under how many names it comes.
const NAMES: usize = 5;

/// Where a node of this state folder listens.
fn port(state: &Path) -> String {
    let file = state.join("identity").join("0.port");
    let end = Instant::now() + PROMPT;
    loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if !text.is_empty() {
            return text.trim().to_owned();
        }
        assert!(Instant::now() < end, "no port in {}", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Blocks that a corrupter on `machine` could give under one name after the other.
fn blocks_given(machine: &Machine, torrent: &str, content: &str, victim: &str) -> Vec<u64> {
    let mut command: Command = machine.namespace.command(binary::rogue());
    let names = NAMES.to_string();
    command.args(["corrupt", &machine.address, torrent, content, victim, "--names", &names]);
    let output = command.output().expect("available() has found ip");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).expect("it writes text");
    told.lines().map(|line| line.parse().expect("a number a line")).collect()
}

#[test]
fn a_corrupter_is_refused_at_its_fourth_name_and_its_neighbours_are_not() {
    if !available("a corrupter of many names") {
        return;
    }
    let (scene, mut network) = (Scene::new(), Network::new());
    // One block is one piece: what a name gives is judged at once.
    let shared = share(&scene, "honest.bin", 8, &["--piece-length", "16KiB"]);
    let [taker, corrupter, neighbour, giver] = std::array::from_fn(|_| network.machine());
    let content = path_text(&scene.path("honest.bin"));
    let out = path_text(&scene.path("out"));
    let args = [&get(&shared.torrent, &out)[..], &["-v"]].concat();
    let mut victim = taker.start(&scene, "victim", &args);
    victim.wait_for("progress", PROMPT);
    let address = format!("/ip4/{}/tcp/{}", taker.address, port(&scene.state("victim")));

    let given = blocks_given(&corrupter, &shared.torrent, &content, &address);
    assert!(given[..3].iter().all(|blocks| *blocks > 0) && given[3..] == [0, 0], "{given:?}");
    let given = blocks_given(&neighbour, &shared.torrent, &content, &address);
    assert!(given[0] > 0, "its neighbour may begin: {given:?}");
    let log = victim.errors();
    let told = log.lock().unwrap().lines().filter(|line| line.contains("it is banned")).count();
    assert_eq!(told, 2, "one word for each address: {}", victim.story());

    let _seed = seed(&giver, &scene, "seed", &shared);
    victim.wait_for("complete", TRANSFER);
    assert_eq!(difference(Path::new(&content), &scene.path("out").join("honest.bin")).unwrap(), None);
}
