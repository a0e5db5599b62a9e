//! Swarms whose peers find each other by the DHT alone, and nodes of it that die or lie.

use std::time::Duration;

use samara_peer::engine::event::Source;
use samara_peer::handle::Node;
use samara_peer::net::discovery::DiscoverySet;
use samara_proto::metainfo::Format;
use samara_tests::cluster::{Cluster, NOTHING, TRANSFER, bare_magnet, finish, get, seed};
use tokio::time::timeout;

const MIB: u64 = 1 << 20;
const DHT: DiscoverySet = DiscoverySet { dht: true, ..NOTHING };

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
