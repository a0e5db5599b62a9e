//! Private torrents (BEP 27) have nothing to do with the local network.

use samara_tests::netns::available;
use samara_tests::process::Samara;
use samara_tests::scene::{PROMPT, Scene, path_text};

use super::network::{Network, complete_by_lan, get, seed, share};

/// Figures to look at, one comes a second: a seed tries again after 10 to 12 seconds.
const LOOKS: usize = 15;

/// Looks a while, and sees no peer.
fn finds_nobody(process: &mut Samara) {
    for _ in 0..LOOKS {
        let progress = process.wait_for("progress", PROMPT);
        assert_eq!(progress["peers"], 0, "{progress}");
        assert_eq!(progress["bytes_done"], 0, "{progress}");
    }
}

#[test]
fn a_private_torrent_finds_nobody_where_a_public_one_does() {
    if !available("private torrents on a local network") {
        return;
    }
    let (scene, mut network) = (Scene::new(), Network::new());
    let private = share(&scene, "private.bin", 2, &["--private"]);
    let public = share(&scene, "public.bin", 2, &[]);
    let (giver, taker) = (network.machine(), network.machine());
    let _private_seed = seed(&giver, &scene, "private seed", &private);
    let _public_seed = seed(&giver, &scene, "public seed", &public);
    let outs = ["private", "public"].map(|name| path_text(&scene.path(name)));
    let mut unlucky = taker.start(&scene, "private", &get(&private.torrent, &outs[0]));
    let mut lucky = taker.start(&scene, "public", &get(&public.link, &outs[1]));
    complete_by_lan(&mut lucky, &public);

    finds_nobody(&mut unlucky);
}

#[test]
fn a_link_to_a_private_torrent_finds_out_that_it_is_one_and_then_nobody() {
    if !available("links to private torrents on a local network") {
        return;
    }
    let (scene, mut network) = (Scene::new(), Network::new());
    let private = share(&scene, "private.bin", 2, &["--private"]);
    let (giver, taker) = (network.machine(), network.machine());
    let _seed = seed(&giver, &scene, "seed", &private);
    let out = path_text(&scene.path("out"));
    // The figures begin once the metainfo is there.
    let mut newcomer = taker.start(&scene, "newcomer", &get(&private.link, &out));

    finds_nobody(&mut newcomer);
}
