//! PROTOCOL.md tells others the limits that `limits.rs` enforces.

use samara_proto::limits;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A number with commas between its thousands.
fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().ok().expect("a limit is not negative").to_string();
    let groups: Vec<String> =
        digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    groups.join(",")
}

/// A size that is a whole number of `unit`s.
fn whole(bytes: usize, unit: usize) -> usize {
    assert_eq!(bytes % unit, 0, "{bytes} bytes are not a whole number of {unit}");
    bytes / unit
}

#[test]
fn the_table_of_limits_is_what_is_enforced() {
    use limits::*;
    let kib = |bytes| format!("{} KiB", whole(bytes, KIB));
    let mib = |bytes| format!("{} MiB", whole(bytes, MIB));
    let expected = [
        ("pieces in a torrent", grouped(PIECES)),
        ("bytes in a piece", grouped(PIECE_LENGTH)),
        ("files in a torrent", grouped(FILES)),
        ("info dictionary from peers", mib(INFO_BYTES)),
        (
            "bitfield",
            format!("exactly ⌈pieces / 8⌉ bytes; {} while the torrent is unknown", kib(PIECES as usize / 8)),
        ),
        (
            "request and piece",
            format!("{}, or as agreed, {} at most", kib(BLOCK_LENGTH as usize), mib(REQUEST_LENGTH as usize)),
        ),
        ("extended message, after its extension id", kib(EXTENSION_BYTES)),
        (
            "bencode in an extended message",
            format!("{EXTENSION_DEPTH} levels, {} values", grouped(EXTENSION_TOKENS)),
        ),
        (
            "extensions named in a handshake",
            format!("{EXTENSIONS}, names of up to {EXTENSION_NAME_BYTES} bytes; longer names are skipped"),
        ),
        (
            "message about single blocks",
            format!("4 bytes and ⌈blocks of the piece / 8⌉; {PARTS} pieces of one peer"),
        ),
        (
            "peer exchange message",
            format!(
                "{PEX_PEERS} records of {}, {PEX_PEERS} PeerIds of {PEER_ID_BYTES} bytes",
                kib(RECORD_BYTES)
            ),
        ),
        ("hashes message", format!("{HASHES_PER_REQUEST} hashes and {PROOF_HASHES} uncles")),
        ("message with an unknown id", kib(UNKNOWN_MESSAGE_BYTES as usize)),
        (
            "signed peer record",
            format!("{}, {RECORD_ADDRESSES} addresses of {ADDRESS_BYTES} bytes", kib(RECORD_BYTES)),
        ),
        (
            "tracker's answer",
            format!(
                "{}; {ANSWER_LIBP2P_PEERS} libp2p peers and {} others (the rest are dropped)",
                mib(TRACKER_ANSWER_BYTES),
                grouped(ANSWER_PEERS)
            ),
        ),
        ("magnet link", format!("{}, {LINK_PEERS} peers (the rest are dropped)", kib(MAGNET_BYTES))),
    ];
    let (_, section) =
        include_str!("../PROTOCOL.md").split_once("## 12. Limits").expect("the section is there");
    let found: Vec<&str> = section.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert_eq!(found, expected.map(|(what, most)| format!("| {what} | {most} |")));
}
