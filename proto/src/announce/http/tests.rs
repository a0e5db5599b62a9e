//! What real clients and trackers send, and that nothing is lost both ways.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::announce::{Event, SwarmCounts};
use crate::infohash::InfoHash;
use crate::limits::{self, RECORD_BYTES};

const HASH: &str = "info_hash=%04%0bkV%3f%5cr%14%a6%b7%98%adC%c3%c9.%40%24%00%b9";
const PEER: &str = "peer_id=-ABC940-5ert69muw5t8";

fn parsed(rest: &str) -> AnnounceRequest {
    AnnounceRequest::from_query(format!("{HASH}&{PEER}&{rest}").as_bytes()).unwrap()
}

fn refused(query: &str) -> QueryError {
    AnnounceRequest::from_query(query.as_bytes()).unwrap_err()
}

#[test]
fn aquatics_golden_announce_is_read() {
    let request = parsed(
        "port=12345&uploaded=1&downloaded=2&left=3&numwant=0&key=4ab4b877&compact=1&supportcrypto=1&event=started",
    );
    let expected = AnnounceRequest {
        info_hash: InfoHash([
            0x04, 0x0b, b'k', b'V', 0x3f, 0x5c, b'r', 0x14, 0xa6, 0xb7, 0x98, 0xad, b'C', 0xc3, 0xc9, b'.',
            0x40, 0x24, 0x00, 0xb9,
        ]),
        peer_id: *b"-ABC940-5ert69muw5t8",
        port: 12345,
        uploaded: 1,
        downloaded: 2,
        left: Some(3),
        event: Event::Started,
        num_want: Some(0),
        compact: true,
        no_peer_id: false,
        key: b"4ab4b877".to_vec(),
        tracker_id: None,
        record: None,
        wants_libp2p: false,
    };
    assert_eq!(request, expected);
}

#[test]
fn what_clients_send_in_the_wild_is_read() {
    let libtorrent = parsed(
        "port=6881&uploaded=0&downloaded=0&left=9&corrupt=0&key=04D5A8B7&event=started&numwant=200&compact=1&no_peer_id=1&supportcrypto=1&redundant=0",
    );
    assert_eq!((libtorrent.num_want, libtorrent.no_peer_id), (Some(200), true));

    let aria2 =
        parsed("compact=1&key=%ADY%A3%04%00%FF%0A%26&numwant=50&no_peer_id=1&event=started&supportcrypto=1");
    assert_eq!(aria2.key, b"\xADY\xA3\x04\x00\xFF\x0A\x26");
    assert_eq!(aria2.port, 0, "aria2 leaves the port out when it has none");

    let transmission =
        parsed("port=1&left=1&numwant=0&key=1ddb8de1&compact=1&event=stopped&trackerid=abc&ipv4=1.2.3.4");
    assert_eq!((transmission.num_want, transmission.event), (Some(0), Event::Stopped));
    assert_eq!(transmission.tracker_id.as_deref(), Some(&b"abc"[..]));

    assert_eq!(parsed("event=paused").event, Event::Paused);
}

#[test]
fn lax_values_mean_the_harmless_thing() {
    for left in ["left=-1", "left=", "left=99999999999999999999", "left=abc", "x=y"] {
        assert_eq!(parsed(left).left, None, "{left}");
    }
    for num_want in ["numwant=-1", "numwant=", "x=y"] {
        assert_eq!(parsed(num_want).num_want, None, "{num_want}");
    }
    for event in ["event=", "event=empty", "event=dance", "x=y"] {
        assert_eq!(parsed(event).event, Event::None, "{event}");
    }
    assert_eq!(parsed("port=").port, 0);
    assert_eq!(parsed("numwant=99999999999").num_want, Some(u32::MAX));
    assert!(!parsed("compact=0").compact);
    for compact in ["compact=1", "compact=", "x=y"] {
        assert!(parsed(compact).compact, "BEP 23 leaves the choice to the tracker: {compact}");
    }
}

#[test]
fn a_client_that_does_not_know_what_is_left_says_a_lot() {
    let request = parsed("port=1");
    assert_eq!(request.left, None);
    assert!(request.to_query().contains("&left=9223372036854775807&"), "{}", request.to_query());
    assert_eq!(AnnounceRequest::from_query(request.to_query().as_bytes()), Ok(request));
    assert_eq!(parsed("left=18446744073709551615").left, None);
    assert_eq!(parsed("left=9223372036854775806").left, Some(i64::MAX as u64 - 1));
}

#[test]
fn a_tracker_id_comes_back_as_it_was_given_or_not_at_all() {
    let given = |length| {
        let id = vec![b'\xFF'; length];
        let response = AnnounceResponse { tracker_id: Some(id), ..Default::default() };
        AnnounceResponse::decode(&response.encode(PeerFormat::Compact)).unwrap().tracker_id
    };
    let tracker_id = given(TRACKER_ID_BYTES);
    let request = AnnounceRequest { tracker_id, ..parsed("left=5") };
    assert!(request.to_query().contains("&trackerid=%FF%FF"));
    assert_eq!(AnnounceRequest::from_query(request.to_query().as_bytes()), Ok(request));
    assert_eq!(given(TRACKER_ID_BYTES + 1), None);
    let long = "x".repeat(TRACKER_ID_BYTES + 1);
    assert_eq!(parsed(&format!("trackerid={long}")).tracker_id, None);
}

#[test]
fn of_a_repeated_key_the_first_counts() {
    assert_eq!(parsed("port=1&port=2&left=5&left=6").port, 1);
}

#[test]
fn the_claimed_address_is_not_read() {
    let plain = parsed("port=1");
    assert_eq!(parsed("port=1&ip=9.9.9.9&ipv4=9.9.9.9&ipv6=::9"), plain);
}

#[test]
fn a_bad_announce_says_why() {
    assert_eq!(refused(PEER), QueryError::Missing("info_hash"));
    assert_eq!(refused(HASH), QueryError::Missing("peer_id"));
    assert_eq!(refused(&format!("info_hash=short&{PEER}")), QueryError::Not20Bytes("info_hash"));
    assert_eq!(refused(&format!("{HASH}&peer_id=short")), QueryError::Not20Bytes("peer_id"));
    for port in ["65536", "-1", "x", "%00"] {
        assert_eq!(refused(&format!("{HASH}&{PEER}&port={port}")), QueryError::Port);
    }
    assert_eq!(refused(&format!("{HASH}&{PEER}&lp2p=1&lp2p_rec=%21")), QueryError::Record);
    let long = "A".repeat(RECORD_BYTES / 3 * 4 + 8);
    assert_eq!(refused(&format!("{HASH}&{PEER}&lp2p=1&lp2p_rec={long}")), QueryError::Record);
    assert_eq!(refused(&"x".repeat(QUERY_BYTES + 1)), QueryError::TooLong);
}

#[test]
fn a_record_comes_with_or_without_padding() {
    for record in ["AQI", "AQI=", "AQI%3D"] {
        let request = parsed(&format!("lp2p=1&lp2p_rec={record}"));
        assert_eq!(request.record.as_deref(), Some(&[1, 2][..]));
        assert!(request.is_libp2p_only());
    }
    assert!(!parsed("lp2p=1&port=5").is_libp2p_only());
}

#[test]
fn a_record_counts_only_with_the_key_that_announces_it() {
    for unasked in ["lp2p_rec=AQI", "lp2p=0&lp2p_rec=AQI", "lp2p_rec=%21"] {
        assert_eq!(parsed(unasked).record, None, "{unasked}");
    }
}

#[test]
fn the_beps_examples_are_written() {
    let mut response = AnnounceResponse { interval_secs: 1800, ..Default::default() };
    for ip in [IpAddr::from(*b"iiii"), IpAddr::from(*b"iiiiiiiiiiiiiiii")] {
        response.peers.push(TcpPeer { address: SocketAddr::new(ip, 0x7070), peer_id: None });
    }
    let bytes = b"d8:intervali1800e5:peers6:iiiipp6:peers618:iiiiiiiiiiiiiiiippe";
    assert_eq!(response.encode(PeerFormat::Compact), bytes);
    assert_eq!(AnnounceResponse::decode(bytes), Ok(response));

    let hash = InfoHash(*b"xxxxxxxxxxxxxxxxxxxx");
    let counts = SwarmCounts { complete: 11, downloaded: 13772, incomplete: 19 };
    let mut scrape = ScrapeResponse::default();
    scrape.files.insert(hash, Scraped { counts, downloaders: None });
    let bytes = b"d5:filesd20:xxxxxxxxxxxxxxxxxxxxd8:completei11e10:downloadedi13772e10:incompletei19eeee";
    assert_eq!(scrape.encode(), bytes);
    assert_eq!(ScrapeResponse::decode(bytes), Ok(scrape));
}

#[test]
fn every_key_is_written_in_order() {
    let response = AnnounceResponse {
        interval_secs: 300,
        min_interval_secs: Some(60),
        complete: Some(1),
        incomplete: Some(2),
        downloaded: Some(3),
        external_ip: Some(IpAddr::from([1, 2, 3, 4])),
        warning: Some("hm".to_owned()),
        tracker_id: Some(b"id".to_vec()),
        peers: vec![TcpPeer { address: SocketAddr::from(([1, 2, 3, 4], 5)), peer_id: Some([b'x'; 20]) }],
        libp2p: Some(Libp2pPeers {
            bootstrap: vec![b"boot".to_vec()],
            peers: vec![Libp2pPeer {
                addresses: vec![b"addr".to_vec()],
                flags: PeerFlags { seed: true, partial: false, relay: true },
                id: b"peer".to_vec(),
                record: b"rec".to_vec(),
            }],
        }),
    };
    let head = "d8:completei1e10:downloadedi3e11:external ip4:\u{1}\u{2}\u{3}\u{4}10:incompletei2e8:intervali300e6:libp2pd1:bl4:boote1:pld1:al4:addre1:fi5e2:id4:peer1:r3:recee1:vi1ee12:min intervali60e";
    let tail = "10:tracker id2:id15:warning message2:hme";
    let compact = format!("{head}5:peers6:\u{1}\u{2}\u{3}\u{4}\0\u{5}{tail}");
    let listed = format!("{head}5:peersld2:ip7:1.2.3.47:peer id20:xxxxxxxxxxxxxxxxxxxx4:porti5eee{tail}");
    let without_ids = format!("{head}5:peersld2:ip7:1.2.3.44:porti5eee{tail}");
    assert_eq!(response.encode(PeerFormat::Compact), compact.as_bytes());
    assert_eq!(response.encode(PeerFormat::Dictionaries), listed.as_bytes());
    assert_eq!(response.encode(PeerFormat::DictionariesWithoutIds), without_ids.as_bytes());
    assert_eq!(AnnounceResponse::decode(listed.as_bytes()), Ok(response));
}

#[test]
fn libtorrents_golden_answers_are_read() {
    let answer = AnnounceResponse::decode(b"d8:intervali1042e12:min intervali10e5:peers0:e").unwrap();
    assert_eq!((answer.interval_secs, answer.min_interval_secs), (1042, Some(10)));

    let answer = AnnounceResponse::decode(b"d5:peers0:11:external ip4:\x01\x02\x03\x04e").unwrap();
    assert_eq!(answer.external_ip, Some(IpAddr::from([1, 2, 3, 4])));

    let failure = Failure { reason: "test message".to_owned(), retry_in: None };
    let answer = AnnounceResponse::decode(b"d5:peers0:14:failure reason12:test messagee");
    assert_eq!(answer, Err(AnswerError::Refused(failure)));

    assert_eq!(AnnounceResponse::decode(b"d5:peers7:abcdefge"), Err(AnswerError::Field("peers")));
    let bad_v6 = b"d5:peers0:6:peers633:abcdefghijklmnopqrstuvwxyz1234567e";
    assert_eq!(AnnounceResponse::decode(bad_v6), Err(AnswerError::Field("peers6")));

    let hash = *b"aaaaaaaaaaaaaaaaaa\0a";
    let mut scrape = b"d5:filesd20:".to_vec();
    scrape.extend(hash);
    scrape.extend(b"d8:completei1e10:incompletei2e10:downloadedi3eeee");
    let scrape = ScrapeResponse::decode(&scrape).unwrap();
    let counts = SwarmCounts { complete: 1, downloaded: 3, incomplete: 2 };
    assert_eq!(scrape.files[&InfoHash(hash)].counts, counts);
}

#[test]
fn a_failure_says_when_to_retry() {
    let cases: [(&[u8], Option<RetryIn>); 5] = [
        (b"d14:failure reason2:noe", None),
        (b"d14:failure reason2:no8:retry ini5ee", Some(RetryIn::Minutes(5))),
        (b"d14:failure reason2:no8:retry in5:nevere", Some(RetryIn::Never)),
        (b"d14:failure reason2:no8:retry in1:5e", Some(RetryIn::Minutes(5))),
        (b"d14:failure reason2:no8:retry in3:xyze", None),
    ];
    for (bytes, retry_in) in cases {
        let failure = Failure { reason: "no".to_owned(), retry_in };
        assert_eq!(AnnounceResponse::decode(bytes), Err(failure.clone().into()));
        assert_eq!(
            ScrapeResponse::decode(&failure.encode()).unwrap_err(),
            match retry_in {
                Some(_) | None => AnswerError::Refused(failure),
            }
        );
    }
}

#[test]
fn garbage_is_an_error() {
    for bytes in [&b""[..], b"<html>", b"i1e", b"le", b"d", b"d5:peersi1ee", b"d1:ai1", b"9:x"] {
        assert!(AnnounceResponse::decode(bytes).is_err(), "{bytes:?}");
        assert!(ScrapeResponse::decode(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn what_follows_an_answer_is_skipped() {
    let answer = AnnounceResponse::decode(b"d8:intervali9ee\r\n").unwrap();
    assert_eq!(answer.interval_secs, 9);
    assert_eq!(ScrapeResponse::decode(b"d5:filesdee\n"), Ok(ScrapeResponse::default()));
    let refused = AnnounceResponse::decode(b"d14:failure reason2:noe\n").unwrap_err();
    assert!(matches!(refused, AnswerError::Refused(_)), "{refused}");
}

#[test]
fn nesting_cannot_exhaust_the_stack() {
    let bomb = [b"d1:x".as_slice(), &b"l".repeat(200_000)].concat();
    assert!(AnnounceResponse::decode(&bomb).is_err());
}

#[test]
fn a_peer_nobody_can_dial_is_skipped() {
    let list = b"d5:peersld2:ip9:127.0.0.14:porti0eed2:ip11:example.org4:porti5eed4:porti5eei3ed2:ip3:::14:porti70000eed2:ip3:::14:porti7eeee";
    let answer = AnnounceResponse::decode(list).unwrap();
    let only = TcpPeer { address: SocketAddr::from((Ipv6Addr::LOCALHOST, 7)), peer_id: None };
    assert_eq!(answer.peers, [only]);
    let answer = AnnounceResponse::decode(b"d5:peers12:\0\0\0\0\0\x05\x01\x02\x03\x04\0\0e").unwrap();
    assert_eq!(answer.peers, []);
}

#[test]
fn of_an_endless_list_only_so_many_peers_are_kept() {
    let repeated = |entry: &str| entry.repeat(limits::ANSWER_PEERS + 1);
    let (v4, v6) = (repeated("iiiipp"), repeated("iiiiiiiiiiiiiiiipp"));
    let compact = format!("d5:peers{}:{v4}6:peers6{}:{v6}e", v4.len(), v6.len());
    let listed = format!("d5:peersl{}ee", repeated("d2:ip7:1.2.3.44:porti5ee"));
    for answer in [compact, listed] {
        let peers = AnnounceResponse::decode(answer.as_bytes()).unwrap().peers;
        assert_eq!(peers.len(), limits::ANSWER_PEERS);
    }
    let entries = "d2:id1:xe".repeat(limits::ANSWER_LIBP2P_PEERS + 1);
    let answer = AnnounceResponse::decode(format!("d6:libp2pd1:pl{entries}eee").as_bytes()).unwrap();
    assert_eq!(answer.libp2p.unwrap().peers.len(), limits::ANSWER_LIBP2P_PEERS);
}

#[test]
fn scrape_urls_follow_bep_48() {
    let cases = [
        ("http://example.com/announce", Some("http://example.com/scrape")),
        ("http://example.com/x/announce", Some("http://example.com/x/scrape")),
        ("http://example.com/announce.php", Some("http://example.com/scrape.php")),
        ("http://example.com/a", None),
        ("http://example.com/announce?x2%0644", Some("http://example.com/scrape?x2%0644")),
        ("http://example.com/announce?x=2/4", Some("http://example.com/scrape?x=2/4")),
        ("http://example.com/x%064announce", None),
    ];
    for (announce, scrape) in cases {
        assert_eq!(scrape_url(announce).as_deref(), scrape, "{announce}");
    }
}

#[test]
fn a_query_joins_the_urls_own() {
    assert_eq!(announce_url("http://t/announce", "a=b"), "http://t/announce?a=b");
    assert_eq!(announce_url("http://t/announce?", "a=b"), "http://t/announce?a=b");
    assert_eq!(announce_url("http://t/announce?k=v", "a=b"), "http://t/announce?k=v&a=b");
    assert_eq!(announce_url("http://t/announce?k=v&", "a=b"), "http://t/announce?k=v&a=b");
    assert_eq!(announce_url("http://t/announce#x", "a=b"), "http://t/announce?a=b");
}

#[test]
fn a_scrape_asks_for_some_but_not_for_all() {
    assert_eq!(ScrapeRequest::from_query(b""), Err(QueryError::Missing("info_hash")));
    assert_eq!(ScrapeRequest::from_query(b"info_hash=x"), Err(QueryError::Not20Bytes("info_hash")));
    let most = ScrapeRequest { info_hashes: vec![InfoHash([0xFF; 20]); SCRAPE_HASHES] };
    assert_eq!(ScrapeRequest::from_query(most.to_query().as_bytes()), Ok(most.clone()));
    let more = format!("{}&{HASH}", most.to_query());
    assert_eq!(ScrapeRequest::from_query(more.as_bytes()), Err(QueryError::TooManyHashes));
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
    fn any_request()(
        info_hash: [u8; 20], peer_id: [u8; 20], port: u16, numbers: [u64; 2], left in option::of(0..i64::MAX as u64),
        event in any_event(), num_want: Option<u32>, flags: [bool; 3], key in vec(any::<u8>(), 0..KEY_BYTES),
        tracker_id in option::of(vec(any::<u8>(), 0..TRACKER_ID_BYTES)),
        record in option::of(vec(any::<u8>(), 0..RECORD_BYTES / 4)),
    ) -> AnnounceRequest {
        let [uploaded, downloaded] = numbers;
        let [compact, no_peer_id, wants_libp2p] = flags;
        AnnounceRequest {
            info_hash: InfoHash(info_hash), peer_id, port, uploaded, downloaded, left, event, num_want,
            compact, no_peer_id, key, tracker_id, record: record.filter(|_| wants_libp2p), wants_libp2p,
        }
    }
}

fn any_peer() -> impl Strategy<Value = TcpPeer> {
    let v4 = (1..=u32::MAX).prop_map(|ip| IpAddr::from(Ipv4Addr::from(ip)));
    let v6 = (1..=u128::MAX).prop_map(|ip| IpAddr::from(Ipv6Addr::from(ip)));
    (prop_oneof![v4, v6], 1..=u16::MAX, any::<Option<[u8; 20]>>())
        .prop_map(|(ip, port, peer_id)| TcpPeer { address: SocketAddr::new(ip, port), peer_id })
}

fn any_libp2p() -> impl Strategy<Value = Libp2pPeers> {
    let address = || vec(any::<u8>(), 0..256);
    let peer = (vec(address(), 0..8), any::<[bool; 3]>(), vec(any::<u8>(), 1..64), vec(any::<u8>(), 0..400))
        .prop_map(|(addresses, [seed, partial, relay], id, record)| Libp2pPeer {
            addresses,
            flags: PeerFlags { seed, partial, relay },
            id,
            record,
        });
    (vec(address(), 0..3), vec(peer, 0..5)).prop_map(|(bootstrap, peers)| Libp2pPeers { bootstrap, peers })
}

prop_compose! {
    fn any_response()(
        interval_secs: u32, counts: [Option<u32>; 4], external_ip: Option<IpAddr>,
        warning in option::of(".{0,80}"), tracker_id in option::of(vec(any::<u8>(), 0..40)),
        peers in vec(any_peer(), 0..60), libp2p in option::of(any_libp2p()),
    ) -> AnnounceResponse {
        let [min_interval_secs, complete, incomplete, downloaded] = counts;
        AnnounceResponse {
            interval_secs, min_interval_secs, complete, incomplete, downloaded, external_ip, warning,
            tracker_id, peers, libp2p,
        }
    }
}

proptest! {
    #[test]
    fn announces_survive_the_wire(request in any_request()) {
        prop_assert_eq!(AnnounceRequest::from_query(request.to_query().as_bytes()), Ok(request));
    }

    #[test]
    fn answers_with_dictionaries_survive_the_wire(response in any_response()) {
        let bytes = response.encode(PeerFormat::Dictionaries);
        prop_assert_eq!(AnnounceResponse::decode(&bytes), Ok(response));
    }

    #[test]
    fn compact_answers_lose_only_peer_ids_and_the_mix_of_families(response in any_response()) {
        let bytes = response.encode(PeerFormat::Compact);
        let mut expected = response;
        expected.peers.iter_mut().for_each(|peer| peer.peer_id = None);
        expected.peers.sort_by_key(|peer| peer.address.is_ipv6());
        prop_assert_eq!(AnnounceResponse::decode(&bytes), Ok(expected));
    }

    #[test]
    fn no_query_panics(query in vec(any::<u8>(), 0..300)) {
        let _ = AnnounceRequest::from_query(&query);
        let _ = ScrapeRequest::from_query(&query);
    }

    #[test]
    fn no_answer_panics(answer in vec(prop_oneof![Just(b'd'), Just(b'l'), Just(b'i'), Just(b'e'), Just(b':'), b'0'..=b'9', any::<u8>()], 0..200)) {
        let _ = AnnounceResponse::decode(&answer);
        let _ = ScrapeResponse::decode(&answer);
    }
}
