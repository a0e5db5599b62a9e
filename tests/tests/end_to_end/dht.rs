//! The nodes of the DHT that `samara tracker` and `samara node` run.

use std::time::Duration;

use samara_tests::content::write_file;
use samara_tests::process::Samara;
use samara_tests::scene::{PROMPT, Scene, path_text, text};

use super::support::finish;

/// The next address at which it listens over TCP as a node.
fn node_address(process: &mut Samara) -> String {
    loop {
        let event = process.wait_for("listening", PROMPT);
        if text(&event, "protocol") == "tcp" {
            return text(&event, "address");
        }
    }
}

#[test]
fn a_tracker_runs_a_node_whose_address_stays_and_lets_its_clients_into_the_dht() {
    let scene = Scene::new();
    let start = || scene.start("tracker", &["tracker", "--http", "127.0.0.1:0"]);
    let mut tracker = start();
    let http = text(&tracker.wait_for("listening", PROMPT), "address");
    let address = node_address(&mut tracker);
    assert!(address.starts_with("/ip4/127.0.0.1/tcp/") && address.contains("/p2p/"), "{address}");

    let file = scene.path("shared.bin");
    write_file(&file, 3 << 20, 1).unwrap();
    let url = format!("http://{http}/announce");
    let sources = ["--discovery", "tracker,dht"];
    let seed = scene.seed("seed", &[&[&*path_text(&file), "--tracker", &url], &sources[..]].concat());
    // The link without the seed's address and the tracker: the DHT alone is left.
    let link: Vec<&str> = seed.magnet.split('&').filter(|part| !part.starts_with("x.lp=")).collect();
    let link: Vec<&str> = link.into_iter().filter(|part| !part.starts_with("tr=")).collect();
    let out = scene.path("out");
    let alone = ["--discovery", "dht", "--bootstrap", &address];
    let leech = scene.get("leech", &link.join("&"), &out, &alone);
    finish(leech, &file, &out.join("shared.bin"));

    tracker.interrupt();
    assert_eq!(tracker.wait_exit(Duration::from_secs(30)), 130, "{}", tracker.story());
    assert_eq!(node_address(&mut start()), address);
}

#[test]
fn a_tracker_goes_without_a_node_if_it_is_told_so() {
    let scene = Scene::new();
    let mut tracker = scene.start("tracker", &["tracker", "--udp", "127.0.0.1:0", "--discovery", "tracker"]);
    assert_eq!(text(&tracker.wait_for("listening", PROMPT), "protocol"), "udp");
    tracker.interrupt();
    assert_eq!(tracker.wait_exit(Duration::from_secs(30)), 130, "{}", tracker.story());
    assert!(!scene.state("tracker").join("tracker").exists(), "a node would keep its identity there");
}

#[test]
fn a_node_without_a_torrent_has_an_address_that_stays() {
    let scene = Scene::new();
    let mut node = scene.start("node", &["node"]);
    let address = node_address(&mut node);
    node.interrupt();
    assert_eq!(node.wait_exit(Duration::from_secs(30)), 130, "{}", node.story());
    assert_eq!(node_address(&mut scene.start("node", &["node"])), address);
    let refused = scene.run(&["node", "--discovery", "tracker"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
}
