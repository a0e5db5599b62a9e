//! Transfers between real nodes in one process, some of them with liars about.

use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use samara_peer::choice::Choice;
use samara_peer::engine::event::Source;
use samara_peer::handle::{AddOptions, Role, SelectError, TorrentSource};
use samara_proto::infohash::InfoHashes;
use samara_proto::metainfo::{Format, Metainfo};
use samara_tests::cluster::{
    Cluster, NOTHING, TRANSFER, add, bare_magnet, finish, get, metainfo_of, seed, tracker, wait_ready,
};
use samara_tests::content;
use samara_tests::flood::{Flood, tcp_address};
use samara_tests::process::LOOPBACK;
use samara_tests::rogue::{self, Lie};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_arrives_by_a_link_that_names_a_peer() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("one.bin", 8 * MIB + 5, Format::V1);
    let giver = cluster.node("giver").await;
    let taker = cluster.node("taker").await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;

    let source = bare_magnet(metainfo.info_hashes());
    let mut torrent = get(&taker, source, &cluster.path("out"), &giver.addresses()).await;
    let completed = finish(&mut torrent, TRANSFER).await;

    assert_eq!(completed.bytes, 8 * MIB + 5);
    assert_eq!(completed.bytes_from.iter().map(|(source, _)| *source).collect::<Vec<_>>(), [Source::Link]);
    assert_same(&cluster, "one.bin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_v2_link_fetches_its_piece_layers_from_peers() {
    let cluster = Cluster::new();
    content::write_folder(&cluster.path("tree"), 40, 6 * MIB, 11).expect("writable");
    let metainfo = metainfo_of(&cluster.path("tree"), Format::V2);
    let giver = cluster.node("giver").await;
    let taker = cluster.node("taker").await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;

    let source = bare_magnet(metainfo.info_hashes());
    let mut torrent = get(&taker, source, &cluster.path("out"), &giver.addresses()).await;
    finish(&mut torrent, TRANSFER).await;

    assert_same(&cluster, "tree");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hybrid_is_one_swarm_under_either_name() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("both.bin", 3 * MIB, Format::Hybrid);
    let InfoHashes::Hybrid(v1, v2) = metainfo.info_hashes() else { panic!("a hybrid has two names") };
    let giver = cluster.node("giver").await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;
    for (name, hashes) in [("by-v1", InfoHashes::V1(v1)), ("by-v2", InfoHashes::V2(v2))] {
        let taker = cluster.node(name).await;
        let source = bare_magnet(hashes);
        let mut torrent = get(&taker, source, &cluster.path(name), &giver.addresses()).await;
        finish(&mut torrent, TRANSFER).await;
        let difference = content::difference(&cluster.path("both.bin"), &cluster.path(name).join("both.bin"));
        assert_eq!(difference.expect("readable"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leeches_pass_on_what_they_have() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("shared.bin", 16 * MIB, Format::V1);
    let giver = cluster.node("giver").await;
    let middle = cluster.node("middle").await;
    let last = cluster.node("last").await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;
    let source = || TorrentSource::Metainfo(metainfo.clone());
    let mut second = get(&middle, source(), &cluster.path("middle"), &giver.addresses()).await;
    // The last one knows the middle one alone, which knows nobody else.
    let mut third = get(&last, source(), &cluster.path("out"), &middle.addresses()).await;

    finish(&mut second, TRANSFER).await;
    finish(&mut third, TRANSFER).await;

    assert_same(&cluster, "shared.bin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swarm_found_through_a_tracker_outlives_it() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("tracked.bin", 16 * MIB, Format::Hybrid);
    let (tracker, url) = tracker().await;
    let giver = cluster.node("giver").await;
    seed(&giver, &metainfo, &cluster.path(""), std::slice::from_ref(&url)).await;
    let mut torrents = Vec::new();
    for name in ["first", "out"] {
        let node = cluster.node(name).await;
        let source = bare_magnet(metainfo.info_hashes());
        let trackers = std::slice::from_ref(&url);
        let mut torrent = add(&node, source, &cluster.path(name), Role::Get, &[], trackers).await;
        wait_ready(&mut torrent).await;
        torrents.push((node, torrent));
    }

    tracker.stop().await;

    for (_, torrent) in &mut torrents {
        let completed = finish(torrent, TRANSFER).await;
        assert!(completed.bytes_from.iter().any(|(source, _)| *source == Source::Tracker));
    }
    assert_same(&cluster, "tracked.bin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_tiny_pieces_do_not_overrun_the_queue_of_requests() {
    let cluster = Cluster::new();
    content::write_folder(&cluster.path("tiny"), 1500, MIB, 5).expect("writable");
    let metainfo = metainfo_of(&cluster.path("tiny"), Format::Hybrid);
    let giver = cluster.node("giver").await;
    let taker = cluster.node("taker").await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;

    let source = TorrentSource::Metainfo(metainfo.clone());
    let mut torrent = get(&taker, source, &cluster.path("out"), &giver.addresses()).await;
    // A request that is refused for want of room is repeated only after half a minute.
    finish(&mut torrent, Duration::from_secs(25)).await;

    assert_same(&cluster, "tiny");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_seed_that_returns_is_found_again() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("returns.bin", 24 * MIB, Format::V1);
    let giver = cluster.node("giver").await;
    let addresses = giver.addresses();
    let taker = cluster.node("taker").await;
    let source = TorrentSource::Metainfo(metainfo.clone());
    let mut torrent = get(&taker, source, &cluster.path("out"), &addresses).await;
    drop(giver);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let giver = cluster.node("giver").await;
    assert_eq!(giver.addresses(), addresses, "a restarted node keeps its key and port");
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;

    finish(&mut torrent, TRANSFER).await;

    assert_same(&cluster, "returns.bin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_liar_keeps_a_file_from_arriving_whole() {
    let lies = [
        Lie::CorruptBlocks,
        Lie::NoAnswer,
        Lie::HugeFrame,
        Lie::Noise,
        Lie::PiecesBeyondTheEnd,
        Lie::UnaskedBlocks,
    ];
    for lie in lies {
        let cluster = Cluster::new();
        let metainfo = cluster.file("honest.bin", 4 * MIB, Format::Hybrid);
        let liar = rogue::start(lie, metainfo.clone(), &cluster.path("honest.bin")).await;
        let giver = cluster.node("giver").await;
        let taker = cluster.node("taker").await;
        seed(&giver, &metainfo, &cluster.path(""), &[]).await;
        let peers = [vec![liar], giver.addresses()].concat();
        let source = TorrentSource::Metainfo(metainfo.clone());
        let mut torrent = get(&taker, source, &cluster.path("out"), &peers).await;

        finish(&mut torrent, 2 * TRANSFER).await;

        assert_same(&cluster, "honest.bin");
        taker.shutdown().await;
        giver.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_silent_connections_keep_no_newcomer_out() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("wanted.bin", MIB, Format::V1);
    let giver = cluster.node("giver").await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;
    let _flood = Flood::start(tcp_address(&giver.addresses()), 300).await;
    let is_quic = |address: &Multiaddr| address.to_string().contains("/quic-v1");
    let (quic, tcp): (Vec<_>, Vec<_>) = giver.addresses().into_iter().partition(is_quic);

    for (name, addresses) in [("by-tcp", tcp), ("by-quic", quic)] {
        let taker = cluster.node(name).await;
        let source = bare_magnet(metainfo.info_hashes());
        let mut torrent = get(&taker, source, &cluster.path(name), &addresses).await;
        finish(&mut torrent, TRANSFER / 4).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_blocks_are_passed_on_before_their_pieces_are_whole() {
    let cluster = Cluster::new();
    let metainfo = cluster.file_in_pieces("halves.bin", 8 * MIB, 4 << 20, Format::V2);
    let (between, taker) =
        (cluster.node_with("between", NOTHING).await, cluster.node_with("taker", NOTHING).await);
    let source = || TorrentSource::Metainfo(metainfo.clone());
    let mut first = get(&between, source(), &cluster.path("first"), &[]).await;
    wait_ready(&mut first).await;
    let mut second = get(&taker, source(), &cluster.path("second"), &between.addresses()).await;
    wait_ready(&mut second).await;

    // Nobody ever has a whole piece but one whom the taker does not know.
    let (victim, content) = (between.addresses()[0].clone(), cluster.path("halves.bin"));
    let giver = tokio::spawn({
        let metainfo = metainfo.clone();
        async move { rogue::visit(LOOPBACK, Lie::WithholdsHalves, &victim, metainfo, &content).await }
    });

    let arrived = async {
        while second.bytes_received() < 2 * MIB {
            assert!(!giver.is_finished(), "who gives halves is thrown out");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TRANSFER, arrived).await.expect("blocks come in time");
    giver.abort();
    taker.shutdown().await;
    between.shutdown().await;
}

/// The files `a` and `in/b` of 2 MiB each, and the empty `in/none`.
fn tree(cluster: &Cluster, format: Format) -> Arc<Metainfo> {
    for (name, size) in [("a", 2 * MIB), ("in/b", 2 * MIB), ("in/none", 0)] {
        content::write_file(&cluster.path("tree").join(name), size, size).expect("writable");
    }
    metainfo_of(&cluster.path("tree"), format)
}

fn only(pattern: &str) -> Choice {
    Choice { only: vec![pattern.parse().expect("a pattern")], ..Choice::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wanted_changes_while_the_torrent_runs() {
    for format in [Format::V1, Format::Hybrid] {
        let cluster = Cluster::new();
        let metainfo = tree(&cluster, format);
        let source = TorrentSource::Metainfo(metainfo.clone());
        let (giver, taker) = (cluster.node("giver").await, cluster.node("taker").await);
        let out = cluster.path("out");
        let shared = seed(&giver, &metainfo, &cluster.path(""), &[]).await;
        let (peers, choice) = (giver.addresses(), only("a"));
        let (root, trackers, role) = (out.clone(), Vec::new(), Role::Get);
        let options = AddOptions { root, trackers, peers, choice, role };
        let mut torrent = taker.add(source, options).await.expect("it is new");
        let id = torrent.id();
        assert_eq!(finish(&mut torrent, TRANSFER).await.bytes, 2 * MIB);
        assert!(out.join("tree/a").exists() && !out.join("tree/in").exists());
        let whole = giver.select(shared.id(), only("a")).await;
        assert!(matches!(whole, Err(SelectError::SharedWhole)), "{whole:?}");
        let nonsense = taker.select(id, only("c")).await;
        assert!(matches!(nonsense, Err(SelectError::Choice(_))), "{nonsense:?}");

        taker.select(id, Choice::default()).await.expect("everything can be wanted");
        let all = finish(&mut torrent, TRANSFER).await;
        let received: u64 = all.bytes_from.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!((all.bytes, received), (4 * MIB, 4 * MIB), "nothing comes twice");
        assert_same(&cluster, "tree");

        taker.remove(id).await;
        let gone = taker.select(id, Choice::default()).await;
        assert!(matches!(gone, Err(SelectError::NoSuchTorrent)), "{gone:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wished_before_a_torrent_runs_is_wanted_once_it_does() {
    for is_by_link in [false, true] {
        let cluster = Cluster::new();
        let metainfo = tree(&cluster, Format::Hybrid);
        let (giver, taker) = (cluster.node("giver").await, cluster.node("taker").await);
        let whole = TorrentSource::Metainfo(metainfo.clone());
        let source = if is_by_link { bare_magnet(metainfo.info_hashes()) } else { whole.clone() };
        let out = cluster.path("out");
        let mut torrent = get(&taker, source, &out, &[]).await;
        let (first, last) =
            tokio::join!(taker.select(torrent.id(), only("a")), taker.select(torrent.id(), only("in")));
        assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");

        // Nothing could come before: whoever has it dials us only now.
        let _shared = add(&giver, whole, &cluster.path(""), Role::Seed, &taker.addresses(), &[]).await;
        assert_eq!(finish(&mut torrent, TRANSFER).await.bytes, 2 * MIB);
        assert!(!out.join("tree/a").exists() && out.join("tree/in/none").exists());
        let difference = content::difference(&cluster.path("tree/in"), &out.join("tree/in"));
        assert_eq!(difference.expect("both are readable"), None);
    }
}

fn assert_same(cluster: &Cluster, name: &str) {
    let difference = content::difference(&cluster.path(name), &cluster.path("out").join(name));
    assert_eq!(difference.expect("both are readable"), None, "what arrived is not what was sent");
}
