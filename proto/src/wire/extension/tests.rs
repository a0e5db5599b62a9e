//! The extension handshake's exact bytes, its limits, and that it survives the wire.

use proptest::prelude::*;

use super::*;

fn full() -> ExtensionHandshake {
    ExtensionHandshake {
        m: BTreeMap::from([("samara_pex".into(), 2), ("ut_metadata".into(), 1)]),
        version: Some("Samara 0.1".into()),
        reqq: Some(500),
        metadata_size: Some(31_235),
        upload_only: Some(true),
        request_length: Some(262_144),
    }
}

const FULL: &[u8] = b"d1:md10:samara_pexi2e11:ut_metadatai1ee13:metadata_sizei31235e4:reqqi500e\
    13:samara_reqleni262144e11:upload_onlyi1e1:v10:Samara 0.1e";

#[test]
fn the_golden_handshake_encodes_to_its_exact_bytes() {
    assert_eq!(full().encode().escape_ascii().to_string(), FULL.escape_ascii().to_string());
}

#[test]
fn the_golden_bytes_decode_to_the_handshake() {
    assert_eq!(ExtensionHandshake::decode(FULL), Ok(full()));
}

#[test]
fn the_handshake_of_bep_10_is_read() {
    let bytes = b"d1:md11:LT_metadatai1e6:\xB5T_PEXi2ee1:pi6881e1:v13:\xC2\xB5Torrent 1.2e";
    let handshake = ExtensionHandshake::decode(bytes).unwrap();
    // The other name in that example is Latin-1, not text.
    assert_eq!(handshake.m, BTreeMap::from([("LT_metadata".into(), 1)]));
    assert_eq!(handshake.version.as_deref(), Some("\u{b5}Torrent 1.2"));
}

#[test]
fn an_empty_dictionary_says_nothing() {
    assert_eq!(ExtensionHandshake::decode(b"de"), Ok(ExtensionHandshake::default()));
    assert_eq!(ExtensionHandshake::default().encode(), b"d1:mdee");
}

#[test]
fn an_extension_turned_off_has_no_id() {
    let handshake = ExtensionHandshake::decode(b"d1:md11:ut_metadatai0e6:ut_pexi1eee").unwrap();
    assert_eq!(handshake.id_of(UT_METADATA), None);
    assert_eq!(handshake.id_of("ut_pex"), NonZeroU8::new(1));
    assert_eq!(handshake.id_of("lt_donthave"), None);
}

#[test]
fn the_longest_request_stays_between_a_block_and_the_cap() {
    let said = |request_length| ExtensionHandshake { request_length, ..Default::default() };
    assert_eq!(said(None).longest_request(), 16 * 1024);
    assert_eq!(said(Some(1)).longest_request(), 16 * 1024);
    assert_eq!(said(Some(64 * 1024)).longest_request(), 64 * 1024);
    assert_eq!(said(Some(u32::MAX)).longest_request(), limits::REQUEST_LENGTH);
}

#[test]
fn a_later_handshake_changes_only_what_it_names() {
    let mut handshake = full();
    let later = ExtensionHandshake::decode(b"d1:md11:ut_metadatai0ee11:upload_onlyi0ee").unwrap();
    handshake.update(later).unwrap();
    let expected = ExtensionHandshake {
        m: BTreeMap::from([("samara_pex".into(), 2), ("ut_metadata".into(), 0)]),
        upload_only: Some(false),
        ..full()
    };
    assert_eq!(handshake, expected);
}

#[test]
fn handshakes_cannot_grow_a_peer_without_end() {
    let named = |letter: char| ExtensionHandshake {
        m: (0..limits::EXTENSIONS).map(|n| (format!("{letter}{n}"), 1)).collect(),
        ..Default::default()
    };
    let mut handshake = named('a');
    assert_eq!(handshake.update(named('b')), Err(ExtensionError::TooManyExtensions));
    let mut one_more = named('a');
    one_more.m.insert("x".into(), 1);
    assert_eq!(ExtensionHandshake::decode(&one_more.encode()), Err(ExtensionError::TooManyExtensions));
}

#[test]
fn impossible_numbers_are_refused() {
    let check = |bytes: &[u8], key| {
        assert_eq!(ExtensionHandshake::decode(bytes), Err(ExtensionError::Number { key }));
    };
    check(b"d1:md1:ai256eee", "m");
    check(b"d1:md1:ai-1eee", "m");
    check(b"d13:metadata_sizei-1ee", "metadata_size");
    check(b"d13:metadata_sizei67108865ee", "metadata_size");
    check(b"d4:reqqi4294967296ee", "reqq");
    check(b"d13:samara_reqleni-5ee", "samara_reqlen");
}

#[test]
fn no_metadata_may_be_said_as_zero() {
    let handshake = ExtensionHandshake::decode(b"d13:metadata_sizei0ee").unwrap();
    assert_eq!(handshake.metadata_size, None);
}

#[test]
fn names_that_are_no_text_or_too_long_are_skipped() {
    let long = "x".repeat(limits::EXTENSION_NAME_BYTES + 1);
    let bytes = [&b"d1:md1:ai1e1:\xFFi2e"[..], format!("65:{long}i3eee").as_bytes()].concat();
    // Bencode's order of keys: "a", then the long one; a reader need not insist on it.
    let handshake = ExtensionHandshake::decode(&bytes).unwrap();
    assert_eq!(handshake.m, BTreeMap::from([("a".into(), 1)]));
}

#[test]
fn a_long_client_name_is_cut_off_at_a_character() {
    let long = format!("x{}", "é".repeat(limits::CLIENT_BYTES));
    let bytes = format!("d1:v{}:{long}e", long.len());
    let version = ExtensionHandshake::decode(bytes.as_bytes()).unwrap().version.unwrap();
    assert!(long.starts_with(&version) && version.len() == limits::CLIENT_BYTES - 1);
    let broken =
        [format!("d1:v{}:", limits::CLIENT_BYTES).as_bytes(), &[0xFF; limits::CLIENT_BYTES], b"e"].concat();
    let version = ExtensionHandshake::decode(&broken).unwrap().version.unwrap();
    assert!(version.len() <= limits::CLIENT_BYTES);
}

#[test]
fn anything_but_one_dictionary_is_refused() {
    let deep = [b"d1:x".to_vec(), b"l".repeat(100_000), b"e".repeat(100_001)].concat();
    for bytes in [&b""[..], b"le", b"i1e", b"d", b"dee", b"d1:m", b"d1:v99999999:", &deep] {
        assert!(matches!(ExtensionHandshake::decode(bytes), Err(ExtensionError::Bencode(_))));
    }
}

#[test]
fn a_value_of_the_wrong_type_is_refused() {
    for bytes in [&b"d1:m1:xe"[..], b"d4:reqq1:5e", b"d1:mi1ee", b"d1:vi1ee", b"di1e1:ae"] {
        assert!(
            matches!(ExtensionHandshake::decode(bytes), Err(ExtensionError::Bencode(_))),
            "{}",
            bytes.escape_ascii()
        );
    }
}

fn handshakes() -> impl Strategy<Value = ExtensionHandshake> {
    let size = 1..=limits::INFO_BYTES as u32;
    (
        prop::collection::btree_map("[a-zA-Z_é]{0,20}", any::<u8>(), 0..10),
        prop::option::of("[ -~]{0,100}"),
        any::<Option<u32>>(),
        prop::option::of(size),
        any::<Option<bool>>(),
        any::<Option<u32>>(),
    )
        .prop_map(|(m, version, reqq, metadata_size, upload_only, request_length)| ExtensionHandshake {
            m,
            version,
            reqq,
            metadata_size,
            upload_only,
            request_length,
        })
}

proptest! {
    #[test]
    fn every_handshake_survives_the_wire(handshake in handshakes()) {
        prop_assert_eq!(ExtensionHandshake::decode(&handshake.encode()), Ok(handshake));
    }

    #[test]
    fn whatever_decodes_survives_the_wire(
        bytes in prop::collection::vec(prop::sample::select(&b"dlei0123456789:mvreq-"[..]), 0..60)
    ) {
        if let Ok(handshake) = ExtensionHandshake::decode(&bytes) {
            prop_assert_eq!(ExtensionHandshake::decode(&handshake.encode()), Ok(handshake));
        }
    }

    #[test]
    fn a_damaged_handshake_never_panics(handshake in handshakes(), at: prop::sample::Index, byte: u8) {
        let mut bytes = handshake.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = ExtensionHandshake::decode(&bytes);
        let _ = ExtensionHandshake::decode(&bytes[..at]);
    }
}
