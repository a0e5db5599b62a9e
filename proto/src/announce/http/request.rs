//! The announce as a client sends it: a query string.

use data_encoding::BASE64URL_NOPAD;

use super::query::{QueryError, append, decode, decode_20, decode_number, pairs};
use super::{KEY_BYTES, TRACKER_ID_BYTES};
use crate::announce::Event;
use crate::infohash::InfoHash;
use crate::limits::RECORD_BYTES;

/// What is sent as `left` while it is not known: some trackers insist on the key, and any large number makes
/// a downloader. More does not fit the integers of some.
const UNKNOWN_LEFT: u64 = i64::MAX as u64;

/// An announce (BEP 3). Addresses a client claims for itself (`ip`, `ipv4`, `ipv6`) are not read:
/// trusting them lets anybody enlist a victim (BEP 7 says so too).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// The swarm.
    pub info_hash: InfoHash,
    /// What the client calls itself in BitTorrent handshakes.
    pub peer_id: [u8; 20],
    /// The TCP port it listens on; 0 (also when the key is absent or empty) if it cannot be reached that way.
    pub port: u16,
    /// Content bytes given since `started`; 0 if the value is no number.
    pub uploaded: u64,
    /// Content bytes taken since `started`; 0 if the value is no number.
    pub downloaded: u64,
    /// Content bytes still missing; `None` if absent, no number or more than any torrent has (a client
    /// that does not know yet, as with a magnet link).
    pub left: Option<u64>,
    /// Why it announces; unknown events count as regular announces.
    pub event: Event,
    /// How many peers it asks for; `None` (also for -1) leaves that to the tracker.
    pub num_want: Option<u32>,
    /// It reads peers as 6 and 18 byte strings (BEP 23); false only if it says so.
    pub compact: bool,
    /// It does not need the peer ids in a list that is not compact.
    pub no_peer_id: bool,
    /// A secret that tells this client from others behind its address; not always text.
    pub key: Vec<u8>,
    /// What the tracker gave as its `tracker id` before, at most [`TRACKER_ID_BYTES`]; sent as `trackerid`.
    pub tracker_id: Option<Vec<u8>>,
    /// The client's signed libp2p peer record, unverified; neither read nor written unless it asks for
    /// libp2p peers.
    pub record: Option<Vec<u8>>,
    /// It asks for libp2p peers.
    pub wants_libp2p: bool,
}

impl AnnounceRequest {
    /// A regular announce of a client that has said nothing about itself yet.
    pub fn new(info_hash: InfoHash, peer_id: [u8; 20]) -> Self {
        Self {
            info_hash,
            peer_id,
            port: 0,
            uploaded: 0,
            downloaded: 0,
            left: None,
            event: Event::None,
            num_want: None,
            compact: true,
            no_peer_id: true,
            key: Vec::new(),
            tracker_id: None,
            record: None,
            wants_libp2p: false,
        }
    }

    /// Whether the peer is to be found over libp2p alone.
    pub fn is_libp2p_only(&self) -> bool {
        self.wants_libp2p && self.port == 0
    }

    /// Reads a query, without its `?`. Unknown keys are skipped; of a repeated key the first counts.
    ///
    /// # Errors
    ///
    /// When the info-hash or peer id is missing or not 20 bytes, the port is out of range, the record
    /// is no base64url, or one of them is longer than its limit.
    pub fn from_query(query: &[u8]) -> Result<Self, QueryError> {
        let mut raw = RawAnnounce::default();
        for (key, value) in pairs(query)? {
            if let Some(slot) = raw.slot(key) {
                slot.get_or_insert(value);
            }
        }
        raw.check()
    }

    /// Writes the query, without a `?`. Defaults are left out, except those that trackers insist on.
    pub fn to_query(&self) -> String {
        let mut query = String::with_capacity(256);
        append(&mut query, "info_hash", self.info_hash.as_bytes());
        append(&mut query, "peer_id", &self.peer_id);
        append_number(&mut query, "port", self.port.into());
        append_number(&mut query, "uploaded", self.uploaded);
        append_number(&mut query, "downloaded", self.downloaded);
        append_number(&mut query, "left", self.left.unwrap_or(UNKNOWN_LEFT));
        if let Some(event) = event_name(self.event) {
            append(&mut query, "event", event.as_bytes());
        }
        if let Some(num_want) = self.num_want {
            append_number(&mut query, "numwant", num_want.into());
        }
        append(&mut query, "compact", flag(self.compact));
        if self.no_peer_id {
            append(&mut query, "no_peer_id", flag(true));
        }
        if !self.key.is_empty() {
            append(&mut query, "key", &self.key);
        }
        if let Some(tracker_id) = &self.tracker_id {
            append(&mut query, "trackerid", tracker_id);
        }
        if self.wants_libp2p {
            append(&mut query, "lp2p", flag(true));
        }
        if let Some(record) = self.record.as_ref().filter(|_| self.wants_libp2p) {
            append(&mut query, "lp2p_rec", BASE64URL_NOPAD.encode(record).as_bytes());
        }
        query
    }
}

/// The values of the keys we know, as found.
#[derive(Default)]
struct RawAnnounce<'a> {
    info_hash: Option<&'a [u8]>,
    peer_id: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
    uploaded: Option<&'a [u8]>,
    downloaded: Option<&'a [u8]>,
    left: Option<&'a [u8]>,
    event: Option<&'a [u8]>,
    num_want: Option<&'a [u8]>,
    compact: Option<&'a [u8]>,
    no_peer_id: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    tracker_id: Option<&'a [u8]>,
    libp2p: Option<&'a [u8]>,
    record: Option<&'a [u8]>,
}

impl<'a> RawAnnounce<'a> {
    fn slot(&mut self, key: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        Some(match key {
            b"info_hash" => &mut self.info_hash,
            b"peer_id" => &mut self.peer_id,
            b"port" => &mut self.port,
            b"uploaded" => &mut self.uploaded,
            b"downloaded" => &mut self.downloaded,
            b"left" => &mut self.left,
            b"event" => &mut self.event,
            b"numwant" => &mut self.num_want,
            b"compact" => &mut self.compact,
            b"no_peer_id" => &mut self.no_peer_id,
            b"key" => &mut self.key,
            b"trackerid" => &mut self.tracker_id,
            b"lp2p" => &mut self.libp2p,
            b"lp2p_rec" => &mut self.record,
            _ => return None,
        })
    }

    fn check(self) -> Result<AnnounceRequest, QueryError> {
        let info_hash = self.info_hash.ok_or(QueryError::Missing("info_hash"))?;
        let peer_id = self.peer_id.ok_or(QueryError::Missing("peer_id"))?;
        let wants_libp2p = self.libp2p == Some(b"1");
        Ok(AnnounceRequest {
            info_hash: InfoHash(decode_20("info_hash", info_hash)?),
            peer_id: decode_20("peer_id", peer_id)?,
            port: self.port.filter(|port| !port.is_empty()).map_or(Ok(0), decode_port)?,
            uploaded: self.uploaded.and_then(decode_number).unwrap_or(0),
            downloaded: self.downloaded.and_then(decode_number).unwrap_or(0),
            left: self.left.and_then(decode_number).filter(|&left| left < UNKNOWN_LEFT),
            event: self.event.map_or(Event::None, event_of),
            num_want: self.num_want.and_then(decode_number).map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
            compact: self.compact != Some(b"0"),
            no_peer_id: self.no_peer_id == Some(b"1"),
            key: self.key.map(decode_key).unwrap_or_default(),
            tracker_id: self.tracker_id.and_then(decode_tracker_id),
            record: self.record.filter(|_| wants_libp2p).map(decode_record).transpose()?,
            wants_libp2p,
        })
    }
}

fn decode_port(value: &[u8]) -> Result<u16, QueryError> {
    decode_number(value).and_then(|port| u16::try_from(port).ok()).ok_or(QueryError::Port)
}

fn decode_key(value: &[u8]) -> Vec<u8> {
    let mut key = decode(value).into_owned();
    key.truncate(KEY_BYTES);
    key
}

fn decode_tracker_id(value: &[u8]) -> Option<Vec<u8>> {
    Some(decode(value).into_owned()).filter(|id| id.len() <= TRACKER_ID_BYTES)
}

/// The bytes of a signed record as a query carries them.
pub(in crate::announce) fn decode_record(value: &[u8]) -> Result<Vec<u8>, QueryError> {
    let text = decode(value);
    let unpadded = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(&text);
    match BASE64URL_NOPAD.decode(unpadded) {
        Ok(record) if record.len() <= RECORD_BYTES => Ok(record),
        _ => Err(QueryError::Record),
    }
}

fn event_of(value: &[u8]) -> Event {
    match value {
        b"started" => Event::Started,
        b"completed" => Event::Completed,
        b"stopped" => Event::Stopped,
        b"paused" => Event::Paused,
        _ => Event::None,
    }
}

fn event_name(event: Event) -> Option<&'static str> {
    match event {
        Event::None => None,
        Event::Started => Some("started"),
        Event::Completed => Some("completed"),
        Event::Stopped => Some("stopped"),
        Event::Paused => Some("paused"),
    }
}

fn append_number(query: &mut String, key: &str, value: u64) {
    append(query, key, value.to_string().as_bytes());
}

fn flag(is_set: bool) -> &'static [u8] {
    if is_set { b"1" } else { b"0" }
}
