//! Newcomers with the bare link, on networks of several kinds.

use std::time::Instant;

use samara_tests::netns::available;
use samara_tests::netns::capture::Capture;
use samara_tests::process::Samara;
use samara_tests::scene::{PROMPT, Scene, path_text};

use super::network::{LAN, Network, complete_by_lan, get, seed, share};

#[test]
fn a_newcomer_with_the_bare_link_finds_the_swarm_by_the_local_network_alone() {
    if !available("newcomers on a local network") {
        return;
    }
    let (scene, mut network) = (Scene::new(), Network::new());
    let shared = share(&scene, "near.bin", 4, &[]);
    let (giver, taker) = (network.machine(), network.machine());
    let _seed = seed(&giver, &scene, "seed", &shared);

    let since = Instant::now();
    let out = path_text(&scene.path("out"));
    let mut newcomer = taker.start(&scene, "newcomer", &get(&shared.link, &out));
    complete_by_lan(&mut newcomer, &shared);

    eprintln!("all of {} bytes within {:?} of the start", shared.bytes, since.elapsed());
    assert_eq!(newcomer.wait_exit(PROMPT), 0);
}

#[test]
fn whoever_waits_for_a_seed_hears_it_come() {
    if !available("newcomers on a local network") {
        return;
    }
    let (scene, mut network) = (Scene::new(), Network::new());
    let shared = share(&scene, "late.bin", 4, &[]);
    let (giver, taker) = (network.machine(), network.machine());
    let out = path_text(&scene.path("out"));
    let mut early = taker.start(&scene, "early", &get(&shared.link, &out));
    early.wait_for("stage", PROMPT);
    // Somebody who does not have it is asked, and left alone.
    let other = share(&scene, "other.bin", 1, &[]);
    let bystander = network.machine();
    let _other = seed(&bystander, &scene, "other", &other);

    let since = Instant::now();
    let _seed = seed(&giver, &scene, "seed", &shared);
    complete_by_lan(&mut early, &shared);
    eprintln!("all of {} bytes within {:?} of the seed's start", shared.bytes, since.elapsed());
}

#[test]
fn nodes_bound_to_their_address_and_nodes_without_ipv4_find_each_other_too() {
    if !available("newcomers on a local network") {
        return;
    }
    let (scene, mut network) = (Scene::new(), Network::new());
    let shared = share(&scene, "bound.bin", 2, &[]);
    for (kind, [giver, taker]) in [
        ("bound", [network.machine(), network.machine()]),
        ("v6", [network.machine_v6(), network.machine_v6()]),
        ("bound v6", [network.machine_v6(), network.machine_v6()]),
    ] {
        let name = |who: &str| format!("{who}, {kind}");
        let seeding = [&["seed", &shared.torrent][..], &LAN].concat();
        let out = path_text(&scene.path(kind));
        let getting = get(&shared.link, &out);
        let (mut seed, mut newcomer) = match kind {
            "v6" => (
                giver.start(&scene, &name("seed"), &seeding),
                taker.start(&scene, &name("newcomer"), &getting),
            ),
            _ => (
                giver.start_bound(&scene, &name("seed"), &seeding),
                taker.start_bound(&scene, &name("newcomer"), &getting),
            ),
        };
        complete_by_lan(&mut newcomer, &shared);
        seed.kill();
    }
}

#[test]
fn two_nodes_of_one_machine_hear_each_other() {
    if !available("two nodes of one machine") {
        return;
    }
    let (scene, mut network) = (Scene::new(), Network::new());
    let shared = share(&scene, "one.bin", 2, &[]);
    let machine = network.machine();
    let _seed = seed(&machine, &scene, "seed", &shared);
    let out = path_text(&scene.path("out"));
    let mut newcomer = machine.start(&scene, "newcomer", &get(&shared.link, &out));
    complete_by_lan(&mut newcomer, &shared);
}

#[test]
fn without_lan_among_the_sources_nobody_listens_and_on_loopback_neither() {
    if !available("who listens to multicast DNS") {
        return;
    }
    let (scene, mut network) = (Scene::new(), Network::new());
    let shared = share(&scene, "deaf.bin", 1, &[]);
    let machine = network.machine();
    let out = path_text(&scene.path("out"));
    let deaf = ["get", &shared.link, "-o", &out, "--discovery", "tracker,pex,cache"];
    let mut process = machine.start(&scene, "deaf", &deaf);
    process.wait_for("stage", PROMPT);
    assert!(!machine.listens_to_mdns());
    process.kill();
    let args = get(&shared.link, &out);
    let mut process = Samara::start_in(
        &machine.namespace,
        Some("127.0.0.1"),
        "on loopback",
        &scene.state("on loopback"),
        &args,
    );
    process.wait_for("stage", PROMPT);
    assert!(!machine.listens_to_mdns());
    process.kill();

    let mut process = machine.start(&scene, "hearing", &args);
    process.wait_for("stage", PROMPT);
    assert!(machine.listens_to_mdns(), "the test can see who listens");
    process.kill();
}

#[test]
fn a_bound_node_speaks_on_the_network_of_its_address_alone() {
    if !available("multicast of bound nodes") {
        return;
    }
    let (scene, mut network, mut other_network) = (Scene::new(), Network::new(), Network::new());
    let shared = share(&scene, "apart.bin", 2, &[]);
    let (giver, taker, elsewhere) = (network.machine(), network.machine(), other_network.machine());
    taker.namespace.connect("other0", &elsewhere.namespace, "other0");
    taker.namespace.address("other0", "10.78.0.1/24");
    taker.namespace.address("other0", "fd78::1/64");
    elsewhere.namespace.address("other0", "10.78.0.2/24");
    let capture = Capture::start(&taker.namespace, &["other0"]);
    let control = Capture::start(&taker.namespace, &["lan0"]);

    let _seed = seed(&giver, &scene, "seed", &shared);
    let out = path_text(&scene.path("out"));
    let mut newcomer = taker.start_bound(&scene, "newcomer", &get(&shared.link, &out));
    complete_by_lan(&mut newcomer, &shared);
    // Its goodbye is multicast too.
    newcomer.wait_exit(PROMPT);
    assert_eq!(capture.seen().first, [] as [&str; 0]);
    let to_group = |packet: &&String| packet.contains("224.0.0.251:5353");
    assert!(control.seen().first.iter().any(|packet| to_group(&packet)), "{:?}", control.seen());

    // The same unbound speaks there as well: the test would see it.
    let out = path_text(&scene.path("again"));
    let mut unbound = taker.start(&scene, "unbound", &get(&shared.link, &out));
    complete_by_lan(&mut unbound, &shared);
    unbound.wait_exit(PROMPT);
    assert!(capture.seen().first.iter().any(|packet| to_group(&packet)), "{:?}", capture.seen());
}
