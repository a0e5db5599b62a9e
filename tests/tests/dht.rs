//! Swarms whose peers find each other by the DHT alone, and nodes of it that die or lie.

use std::sync::atomic::Ordering;
use std::time::Duration;

use samara_peer::engine::event::Source;
use samara_peer::handle::Node;
use samara_peer::net::discovery::DiscoverySet;
use samara_proto::dht::DhtKey;
use samara_proto::metainfo::{Format, Metainfo};
use samara_tests::cluster::{Cluster, NOTHING, TRANSFER, bare_magnet, finish, get, seed, tracker};
use samara_tests::rogue::{bystander, dht};
use tokio::time::timeout;

const MIB: u64 = 1 << 20;
const DHT: DiscoverySet = DiscoverySet { dht: true, ..NOTHING };

/// Nothing but lies is heard for so long: only then does the honest peer have the torrent.
const LIES: Duration = Duration::from_secs(5);
/// Dials of one bystander that are nothing to complain of.
const HANDFUL: usize = 12;
/// How often a state is looked at that nobody tells of.
const POLL: Duration = Duration::from_millis(20);

/// Waits until something is so.
async fn wait_until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(POLL).await;
        }
    };
    timeout(TRANSFER, waiting).await.expect("it comes to be so in time");
}

/// Waits until a node knows as many others.
async fn wait_nodes(node: &Node, count: usize) {
    let mut nodes = node.dht_nodes();
    let known = timeout(TRANSFER, nodes.wait_for(|known| *known >= count));
    known.await.expect("the node comes to know others in time").expect("the node goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_with_the_link_alone_finds_the_swarm_by_the_dht_alone() {
    let cluster = Cluster::new();
    let boot = cluster.node_with("boot", DHT).await;
    let ways = boot.addresses();
    for (name, format) in [("v1.bin", Format::V1), ("v2.bin", Format::V2), ("hybrid.bin", Format::Hybrid)] {
        let metainfo = cluster.file(name, 2 * MIB, format);
        let giver = cluster.node_by(&format!("giver of {name}"), DHT, &ways).await;
        seed(&giver, &metainfo, &cluster.path(""), &[]).await;
        let taker = cluster.node_by(&format!("taker of {name}"), DHT, &ways).await;

        let mut torrent = get(&taker, bare_magnet(metainfo.info_hashes()), &cluster.path("out"), &[]).await;
        let completed = finish(&mut torrent, TRANSFER).await;

        assert_eq!(completed.bytes_from, [(Source::Dht, 2 * MIB)], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_torrent_is_not_in_the_dht() {
    let cluster = Cluster::new();
    let boot = cluster.node_with("boot", DHT).await;
    let ways = boot.addresses();
    let metainfo = cluster.private_file("private.bin", MIB);
    let giver = cluster.node_by("giver", DHT, &ways).await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;
    wait_nodes(&giver, 1).await;
    let taker = cluster.node_by("taker", DHT, &ways).await;
    wait_nodes(&taker, 1).await;

    let mut torrent = get(&taker, bare_magnet(metainfo.info_hashes()), &cluster.path("out"), &[]).await;

    assert!(timeout(Duration::from_secs(8), finish(&mut torrent, TRANSFER)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_in_the_dht_hears_of_a_private_torrent_once_it_is_known_to_be_one() {
    let cluster = Cluster::new();
    let (way, heard) = dht::listen().await;
    let private = cluster.private_file("private.bin", MIB);
    let public = cluster.file("public.bin", MIB, Format::V1);
    let key = |metainfo: &Metainfo| DhtKey::of(metainfo.info_hashes().wire().next().expect("it has a name"));
    let giver = cluster.node_by("giver", DHT, std::slice::from_ref(&way)).await;
    seed(&giver, &private, &cluster.path(""), &[]).await;
    seed(&giver, &public, &cluster.path(""), &[]).await;
    wait_until(|| heard.was_told(key(&public)) && heard.was_asked(key(&public))).await;
    assert!(
        !heard.was_asked(key(&private)) && !heard.was_told(key(&private)),
        "its seed knows that it is private"
    );

    let taker = cluster.node_by("taker", DHT, &[way]).await;
    let known = giver.addresses();
    let mut torrent = get(&taker, bare_magnet(private.info_hashes()), &cluster.path("out"), &known).await;
    finish(&mut torrent, TRANSFER).await;
    // What is announced later is heard of later.
    let other = cluster.file("other.bin", MIB + 1, Format::V1);
    seed(&taker, &other, &cluster.path(""), &[]).await;
    wait_until(|| heard.was_told(key(&other))).await;

    assert!(!heard.was_told(key(&private)), "a link does not say that it is private, its metainfo does");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_by_which_everybody_came_in_dies_and_nothing_is_lost() {
    let cluster = Cluster::new();
    let boot = cluster.node_with("boot", DHT).await;
    let ways = boot.addresses();
    let metainfo = cluster.file("kept.bin", 2 * MIB, Format::Hybrid);
    let giver = cluster.node_by("giver", DHT, &ways).await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;
    let other = cluster.node_by("other", DHT, &ways).await;
    wait_nodes(&giver, 2).await;
    wait_nodes(&other, 2).await;
    drop(boot);

    let newcomer = cluster.node_by("newcomer", DHT, &other.addresses()).await;
    let mut torrent = get(&newcomer, bare_magnet(metainfo.info_hashes()), &cluster.path("out"), &[]).await;
    let completed = finish(&mut torrent, TRANSFER).await;

    assert_eq!(completed.bytes_from, [(Source::Dht, 2 * MIB)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_the_last_session_are_the_way_in_of_the_next() {
    let cluster = Cluster::new();
    let boot = cluster.node_with("boot", DHT).await;
    let node = cluster.node_by("node", DHT, &boot.addresses()).await;
    wait_nodes(&node, 1).await;
    node.shutdown().await;

    let node = cluster.node_with("node", DHT).await;

    wait_nodes(&node, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_of_a_tracker_and_of_a_link_are_ways_into_the_dht() {
    let cluster = Cluster::new();
    let (tracker, url) = tracker().await;
    let boot = cluster.node_with("boot", DHT).await;
    tracker.set_bootstrap(&boot.addresses());
    let metainfo = cluster.file("told.bin", MIB, Format::V1);
    let trackers = [url];
    let giver = cluster.node_with("giver", DiscoverySet { tracker: true, ..DHT }).await;

    seed(&giver, &metainfo, &cluster.path(""), &trackers).await;
    wait_nodes(&giver, 1).await;

    let taker = cluster.node_with("taker", DHT).await;
    let known = giver.addresses();
    let mut torrent = get(&taker, bare_magnet(metainfo.info_hashes()), &cluster.path("out"), &known).await;
    finish(&mut torrent, TRANSFER).await;
    wait_nodes(&taker, 1).await;
    tracker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_dht_nobody_is_asked_and_nobody_answered() {
    let cluster = Cluster::new();
    let (way, heard) = dht::listen().await;
    let metainfo = cluster.file("off.bin", MIB, Format::V1);
    let key = DhtKey::of(metainfo.info_hashes().wire().next().expect("it has a name"));
    let deaf = cluster.node_by("deaf", NOTHING, std::slice::from_ref(&way)).await;
    seed(&deaf, &metainfo, &cluster.path(""), &[]).await;
    let other = cluster.file("on.bin", MIB + 1, Format::V1);
    let giver = cluster.node_by("giver", DHT, &[way]).await;
    seed(&giver, &other, &cluster.path(""), &[]).await;
    let other_key = DhtKey::of(other.info_hashes().wire().next().expect("it has a name"));
    wait_until(|| heard.was_told(other_key)).await;

    assert!(!heard.was_asked(key) && !heard.was_told(key));
    assert_eq!(*deaf.dht_nodes().borrow(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_names_a_bystander_a_thousand_times_causes_a_handful_of_dials() {
    let (port, dials) = bystander().await;

    transfer_beside_a_liar(|_| format!("/ip4/127.0.0.1/tcp/{port}")).await;

    let dials = dials.load(Ordering::Relaxed);
    assert!((1..=HANDFUL).contains(&dials), "{dials} dials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_names_a_thousand_false_addresses_keeps_nobody_from_the_swarm() {
    transfer_beside_a_liar(|number| format!("/ip4/127.0.{}.{}/tcp/9", 1 + number / 250, 1 + number % 250))
        .await;
}

/// A newcomer knows a liar and an honest node of the DHT, and hears nothing but lies until a seed comes.
async fn transfer_beside_a_liar(door: impl Fn(u16) -> String) {
    let cluster = Cluster::new();
    let liar = dht::lie(|number| door(number).parse().expect("an address")).await;
    let boot = cluster.node_by("boot", DHT, std::slice::from_ref(&liar)).await;
    let ways = [vec![liar], boot.addresses()].concat();
    let metainfo = cluster.file("honest.bin", 4 * MIB, Format::V1);
    let taker = cluster.node_by("taker", DHT, &ways).await;
    wait_nodes(&taker, 2).await;
    let mut torrent = get(&taker, bare_magnet(metainfo.info_hashes()), &cluster.path("out"), &[]).await;
    tokio::time::sleep(LIES).await;
    let giver = cluster.node_by("giver", DHT, &ways).await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;

    let completed = finish(&mut torrent, 4 * TRANSFER).await;

    assert_eq!(completed.bytes_from, [(Source::Dht, 4 * MIB)]);
}

/// Nodes of the DHT; half of them vanish.
const NODES: usize = 60;
/// Nodes that share something.
const GIVERS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dht_of_sixty_nodes_knows_every_torrent_after_half_of_them_vanished() {
    let cluster = Cluster::new();
    let boot = cluster.node_with("node 0", DHT).await;
    let mut ways = boot.addresses();
    let mut nodes = vec![boot];
    for number in 1..NODES {
        let node = cluster.node_by(&format!("node {number}"), DHT, &ways).await;
        if number == 1 {
            ways.extend(node.addresses());
        }
        nodes.push(node);
    }
    let mut shared = Vec::new();
    // Givers are among those that stay.
    for number in (1..NODES).step_by(2).take(GIVERS) {
        let metainfo = cluster.file(&format!("{number}.bin"), MIB + number as u64, Format::V1);
        wait_nodes(&nodes[number], 2).await;
        let torrent = seed(&nodes[number], &metainfo, &cluster.path(""), &[]).await;
        shared.push((metainfo, torrent));
    }
    for node in &nodes {
        wait_nodes(node, 2).await;
    }
    // Each is announced to twenty nodes, which takes a moment: it is known once somebody finds it.
    for (number, (metainfo, _)) in shared.iter().enumerate() {
        let early = cluster.node_by(&format!("early {number}"), DHT, &nodes[1].addresses()).await;
        let source = bare_magnet(metainfo.info_hashes());
        let mut torrent = get(&early, source, &cluster.path(&format!("early {number}")), &[]).await;
        finish(&mut torrent, TRANSFER).await;
        early.shutdown().await;
    }
    let mut left = Vec::new();
    for (number, node) in nodes.into_iter().enumerate() {
        // Those that vanish say no goodbye.
        if number % 2 == 1 { left.push(node) } else { drop(node) }
    }

    for (number, (metainfo, _)) in shared.iter().enumerate() {
        let ways = left[(number + GIVERS) % left.len()].addresses();
        let taker = cluster.node_by(&format!("late {number}"), DHT, &ways).await;
        let source = bare_magnet(metainfo.info_hashes());
        let mut torrent = get(&taker, source, &cluster.path(&format!("late {number}")), &[]).await;
        let completed = finish(&mut torrent, TRANSFER).await;
        assert!(completed.bytes_from.iter().any(|(source, _)| *source == Source::Dht), "{completed:?}");
    }
}
