//! A golden record, the same bytes as libp2p's own, and refusal of everything else.

use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

/// The record of the key whose secret is 32 bytes of 7, at second 1,700,000,000, piece by piece.
const GOLDEN: &str = concat!(
    // public_key: ed25519 and its 32 bytes
    "0a24",
    "08011220ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c",
    // payload_type
    "1202",
    "0301",
    // payload: peer_id, seq, and two addresses
    "1a55",
    "0a26002408011220ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c",
    "1080e2cfaa06",
    "1a0a0a08047f000001060fa1",
    "1a190a17290000000000000000000000000000000191020fa1cd03",
    // signature
    "2a40",
    "676da05a8e059411335a7b0fe3793988476afb23216e2891f0d7440e3c9a21b1",
    "5c607923e5bc9f1d8aa6b5d79518cf385cd237a023d0ae6d38c1b8e81873b10d",
);

fn golden_bytes() -> Vec<u8> {
    HEXLOWER.decode(GOLDEN.as_bytes()).unwrap()
}

fn golden_addresses() -> Vec<Multiaddr> {
    ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/udp/4001/quic-v1"].map(|text| text.parse().unwrap()).into()
}

fn keypair(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

fn addresses(count: usize) -> Vec<Multiaddr> {
    (0..count).map(|n| format!("/ip4/127.0.0.1/tcp/{}", 4000 + n).parse().unwrap()).collect()
}

fn long_address(name_bytes: usize) -> Multiaddr {
    format!("/dns4/{}/tcp/1", "x".repeat(name_bytes)).parse().unwrap()
}

#[test]
fn the_golden_record_signs_to_its_exact_bytes() {
    let record = SignedRecord::sign(&keypair(7), 1_700_000_000, &golden_addresses()).unwrap();
    assert_eq!(HEXLOWER.encode(record.as_bytes()), GOLDEN);
}

#[test]
fn the_golden_bytes_verify() {
    let record = SignedRecord::verify(&golden_bytes()).unwrap();
    assert_eq!(record.peer_id(), keypair(7).public().to_peer_id());
    assert_eq!(record.seq(), 1_700_000_000);
    assert_eq!(record.addresses(), golden_addresses());
}

#[test]
fn a_record_made_by_libp2p_itself_is_the_same() {
    let theirs = PeerRecord::new_interop(&keypair(9), addresses(3)).unwrap();
    let ours = SignedRecord::sign(&keypair(9), theirs.seq(), &addresses(3)).unwrap();
    assert_eq!(ours.as_bytes(), theirs.into_signed_envelope().into_protobuf_encoding());
}

#[test]
fn a_record_in_the_legacy_form_of_rust_libp2p_is_refused() {
    let legacy = PeerRecord::new(&keypair(9), addresses(1)).unwrap();
    let bytes = legacy.into_signed_envelope().into_protobuf_encoding();
    assert!(matches!(
        SignedRecord::verify(&bytes),
        Err(RecordError::Record(FromEnvelopeError::BadPayload(_)))
    ));
}

#[test]
fn a_record_signed_by_somebody_else_is_refused() {
    let victim = keypair(1).public().to_peer_id();
    let payload = payload::encode(&victim, 5, &addresses(1));
    let envelope = SignedEnvelope::new(&keypair(2), DOMAIN.into(), PAYLOAD_TYPE.into(), payload).unwrap();
    assert!(matches!(
        SignedRecord::verify(&envelope.into_protobuf_encoding()),
        Err(RecordError::Record(FromEnvelopeError::MismatchedSignature))
    ));
}

#[test]
fn too_many_or_too_long_addresses_are_refused_from_ourselves_and_from_others() {
    let check = |addresses: &[Multiaddr], accepted: bool| {
        assert_eq!(SignedRecord::sign(&keypair(3), 1, addresses).is_ok(), accepted);
        let theirs = PeerRecord::new_interop(&keypair(3), addresses.to_vec()).unwrap();
        let bytes = theirs.into_signed_envelope().into_protobuf_encoding();
        assert_eq!(SignedRecord::verify(&bytes).is_ok(), accepted);
    };
    check(&[], true);
    check(&addresses(RECORD_ADDRESSES), true);
    check(&addresses(RECORD_ADDRESSES + 1), false);
    let overhead = long_address(200).len() - 200;
    check(&vec![long_address(ADDRESS_BYTES - overhead); RECORD_ADDRESSES], true);
    check(&[long_address(ADDRESS_BYTES - overhead + 1)], false);
}

#[test]
fn a_longer_record_than_the_cap_is_refused_unread() {
    assert!(matches!(SignedRecord::verify(&vec![0; RECORD_BYTES + 1]), Err(RecordError::TooLong(_))));
}

#[test]
fn bytes_hidden_in_the_envelope_are_not_passed_on() {
    let mut bytes = golden_bytes();
    // An unknown field, number 15, of five bytes.
    bytes.extend_from_slice(b"\x7A\x05spam!");
    assert_eq!(SignedRecord::verify(&bytes).unwrap().as_bytes(), golden_bytes());
}

proptest! {
    // Signatures are slow without optimization.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_record_survives_the_wire(seed: u8, seq: u64, count in 0..=RECORD_ADDRESSES) {
        let record = SignedRecord::sign(&keypair(seed), seq, &addresses(count)).unwrap();
        prop_assert_eq!(record.seq(), seq);
        prop_assert_eq!(record.addresses(), addresses(count));
        prop_assert_eq!(SignedRecord::verify(record.as_bytes()).unwrap(), record);
    }

    #[test]
    fn one_flipped_bit_never_changes_what_a_record_says(at: prop::sample::Index, bit in 0..8_u8) {
        let mut bytes = golden_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(record) = SignedRecord::verify(&bytes) {
            prop_assert_eq!(record.as_bytes(), golden_bytes());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = SignedRecord::verify(&bytes);
    }
}
