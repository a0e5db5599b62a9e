//! Every message with its exact bytes, worked out by hand from the BEPs.

use super::*;

fn check(message: Message, bytes: &[u8]) {
    assert_eq!(encoded(&message).escape_ascii().to_string(), bytes.escape_ascii().to_string());
    let length = frame_length(bytes[..4].try_into().unwrap(), &limits()).unwrap();
    assert_eq!(length as usize, bytes.len() - 4);
    assert_eq!(Message::decode(&bytes[4..], &limits()), Ok(message));
}

const PIECE: PieceIndex = PieceIndex(0x0001_0203);
const BLOCK: BlockRef = BlockRef { piece: PIECE, begin: 0x8000, length: 0x4000 };
const BLOCK_BYTES: &[u8; 12] = b"\0\x01\x02\x03\0\0\x80\0\0\0\x40\0";

fn hash_request() -> HashRequest {
    HashRequest {
        pieces_root: Sha256Hash([0xAB; 32]),
        base_layer: 4,
        index: 512,
        length: 256,
        proof_layers: 9,
    }
}

fn hash_request_bytes() -> Vec<u8> {
    [&[0xAB; 32][..], b"\0\0\0\x04", b"\0\0\x02\0", b"\0\0\x01\0", b"\0\0\0\x09"].concat()
}

#[test]
fn messages_of_bep_3_have_their_exact_bytes() {
    check(Message::KeepAlive, b"\0\0\0\0");
    check(Message::Choke, b"\0\0\0\x01\x00");
    check(Message::Unchoke, b"\0\0\0\x01\x01");
    check(Message::Interested, b"\0\0\0\x01\x02");
    check(Message::NotInterested, b"\0\0\0\x01\x03");
    check(Message::Have(PIECE), b"\0\0\0\x05\x04\0\x01\x02\x03");
    check(Message::Bitfield(vec![0xFF, 0x0F, 0x80]), b"\0\0\0\x04\x05\xFF\x0F\x80");
    check(Message::Request(BLOCK), &[b"\0\0\0\x0D\x06", &BLOCK_BYTES[..]].concat());
    check(
        Message::Piece { piece: PIECE, begin: 0x8000, data: b"samara".to_vec() },
        b"\0\0\0\x0F\x07\0\x01\x02\x03\0\0\x80\0samara",
    );
    check(Message::Cancel(BLOCK), &[b"\0\0\0\x0D\x08", &BLOCK_BYTES[..]].concat());
}

#[test]
fn the_port_message_of_bep_5_has_its_exact_bytes() {
    check(Message::Port(6881), b"\0\0\0\x03\x09\x1A\xE1");
}

#[test]
fn messages_of_bep_6_have_their_exact_bytes() {
    check(Message::Suggest(PIECE), b"\0\0\0\x05\x0D\0\x01\x02\x03");
    check(Message::HaveAll, b"\0\0\0\x01\x0E");
    check(Message::HaveNone, b"\0\0\0\x01\x0F");
    check(Message::Reject(BLOCK), &[b"\0\0\0\x0D\x10", &BLOCK_BYTES[..]].concat());
    check(Message::AllowedFast(PIECE), b"\0\0\0\x05\x11\0\x01\x02\x03");
}

#[test]
fn extended_messages_of_bep_10_have_their_exact_bytes() {
    check(Message::Extended { id: 0, payload: b"de".to_vec() }, b"\0\0\0\x04\x14\x00de");
    check(Message::Extended { id: 3, payload: Vec::new() }, b"\0\0\0\x02\x14\x03");
}

#[test]
fn messages_of_bep_52_have_their_exact_bytes() {
    let with = |head: &[u8], tail: &[u8]| [head, &hash_request_bytes(), tail].concat();
    check(Message::HashRequest(hash_request()), &with(b"\0\0\0\x31\x15", b""));
    let hashes = vec![Sha256Hash([1; 32]), Sha256Hash([2; 32])];
    check(
        Message::Hashes { request: hash_request(), hashes },
        &with(b"\0\0\0\x71\x16", &[[1; 32], [2; 32]].concat()),
    );
    check(Message::HashReject(hash_request()), &with(b"\0\0\0\x31\x17", b""));
}

#[test]
fn an_unknown_message_keeps_its_id_and_loses_its_payload() {
    check(Message::Unknown { id: 200 }, b"\0\0\0\x01\xC8");
    assert_eq!(Message::decode(b"\xC8what?", &limits()), Ok(Message::Unknown { id: 200 }));
}

#[test]
fn a_piece_header_has_its_exact_bytes() {
    let header = PieceHeader::from(BLOCK);
    assert_eq!(&header.encode(), b"\0\0\x40\x09\x07\0\x01\x02\x03\0\0\x80\0");
    assert_eq!(PieceHeader::decode(b"\0\x01\x02\x03\0\0\x80\0", 0x4009), Ok(header));
}
