//! The exact bytes of BEP 9's messages, and that no impossible piece is accepted.

use proptest::prelude::*;

use super::*;

fn check_golden(message: MetadataMessage, bytes: &[u8]) {
    assert_eq!(message.encode().escape_ascii().to_string(), bytes.escape_ascii().to_string());
    assert_eq!(MetadataMessage::decode(bytes), Ok(message));
}

#[test]
fn the_messages_of_bep_9_have_their_exact_bytes() {
    check_golden(MetadataMessage::Request { piece: 0 }, b"d8:msg_typei0e5:piecei0ee");
    check_golden(MetadataMessage::Reject { piece: 7 }, b"d8:msg_typei2e5:piecei7ee");
    let message = MetadataMessage::Data { piece: 0, total_size: 5, bytes: b"d0:0e".to_vec() };
    check_golden(message, b"d8:msg_typei1e5:piecei0e10:total_sizei5eed0:0e");
}

#[test]
fn a_piece_must_be_whole_and_part_of_the_whole() {
    let decode =
        |text: &str, bytes: usize| MetadataMessage::decode(&[text.as_bytes(), &vec![b'x'; bytes]].concat());
    let first = "d8:msg_typei1e5:piecei0e10:total_sizei16385ee";
    assert!(decode(first, 16_384).is_ok());
    assert_eq!(decode(first, 16_383), Err(MetadataError::WrongPiece));
    assert_eq!(decode(first, 16_385), Err(MetadataError::WrongPiece));
    let second = "d8:msg_typei1e5:piecei1e10:total_sizei16385ee";
    assert!(decode(second, 1).is_ok());
    assert_eq!(decode(second, 0), Err(MetadataError::WrongPiece));
    assert_eq!(decode("d8:msg_typei1e5:piecei2e10:total_sizei16385ee", 0), Err(MetadataError::WrongPiece));
}

#[test]
fn impossible_sizes_and_pieces_are_refused() {
    let decode = |text: &str| MetadataMessage::decode(text.as_bytes());
    assert_eq!(decode("d8:msg_typei1e5:piecei0eex"), Err(MetadataError::WrongSize));
    assert_eq!(decode("d8:msg_typei1e5:piecei0e10:total_sizei-1eex"), Err(MetadataError::WrongSize));
    assert_eq!(decode("d8:msg_typei1e5:piecei0e10:total_sizei67108865eex"), Err(MetadataError::WrongSize));
    assert_eq!(decode("d8:msg_typei1e5:piecei0e10:total_sizei0ee"), Err(MetadataError::WrongPiece));
    assert_eq!(decode("d8:msg_typei0e5:piecei-1ee"), Err(MetadataError::WrongPiece));
    assert_eq!(decode("d8:msg_typei0e5:piecei4294967296ee"), Err(MetadataError::WrongPiece));
    assert_eq!(decode("d8:msg_typei1e5:piecei4294967295e10:total_sizei5eex"), Err(MetadataError::WrongPiece));
}

#[test]
fn an_unknown_kind_is_told_from_garbage() {
    assert_eq!(MetadataMessage::decode(b"d8:msg_typei9e5:piecei0eexyz"), Err(MetadataError::UnknownKind(9)));
    for bytes in
        [&b""[..], b"xyz", b"de", b"i1e", b"d8:msg_typei0ee", b"d8:msg_type1:05:piecei0ee", b"li0ei0ee"]
    {
        let refused = MetadataMessage::decode(bytes);
        assert!(matches!(refused, Err(MetadataError::Bencode(_))), "{}", bytes.escape_ascii());
    }
}

#[test]
fn nothing_may_follow_a_request_or_a_reject() {
    for kind in [0, 2] {
        let bytes = format!("d8:msg_typei{kind}e5:piecei0eex");
        assert_eq!(MetadataMessage::decode(bytes.as_bytes()), Err(MetadataError::TrailingBytes));
    }
}

fn messages() -> impl Strategy<Value = MetadataMessage> {
    prop_oneof![
        any::<u32>().prop_map(|piece| MetadataMessage::Request { piece }),
        any::<u32>().prop_map(|piece| MetadataMessage::Reject { piece }),
        (1..200_000_u32, any::<u32>(), any::<u8>()).prop_map(|(total_size, piece, byte)| {
            let piece = piece % metadata_pieces(total_size);
            let range = metadata_range(total_size, piece).unwrap();
            MetadataMessage::Data { piece, total_size, bytes: vec![byte; range.len()] }
        }),
    ]
}

proptest! {
    #[test]
    fn every_message_survives_the_wire(message in messages()) {
        prop_assert_eq!(MetadataMessage::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn pieces_cover_the_metadata_without_gap_or_overlap(size in 0..1_000_000_u32) {
        let mut end = 0;
        for piece in 0..metadata_pieces(size) {
            let range = metadata_range(size, piece).unwrap();
            prop_assert_eq!(range.start, end);
            end = range.end;
        }
        prop_assert_eq!(end, size as usize);
        prop_assert_eq!(metadata_range(size, metadata_pieces(size)), None);
    }

    #[test]
    fn a_damaged_message_never_panics(message in messages(), at: prop::sample::Index, byte: u8) {
        let mut bytes = message.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = MetadataMessage::decode(&bytes);
        let _ = MetadataMessage::decode(&bytes[..at]);
    }
}
