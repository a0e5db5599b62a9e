//! Swarms that have nothing but trackers: over UDP, several of them, dead ones first, some that are no use.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use samara_peer::disk::{CreateOptions, create};
use samara_peer::engine::event::Source;
use samara_peer::handle::{Role, Torrent, TorrentEvent, TorrentSource};
use samara_peer::net::discovery::DiscoverySet;
use samara_peer::net::discovery::tracker::Client;
use samara_proto::announce::SwarmCounts;
use samara_proto::announce::udp::{Announced, ConnectionId, Request, Response};
use samara_proto::metainfo::{Format, Metainfo};
use samara_tests::cluster::{Cluster, NOTHING, TRANSFER, add, bare_magnet, finish, seed, wait_ready};
use samara_tests::content;
use samara_tests::rogue;
use samara_tests::scene::{Scene, path_text};
use samara_tracker::{Listen, Tracker, TrackerConfig};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;

const MIB: u64 = 1 << 20;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const TRACKER: DiscoverySet = DiscoverySet { tracker: true, ..NOTHING };

/// Both protocols give a tracker up only after this long: who is faster has not waited for it.
const GIVEN_UP: Duration = Duration::from_secs(14);
/// How often figures are asked for while a state is waited for.
const POLL: Duration = Duration::from_millis(100);

/// A tracker with one protocol alone, whose peers may come back soon.
async fn tracker_at(listen: Listen) -> Tracker {
    let mut config = TrackerConfig { listen, ..TrackerConfig::default() };
    (config.announce.interval_secs, config.announce.min_interval_secs) = (5, 1);
    samara_tracker::start(config).await.expect("a tracker starts on loopback")
}

async fn udp_tracker() -> (Tracker, String) {
    let tracker = tracker_at(Listen { http: None, udp: Some((LOOPBACK, 0).into()) }).await;
    let url = tracker.udp_url().expect("it listens on UDP");
    (tracker, url)
}

async fn http_tracker() -> (Tracker, String) {
    let tracker = tracker_at(Listen { http: Some((LOOPBACK, 0).into()), udp: None }).await;
    let url = tracker.http_url().expect("it listens on HTTP");
    (tracker, url)
}

/// The metainfo of what lies at `path`, with a list of trackers.
fn listing(path: &Path, format: Format, trackers: &[&[&str]]) -> Arc<Metainfo> {
    let trackers = trackers.iter().map(|tier| tier.iter().map(|&url| url.to_owned()).collect()).collect();
    let options = CreateOptions {
        format,
        piece_length: None,
        trackers,
        url_list: Vec::new(),
        comment: None,
        private: false,
        created_by: None,
        creation_date: None,
    };
    Arc::new(create(path, options, |_, _| ()).expect("the content can be hashed").metainfo)
}

/// Waits until the torrent is complete; gives the warnings on the way.
async fn finish_with_warnings(torrent: &mut Torrent) -> Vec<String> {
    let mut warnings = Vec::new();
    let waiting = async {
        loop {
            match torrent.next_event().await.expect("the node goes on") {
                TorrentEvent::Complete { .. } => return,
                TorrentEvent::Failed(why) => panic!("the torrent failed: {why}"),
                TorrentEvent::Warning(warning) => warnings.push(warning),
                _ => {}
            }
        }
    };
    timeout(TRANSFER, waiting).await.expect("the transfer ends in time");
    warnings
}

async fn wait_warning(torrent: &mut Torrent, url: &str, says: &str) -> String {
    let waiting = async {
        loop {
            match torrent.next_event().await.expect("the node goes on") {
                TorrentEvent::Warning(said) | TorrentEvent::Note(said)
                    if said.contains(url) && said.contains(says) =>
                {
                    return said;
                }
                _ => {}
            }
        }
    };
    timeout(TRANSFER, waiting).await.unwrap_or_else(|_| panic!("no warning says {says:?} of {url}"))
}

async fn scrape(url: &str, metainfo: &Metainfo) -> SwarmCounts {
    let client = Client::new(Some(LOOPBACK)).expect("a client");
    let names: Vec<_> = metainfo.info_hashes().wire().collect();
    client.scrape(url, &names).await.expect("the tracker answers")[0]
}

async fn wait_counted(url: &str, metainfo: &Metainfo, seeds: u32, leeches: u32) {
    let waiting = async {
        loop {
            let counts = scrape(url, metainfo).await;
            if (counts.complete, counts.incomplete) == (seeds, leeches) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    timeout(TRANSFER, waiting).await.unwrap_or_else(|_| panic!("{url} never counts {seeds} and {leeches}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swarm_comes_together_by_a_udp_tracker_alone() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("over-udp.bin", 8 * MIB, Format::Hybrid);
    let (_tracker, url) = udp_tracker().await;
    let trackers = std::slice::from_ref(&url);
    let giver = cluster.node_with("giver", TRACKER).await;
    seed(&giver, &metainfo, &cluster.path(""), trackers).await;
    for (before, name) in [(0, "one"), (1, "two")] {
        let node = cluster.node_with(name, TRACKER).await;
        let source = bare_magnet(metainfo.info_hashes());
        let mut torrent = add(&node, source, &cluster.path(name), Role::Get, &[], trackers).await;
        assert_eq!(scrape(&url, &metainfo).await.downloaded, before);
        let completed = finish(&mut torrent, TRANSFER).await;
        assert_eq!(
            completed.bytes_from.iter().map(|(source, _)| *source).collect::<Vec<_>>(),
            [Source::Tracker]
        );
        let difference =
            content::difference(&cluster.path("over-udp.bin"), &cluster.path(name).join("over-udp.bin"));
        assert_eq!(difference.expect("readable"), None);
        node.shutdown().await;
        wait_counted(&url, &metainfo, 1, 0).await;
        assert_eq!(
            scrape(&url, &metainfo).await.downloaded,
            before + 1,
            "it left as soon as it had everything"
        );
    }
}

/// A download whose torrent lists `dead` before a tracker that works.
async fn reaches_the_second_tier(dead: &str, live: &str, says: &str) {
    let cluster = Cluster::new();
    let path = cluster.path("listed.bin");
    content::write_file(&path, 2 * MIB, 5).expect("the scratch folder is writable");
    // A hybrid is asked for under two names, and a dead tracker is told of once.
    let metainfo = listing(&path, Format::Hybrid, &[&[dead], &[live]]);
    let giver = cluster.node_with("giver", TRACKER).await;
    seed(&giver, &metainfo, &cluster.path(""), &[live.to_owned()]).await;
    wait_counted(live, &metainfo, 1, 0).await;
    let taker = cluster.node_with("taker", TRACKER).await;

    let begun = Instant::now();
    let source = TorrentSource::Metainfo(metainfo.clone());
    let mut torrent = add(&taker, source, &cluster.path("out"), Role::Get, &[], &[]).await;
    let warnings = finish_with_warnings(&mut torrent).await;

    assert!(begun.elapsed() < GIVEN_UP, "{:?}", begun.elapsed());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains(dead) && warnings[0].contains(says), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_tracker_that_refuses_costs_a_line() {
    let (_udp_tracker, udp) = udp_tracker().await;
    let (_http_tracker, http) = http_tracker().await;
    reaches_the_second_tier("udp://127.0.0.1:1/announce", &http, "no answer").await;
    reaches_the_second_tier("http://127.0.0.1:1/announce", &udp, "no answer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_tracker_that_never_answers_costs_seconds_and_a_line() {
    let (_udp_tracker, live) = udp_tracker().await;
    let udp_hole = UdpSocket::bind((LOOPBACK, 0)).await.expect("a free port");
    let udp = format!("udp://{}/announce", udp_hole.local_addr().expect("it is bound"));
    // The system takes connections, and nobody reads them.
    let tcp_hole = TcpListener::bind((LOOPBACK, 0)).await.expect("a free port");
    let http = format!("http://{}/announce", tcp_hole.local_addr().expect("it is bound"));
    for dead in [udp, http] {
        reaches_the_second_tier(&dead, &live, "nothing came in 4 s").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_tracker_that_knows_no_libp2p_peers_is_passed_over() {
    let (_tracker, live) = udp_tracker().await;
    let foreign = foreign_udp_tracker().await;
    reaches_the_second_tier(&foreign, &live, "knows no peers that speak libp2p").await;
}

/// The announce URL of a tracker that knows BEP 15 and nothing else.
async fn foreign_udp_tracker() -> String {
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.expect("a free port");
    let url = format!("udp://{}/announce", socket.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        let mut packet = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let response = match Request::decode(&packet[..length]) {
                Ok(Request::Connect { transaction_id }) => {
                    Response::Connect { transaction_id, connection_id: ConnectionId(7) }
                }
                Ok(Request::Announce { transaction_id, .. }) => {
                    let peers = vec![SocketAddr::from(([192, 0, 2, 1], 1))];
                    let announced =
                        Announced { interval_secs: 1800, leechers: 1, seeders: 0, peers, libp2p: None };
                    Response::Announce { transaction_id, announced }
                }
                other => panic!("{other:?}"),
            };
            socket.send_to(&response.encode(), from).await.expect("loopback takes it");
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tracker_of_a_torrents_list_is_enough_and_is_told_of_the_end() {
    let cluster = Cluster::new();
    let path = cluster.path("listed.bin");
    content::write_file(&path, MIB, 5).expect("the scratch folder is writable");
    let (_first_tracker, first) = udp_tracker().await;
    let (_second_tracker, second) = http_tracker().await;
    let metainfo = listing(&path, Format::V1, &[&[&first], &[&second]]);
    let giver = cluster.node_with("giver", TRACKER).await;

    seed(&giver, &metainfo, &cluster.path(""), &[]).await;

    wait_counted(&first, &metainfo, 1, 0).await;
    assert_eq!(scrape(&second, &metainfo).await, SwarmCounts::default());
    giver.shutdown().await;
    wait_counted(&first, &metainfo, 0, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tracker_that_was_named_is_asked_beside_the_others() {
    let cluster = Cluster::new();
    let path = cluster.path("named.bin");
    content::write_file(&path, 2 * MIB, 5).expect("the scratch folder is writable");
    let trackers = [udp_tracker().await, http_tracker().await, udp_tracker().await];
    let [listed, elsewhere, named] = trackers.each_ref().map(|(_, url)| url.as_str());
    let metainfo = listing(&path, Format::V1, &[&[listed]]);
    let giver = cluster.node_with("giver", TRACKER).await;
    let bare = listing(&path, Format::V1, &[]);
    seed(&giver, &bare, &cluster.path(""), &[named.to_owned()]).await;
    let taker = cluster.node_with("taker", TRACKER).await;

    // The listed tracker answers, and so does another that was named: neither knows the seed.
    let source = TorrentSource::Metainfo(metainfo.clone());
    let trackers = [elsewhere.to_owned(), named.to_owned()];
    let mut torrent = add(&taker, source, &cluster.path("out"), Role::Get, &[], &trackers).await;
    finish(&mut torrent, TRANSFER).await;

    for url in [listed, elsewhere, named] {
        let counts = scrape(url, &metainfo).await;
        assert_eq!(counts.complete + counts.incomplete, if url == named { 2 } else { 1 }, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracker_that_dies_and_comes_back_is_used_again() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("again.bin", MIB, Format::Hybrid);
    let (tracker, url) = udp_tracker().await;
    let address = tracker.udp_address();
    let giver = cluster.node_with("giver", TRACKER).await;
    let mut torrent = seed(&giver, &metainfo, &cluster.path(""), std::slice::from_ref(&url)).await;
    wait_counted(&url, &metainfo, 1, 0).await;

    tracker.stop().await;
    wait_warning(&mut torrent, &url, "no answer").await;
    let _tracker = tracker_at(Listen { http: None, udp: address }).await;

    wait_warning(&mut torrent, &url, "answers again").await;
    wait_counted(&url, &metainfo, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tracker_that_names_nobody_who_is_there_is_told_of() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("nowhere.bin", MIB, Format::V1);
    // Nobody listens on a reserved port.
    let doors = vec!["/ip4/127.0.0.1/tcp/1".parse().expect("an address"); 20];
    let trackers = rogue::tracker::start(LOOPBACK, &doors).await;
    let node = cluster.node_with("taker", TRACKER).await;
    let source = bare_magnet(metainfo.info_hashes());
    let mut torrent = add(&node, source, &cluster.path("out"), Role::Get, &[], &trackers).await;

    wait_warning(&mut torrent, "the tracker named", "nobody could be reached").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_trackers_among_the_sources_none_is_asked_over_udp_either() {
    let cluster = Cluster::new();
    let metainfo = cluster.file("deaf.bin", MIB, Format::V1);
    let (_tracker, url) = udp_tracker().await;
    let giver = cluster.node_with("giver", NOTHING).await;
    seed(&giver, &metainfo, &cluster.path(""), std::slice::from_ref(&url)).await;
    let asking = cluster.node_with("asking", TRACKER).await;
    let source = TorrentSource::Metainfo(metainfo.clone());
    let trackers = std::slice::from_ref(&url);
    let mut torrent = add(&asking, source, &cluster.path("out"), Role::Get, &[], trackers).await;
    wait_ready(&mut torrent).await;
    // Whoever asks is counted: had the other one asked before, so would it be.
    wait_counted(&url, &metainfo, 0, 1).await;
}

#[test]
fn show_tells_what_each_tracker_says_of_the_swarm() {
    let scene = Scene::new();
    content::write_file(&scene.path("big.bin"), MIB, 3).expect("the scratch folder is writable");
    let tracker = scene.tracker();
    let dead = "udp://127.0.0.1:1/announce";
    let trackers = ["--tracker", &tracker.udp, "--tracker", &tracker.http, "--tracker", dead];
    let torrent = scene.create(&scene.path("big.bin"), "hybrid", &trackers);
    let torrent = path_text(&torrent);
    let shown = || {
        let ended = scene.run(&["show", &torrent, "--scrape", "--json"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.json()
    };
    let swarm = |seeds: u32| {
        let said =
            |url: &str| serde_json::json!({"tracker": url, "seeds": seeds, "leeches": 0, "completed": 0});
        [said(&tracker.udp), said(&tracker.http)]
    };
    let empty = shown();
    assert_eq!(empty["swarm"].as_array().expect("a list")[..2], swarm(0));
    assert_eq!(empty["swarm"][2]["tracker"], dead);
    assert!(empty["swarm"][2]["error"].as_str().expect("a reason").contains("no answer"), "{empty}");

    let _seed = scene.seed("seed", &[&torrent]);
    let end = Instant::now() + TRANSFER;
    while shown()["swarm"].as_array().expect("a list")[..2] != swarm(1) {
        assert!(Instant::now() < end, "the seed is never counted: {}", shown());
        std::thread::sleep(POLL);
    }

    let only_dead = scene.path("dead.bin");
    content::write_file(&only_dead, 1000, 3).expect("the scratch folder is writable");
    let torrent = scene.create(&only_dead, "v1", &["--tracker", dead]);
    assert_eq!(scene.run(&["show", &path_text(&torrent), "--scrape"]).code, 1);
    assert_eq!(scene.run(&["show", &path_text(&torrent)]).code, 0);
}
