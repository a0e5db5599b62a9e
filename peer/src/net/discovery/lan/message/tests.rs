//! Packets: as others see them, as they come back, and as nobody should send them.

use libp2p::identity::Keypair;
use proptest::prelude::*;
use samara_proto::record::SignedRecord;

use super::*;

const LABEL: &str = "aeaqcaibaeaqcaib";

fn instance() -> Instance {
    Instance::new([1; 10])
}

fn told_by(instance: Instance, lifetime: Duration, record: &[u8]) -> Said {
    Said::Told(vec![Telling { instance, lifetime, record: record.to_vec() }])
}

/// A packet of these parts, each with its length in front where the wire has one.
fn service() -> Vec<u8> {
    b"\x07_samara\x04_udp\x05local\x00".to_vec()
}

#[test]
fn the_question_is_on_the_wire_what_the_protocol_says() {
    let packet = question([]).expect("a question");
    let head = b"\0\0\0\0\0\x01\0\0\0\0\0\0".to_vec();
    assert_eq!(packet, [head, service(), b"\0\x0c\0\x01".to_vec()].concat());
}

#[test]
fn the_answer_is_on_the_wire_what_the_protocol_says() {
    let packet = answer(&instance(), b"abc", LIFETIME).expect("an answer");
    let head = b"\0\0\x84\0\0\0\0\x01\0\0\0\x01".to_vec();
    let pointer = b"\0\x0c\0\x01\0\0\x02\x58\0\x13\x10aeaqcaibaeaqcaib\xc0\x0c".to_vec();
    // The instance's name is at 12 + 20 + 10, and the class says that only we may answer for it.
    let text = b"\xc0\x2a\0\x10\x80\x01\0\0\x02\x58\0\x08\x07r0=YWJj".to_vec();
    assert_eq!(packet, [head, service(), pointer, text].concat());
    assert_eq!(instance().0, LABEL.as_bytes().into());
}

#[test]
fn a_question_comes_back_with_those_who_need_not_answer() {
    let (fresh, stale) = (Instance::new([2; 10]), Instance::new([3; 10]));
    let packet = question([(&fresh, LIFETIME), (&stale, LIFETIME / 3)]).expect("a question");
    assert_eq!(parse(&packet), Some(Said::Asked { known: vec![fresh] }));
}

#[test]
fn an_answer_comes_back_with_its_record() {
    let addresses =
        (1..=8).map(|n| format!("/ip6/2001:db8::{n}/udp/4001/quic-v1").parse().expect("an address"));
    let addresses: Vec<_> = addresses.collect();
    let record = SignedRecord::sign(&Keypair::generate_ed25519(), 7, &addresses).expect("a record");
    let packet = answer(&instance(), record.as_bytes(), LIFETIME).expect("the longest usual record fits");
    assert_eq!(parse(&packet), Some(told_by(instance(), LIFETIME, record.as_bytes())));
}

#[test]
fn a_goodbye_comes_back_as_one() {
    let packet = answer(&instance(), b"abc", Duration::ZERO).expect("an answer");
    assert_eq!(parse(&packet), Some(told_by(instance(), Duration::ZERO, b"abc")));
}

#[test]
fn nothing_longer_than_a_packet_is_made() {
    assert_eq!(answer(&instance(), &[7; 1000], LIFETIME), None);
    let crowd: Vec<Instance> = (0..200).map(|n| Instance::new([n; 10])).collect();
    let packet = question(crowd.iter().map(|name| (name, LIFETIME))).expect("a question");
    assert!(packet.len() <= PACKET_BYTES && packet.len() > PACKET_BYTES - 40, "{}", packet.len());
    let Some(Said::Asked { known }) = parse(&packet) else { panic!("a question") };
    assert_eq!(known, crowd[..known.len()]);
    // Names others chose may be longer than ours.
    let long: Vec<Instance> = (0..200u8).map(|n| Instance(vec![n; 63].into())).collect();
    assert!(question(long.iter().map(|name| (name, LIFETIME))).is_some());
}

#[test]
fn case_does_not_matter_and_a_long_belief_is_cut_short() {
    let packet = answer(&instance(), b"abc", 10 * LIFETIME).expect("an answer");
    let upper: Vec<u8> = packet.iter().map(|&byte| if byte == b's' { b'S' } else { byte }).collect();
    assert_ne!(packet, upper);
    assert_eq!(parse(&upper), Some(told_by(instance(), LIFETIME, b"abc")));
}

fn text_message(name: &str, strings: &[&[u8]]) -> Vec<u8> {
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    let name = Name::from_ascii(name).expect("a name");
    let text = RData::TXT(TXT::from_bytes(strings.to_vec()));
    message.add_answer(Record::from_rdata(name, 120, text));
    message.to_vec().expect("a message")
}

#[test]
fn other_services_are_none_of_our_business() {
    for name in
        ["x._p2p._udp.local.", "_samara._udp.local.", "x.y._samara._udp.local.", "x._samara._udp.", "."]
    {
        assert_eq!(parse(&text_message(name, &[b"r0=YWJj"])), None, "{name}");
    }
    let mut query = Message::new(0, MessageType::Query, OpCode::Query);
    query.add_query(Query::query(Name::from_ascii("_p2p._udp.local.").expect("a name"), RecordType::PTR));
    assert_eq!(parse(&query.to_vec().expect("a message")), None);
}

#[test]
fn a_text_is_read_in_the_order_of_its_keys_and_other_strings_are_skipped() {
    let name = "x._samara._udp.local.";
    let said =
        parse(&text_message(name, &[b"v=2", b"r1=Y2Rl", b"r0=YWJj", b"r0=AAAA", b"r3=AAAA", b"", b"r"]));
    let Some(Said::Told(tellings)) = said else { panic!("a telling") };
    assert_eq!(tellings[0].record, b"abccde");
    for strings in [&[&b"v=1"[..]][..], &[b"r0="], &[b"r0=!!!!"], &[b"r0=A"], &[b"r1=YWJj"]] {
        assert_eq!(parse(&text_message(name, strings)), None, "{strings:?}");
    }
}

#[test]
fn one_packet_speaks_of_a_few() {
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    for n in 0..100 {
        let name = Name::from_ascii(format!("x{n}._samara._udp.local.")).expect("a name");
        message.add_answer(Record::from_rdata(name, 120, RData::TXT(text_of(b"abc"))));
    }
    let said = parse(&message.to_vec().expect("a message"));
    assert!(matches!(said, Some(Said::Told(tellings)) if tellings.len() == TELLINGS));
}

#[test]
fn names_that_point_at_themselves_end() {
    let head = b"\0\0\0\0\0\x01\0\0\0\0\0\0";
    for name in [&b"\xc0\x0c\0\x0c\0\x01"[..], b"\x01a\xc0\x0c\0\x0c\0\x01", b"\xc0\xff\0\x0c\0\x01"] {
        assert_eq!(parse(&[head, name].concat()), None);
    }
}

#[test]
fn a_packet_cut_short_says_nothing() {
    let packet = answer(&instance(), &[9; 300], LIFETIME).expect("an answer");
    for length in 0..packet.len() {
        assert_eq!(parse(&packet[..length]), None, "{length}");
    }
}

proptest! {
    #[test]
    fn no_packet_makes_us_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        parse(&bytes);
    }

    #[test]
    fn no_damaged_packet_makes_us_panic(at in 0usize..500, byte: u8, cut in 0usize..500) {
        let known: Vec<Instance> = (0..4).map(|n| Instance::new([n; 10])).collect();
        let packets = [
            answer(&instance(), &[9; 300], LIFETIME).expect("an answer"),
            question(known.iter().map(|name| (name, LIFETIME))).expect("a question"),
        ];
        for mut packet in packets {
            let at = at % packet.len();
            packet[at] = byte;
            parse(&packet);
            packet.truncate(cut);
            parse(&packet);
        }
    }
}
