//! Announce and scrape over UDP.

mod libp2p;

use std::net::IpAddr;

use samara_proto::announce::udp::{
    Announce, Announced, ConnectionId, Family, RESPONSE_BYTES, Request, Response, TransactionId,
};
use samara_proto::announce::{Event, SwarmCounts};
use samara_proto::infohash::InfoHash;
use samara_tracker::{ListedHash, Tracker};
use tokio::net::UdpSocket;

use super::*;

const HASH: InfoHash = InfoHash([7; 20]);

/// A client that only hears the address it talks to, as real clients do.
struct Client {
    socket: UdpSocket,
    family: Family,
    last_id: u32,
    connection_id: ConnectionId,
}

impl Client {
    /// A client with a connection id.
    async fn connected(from: &str, to: SocketAddr) -> Self {
        let mut client = Self::new(from, to).await;
        let transaction_id = client.next_id();
        match client.ask(&Request::Connect { transaction_id }).await {
            Response::Connect { connection_id, .. } => client.connection_id = connection_id,
            other => panic!("{other:?}"),
        }
        client
    }

    async fn new(from: &str, to: SocketAddr) -> Self {
        let from: IpAddr = from.parse().unwrap();
        let socket = UdpSocket::bind((from, 0)).await.unwrap();
        socket.connect(to).await.unwrap();
        Self { socket, family: Family::of(to), last_id: 0, connection_id: ConnectionId(0) }
    }

    fn next_id(&mut self) -> TransactionId {
        self.last_id += 1;
        TransactionId(self.last_id)
    }

    async fn send(&self, packet: &[u8]) {
        self.socket.send(packet).await.unwrap();
    }

    async fn receive(&self) -> Response {
        let mut packet = [0; 2048];
        let length = soon(self.socket.recv(&mut packet)).await.unwrap();
        assert!(length <= RESPONSE_BYTES);
        Response::decode(&packet[..length], self.family).unwrap()
    }

    async fn ask(&self, request: &Request) -> Response {
        self.send(&request.encode()).await;
        self.receive().await
    }

    fn announcing(&mut self, port: u16, left: u64) -> Request {
        Request::Announce {
            connection_id: self.connection_id,
            transaction_id: self.next_id(),
            announce: announce(port, left),
        }
    }

    async fn announce(&mut self, port: u16, left: u64) -> Announced {
        let request = self.announcing(port, left);
        announced(self.ask(&request).await)
    }

    async fn scrape(&mut self, info_hashes: &[InfoHash]) -> Vec<SwarmCounts> {
        let (connection_id, transaction_id) = (self.connection_id, self.next_id());
        let request = Request::Scrape { connection_id, transaction_id, info_hashes: info_hashes.to_vec() };
        match self.ask(&request).await {
            Response::Scrape { counts, .. } => counts,
            other => panic!("{other:?}"),
        }
    }

    /// The tracker answers in order: if the next answer is to this connect, the last packets got none.
    async fn assert_silence(&mut self) {
        let transaction_id = self.next_id();
        let answer = self.ask(&Request::Connect { transaction_id }).await;
        assert_eq!(answer.transaction_id(), transaction_id, "an earlier packet was answered");
    }
}

fn announce(port: u16, left: u64) -> Announce {
    let mut peer_id = *b"-XX0000-aaaaaaaaaaaa";
    peer_id[18..].copy_from_slice(&port.to_be_bytes());
    Announce {
        info_hash: HASH,
        peer_id,
        downloaded: 0,
        left,
        uploaded: 0,
        event: Event::None,
        key: 0,
        num_want: None,
        port,
        url_data: b"/announce".to_vec(),
    }
}

fn announced(response: Response) -> Announced {
    match response {
        Response::Announce { announced, .. } => announced,
        other => panic!("{other:?}"),
    }
}

fn address(tracker: &Tracker) -> SocketAddr {
    tracker.udp_address().unwrap()
}

#[tokio::test]
async fn twenty_announces_are_counted_as_seeds_and_others() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    let (mut seeders, mut leechers) = (0, 0);
    for n in 0..20 {
        let left = u64::from(n % 3);
        if left == 0 {
            seeders += 1
        } else {
            leechers += 1
        }
        let announced = client.announce(1000 + n, left).await;
        assert_eq!((announced.seeders, announced.leechers), (seeders, leechers));
        let others = if left == 0 { leechers } else { seeders + leechers - 1 };
        assert_eq!(announced.peers.len(), others as usize);
    }
}

#[tokio::test]
async fn http_and_udp_clients_share_a_swarm() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    client.announce(1001, 0).await;
    let hash = "%07".repeat(20);
    let peer_id = "x".repeat(20);
    let target = format!("/announce?info_hash={hash}&peer_id={peer_id}&port=1002&left=5&compact=1");
    let body = get(&tracker, &target).await.body;
    assert!(body.windows(6).any(|window| window == b"\x7f\0\0\x01\x03\xe9"));
    let over_udp = client.announce(1001, 0).await;
    assert_eq!(over_udp.peers, ["127.0.0.1:1002".parse().unwrap()]);
}

#[tokio::test]
async fn without_a_good_connection_id_there_is_no_answer() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    let good = client.connection_id;
    // BEP 15's number is an id of nobody, though a connect request begins with it.
    for wrong in [0, 0x0417_2710_1980, good.0 ^ 1, good.0 ^ (1 << 63), good.0.wrapping_add(1 << 48)] {
        client.connection_id = ConnectionId(wrong);
        let request = client.announcing(1001, 0);
        client.send(&request.encode()).await;
    }
    client.assert_silence().await;
    assert_eq!(metric(&tracker, "swarms").await, 0);
    // Another client's id is no better.
    let mut other = Client::new("127.0.0.2", address(&tracker)).await;
    other.connection_id = good;
    let request = other.announcing(1001, 0);
    other.send(&request.encode()).await;
    other.assert_silence().await;
    assert_eq!(metric(&tracker, "udp_bad_connection_ids_total").await, 6);
}

#[tokio::test]
async fn what_is_malformed_is_not_answered() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    let good = client.announcing(1001, 0).encode();
    for length in [0, 1, 7, 8, 15, 16, 97] {
        client.send(&good[..length]).await;
    }
    let mut unknown_action = good.clone();
    unknown_action[11] = 7;
    client.send(&unknown_action).await;
    client.send(&[0xFF; 1400]).await;
    let mut wrong_number = Request::Connect { transaction_id: TransactionId(1) }.encode();
    wrong_number[7] ^= 1;
    client.send(&wrong_number).await;
    client.assert_silence().await;
    assert_eq!(metric(&tracker, "swarms").await, 0);
}

#[tokio::test]
async fn aria2s_100_bytes_and_an_unknown_option_are_understood() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    for tail in [&[0, 0][..], &[9, 3, 1, 2, 3], &[2, 200]] {
        let mut packet = client.announcing(1001, 0).encode();
        packet.truncate(98);
        packet.extend(tail);
        client.send(&packet).await;
        assert_eq!(announced(client.receive().await).seeders, 1);
    }
}

#[tokio::test]
async fn a_scrape_keeps_order_and_repetitions() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    client.announce(1001, 0).await;
    client.announce(1002, 5).await;
    let unknown = InfoHash([9; 20]);
    let counts = client.scrape(&[HASH, unknown, HASH]).await;
    let known = SwarmCounts { complete: 1, downloaded: 0, incomplete: 1 };
    assert_eq!(counts, [known, SwarmCounts::default(), known]);
}

#[tokio::test]
async fn a_large_swarm_is_told_in_a_small_packet() {
    let tracker = tracker_with(|config| config.announce.max_peers = 1000).await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    for port in 1000..1300 {
        client.announce(port, 5).await;
    }
    let Request::Announce { connection_id, transaction_id, mut announce } = client.announcing(1, 5) else {
        panic!()
    };
    announce.num_want = Some(1_000_000);
    let request = Request::Announce { connection_id, transaction_id, announce };
    assert_eq!(announced(client.ask(&request).await).peers.len(), 202);
}

#[tokio::test]
async fn a_torrent_that_is_not_served_is_refused() {
    let tracker = tracker_with(|config| {
        config.access.deny.insert(ListedHash(HASH));
    })
    .await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    let request = client.announcing(1001, 0);
    match client.ask(&request).await {
        Response::Error { message, .. } => assert!(message.contains("does not serve")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn ipv6_clients_are_told_of_ipv6_peers() {
    let tracker = tracker_with(|config| config.listen.udp = Some("[::1]:0".parse().unwrap())).await;
    let mut client = Client::connected("::1", address(&tracker)).await;
    client.announce(1001, 0).await;
    let answer = client.announce(1002, 5).await;
    assert_eq!(answer.peers, ["[::1]:1001".parse().unwrap()]);
}

#[tokio::test]
async fn many_packets_at_once_are_all_answered() {
    let tracker = tracker().await;
    let mut client = Client::connected("127.0.0.1", address(&tracker)).await;
    let ids: Vec<_> = (0..100).map(|_| client.next_id()).collect();
    for &transaction_id in &ids {
        client.send(&Request::Connect { transaction_id }.encode()).await;
    }
    for transaction_id in ids {
        assert_eq!(client.receive().await.transaction_id(), transaction_id);
    }
}

/// Only Linux answers on every address of 127.0.0.0/8 without being told to.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn answers_leave_from_the_address_the_request_came_to() {
    for everywhere in ["0.0.0.0:0", "[::]:0"] {
        let tracker = tracker_with(|config| config.listen.udp = Some(everywhere.parse().unwrap())).await;
        let port = address(&tracker).port();
        for to in ["127.0.0.1", "127.0.0.3"] {
            // A connected socket hears nobody but the address it is connected to.
            let to = SocketAddr::new(to.parse().unwrap(), port);
            let mut client = Client::connected("127.0.0.2", to).await;
            assert_eq!(client.announce(1001, 5).await.leechers, 1, "IPv4 in IPv6 is IPv4");
        }
    }
}
