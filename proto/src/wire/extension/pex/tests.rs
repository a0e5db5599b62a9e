//! The exact bytes of a peer exchange, its caps, and that every message survives the wire.

use proptest::prelude::*;

use super::*;

fn golden() -> PexMessage {
    let peer = |record: &[u8], flags| PexPeer { record: record.into(), flags };
    PexMessage {
        me: Some(b"own".into()),
        added: vec![
            peer(b"first", PexFlags::REACHED),
            peer(b"second", PexFlags::SEED.with(PexFlags::REACHED)),
        ],
        dropped: vec![b"gone".into()],
    }
}

const GOLDEN: &[u8] = b"d5:addedl5:first6:seconde7:added.f2:\x10\x127:droppedl4:gonee2:me3:owne";

#[test]
fn the_golden_message_has_its_exact_bytes() {
    assert_eq!(golden().encode().escape_ascii().to_string(), GOLDEN.escape_ascii().to_string());
    assert_eq!(PexMessage::decode(GOLDEN), Ok(golden()));
}

#[test]
fn nothing_to_say_is_an_empty_dictionary() {
    assert_eq!(PexMessage::default().encode(), b"de");
    assert_eq!(PexMessage::decode(b"de"), Ok(PexMessage::default()));
}

#[test]
fn missing_flags_are_none_and_spare_ones_are_skipped() {
    let flags = |bytes: &[u8]| -> Vec<PexFlags> {
        PexMessage::decode(bytes).unwrap().added.iter().map(|peer| peer.flags).collect()
    };
    assert_eq!(flags(b"d5:addedl1:a1:be7:added.f1:\x02e"), [PexFlags::SEED, PexFlags(0)]);
    assert_eq!(flags(b"d5:addedl1:ae7:added.f3:\x02\x10\x10e"), [PexFlags::SEED]);
}

#[test]
fn more_or_longer_things_than_a_message_may_have_are_refused() {
    let peer = |length: usize| PexPeer { record: vec![1; length], flags: PexFlags::REACHED };
    let refused = |message: PexMessage| PexMessage::decode(&message.encode()).unwrap_err();
    let many = PexMessage { added: vec![peer(1); PEX_PEERS + 1], ..Default::default() };
    assert_eq!(refused(many), PexError::TooManyPeers);
    let many = PexMessage { dropped: vec![vec![1]; PEX_PEERS + 1], ..Default::default() };
    assert_eq!(refused(many), PexError::TooManyPeers);
    let long = PexMessage { added: vec![peer(RECORD_BYTES + 1)], ..Default::default() };
    assert_eq!(refused(long), PexError::RecordTooLong);
    let long = PexMessage { me: Some(vec![1; RECORD_BYTES + 1]), ..Default::default() };
    assert_eq!(refused(long), PexError::RecordTooLong);
    let long = PexMessage { dropped: vec![vec![1; PEER_ID_BYTES + 1]], ..Default::default() };
    assert_eq!(refused(long), PexError::PeerIdTooLong);
    let full = PexMessage { added: vec![peer(1); PEX_PEERS], ..Default::default() };
    assert!(PexMessage::decode(&full.encode()).is_ok());
}

#[test]
fn anything_but_one_dictionary_of_the_right_types_is_refused() {
    for bytes in [&b""[..], b"le", b"i1e", b"d", b"dee", b"d5:addedi1ee", b"d2:mei1ee", b"d7:added.fi1ee"] {
        let refused = PexMessage::decode(bytes);
        assert!(matches!(refused, Err(PexError::Bencode(_))), "{}", bytes.escape_ascii());
    }
}

fn messages() -> impl Strategy<Value = PexMessage> {
    let bytes = |longest| prop::collection::vec(any::<u8>(), 0..longest);
    let peer =
        (bytes(300), any::<u8>()).prop_map(|(record, flags)| PexPeer { record, flags: PexFlags(flags) });
    let added = prop::collection::vec(peer, 0..8);
    let dropped = prop::collection::vec(bytes(PEER_ID_BYTES + 1), 0..8);
    (prop::option::of(bytes(300)), added, dropped).prop_map(|(me, added, dropped)| PexMessage {
        me,
        added,
        dropped,
    })
}

proptest! {
    #[test]
    fn every_message_survives_the_wire(message in messages()) {
        prop_assert_eq!(PexMessage::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn whatever_decodes_survives_the_wire(
        bytes in prop::collection::vec(prop::sample::select(&b"dle0123456789:addepro.fm"[..]), 0..60)
    ) {
        if let Ok(message) = PexMessage::decode(&bytes) {
            prop_assert_eq!(PexMessage::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn a_damaged_message_never_panics(message in messages(), at: prop::sample::Index, byte: u8) {
        let mut bytes = message.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = PexMessage::decode(&bytes);
        let _ = PexMessage::decode(&bytes[..at]);
    }
}
