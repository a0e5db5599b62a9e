//! Peers that speak libp2p, next to those that do not.

use libp2p_identity::Keypair;
use samara_proto::announce::Event;
use samara_proto::announce::http::{AnnounceRequest, AnnounceResponse, AnswerError, Libp2pPeers};
use samara_proto::infohash::InfoHash;
use samara_proto::record::SignedRecord;
use samara_tracker::Tracker;

use super::*;

fn announce(record: Option<&[u8]>) -> AnnounceRequest {
    AnnounceRequest {
        record: record.map(<[u8]>::to_vec),
        wants_libp2p: true,
        left: Some(5),
        ..AnnounceRequest::new(InfoHash([7; 20]), [1; 20])
    }
}

pub(super) fn record(byte: u8, seq: u64) -> SignedRecord {
    record_of(byte, seq, &[&format!("/ip4/127.0.0.1/udp/{}/quic-v1", 1000 + u16::from(byte))])
}

pub(super) fn record_of(byte: u8, seq: u64, addresses: &[&str]) -> SignedRecord {
    let key = Keypair::ed25519_from_bytes([byte; 32]).unwrap();
    let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    SignedRecord::sign(&key, seq, &addresses).unwrap()
}

pub(super) async fn answer_to(
    tracker: &Tracker,
    request: &AnnounceRequest,
) -> Result<AnnounceResponse, AnswerError> {
    AnnounceResponse::decode(&get(tracker, &format!("/announce?{}", request.to_query())).await.body)
}

#[tokio::test]
async fn nodes_find_each_other_by_their_own_signed_word() {
    let tracker = tracker().await;
    let (seed, leech) = (record(1, 1), record(2, 1));
    let mut seeding = announce(Some(seed.as_bytes()));
    seeding.left = Some(0);
    let first = answer_to(&tracker, &seeding).await.unwrap();
    assert_eq!(first.libp2p, Some(Libp2pPeers::default()));

    let answer = answer_to(&tracker, &announce(Some(leech.as_bytes()))).await.unwrap();
    assert_eq!((answer.complete, answer.incomplete), (Some(1), Some(1)));
    assert_eq!(answer.peers, [], "neither listens for BitTorrent");
    let told = answer.libp2p.unwrap().peers;
    assert_eq!(told.len(), 1);
    assert_eq!(SignedRecord::verify(&told[0].record).unwrap(), seed);
    assert_eq!(told[0].id, seed.peer_id().to_bytes());
    assert_eq!(told[0].addresses, [seed.addresses()[0].to_vec()]);
    assert!(told[0].flags.seed && !told[0].flags.partial && !told[0].flags.relay);
}

#[tokio::test]
async fn nobody_is_told_of_addresses_a_node_cannot_be_seen_to_have() {
    let tracker = tracker().await;
    let own = "/ip4/127.0.0.1/tcp/1";
    let honest_in_part = record_of(1, 1, &["/ip4/203.0.113.5/tcp/80", own, "/dns4/example.org/tcp/80"]);
    answer_to(&tracker, &announce(Some(honest_in_part.as_bytes()))).await.unwrap();
    let elsewhere = record_of(2, 1, &["/ip4/203.0.113.5/tcp/80"]);
    answer_to(&tracker, &announce(Some(elsewhere.as_bytes()))).await.unwrap();
    let answer = answer_to(&tracker, &announce(None)).await.unwrap();
    assert_eq!(answer.incomplete, Some(2), "both are counted");
    let told = answer.libp2p.unwrap().peers;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].addresses, [honest_in_part.addresses()[1].to_vec()]);
    assert_eq!(told[0].record, honest_in_part.as_bytes(), "its signature covers all of it");
}

#[tokio::test]
async fn a_client_without_libp2p_counts_nodes_but_is_not_told_of_them() {
    let tracker = tracker().await;
    answer_to(&tracker, &announce(Some(record(1, 1).as_bytes()))).await.unwrap();
    let mut legacy = announce(None);
    (legacy.wants_libp2p, legacy.port) = (false, 5);
    let answer = answer_to(&tracker, &legacy).await.unwrap();
    assert_eq!((answer.incomplete, answer.libp2p), (Some(2), None));
    let node = answer_to(&tracker, &announce(Some(record(2, 1).as_bytes()))).await.unwrap();
    assert_eq!(node.peers[0].address, "127.0.0.1:5".parse().unwrap());
}

#[tokio::test]
async fn a_forged_record_is_refused() {
    let tracker = tracker().await;
    let mut forged = record(1, 1).as_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let answer = answer_to(&tracker, &announce(Some(&forged))).await;
    let Err(AnswerError::Refused(failure)) = answer else { panic!("{answer:?}") };
    assert!(failure.reason.starts_with("lp2p_rec: "), "{failure}");
    assert_eq!(metric(&tracker, "entries").await, 0);
}

#[tokio::test]
async fn a_node_leaves_with_a_record_no_older_than_it_came_with() {
    let tracker = tracker().await;
    answer_to(&tracker, &announce(Some(record(1, 5).as_bytes()))).await.unwrap();
    let mut stopped = announce(Some(record(1, 4).as_bytes()));
    stopped.event = Event::Stopped;
    assert!(matches!(answer_to(&tracker, &stopped).await, Err(AnswerError::Refused(_))));
    assert_eq!(metric(&tracker, "entries").await, 1);
    stopped.record = Some(record(1, 6).as_bytes().to_vec());
    answer_to(&tracker, &stopped).await.unwrap();
    assert_eq!(metric(&tracker, "entries").await, 0);
}

#[tokio::test]
async fn a_client_that_speaks_libp2p_is_told_of_ways_into_the_dht() {
    let tracker = tracker().await;
    let record = record(1, 1);
    let told = async |request: &AnnounceRequest| answer_to(&tracker, request).await.unwrap().libp2p;
    assert_eq!(told(&announce(Some(record.as_bytes()))).await, Some(Libp2pPeers::default()));

    let way: samara_proto::record::Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().unwrap();
    tracker.set_bootstrap(std::slice::from_ref(&way));

    assert_eq!(told(&announce(Some(record.as_bytes()))).await.unwrap().bootstrap, [way.to_vec()]);
    assert_eq!(told(&AnnounceRequest { wants_libp2p: false, ..announce(None) }).await, None);
}
