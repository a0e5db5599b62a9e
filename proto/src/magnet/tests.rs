//! Claims about magnet links.

use proptest::prelude::*;

use super::*;

const V1: &str = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
const V2: &str = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";

fn parse(link: &str) -> Result<Magnet, MagnetError> {
    link.parse()
}

fn v1() -> Sha1Hash {
    Sha1Hash::from_slice(&HEXLOWER.decode(V1.as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_link_may_name_either_hash_or_both() {
    assert_eq!(parse(&format!("magnet:?xt=urn:btih:{V1}")).unwrap().hashes, InfoHashes::V1(v1()));
    let v2 = parse(&format!("magnet:?xt=urn:btmh:1220{V2}")).unwrap().hashes;
    assert_eq!((v2.v1(), v2.v2().unwrap().to_string().as_str()), (None, V2));
    let both = parse(&format!("magnet:?xt=urn:btih:{V1}&xt=urn:btmh:1220{V2}")).unwrap().hashes;
    assert_eq!(both, InfoHashes::Hybrid(v1(), v2.v2().unwrap()));
    let counted = parse(&format!("magnet:?xt.1=urn:btih:{V1}&xt.2=urn:btmh:1220{V2}")).unwrap().hashes;
    assert_eq!(counted, both);
}

#[test]
fn base_32_and_upper_case_are_understood() {
    let base32 = BASE32.encode(v1().as_bytes());
    for hash in [base32.to_lowercase(), base32, V1.to_uppercase()] {
        assert_eq!(parse(&format!("MAGNET:?XT=URN:BTIH:{hash}")).unwrap().hashes, InfoHashes::V1(v1()));
    }
}

#[test]
fn every_parameter_is_read() {
    let link = format!(
        "magnet:?xt=urn:btih:{V1}&dn=a%20b+c%26d&xl=12&tr=http%3A%2F%2Ft%2Fa&tr.1=udp://t:1&tr=udp://t:1\
         &x.lp=%2Fip4%2F127.0.0.1%2Ftcp%2F1%2Fp2p%2Fx&so=0,2,4-8&x.pe=1.2.3.4:5&&novalue"
    );
    let magnet = parse(&link).unwrap();
    assert_eq!(magnet.name.as_deref(), Some("a b c&d"));
    assert_eq!(magnet.exact_length, Some(12));
    assert_eq!(magnet.trackers, ["http://t/a", "udp://t:1"]);
    assert_eq!(magnet.peers, ["/ip4/127.0.0.1/tcp/1/p2p/x"]);
    assert_eq!(magnet.select_only, Some(vec![0..=0, 2..=2, 4..=8]));
    assert_eq!(parse(&format!("magnet:?XT=urn:btih:{V1}&DN=a")).unwrap().name.as_deref(), Some("a"));
}

#[test]
fn what_is_no_link_to_one_torrent_is_refused() {
    use MagnetError::*;
    let refused = |link: &str| parse(link).unwrap_err();
    assert_eq!(refused(""), Scheme);
    assert_eq!(refused("magnet:ßß"), Scheme);
    assert_eq!(refused("http://x/?xt=urn:btih:"), Scheme);
    assert_eq!(refused("magnet:?"), NoHash);
    assert_eq!(refused("magnet:?xt=urn:sha1:AAAA"), NoHash);
    assert_eq!(refused("magnet:?xt=urn:btih:abcd"), Hash("btih"));
    assert_eq!(refused(&format!("magnet:?xt=urn:btmh:{V2}")), Hash("btmh"));
    let other = V1.replace('c', "d");
    assert_eq!(refused(&format!("magnet:?xt=urn:btih:{V1}&xt=urn:btih:{other}")), TwoTorrents);
    assert_eq!(refused(&format!("magnet:?{}", "x".repeat(limits::MAGNET_BYTES))), TooLong);
}

#[test]
fn a_selection_that_is_none_selects_nothing_away() {
    for selection in ["", "1,", "5-4", "a", "-", "+1", "99999999999"] {
        let magnet = parse(&format!("magnet:?xt=urn:btih:{V1}&so={selection}")).unwrap();
        assert_eq!(magnet.select_only, None, "{selection:?}");
    }
}

#[test]
fn lists_are_capped() {
    let peers: String = (0..100).map(|n| format!("&x.lp=/memory/{n}")).collect();
    assert_eq!(parse(&format!("magnet:?xt=urn:btih:{V1}{peers}")).unwrap().peers.len(), limits::LINK_PEERS);
}

fn magnets() -> impl Strategy<Value = Magnet> {
    let hashes = prop_oneof![
        any::<[u8; 20]>().prop_map(|v1| InfoHashes::V1(Sha1Hash(v1))),
        any::<[u8; 32]>().prop_map(|v2| InfoHashes::V2(Sha256Hash(v2))),
        any::<([u8; 20], [u8; 32])>().prop_map(|(v1, v2)| InfoHashes::Hybrid(Sha1Hash(v1), Sha256Hash(v2))),
    ];
    let urls = || prop::collection::btree_set("\\PC{1,30}", 0..4).prop_map(|urls| urls.into_iter().collect());
    let ranges = prop::collection::vec((any::<u32>(), any::<u32>()), 1..4)
        .prop_map(|pairs| pairs.into_iter().map(|(a, b)| a.min(b)..=a.max(b)).collect());
    let name = prop::option::of("\\PC{1,30}");
    (hashes, name, any::<Option<u64>>(), urls(), urls(), prop::option::of(ranges)).prop_map(
        |(hashes, name, exact_length, trackers, peers, select_only)| Magnet {
            hashes,
            name,
            exact_length,
            trackers,
            peers,
            select_only,
        },
    )
}

proptest! {
    #[test]
    fn links_round_trip(magnet in magnets()) {
        prop_assert_eq!(parse(&magnet.to_string()), Ok(magnet));
    }

    #[test]
    fn any_text_is_a_link_or_an_error(text in "magnet:\\?(xt=urn:bt[im]h:|&|=|so=|[a-z0-9.%-]|\\PC){0,20}") {
        let _ = parse(&text);
    }
}
