//! Peers that speak libp2p find each other over UDP, and nobody else notices.

use samara_proto::announce::http::AnnounceRequest;
use samara_proto::announce::udp::{Libp2pAnswer, url_data};
use samara_proto::record::SignedRecord;

use super::*;
use crate::libp2p::{record, record_of};

/// An announce of a peer that speaks libp2p alone.
fn asking(record: &SignedRecord, left: u64) -> Announce {
    Announce { port: 0, left, url_data: url_data("/announce", record.as_bytes()), ..announce(0, left) }
}

impl Client {
    fn request(&mut self, announce: Announce) -> Request {
        let (connection_id, transaction_id) = (self.connection_id, self.next_id());
        Request::Announce { connection_id, transaction_id, announce }
    }

    async fn ask_for_libp2p(&mut self, announce: Announce) -> Announced {
        let request = self.request(announce);
        announced(self.ask(&request).await)
    }

    /// Bytes of a request, and of its answer.
    async fn lengths(&mut self, announce: Announce) -> (usize, usize) {
        let request = self.request(announce).encode();
        self.send(&request).await;
        let mut packet = [0; 2048];
        (request.len(), soon(self.socket.recv(&mut packet)).await.unwrap())
    }
}

fn told(announced: Announced) -> Libp2pAnswer {
    announced.libp2p.expect("the tracker knows libp2p peers")
}

#[tokio::test]
async fn nodes_find_each_other_by_their_own_signed_word_over_udp() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    let (seed, leech) = (record(1, 1), record(2, 1));
    let first = client.ask_for_libp2p(asking(&seed, 0)).await;
    assert_eq!((first.seeders, first.leechers, first.peers.len()), (1, 0, 0));
    assert_eq!(told(first).libp2p.peers, []);

    let answer = client.ask_for_libp2p(asking(&leech, 5)).await;
    assert_eq!((answer.seeders, answer.leechers, answer.peers.len()), (1, 1, 0));
    let told = told(answer);
    assert_eq!(told.min_interval_secs.map(|secs| (30..=60).contains(&secs)), Some(true), "{told:?}");
    let [peer] = &told.libp2p.peers[..] else { panic!("{told:?}") };
    assert_eq!(SignedRecord::verify(&peer.record).unwrap(), seed);
    assert_eq!(peer.addresses, [seed.addresses()[0].to_vec()]);
    assert!(peer.flags.seed);
}

#[tokio::test]
async fn a_node_that_came_over_udp_is_told_over_http_and_the_other_way_round() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    let (over_udp, over_http) = (record(1, 1), record(2, 1));
    client.ask_for_libp2p(asking(&over_udp, 5)).await;
    let request = AnnounceRequest {
        record: Some(over_http.as_bytes().to_vec()),
        wants_libp2p: true,
        left: Some(5),
        ..AnnounceRequest::new(HASH, [1; 20])
    };
    let answer = crate::libp2p::answer_to(&tracker, &request).await.unwrap();
    assert_eq!(answer.libp2p.unwrap().peers[0].record, over_udp.as_bytes());
    let answer = told(client.ask_for_libp2p(asking(&over_udp, 5)).await);
    assert_eq!(answer.libp2p.peers[0].record, over_http.as_bytes());
}

#[tokio::test]
async fn ordinary_clients_are_answered_as_bep_15_says_to_the_byte() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    client.ask_for_libp2p(asking(&record(1, 1), 5)).await;
    client.announce(1001, 0).await;
    let crafted = url_data("/announce", record(2, 1).as_bytes());
    for url_data in [Vec::new(), b"/announce".to_vec(), b"/announce?lp2p=1".to_vec(), crafted] {
        let request = client.request(Announce { url_data, ..announce(1002, 5) });
        client.send(&request.encode()).await;
        let mut packet = [0; 2048];
        let length = soon(client.socket.recv(&mut packet)).await.unwrap();
        let mut expected = vec![0, 0, 0, 1];
        expected.extend(client.last_id.to_be_bytes());
        expected.extend(&packet[8..12]); // the interval, which is spread by chance
        // Two leechers with itself, and a seed that listens for BitTorrent.
        expected.extend([0, 0, 0, 2, 0, 0, 0, 1, 127, 0, 0, 1, 0x03, 0xE9]);
        assert_eq!(packet[..length], expected);
        assert!((300..=360).contains(&u32::from_be_bytes(packet[8..12].try_into().unwrap())));
    }
    assert_eq!(metric(&tracker, "entries").await, 3, "a client with a port has no libp2p entry by its URL");
}

#[tokio::test]
async fn a_large_swarm_is_told_in_a_small_packet_and_all_of_it_gets_its_turn() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    let swarm: Vec<_> = (1..=20).map(|byte| record(byte, 1)).collect();
    for record in &swarm {
        client.ask_for_libp2p(asking(record, 5)).await;
    }
    let newcomer = record(99, 1);
    let mut met = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let answer = told(client.ask_for_libp2p(asking(&newcomer, 5)).await);
        assert!(answer.libp2p.peers.len() >= 3, "{}", answer.libp2p.peers.len());
        met.extend(answer.libp2p.peers.into_iter().map(|peer| peer.id));
    }
    // Each of them is left out of one answer with probability 0.85 at most: of 200, with 1 in 10^14.
    assert_eq!(met.len(), 20);
}

#[tokio::test]
async fn an_answer_is_less_than_four_times_as_long_as_the_shortest_request() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    for byte in 1..=20 {
        client.ask_for_libp2p(asking(&record(byte, 1), 5)).await;
    }
    let shortest = record_of(99, 1, &[]);
    let (request, answer) = client.lengths(asking(&shortest, 5)).await;
    assert!(answer <= RESPONSE_BYTES && answer < 4 * request, "{answer} bytes for {request}");
}

#[tokio::test]
async fn who_asks_for_libp2p_peers_without_a_good_record_gets_an_error_shorter_than_its_request() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    client.ask_for_libp2p(asking(&record(1, 1), 5)).await;
    let mut forged = record(2, 1).as_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for url_data in
        [b"/announce?lp2p=1".to_vec(), url_data("/announce", &forged), url_data("/announce", &[1])]
    {
        let request = client.request(Announce { port: 0, url_data, ..announce(0, 5) });
        let Response::Error { message, .. } = client.ask(&request).await else { panic!("it was taken in") };
        assert!(message.contains("lp2p_rec"), "{message}");
        assert!(message.len() + 8 <= request.encode().len(), "{message}");
    }
    assert_eq!(metric(&tracker, "entries").await, 1);
}

#[tokio::test]
async fn a_record_counts_only_with_a_connection_id() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    client.connection_id = ConnectionId(client.connection_id.0 ^ 1);
    let request = client.request(asking(&record(1, 1), 5));
    client.send(&request.encode()).await;
    client.assert_silence().await;
    assert_eq!(metric(&tracker, "entries").await, 0);
}

#[tokio::test]
async fn a_node_leaves_over_udp() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    client.ask_for_libp2p(asking(&record(1, 5), 5)).await;
    let goodbye = Announce { event: Event::Stopped, ..asking(&record(1, 6), 5) };
    let answer = told(client.ask_for_libp2p(goodbye).await);
    assert_eq!(answer.libp2p.peers, []);
    assert_eq!(metric(&tracker, "entries").await, 0);
}
