//! Announce and scrape over HTTP.

use samara_proto::announce::http::{
    AnnounceRequest, AnnounceResponse, AnswerError, ScrapeRequest, ScrapeResponse, TcpPeer,
};
use samara_proto::infohash::InfoHash;
use samara_tracker::{ListedHash, Tracker};

use super::*;

const HASH: InfoHash = InfoHash([7; 20]);

fn announce(port: u16, left: u64) -> AnnounceRequest {
    let mut peer_id = *b"-XX0000-aaaaaaaaaaaa";
    peer_id[18..].copy_from_slice(&port.to_be_bytes());
    AnnounceRequest { port, left: Some(left), ..AnnounceRequest::new(HASH, peer_id) }
}

async fn answer_to(tracker: &Tracker, request: &AnnounceRequest) -> AnnounceResponse {
    let answer = get(tracker, &format!("/announce?{}", request.to_query())).await;
    assert_eq!(answer.status, 200);
    AnnounceResponse::decode(&answer.body).unwrap()
}

async fn reason(tracker: &Tracker, target: &str) -> String {
    let answer = get(tracker, target).await;
    assert_eq!(answer.status, 200, "clients discard the body of anything else");
    match AnnounceResponse::decode(&answer.body) {
        Err(AnswerError::Refused(failure)) => failure.reason,
        other => panic!("{other:?}"),
    }
}

fn ports(response: &AnnounceResponse) -> Vec<u16> {
    let mut ports: Vec<_> = response.peers.iter().map(|peer| peer.address.port()).collect();
    ports.sort_unstable();
    ports
}

#[tokio::test]
async fn two_loopback_clients_find_each_other() {
    let tracker = tracker().await;
    let first = answer_to(&tracker, &announce(1001, 0)).await;
    assert_eq!((first.complete, first.incomplete, ports(&first)), (Some(1), Some(0), vec![]));
    let second = answer_to(&tracker, &announce(1002, 9)).await;
    assert_eq!((second.complete, second.incomplete, ports(&second)), (Some(1), Some(1), vec![1001]));
    assert_eq!(ports(&answer_to(&tracker, &announce(1001, 0)).await), [1002]);
    assert!(second.min_interval_secs.unwrap() <= 60);
    assert!((300..=360).contains(&second.interval_secs));
    assert_eq!(second.libp2p, None, "nobody gets keys that were not asked for");
}

#[tokio::test]
async fn peers_are_listed_the_way_the_client_reads() {
    let tracker = tracker().await;
    answer_to(&tracker, &announce(1001, 0)).await;
    let query = announce(1002, 9).to_query();
    let compact = get(&tracker, &format!("/announce?{query}")).await.body;
    let plain = query.replace("compact=1", "compact=0");
    let without_ids = get(&tracker, &format!("/announce?{plain}")).await.body;
    let with_ids = get(&tracker, &format!("/announce?{}", plain.replace("no_peer_id=1", "x=y"))).await.body;
    let has = |body: &[u8], part: &[u8]| body.windows(part.len()).any(|window| window == part);
    assert!(has(&compact, b"5:peers6:\x7f\0\0\x01\x03\xe9"));
    assert!(has(&without_ids, b"5:peersld2:ip9:127.0.0.14:porti1001eee"));
    assert!(has(&with_ids, b"5:peersld2:ip9:127.0.0.17:peer id20:"));
}

#[tokio::test]
async fn a_partial_seed_may_announce_itself() {
    let tracker = tracker().await;
    let mut paused = announce(1001, 9);
    paused.event = samara_proto::announce::Event::Paused;
    let answer = answer_to(&tracker, &paused).await;
    assert_eq!((answer.complete, answer.incomplete), (Some(0), Some(1)));
    let query = ScrapeRequest { info_hashes: vec![HASH] }.to_query();
    let scrape = ScrapeResponse::decode(&get(&tracker, &format!("/scrape?{query}")).await.body).unwrap();
    assert_eq!(scrape.files[&HASH].downloaders, Some(0));
}

#[tokio::test]
async fn an_answer_is_plain_text_of_known_length() {
    let tracker = tracker().await;
    let answer = get(&tracker, &format!("/announce?{}", announce(1001, 0).to_query())).await;
    assert!(answer.head.contains("content-type: text/plain\r\n"), "{}", answer.head);
    assert!(answer.head.contains("content-length: "), "{}", answer.head);
}

#[tokio::test]
async fn a_bad_announce_is_told_why_with_status_200() {
    let tracker = tracker().await;
    assert_eq!(reason(&tracker, "/announce").await, "info_hash is missing");
    assert_eq!(reason(&tracker, "/scrape").await, "info_hash is missing");
    assert!(reason(&tracker, "/announce?info_hash=short").await.contains("peer_id"));
    let bad_port = announce(1001, 0).to_query().replace("port=1001", "port=99999");
    assert!(reason(&tracker, &format!("/announce?{bad_port}")).await.contains("port"));
    let long = format!("/announce?x={}", "y".repeat(9000));
    assert!(reason(&tracker, &long).await.contains("longer"));
}

#[tokio::test]
async fn a_torrent_that_is_not_served_is_refused() {
    let tracker = tracker_with(|config| {
        config.access.deny.insert(ListedHash(HASH));
    })
    .await;
    let target = format!("/announce?{}", announce(1001, 0).to_query());
    assert!(reason(&tracker, &target).await.contains("does not serve"));
    assert_eq!(metric(&tracker, "failures_total{protocol=\"http\"}").await, 1);
}

#[tokio::test]
async fn a_scrape_gives_every_swarm_asked_for_once_and_zeros_for_unknown_ones() {
    let tracker = tracker().await;
    answer_to(&tracker, &announce(1001, 0)).await;
    let unknown = InfoHash([9; 20]);
    let query = ScrapeRequest { info_hashes: vec![HASH, unknown, HASH] }.to_query();
    let scrape = ScrapeResponse::decode(&get(&tracker, &format!("/scrape?{query}")).await.body).unwrap();
    assert_eq!(scrape.files.len(), 2);
    assert_eq!(scrape.files[&HASH].counts.complete, 1);
    assert_eq!(scrape.files[&unknown].counts, Default::default());
}

#[tokio::test]
async fn ipv6_peers_are_in_a_list_of_their_own() {
    let tracker = tracker_with(|config| config.listen.http = Some("[::1]:0".parse().unwrap())).await;
    answer_to(&tracker, &announce(1001, 0)).await;
    let answer = answer_to(&tracker, &announce(1002, 9)).await;
    let expected = TcpPeer { address: "[::1]:1001".parse().unwrap(), peer_id: None };
    assert_eq!(answer.peers, [expected]);
}

#[tokio::test]
async fn people_and_monitoring_get_pages() {
    let tracker = tracker().await;
    answer_to(&tracker, &announce(1001, 0)).await;
    let page = get(&tracker, "/").await;
    assert!(
        page.head.contains("text/html") && String::from_utf8(page.body).unwrap().contains("1 peers in 1")
    );
    assert_eq!(metric(&tracker, "announces_total{protocol=\"http\"}").await, 1);
    assert_eq!(metric(&tracker, "swarms").await, 1);
    assert_eq!(get(&tracker, "/favicon.ico").await.status, 404);
    let mut connection = Connection::open(tracker.http_address().unwrap()).await;
    connection.write("POST /announce HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.status, 405);
    assert!(answer.head.contains("allow: get"));
}
