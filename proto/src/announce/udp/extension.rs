//! What Samara's peers and trackers add to BEP 15: a signed record in the request, libp2p peers in the answer.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use super::{Announce, RESPONSE_BYTES};
use crate::announce::http::{
    Libp2p, Libp2pEntry, Libp2pPeers, QueryError, announce_url, append, count, decode_record, libp2p_peers,
    pairs,
};
use crate::bencode::{self, Limits, to_bytes};

/// Bytes of an answer that ways into the DHT may take: a few of them do, and the rest is for peers.
const BOOTSTRAP_BYTES: usize = 256;

/// What follows the head of an answer to a peer that asked for libp2p peers: a bencoded dictionary with the
/// keys of an answer over HTTP, as far as the head does not say it already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Libp2pAnswer {
    /// Seconds before which the client must not announce again, whatever happens.
    pub min_interval_secs: Option<u32>,
    /// Peers of this swarm.
    pub libp2p: Libp2pPeers,
}

#[derive(Serialize)]
struct Answer<'a> {
    libp2p: Libp2p<'a>,
    #[serde(rename = "min interval", skip_serializing_if = "Option::is_none")]
    min_interval: Option<u32>,
}

impl Libp2pAnswer {
    /// Reads what follows the head. `None` unless it is one dictionary with the key `libp2p` and nothing
    /// after it: then the tracker does not know libp2p peers, and these are addresses.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let scan = bencode::scan(bytes, Limits::TRACKER_ANSWER).ok()?;
        let dict = scan.root();
        let libp2p = dict.get("libp2p").filter(|value| value.as_dict().is_some())?;
        Some(Self { min_interval_secs: count(dict, "min interval"), libp2p: libp2p_peers(libp2p) })
    }

    /// Appends it to the head of an answer, with as many peers as fit, those that come first before others.
    pub(super) fn append(&self, packet: &mut Vec<u8>) {
        let mut bootstrap_room = BOOTSTRAP_BYTES;
        let bootstrap =
            self.libp2p.bootstrap.iter().filter(|address| take(&mut bootstrap_room, address.len()));
        let mut told = Libp2pPeers { bootstrap: bootstrap.cloned().collect(), peers: Vec::new() };
        let written = |told: &Libp2pPeers| {
            to_bytes(&Answer { libp2p: told.into(), min_interval: self.min_interval_secs })
        };
        let mut room = RESPONSE_BYTES.saturating_sub(packet.len() + written(&told).len());
        let peers = &self.libp2p.peers;
        // In a list of bencode every entry adds its own length and nothing else.
        let fits = peers.iter().filter(|peer| take(&mut room, to_bytes(&Libp2pEntry::from(*peer)).len()));
        told.peers = fits.cloned().collect();
        packet.extend(written(&told));
    }
}

/// Takes `length` from `room`, if there is that much.
fn take(room: &mut usize, length: usize) -> bool {
    let left = room.checked_sub(length);
    *room = left.unwrap_or(*room);
    left.is_some()
}

/// Path and query of an announce URL for the options of an announce (BEP 41), with the record of a peer that
/// asks for libp2p peers.
pub fn url_data(path_and_query: &str, record: &[u8]) -> Vec<u8> {
    let mut query = String::with_capacity(32 + 2 * record.len());
    append(&mut query, "lp2p", b"1");
    append(&mut query, "lp2p_rec", BASE64URL_NOPAD.encode(record).as_bytes());
    announce_url(path_and_query, &query).into_bytes()
}

impl Announce {
    /// The signed record, unverified, of a peer that asks for libp2p peers; `None` if this one does not, and
    /// is to be answered as ever. A port is reason enough: clients that listen for BitTorrent can read nothing
    /// but BEP 15's answer, whatever the URL they were given says.
    ///
    /// # Errors
    ///
    /// When it asks without a record, or with something that is none: whoever wants to be told much must send
    /// much, so that nothing is gained by sending in somebody else's name.
    pub fn libp2p_record(&self) -> Result<Option<Vec<u8>>, QueryError> {
        let query = self.url_data.iter().position(|&byte| byte == b'?').map(|at| &self.url_data[at + 1..]);
        let Some(query) = query.filter(|_| self.port == 0) else { return Ok(None) };
        // A query of that length is no peer's.
        let Ok(pairs) = pairs(query) else { return Ok(None) };
        let (mut is_asking, mut record) = (None, None);
        for (key, value) in pairs {
            match key {
                b"lp2p" => _ = is_asking.get_or_insert(value == b"1"),
                b"lp2p_rec" => _ = record.get_or_insert(value),
                _ => {}
            }
        }
        if is_asking != Some(true) {
            return Ok(None);
        }
        decode_record(record.ok_or(QueryError::Missing("lp2p_rec"))?).map(Some)
    }
}
