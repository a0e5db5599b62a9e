//! Somebody on the local network who makes up peers.

use samara_tests::netns::available;
use samara_tests::netns::doorbell::Doorbell;
use samara_tests::rogue::MADE_UP;
use samara_tests::rogue::child::Rogue;
use samara_tests::scene::{PROMPT, Scene, path_text};

use super::network::{Network, complete_by_lan, get, seed, share};

/// Dials of one bystander that are nothing to complain of.
const HANDFUL: usize = 12;

#[test]
fn a_thousand_made_up_peers_cause_a_handful_of_dials_and_the_transfer_succeeds() {
    if !available("a poisoner on a local network") {
        return;
    }
    let (scene, mut network) = (Scene::new(), Network::new());
    let shared = share(&scene, "honest.bin", 4, &[]);
    let [giver, taker, poisoner, victim] = std::array::from_fn(|_| network.machine());
    let doorbell = Doorbell::listen(&victim.namespace, "lan0");
    let doors: Vec<String> =
        (0..MADE_UP).map(|number| format!("/ip4/{}/tcp/{}", victim.address, 10_000 + number)).collect();
    let doors_file = scene.path("doors");
    std::fs::write(&doors_file, doors.join("\n")).expect("the scratch folder is writable");
    let out = path_text(&scene.path("out"));
    let mut newcomer = taker.start(&scene, "newcomer", &get(&shared.torrent, &out));
    newcomer.wait_for("progress", PROMPT);

    // In its own name it can say what it likes.
    let _ = Rogue::start(&poisoner.namespace, &doors_file, &["lan", &poisoner.address]);
    newcomer.wait_for("progress", PROMPT);
    assert_eq!(doorbell.dials(), []);

    // In the bystander's name it is heard: nobody on a cable can tell.
    let _ = Rogue::start(&poisoner.namespace, &doors_file, &["lan", &poisoner.address, "--in-their-name"]);
    let _seed = seed(&giver, &scene, "seed", &shared);
    complete_by_lan(&mut newcomer, &shared);
    let dials = doorbell.dials();
    assert!((1..=HANDFUL).contains(&dials.len()), "{dials:?}");
    eprintln!("{} dials of the bystander", dials.len());
}
