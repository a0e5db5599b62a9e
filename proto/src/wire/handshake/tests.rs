//! The handshake's exact bytes, and that any handshake survives the wire.

use proptest::prelude::*;

use super::*;

/// "\x13BitTorrent protocol", reserved bits of BEP 6, 10 and 52, twenty 0xAA, "-SM0001-abcdefghijkl".
const GOLDEN: &[u8; HANDSHAKE_LENGTH] = b"\x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x14\
    \xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA\xAA-SM0001-abcdefghijkl";

fn golden() -> Handshake {
    Handshake { info_hash: InfoHash([0xAA; 20]), peer_id: *b"-SM0001-abcdefghijkl", reserved: Reserved::OURS }
}

#[test]
fn the_golden_handshake_encodes_to_its_exact_bytes() {
    assert_eq!(&golden().encode(), GOLDEN);
}

#[test]
fn the_golden_bytes_decode_to_the_handshake() {
    assert_eq!(Handshake::decode(GOLDEN), Ok(golden()));
}

#[test]
fn another_protocol_is_refused() {
    let mut bytes = *GOLDEN;
    bytes[1] = b'b';
    assert_eq!(Handshake::decode(&bytes), Err(HandshakeError::OtherProtocol));
    bytes = *GOLDEN;
    bytes[0] = 18;
    assert_eq!(Handshake::decode(&bytes), Err(HandshakeError::OtherProtocol));
}

#[test]
fn each_ability_is_its_own_bit() {
    let with = |byte: usize, bit: u8| {
        let mut reserved = Reserved::default();
        reserved.0[byte] = bit;
        (reserved.fast(), reserved.extended(), reserved.v2())
    };
    assert_eq!(with(7, 0x04), (true, false, false));
    assert_eq!(with(5, 0x10), (false, true, false));
    assert_eq!(with(7, 0x10), (false, false, true));
    assert_eq!(with(7, 0x01), (false, false, false));
}

#[test]
fn both_ends_can_do_only_what_each_can() {
    let fast_only = Reserved([0, 0, 0, 0, 0, 0, 0, 0x05]);
    assert_eq!(Reserved::OURS.and(fast_only), Reserved([0, 0, 0, 0, 0, 0, 0, 0x04]));
}

proptest! {
    #[test]
    fn every_handshake_survives_the_wire(info_hash: [u8; 20], peer_id: [u8; 20], reserved: [u8; 8]) {
        let handshake = Handshake { info_hash: InfoHash(info_hash), peer_id, reserved: Reserved(reserved) };
        prop_assert_eq!(Handshake::decode(&handshake.encode()), Ok(handshake));
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(tail in prop::collection::vec(any::<u8>(), 48)) {
        let mut bytes = *GOLDEN;
        bytes[20..].copy_from_slice(&tail);
        prop_assert_eq!(Handshake::decode(&bytes).unwrap().encode(), bytes);
    }
}
