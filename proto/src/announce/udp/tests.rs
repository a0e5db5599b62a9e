//! BEP 15 and BEP 41, byte by byte.

mod extension;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::announce::{Event, SwarmCounts};
use crate::infohash::InfoHash;

/// BEP 15's announce layout, written out; `options` from offset 98.
fn announce_packet(options: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(0x1122_3344_5566_7788_u64.to_be_bytes());
    packet.extend([0, 0, 0, 1]);
    packet.extend([0xAA, 0xBB, 0xCC, 0xDD]);
    packet.extend([1; 20]);
    packet.extend([2; 20]);
    packet.extend(3_u64.to_be_bytes());
    packet.extend(4_u64.to_be_bytes());
    packet.extend(5_u64.to_be_bytes());
    packet.extend([0, 0, 0, 2]);
    packet.extend([9, 9, 9, 9]);
    packet.extend([0, 0, 0, 7]);
    packet.extend((-1_i32).to_be_bytes());
    packet.extend([0x1A, 0xE1]);
    assert_eq!(packet.len(), 98);
    packet.extend(options);
    packet
}

fn decoded_announce(packet: &[u8]) -> Announce {
    match Request::decode(packet) {
        Ok(Request::Announce { announce, .. }) => announce,
        other => panic!("{other:?}"),
    }
}

#[test]
fn connect_is_as_bep_15_lays_it_out() {
    let request = Request::Connect { transaction_id: TransactionId(0x0102_0304) };
    let packet = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
    assert_eq!(request.encode(), packet);
    assert_eq!(Request::decode(&packet), Ok(request));

    let response = Response::Connect {
        transaction_id: TransactionId(0x0102_0304),
        connection_id: ConnectionId(0x0A0B_0C0D_0E0F_1011),
    };
    let packet = [0, 0, 0, 0, 1, 2, 3, 4, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11];
    assert_eq!(response.encode(), packet);
    assert_eq!(Response::decode(&packet, Family::V4), Ok(response));
}

#[test]
fn announce_is_as_bep_15_lays_it_out() {
    let request = Request::decode(&announce_packet(&[])).unwrap();
    let expected = Request::Announce {
        connection_id: ConnectionId(0x1122_3344_5566_7788),
        transaction_id: TransactionId(0xAABB_CCDD),
        announce: Announce {
            info_hash: InfoHash([1; 20]),
            peer_id: [2; 20],
            downloaded: 3,
            left: 4,
            uploaded: 5,
            event: Event::Started,
            key: 7,
            num_want: None,
            port: 6881,
            url_data: Vec::new(),
        },
    };
    assert_eq!(request, expected);
    let mut packet = announce_packet(&[]);
    packet[84..88].fill(0);
    assert_eq!(expected.encode(), packet, "the address a client may claim is never sent");
}

#[test]
fn aria2s_100_byte_announce_is_read() {
    assert_eq!(decoded_announce(&announce_packet(&[0, 0])).url_data, b"");
}

#[test]
fn url_data_is_read_as_bep_41_says() {
    let cases: [(&[u8], &[u8]); 9] = [
        (b"\x02\x0d/announce?k=v", b"/announce?k=v"),
        (b"\x02\x0c/dir?a=b&c=d", b"/dir?a=b&c=d"),
        (b"\x02\x0c/dir?a=b&c=d\x01\x01\x00", b"/dir?a=b&c=d"),
        (b"\x02\x00", b""),
        (b"\x02\x02/?\x02\x03a=b", b"/?a=b"),
        (b"\x02\x02/?\x00\x02\x03a=b", b"/?"),
        (b"\x07\x03xyz\x02\x01/", b"/"),
        (b"\x02\x01", b""),
        (b"\x02", b""),
    ];
    for (options, url) in cases {
        assert_eq!(decoded_announce(&announce_packet(options)).url_data, url, "{options:?}");
    }
}

#[test]
fn events_are_numbered_as_clients_send_them() {
    let events = [Event::None, Event::Completed, Event::Started, Event::Stopped, Event::Paused, Event::None];
    for (number, event) in (0..).zip(events) {
        let mut packet = announce_packet(&[]);
        packet[83] = number;
        assert_eq!(decoded_announce(&packet).event, event);
    }
}

#[test]
fn scrape_keeps_order_and_repetitions() {
    let mut packet = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 5].to_vec();
    packet.extend([[8; 20], [7; 20], [8; 20]].concat());
    packet.extend([1, 2, 3]);
    let expected = Request::Scrape {
        connection_id: ConnectionId(9),
        transaction_id: TransactionId(5),
        info_hashes: vec![InfoHash([8; 20]), InfoHash([7; 20]), InfoHash([8; 20])],
    };
    assert_eq!(Request::decode(&packet), Ok(expected));
}

#[test]
fn a_scrape_beyond_the_limit_is_cut_to_it() {
    let mut packet = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 5].to_vec();
    packet.extend([1; 20 * (SCRAPE_HASHES + 1)]);
    let Ok(Request::Scrape { info_hashes, .. }) = Request::decode(&packet) else { panic!() };
    assert_eq!(info_hashes.len(), SCRAPE_HASHES);
}

#[test]
fn what_is_no_request_says_why() {
    let connect = Request::Connect { transaction_id: TransactionId(1) }.encode();
    for length in 0..16 {
        assert_eq!(Request::decode(&connect[..length]), Err(RequestError::TooShort));
    }
    let announce = announce_packet(&[]);
    for length in 16..98 {
        assert_eq!(Request::decode(&announce[..length]), Err(RequestError::TooShort));
    }
    let mut wrong = connect.clone();
    wrong[7] ^= 1;
    assert_eq!(Request::decode(&wrong), Err(RequestError::NotTheProtocol));
    wrong[11] = 9;
    assert_eq!(Request::decode(&wrong), Err(RequestError::UnknownAction(9)));
    let scrape_of_nothing = [0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 5];
    assert_eq!(Request::decode(&scrape_of_nothing), Err(RequestError::TooShort));
}

#[test]
fn an_announces_answer_is_as_bep_15_lays_it_out() {
    let packet = [
        0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 7, 8, 0, 0, 0, 2, 0, 0, 0, 1, 127, 0, 0, 1, 0x1A, 0xE1, 10, 0, 0, 2, 0,
        80,
    ];
    let peers = vec![
        SocketAddr::from((Ipv4Addr::LOCALHOST, 6881)),
        SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 80)),
    ];
    let announced = Announced { interval_secs: 1800, leechers: 2, seeders: 1, peers, libp2p: None };
    let response = Response::Announce { transaction_id: TransactionId(3), announced };
    assert_eq!(response.encode(), packet);
    assert_eq!(Response::decode(&packet, Family::V4), Ok(response));
}

#[test]
fn peers_nobody_can_dial_are_skipped() {
    let packet = [
        0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 7, 8, 0, 0, 0, 2, 0, 0, 0, 1, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 80, 1,
        2,
    ];
    let Ok(Response::Announce { announced, .. }) = Response::decode(&packet, Family::V4) else { panic!() };
    assert_eq!(announced.peers, []);
}

#[test]
fn an_error_may_end_with_nuls() {
    let with_nul = b"\0\0\0\x03\0\0\0\x05no\0\0";
    let expected = Response::Error { transaction_id: TransactionId(5), message: "no".to_owned() };
    assert_eq!(Response::decode(with_nul, Family::V4), Ok(expected.clone()));
    assert_eq!(Response::decode(&expected.encode(), Family::V4), Ok(expected));
}

#[test]
fn an_error_that_is_cut_does_not_end_with_nul_either() {
    let long = [b"\0\0\0\x03\0\0\0\x05", &[b'x'; 500][..], &[0; 100], b"x"].concat();
    let expected = Response::Error { transaction_id: TransactionId(5), message: "x".repeat(500) };
    assert_eq!(Response::decode(&long, Family::V4), Ok(expected));
}

#[test]
fn no_answer_outgrows_the_smallest_ipv6_packet() {
    let v4 = vec![SocketAddr::from(([1, 2, 3, 4], 5)); 1000];
    let v6 = vec![SocketAddr::from((Ipv6Addr::LOCALHOST, 5)); 1000];
    for (peers, fit) in [(v4, 202), (v6, 67)] {
        let announced = Announced { interval_secs: 1, leechers: 2, seeders: 3, peers, libp2p: None };
        let response = Response::Announce { transaction_id: TransactionId(3), announced };
        let packet = response.encode();
        assert!(packet.len() <= RESPONSE_BYTES);
        let family = if fit == 202 { Family::V4 } else { Family::V6 };
        let Ok(Response::Announce { announced, .. }) = Response::decode(&packet, family) else { panic!() };
        assert_eq!(announced.peers.len(), fit);
    }
    let error = Response::Error { transaction_id: TransactionId(1), message: "x".repeat(5000) };
    assert_eq!(error.encode().len(), RESPONSE_BYTES);
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::None),
        Just(Event::Started),
        Just(Event::Completed),
        Just(Event::Stopped),
        Just(Event::Paused)
    ]
}

prop_compose! {
    fn any_announce()(
        info_hash: [u8; 20], peer_id: [u8; 20], numbers: [u64; 3], event in any_event(), key: u32,
        num_want in proptest::option::of(0..=i32::MAX as u32), port: u16, url_data in vec(any::<u8>(), 0..600),
    ) -> Announce {
        let [downloaded, left, uploaded] = numbers;
        let info_hash = InfoHash(info_hash);
        Announce { info_hash, peer_id, downloaded, left, uploaded, event, key, num_want, port, url_data }
    }
}

fn any_request() -> impl Strategy<Value = Request> {
    let ids = (any::<u64>(), any::<u32>()).prop_map(|(c, t)| (ConnectionId(c), TransactionId(t)));
    prop_oneof![
        any::<u32>().prop_map(|id| Request::Connect { transaction_id: TransactionId(id) }),
        (ids.clone(), any_announce()).prop_map(|((connection_id, transaction_id), announce)| {
            Request::Announce { connection_id, transaction_id, announce }
        }),
        (ids, vec(any::<[u8; 20]>().prop_map(InfoHash), 1..=SCRAPE_HASHES)).prop_map(
            |((connection_id, transaction_id), info_hashes)| Request::Scrape {
                connection_id,
                transaction_id,
                info_hashes
            }
        ),
    ]
}

fn any_response(family: Family) -> impl Strategy<Value = Response> {
    let peer = match family {
        Family::V4 => (1..=u32::MAX, 1..=u16::MAX)
            .prop_map(|(ip, port)| SocketAddr::from((Ipv4Addr::from(ip), port)))
            .boxed(),
        // The top bit keeps clear of addresses that are IPv4 in disguise.
        Family::V6 => (any::<u128>(), 1..=u16::MAX)
            .prop_map(|(ip, port)| SocketAddr::from((Ipv6Addr::from(ip | (1 << 127)), port)))
            .boxed(),
    };
    let announced = (any::<[u32; 3]>(), vec(peer, 0..=family.peers())).prop_map(
        |([interval_secs, leechers, seeders], peers)| Announced {
            interval_secs,
            leechers,
            seeders,
            peers,
            libp2p: None,
        },
    );
    let counts = any::<[u32; 3]>().prop_map(|[complete, downloaded, incomplete]| SwarmCounts {
        complete,
        downloaded,
        incomplete,
    });
    prop_oneof![
        any::<(u32, u64)>().prop_map(|(t, c)| Response::Connect {
            transaction_id: TransactionId(t),
            connection_id: ConnectionId(c)
        }),
        (any::<u32>(), announced)
            .prop_map(|(t, announced)| Response::Announce { transaction_id: TransactionId(t), announced }),
        (any::<u32>(), vec(counts, 0..=SCRAPE_HASHES))
            .prop_map(|(t, counts)| Response::Scrape { transaction_id: TransactionId(t), counts }),
        (any::<u32>(), "[a-z ]{0,80}")
            .prop_map(|(t, message)| Response::Error { transaction_id: TransactionId(t), message }),
    ]
}

proptest! {
    #[test]
    fn requests_survive_the_wire(request in any_request()) {
        prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
    }

    #[test]
    fn responses_survive_the_wire_over_ipv4(response in any_response(Family::V4)) {
        prop_assert_eq!(Response::decode(&response.encode(), Family::V4), Ok(response));
    }

    #[test]
    fn responses_survive_the_wire_over_ipv6(response in any_response(Family::V6)) {
        prop_assert_eq!(Response::decode(&response.encode(), Family::V6), Ok(response));
    }

    #[test]
    fn no_packet_panics_a_decoder(packet in vec(any::<u8>(), 0..300), action in 0_u8..5) {
        let _ = Request::decode(&packet);
        let mut packet = packet;
        if packet.len() >= 12 {
            packet[8..12].copy_from_slice(&[0, 0, 0, action]);
            let _ = Request::decode(&packet);
            packet[..4].copy_from_slice(&[0, 0, 0, action]);
        }
        let _ = Response::decode(&packet, Family::V4);
        let _ = Response::decode(&packet, Family::V6);
    }
}
