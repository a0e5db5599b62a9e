//! Swarms whose peers find each other by one source alone, and sources that lie.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use samara_peer::engine::event::Source;
use samara_peer::handle::{Node, Role, Stage, Torrent, TorrentEvent, TorrentSource};
use samara_peer::net::discovery::DiscoverySet;
use samara_proto::metainfo::{Format, Metainfo};
use samara_tests::cluster::{
    Cluster, Completed, NOTHING, TRANSFER, add, bare_magnet, finish, get, seed, tracker, wait_ready,
};
use samara_tests::process::LOOPBACK;
use samara_tests::rogue::{self, Lie, bystander, one_door};
use tokio::time::timeout;

const MIB: u64 = 1 << 20;
const PEX: DiscoverySet = DiscoverySet { pex: true, ..NOTHING };
const CACHE: DiscoverySet = DiscoverySet { cache: true, ..NOTHING };
const TRACKER: DiscoverySet = DiscoverySet { tracker: true, ..NOTHING };

/// Nothing but lies is heard for so long: only then does the honest peer have the torrent.
const LIES: Duration = Duration::from_secs(5);
/// Dials of one bystander that are nothing to complain of.
const HANDFUL: usize = 12;

/// A seed and two peers that fetched everything from it.
async fn grown_swarm(cluster: &Cluster, metainfo: &Arc<Metainfo>, set: DiscoverySet) -> Vec<(Node, Torrent)> {
    let giver = cluster.node_with("giver", set).await;
    let torrent = seed(&giver, metainfo, &cluster.path(""), &[]).await;
    let addresses = giver.addresses();
    let mut swarm = vec![(giver, torrent)];
    for name in ["first", "second"] {
        let node = cluster.node_with(name, set).await;
        let source = TorrentSource::Metainfo(metainfo.clone());
        let mut torrent = get(&node, source, &cluster.path(name), &addresses).await;
        finish(&mut torrent, TRANSFER).await;
        swarm.push((node, torrent));
    }
    swarm
}

/// Waits until as many peers are linked; gives the time that took.
async fn wait_linked(torrent: &mut Torrent, peers: usize) -> Duration {
    let since = Instant::now();
    let waiting = async {
        loop {
            match torrent.next_event().await.expect("the node goes on") {
                TorrentEvent::Progress(progress) if progress.peers >= peers => return since.elapsed(),
                TorrentEvent::Failed(why) => panic!("the torrent failed: {why}"),
                _ => {}
            }
        }
    };
    timeout(TRANSFER, waiting).await.expect("the peers are linked in time")
}

fn share(completed: &Completed, source: Source) -> u64 {
    completed.bytes_from.iter().filter(|(from, _)| *from == source).map(|(_, bytes)| bytes).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_knows_one_peer_finds_the_others_by_pex_alone() {
    let cluster = Cluster::new();
    // Large enough that something is still wanted when the others are linked.
    let metainfo = cluster.file("told.bin", 160 * MIB, Format::V1);
    let swarm = grown_swarm(&cluster, &metainfo, PEX).await;
    let newcomer = cluster.node_with("newcomer", PEX).await;
    let known = swarm[0].0.addresses();

    let source = bare_magnet(metainfo.info_hashes());
    let mut torrent = get(&newcomer, source, &cluster.path("out"), &known).await;
    let completed = finish(&mut torrent, TRANSFER).await;

    assert!(completed.peers >= 2, "{completed:?}");
    assert!(share(&completed, Source::Pex) > 0, "{completed:?}");
    assert_eq!(
        completed.bytes_from.iter().map(|(source, _)| *source).collect::<Vec<_>>(),
        [Source::Pex, Source::Link]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leeches_that_know_the_seed_alone_meet_each_other() {
    let cluster = Cluster::new();
    // Large enough that everybody still wants something when the last one comes.
    let metainfo = cluster.file("met.bin", 192 * MIB, Format::V1);
    let giver = cluster.node_with("giver", PEX).await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;
    let mut leeches = Vec::new();
    for name in ["one", "two", "three", "four"] {
        let node = cluster.node_with(name, PEX).await;
        let source = TorrentSource::Metainfo(metainfo.clone());
        let torrent = get(&node, source, &cluster.path(name), &giver.addresses()).await;
        leeches.push((node, torrent));
    }

    for (_, torrent) in &mut leeches {
        wait_linked(torrent, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pex_off_a_newcomer_finds_nobody_but_whom_it_knows() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("untold.bin", 16 * MIB, Format::V1);
    let swarm = grown_swarm(&cluster, &metainfo, PEX).await;
    let newcomer = cluster.node_with("newcomer", NOTHING).await;
    let known = swarm[0].0.addresses();

    let source = bare_magnet(metainfo.info_hashes());
    let mut torrent = get(&newcomer, source, &cluster.path("out"), &known).await;
    let completed = finish(&mut torrent, TRANSFER).await;

    assert_eq!(completed.peers, 1, "{completed:?}");
    assert_eq!(share(&completed, Source::Link), 16 * MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swarm_that_restarts_without_its_tracker_comes_together_by_the_cache_alone() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("kept.bin", 8 * MIB, Format::Hybrid);
    let (tracker, url) = tracker().await;
    let source = || bare_magnet(metainfo.info_hashes());
    let trackers = std::slice::from_ref(&url);
    let set = DiscoverySet { tracker: true, cache: true, ..NOTHING };
    let giver = cluster.node_with("giver", set).await;
    seed(&giver, &metainfo, &cluster.path(""), trackers).await;
    let taker = cluster.node_with("taker", set).await;
    let mut torrent = add(&taker, source(), &cluster.path("before"), Role::Get, &[], trackers).await;
    let completed = finish(&mut torrent, TRANSFER).await;
    assert_eq!(share(&completed, Source::Tracker), 8 * MIB);
    let before = giver.addresses();
    taker.shutdown().await;
    giver.shutdown().await;
    tracker.stop().await;

    let giver = cluster.node_with("giver", CACHE).await;
    assert_eq!(giver.addresses(), before, "a restarted node keeps its key and port");
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;
    let taker = cluster.node_with("taker", CACHE).await;
    let mut torrent = get(&taker, source(), &cluster.path("after"), &[]).await;
    let completed = finish(&mut torrent, TRANSFER).await;

    assert_eq!(completed.bytes_from, [(Source::Cache, 8 * MIB)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_cache_off_nothing_is_kept_and_with_trackers_off_none_is_asked() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("off.bin", MIB, Format::V1);
    let (_tracker, url) = tracker().await;
    let trackers = std::slice::from_ref(&url);
    let giver = cluster.node_with("giver", TRACKER).await;
    seed(&giver, &metainfo, &cluster.path(""), trackers).await;
    let source = || TorrentSource::Metainfo(metainfo.clone());
    let taker = cluster.node_with("taker", TRACKER).await;
    let mut torrent = add(&taker, source(), &cluster.path("out"), Role::Get, &[], trackers).await;
    finish(&mut torrent, TRANSFER).await;
    taker.shutdown().await;
    assert!(!cluster.path("taker.state/peers").exists());

    let deaf = cluster.node_with("deaf", DiscoverySet { tracker: false, ..DiscoverySet::default() }).await;
    let mut torrent = add(&deaf, source(), &cluster.path("deaf"), Role::Get, &[], trackers).await;
    wait_ready(&mut torrent).await;
    assert!(timeout(Duration::from_secs(3), wait_linked(&mut torrent, 1)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_of_a_private_torrent_are_neither_exchanged_nor_kept() {
    let cluster = Cluster::new();
    let metainfo = cluster.private_file("private.bin", 16 * MIB);
    let swarm = grown_swarm(&cluster, &metainfo, DiscoverySet::default()).await;
    let newcomer = cluster.node("newcomer").await;
    let known = swarm[0].0.addresses();

    let source = bare_magnet(metainfo.info_hashes());
    let mut torrent = get(&newcomer, source, &cluster.path("out"), &known).await;
    let completed = finish(&mut torrent, TRANSFER).await;
    newcomer.shutdown().await;

    assert_eq!(completed.peers, 1, "{completed:?}");
    assert!(!cluster.path("newcomer.state/peers").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_name_each_other_make_an_assisted_swarm_hybrid() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("grown.bin", 192 * MIB, Format::V1);
    let (tracker, url) = tracker().await;
    let trackers = std::slice::from_ref(&url);
    // One source besides the tracker: with two the swarm would be autonomous at once.
    let set = DiscoverySet { tracker: true, pex: true, ..NOTHING };
    let giver = cluster.node_with("giver", set).await;
    seed(&giver, &metainfo, &cluster.path(""), trackers).await;
    let mut torrents = Vec::new();
    for name in ["one", "two"] {
        let node = cluster.node_with(name, set).await;
        let source = TorrentSource::Metainfo(metainfo.clone());
        let torrent = add(&node, source, &cluster.path(name), Role::Get, &[], trackers).await;
        torrents.push((node, torrent));
    }

    let torrent = &mut torrents[1].1;
    let mut stages = Vec::new();
    let waiting = async {
        while stages.last() != Some(&Stage::Hybrid) {
            if let Some(TorrentEvent::Progress(progress)) = torrent.next_event().await
                && progress.peers > 0
            {
                stages.push(progress.stage);
            }
        }
    };
    timeout(TRANSFER, waiting).await.expect("peers that name each other make it hybrid");
    tracker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_by_himself_is_asked_for_the_metainfo_that_is_missing() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("wanted.bin", MIB, Format::V1);
    let taker = cluster.node_with("taker", NOTHING).await;
    let mut torrent = get(&taker, bare_magnet(metainfo.info_hashes()), &cluster.path("out"), &[]).await;

    let giver = cluster.node_with("giver", NOTHING).await;
    let source = TorrentSource::Metainfo(metainfo.clone());
    let _seed = add(&giver, source, &cluster.path(""), Role::Seed, &taker.addresses(), &[]).await;

    let completed = finish(&mut torrent, TRANSFER).await;
    assert_eq!(completed.bytes_from, [(Source::Incoming, MIB)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_false_peers_told_by_another_cause_a_handful_of_dials() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("honest.bin", 8 * MIB, Format::V1);
    let (port, dials) = bystander().await;
    let liar = rogue::start(
        Lie::FalsePeers { doors: one_door(port) },
        metainfo.clone(),
        &cluster.path("honest.bin"),
    )
    .await;
    let giver = cluster.node_with("giver", PEX).await;
    let taker = cluster.node_with("taker", PEX).await;
    let peers = [vec![liar], giver.addresses()].concat();

    let source = TorrentSource::Metainfo(metainfo.clone());
    let mut torrent = get(&taker, source, &cluster.path("out"), &peers).await;
    tokio::time::sleep(LIES).await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;
    // The seed was asked in vain before it had anything: the next try may be a back-off away.
    finish(&mut torrent, 4 * TRANSFER).await;

    let dials = dials.load(Ordering::Relaxed);
    assert!((1..=HANDFUL).contains(&dials), "{dials} dials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_false_peers_of_poisoned_trackers_cause_a_handful_of_dials() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("honest.bin", 8 * MIB, Format::V1);
    let (port, dials) = bystander().await;
    let trackers = rogue::tracker::start(LOOPBACK, &one_door(port)).await;
    let giver = cluster.node_with("giver", TRACKER).await;
    let taker = cluster.node_with("taker", TRACKER).await;

    let source = TorrentSource::Metainfo(metainfo.clone());
    let known = giver.addresses();
    let mut torrent = add(&taker, source, &cluster.path("out"), Role::Get, &known, &trackers).await;
    tokio::time::sleep(LIES).await;
    seed(&giver, &metainfo, &cluster.path(""), &[]).await;
    // The seed was asked in vain before it had anything: the next try may be a back-off away.
    finish(&mut torrent, 4 * TRANSFER).await;

    let dials = dials.load(Ordering::Relaxed);
    assert!((1..=HANDFUL).contains(&dials), "{dials} dials");
}
