//! Peers that worked, kept from session to session, so that a swarm can come together again by itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libp2p::{Multiaddr, PeerId};
use samara_proto::bencode::{self, Limits};
use samara_proto::infohash::InfoHashes;
use samara_proto::limits::{ADDRESS_BYTES, RECORD_ADDRESSES};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::disk::write_whole;

/// Peers kept of one torrent: four times what a node links with.
const PEERS: usize = 200;
/// Seconds after which a peer that was not met again is forgotten: two weeks.
const AGE_SECS: u64 = 14 * 24 * 3600;
/// What a file of the most peers takes, with room for later versions' keys.
const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_depth: 4, max_tokens: 1 << 14 };
/// The present form of the file.
const VERSION: u32 = 1;

/// A peer that worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedPeer {
    /// Who.
    pub id: PeerId,
    /// Where it answered.
    pub addresses: Vec<Multiaddr>,
    /// When it was last linked, in seconds since 1970.
    pub seen_secs: u64,
}

/// Where the peers of a torrent are kept: under each of its names, because a link may carry only one.
pub fn files(state_dir: &Path, names: &InfoHashes) -> impl Iterator<Item = PathBuf> + use<> {
    let folder = state_dir.join("peers");
    names.wire().map(move |name| folder.join(name.to_string()))
}

/// Reads the peers kept at `path` that are not too old at `now_secs`. A file that is missing or damaged, or
/// of another version, holds none: it is a help and nothing more.
pub fn load(path: &Path, now_secs: u64) -> Vec<CachedPeer> {
    let mut bytes = Vec::new();
    let longest = LIMITS.max_bytes as u64 + 1;
    match fs::File::open(path).and_then(|file| file.take(longest).read_to_end(&mut bytes)) {
        Ok(_) => merged([decode(&bytes).unwrap_or_default()], now_secs),
        Err(_) => Vec::new(),
    }
}

/// Writes `peers` to `path`, and with them those kept there before; a crash leaves the old file or the new.
///
/// # Errors
/// If the file system refuses.
pub fn save(path: &Path, peers: Vec<CachedPeer>, now_secs: u64) -> io::Result<()> {
    // Two at once would take the new file from under each other, and one would forget what the other learnt.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    write_whole(path, &encode(&merged([peers, load(path, now_secs)], now_secs)))
}

/// Everybody once, as last seen, latest first; neither too old nor too many.
fn merged(lists: impl IntoIterator<Item = Vec<CachedPeer>>, now_secs: u64) -> Vec<CachedPeer> {
    let mut latest: BTreeMap<PeerId, CachedPeer> = BTreeMap::new();
    for mut peer in lists.into_iter().flatten() {
        // A clock that ran ahead must not keep a peer for ever.
        peer.seen_secs = peer.seen_secs.min(now_secs);
        let is_useful = now_secs - peer.seen_secs <= AGE_SECS && !peer.addresses.is_empty();
        if is_useful && latest.get(&peer.id).is_none_or(|known| known.seen_secs < peer.seen_secs) {
            latest.insert(peer.id, peer);
        }
    }
    let mut peers: Vec<CachedPeer> = latest.into_values().collect();
    peers.sort_by_key(|peer| std::cmp::Reverse(peer.seen_secs));
    peers.truncate(PEERS);
    peers
}

#[derive(Serialize, Deserialize)]
struct File {
    peers: Vec<Entry>,
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    addresses: Vec<ByteBuf>,
    id: ByteBuf,
    seen: u64,
}

fn encode(peers: &[CachedPeer]) -> Vec<u8> {
    let entry = |peer: &CachedPeer| Entry {
        addresses: peer.addresses.iter().map(|address| ByteBuf::from(address.to_vec())).collect(),
        id: peer.id.to_bytes().into(),
        seen: peer.seen_secs,
    };
    bencode::to_bytes(&File { peers: peers.iter().map(entry).collect(), version: VERSION })
}

fn decode(bytes: &[u8]) -> Option<Vec<CachedPeer>> {
    let file: File = bencode::from_bytes(bytes, LIMITS).ok()?;
    if file.version != VERSION {
        return None;
    }
    let peer = |entry: Entry| {
        let addresses = entry.addresses.into_iter().filter(|address| address.len() <= ADDRESS_BYTES);
        Some(CachedPeer {
            id: PeerId::from_bytes(&entry.id).ok()?,
            addresses: addresses
                .filter_map(|address| Multiaddr::try_from(address.into_vec()).ok())
                .take(RECORD_ADDRESSES)
                .collect(),
            seen_secs: entry.seen,
        })
    };
    Some(file.peers.into_iter().filter_map(peer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 2_000_000_000;

    fn peer(port: u16, seen_secs: u64) -> CachedPeer {
        let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address");
        CachedPeer { id: PeerId::random(), addresses: vec![address], seen_secs }
    }

    #[test]
    fn peers_outlive_the_session_with_those_kept_before() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("peers/name");
        let (first, second) = (peer(1, NOW - 5), peer(2, NOW));
        save(&path, vec![first.clone()], NOW).expect("saved");
        save(&path, vec![second.clone()], NOW).expect("saved");
        assert_eq!(load(&path, NOW), [second, first]);
    }

    #[test]
    fn those_who_save_at_once_lose_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("dht/nodes");
        std::thread::scope(|scope| {
            for port in 1..=8 {
                let path = &path;
                scope.spawn(move || save(path, vec![peer(port, NOW)], NOW).expect("saved"));
            }
        });
        assert_eq!(load(&path, NOW).len(), 8);
    }

    #[test]
    fn a_peer_met_again_is_kept_as_last_seen() {
        let old = peer(1, NOW - 100);
        let new = CachedPeer { seen_secs: NOW, ..old.clone() };
        assert_eq!(merged([vec![old.clone()], vec![new.clone()]], NOW), std::slice::from_ref(&new));
        assert_eq!(merged([vec![new.clone()], vec![old]], NOW), [new]);
    }

    #[test]
    fn the_old_and_the_too_many_are_forgotten() {
        let old = peer(1, NOW - AGE_SECS - 1);
        let edge = peer(2, NOW - AGE_SECS);
        assert_eq!(merged([vec![old, edge.clone()]], NOW), [edge]);
        let many: Vec<CachedPeer> = (0..300).map(|n| peer(n + 1, NOW - u64::from(n))).collect();
        let kept = merged([many.clone()], NOW);
        assert_eq!(kept, many[..PEERS]);
    }

    #[test]
    fn a_clock_that_ran_ahead_keeps_nobody_for_ever() {
        let ahead = peer(1, NOW + 1_000_000_000);
        assert_eq!(merged([vec![ahead]], NOW)[0].seen_secs, NOW);
    }

    #[test]
    fn a_damaged_file_holds_nobody() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("name");
        assert_eq!(load(&path, NOW), []);
        let whole = encode(&[peer(1, NOW)]);
        for bytes in [&b""[..], b"x", &whole[..whole.len() - 1], b"d5:peersle7:versioni2ee", &[b'l'; 2 << 20]]
        {
            fs::write(&path, bytes).expect("written");
            assert_eq!(load(&path, NOW), []);
        }
    }
}
