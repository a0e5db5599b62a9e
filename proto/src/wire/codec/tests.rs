//! Lengths are checked before anything else, and messages survive the wire.

mod golden;
mod streams;

use proptest::prelude::*;

use super::*;

/// A torrent of 20 pieces whose blocks are asked for one by one.
fn limits() -> FrameLimits {
    FrameLimits::for_torrent(20, 16 * 1024)
}

fn blocks() -> impl Strategy<Value = BlockRef> {
    any::<(u32, u32, u32)>().prop_map(|(piece, begin, length)| BlockRef {
        piece: PieceIndex(piece),
        begin,
        length,
    })
}

fn hash_requests() -> impl Strategy<Value = HashRequest> {
    any::<([u8; 32], u32, u32, u32, u32)>().prop_map(|(root, base_layer, index, length, proof_layers)| {
        HashRequest { pieces_root: Sha256Hash(root), base_layer, index, length, proof_layers }
    })
}

fn bytes(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), length)
}

/// Every message that [`limits`] allow.
fn messages() -> impl Strategy<Value = Message> {
    let piece = || any::<u32>().prop_map(PieceIndex);
    let hashes = prop::collection::vec(any::<[u8; 32]>().prop_map(Sha256Hash), 0..20);
    prop_oneof![
        Just(Message::KeepAlive),
        Just(Message::Choke),
        Just(Message::Unchoke),
        Just(Message::Interested),
        Just(Message::NotInterested),
        Just(Message::HaveAll),
        Just(Message::HaveNone),
        piece().prop_map(Message::Have),
        piece().prop_map(Message::Suggest),
        piece().prop_map(Message::AllowedFast),
        bytes(3).prop_map(Message::Bitfield),
        blocks().prop_map(Message::Request),
        blocks().prop_map(Message::Cancel),
        blocks().prop_map(Message::Reject),
        (piece(), any::<u32>(), bytes(1..200)).prop_map(|(piece, begin, data)| Message::Piece {
            piece,
            begin,
            data
        }),
        any::<u16>().prop_map(Message::Port),
        (any::<u8>(), bytes(0..100)).prop_map(|(id, payload)| Message::Extended { id, payload }),
        hash_requests().prop_map(Message::HashRequest),
        (hash_requests(), hashes).prop_map(|(request, hashes)| Message::Hashes { request, hashes }),
        hash_requests().prop_map(Message::HashReject),
        (24..=u8::MAX).prop_map(|id| Message::Unknown { id }),
    ]
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

#[test]
fn a_frame_longer_than_any_message_is_refused_after_four_bytes() {
    let limits = limits();
    let longest = EXTENSION_BYTES as u32 + 2;
    assert_eq!(frame_length(longest.to_be_bytes(), &limits), Ok(longest));
    for length in [longest + 1, u32::MAX] {
        assert_eq!(frame_length(length.to_be_bytes(), &limits), Err(CodecError::TooLong { length, longest }));
    }
}

#[test]
fn every_kind_has_its_own_longest_body() {
    let check = |id: u8, shortest: u32, longest: u32| {
        let accepts = |length: u32| check_head(length, id, &limits()).is_ok();
        assert!(accepts(shortest) && accepts(longest), "kind {id}");
        assert!(!accepts(shortest - 1) && !accepts(longest + 1), "kind {id}");
    };
    for id in [id::CHOKE, id::UNCHOKE, id::INTERESTED, id::NOT_INTERESTED, id::HAVE_ALL, id::HAVE_NONE] {
        check(id, 1, 1);
    }
    for id in [id::HAVE, id::SUGGEST, id::ALLOWED_FAST] {
        check(id, 5, 5);
    }
    for id in [id::REQUEST, id::CANCEL, id::REJECT] {
        check(id, 13, 13);
    }
    check(id::BITFIELD, 4, 4);
    check(id::PIECE, 10, 9 + 16 * 1024);
    check(id::PORT, 3, 3);
    check(id::EXTENDED, 2, 2 + 128 * 1024);
    check(id::HASH_REQUEST, 49, 49);
    check(id::HASHES, 49, 49 + 32 * (512 + 32));
    check(id::HASH_REJECT, 49, 49);
    check(99, 1, 1 + 16 * 1024);
}

#[test]
fn before_the_metainfo_is_known_any_bitfield_up_to_the_cap_but_no_block_is_accepted() {
    let limits = FrameLimits::before_metainfo();
    for (length, accepted) in [(1, true), (4, true), (1 + 256 * 1024, true), (2 + 256 * 1024, false)] {
        assert_eq!(check_head(length, id::BITFIELD, &limits).is_ok(), accepted, "{length}");
    }
    for length in [9, 10, 9 + 16 * 1024] {
        let refused = Err(CodecError::WrongLength { id: id::PIECE, length });
        assert_eq!(check_head(length, id::PIECE, &limits), refused);
    }
}

#[test]
fn a_message_without_an_id_is_refused() {
    assert_eq!(check_head(0, id::CHOKE, &limits()), Err(CodecError::Empty));
}

#[test]
fn hashes_that_are_not_whole_are_refused() {
    let body = [&[id::HASHES][..], &[0; 48 + 31]].concat();
    let refused = Err(CodecError::WrongLength { id: id::HASHES, length: 80 });
    assert_eq!(Message::decode(&body, &limits()), refused);
}

#[test]
fn limits_at_the_top_of_the_numbers_do_not_overflow() {
    let limits = FrameLimits {
        bitfield_bytes: Some(u32::MAX),
        block_bytes: u32::MAX,
        extended_bytes: u32::MAX,
        hashes: u32::MAX,
    };
    assert_eq!(frame_length([0xFF; 4], &limits), Ok(u32::MAX));
    assert_eq!(check_head(u32::MAX, id::PIECE, &limits), Ok(()));
}

#[test]
fn a_piece_header_needs_a_block_behind_it() {
    for length in 0..=9 {
        let refused = Err(CodecError::WrongLength { id: id::PIECE, length });
        assert_eq!(PieceHeader::decode(&[0; 8], length), refused);
    }
    let header = PieceHeader { piece: PieceIndex(0), begin: 0, length: 1 };
    assert_eq!(PieceHeader::decode(&[0; 8], 10), Ok(header));
}

proptest! {
    #[test]
    fn every_message_survives_the_wire(message in messages()) {
        let bytes = encoded(&message);
        let length = frame_length(bytes[..4].try_into().unwrap(), &limits()).unwrap();
        prop_assert_eq!(length as usize, bytes.len() - LENGTH_PREFIX);
        prop_assert_eq!(Message::decode(&bytes[4..], &limits()), Ok(message));
    }

    #[test]
    fn encoding_appends_to_what_is_there(first in messages(), second in messages()) {
        let mut both = encoded(&first);
        second.encode(&mut both);
        prop_assert_eq!(both, [encoded(&first), encoded(&second)].concat());
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(id in 0..24_u8, payload in bytes(0..120)) {
        let body = [&[id][..], &payload].concat();
        match Message::decode(&body, &limits()) {
            Ok(Message::Unknown { id: same }) => prop_assert_eq!(same, id),
            Ok(message) => prop_assert_eq!(&encoded(&message)[4..], &body),
            Err(_) => {}
        }
    }

    #[test]
    fn decoding_refuses_whatever_the_head_alone_refuses(body in bytes(0..120)) {
        let head = body.first().map(|&id| check_head(body.len() as u32, id, &limits()));
        if let Some(Err(error)) = head {
            prop_assert_eq!(Message::decode(&body, &limits()), Err(error));
        }
    }

    #[test]
    fn a_piece_header_and_its_block_are_a_piece_message(
        piece: u32, begin: u32, data in bytes(1..100)
    ) {
        let piece = PieceIndex(piece);
        let header = PieceHeader { piece, begin, length: data.len() as u32 };
        let bytes = [&header.encode()[..], &data].concat();
        prop_assert_eq!(&encoded(&Message::Piece { piece, begin, data }), &bytes);
        let length = frame_length(bytes[..4].try_into().unwrap(), &limits()).unwrap();
        prop_assert_eq!(PieceHeader::decode(bytes[5..13].try_into().unwrap(), length), Ok(header));
        prop_assert_eq!(PieceHeader::from(header.block()), header);
    }
}
