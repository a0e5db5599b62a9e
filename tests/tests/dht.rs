//! Swarms whose peers find each other by the DHT alone, and nodes of it that die or lie.

use std::time::Duration;

use libp2p::Multiaddr;
use samara_peer::engine::event::Source;
use samara_peer::handle::Node;
use samara_peer::net::discovery::DiscoverySet;
use samara_proto::infohash::InfoHashes;
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
