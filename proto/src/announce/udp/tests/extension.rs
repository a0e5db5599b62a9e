//! Libp2p peers over UDP: in the URL of a request, behind the head of an answer, and never for others.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::announce::http::{Libp2pPeer, Libp2pPeers, PeerFlags, QueryError};

fn asking(url_data: &[u8]) -> Announce {
    let Ok(Request::Announce { announce, .. }) = Request::decode(&announce_packet(&[])) else { panic!() };
    Announce { port: 0, url_data: url_data.to_vec(), ..announce }
}

fn peer(byte: u8, record_bytes: usize) -> Libp2pPeer {
    Libp2pPeer {
        addresses: vec![vec![byte; 8]],
        flags: PeerFlags { seed: true, ..PeerFlags::default() },
        id: vec![byte; 38],
        record: vec![byte; record_bytes],
    }
}

fn answered(libp2p: Libp2pAnswer) -> Response {
    let announced =
        Announced { interval_secs: 300, leechers: 2, seeders: 1, peers: Vec::new(), libp2p: Some(libp2p) };
    Response::Announce { transaction_id: TransactionId(3), announced }
}

fn told(packet: &[u8], family: Family) -> Libp2pAnswer {
    match Response::decode(packet, family) {
        Ok(Response::Announce { announced, .. }) => announced.libp2p.expect("it names libp2p peers"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_travels_in_the_url_whatever_else_is_in_it() {
    let record = [0xFB, 0xFF, 0x00];
    for (url, written) in [
        ("/announce", "/announce?lp2p=1&lp2p_rec=-_8A"),
        ("/k/announce?a=b", "/k/announce?a=b&lp2p=1&lp2p_rec=-_8A"),
        ("", "?lp2p=1&lp2p_rec=-_8A"),
    ] {
        assert_eq!(url_data(url, &record), written.as_bytes());
        assert_eq!(asking(written.as_bytes()).libp2p_record(), Ok(Some(record.to_vec())));
    }
    let long = url_data("/announce", &[7; 700]);
    let options = {
        let mut packet = Vec::new();
        options::append_url_data(&mut packet, &long);
        packet
    };
    let packet = Announce { port: 0, ..decoded_announce(&announce_packet(&options)) };
    assert_eq!(packet.libp2p_record(), Ok(Some(vec![7; 700])), "several options hold it");
}

#[test]
fn who_does_not_ask_is_no_libp2p_peer() {
    for url in ["", "/announce", "/announce?lp2p=0&lp2p_rec=-_8A", "/announce?lp2p_rec=-_8A", "/lp2p=1"] {
        assert_eq!(asking(url.as_bytes()).libp2p_record(), Ok(None), "{url}");
    }
    let with_port = Announce { port: 1, ..asking(b"/announce?lp2p=1&lp2p_rec=-_8A") };
    assert_eq!(with_port.libp2p_record(), Ok(None));
    let long = [b"/?lp2p=1&lp2p_rec=-_8A&", &[b'a'; 9000][..]].concat();
    assert_eq!(asking(&long).libp2p_record(), Ok(None));
}

#[test]
fn who_asks_without_a_record_is_told_so() {
    assert_eq!(asking(b"/?lp2p=1").libp2p_record(), Err(QueryError::Missing("lp2p_rec")));
    assert_eq!(asking(b"/?lp2p=1&lp2p_rec=!").libp2p_record(), Err(QueryError::Record));
}

#[test]
fn an_answer_is_the_head_and_one_dictionary() {
    let libp2p = Libp2pPeers { bootstrap: vec![b"abc".to_vec()], peers: vec![peer(b'x', 3)] };
    let answer = Libp2pAnswer { min_interval_secs: Some(30), libp2p };
    let packet = answered(answer.clone()).encode();
    let head = [0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 1, 0x2C, 0, 0, 0, 2, 0, 0, 0, 1];
    let dictionary = format!(
        "d6:libp2pd1:bl3:abce1:pld1:al8:{}e1:fi1e2:id38:{}1:r3:xxxee1:vi1ee12:min intervali30ee",
        "x".repeat(8),
        "x".repeat(38)
    );
    assert_eq!(packet, [&head[..], dictionary.as_bytes()].concat());
    for family in [Family::V4, Family::V6] {
        assert_eq!(told(&packet, family), answer);
    }
}

#[test]
fn an_answer_with_nobody_in_it_still_says_that_the_tracker_knows_libp2p_peers() {
    let packet = answered(Libp2pAnswer::default()).encode();
    assert_eq!(told(&packet, Family::V4), Libp2pAnswer::default());
}

#[test]
fn as_many_peers_as_fit_are_named_whatever_the_others_take() {
    let peers = vec![peer(1, 200), peer(2, 4000), peer(3, 200), peer(4, 700), peer(5, 200), peer(6, 20)];
    let libp2p = Libp2pPeers { bootstrap: vec![vec![9; 100]; 5], peers };
    let packet = answered(Libp2pAnswer { min_interval_secs: Some(30), libp2p }).encode();
    assert!(packet.len() <= RESPONSE_BYTES, "{}", packet.len());
    let told = told(&packet, Family::V4).libp2p;
    assert_eq!(told.peers.iter().map(|peer| peer.id[0]).collect::<Vec<_>>(), [1, 3, 5, 6]);
    assert_eq!(told.bootstrap.len(), 2);
}

#[test]
fn what_is_not_quite_the_dictionary_is_a_list_of_addresses() {
    let head = [0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    for tail in ["d6:libp2pdee\n", "d6:libp2plee", "d6:peers0:e", "d6:libp2pd", "6:libp2pde", "de"] {
        let packet = [&head[..], tail.as_bytes()].concat();
        let Ok(Response::Announce { announced, .. }) = Response::decode(&packet, Family::V4) else {
            panic!()
        };
        assert_eq!(announced.libp2p, None, "{tail}");
        assert_eq!(announced.peers.len(), tail.len() / 6, "{tail}");
    }
}

prop_compose! {
    fn any_peer()(
        addresses in vec(vec(any::<u8>(), 0..40), 0..8), bits in 0_u8..8,
        id in vec(any::<u8>(), 1..64), record in vec(any::<u8>(), 0..500),
    ) -> Libp2pPeer {
        let flags = PeerFlags { seed: bits & 1 != 0, partial: bits & 2 != 0, relay: bits & 4 != 0 };
        Libp2pPeer { addresses, flags, id, record }
    }
}

proptest! {
    #[test]
    fn answers_with_libp2p_peers_survive_the_wire_as_far_as_they_fit(
        min_interval_secs in option::of(any::<u32>()),
        bootstrap in vec(vec(any::<u8>(), 0..100), 0..4),
        peers in vec(any_peer(), 0..12),
    ) {
        let sent = Libp2pPeers { bootstrap, peers };
        let answer = Libp2pAnswer { min_interval_secs, libp2p: sent.clone() };
        let packet = answered(answer).encode();
        prop_assert!(packet.len() <= RESPONSE_BYTES);
        let got = told(&packet, Family::V6);
        prop_assert_eq!(got.min_interval_secs, min_interval_secs);
        prop_assert!(got.libp2p.peers.iter().all(|peer| sent.peers.contains(peer)));
        let smallest_left = sent.peers.iter().filter(|peer| !got.libp2p.peers.contains(peer));
        for left_out in smallest_left {
            let mut more = got.clone();
            more.libp2p.peers.push(left_out.clone());
            prop_assert_eq!(told(&answered(more).encode(), Family::V6).libp2p.peers.len(), got.libp2p.peers.len());
        }
    }
}
