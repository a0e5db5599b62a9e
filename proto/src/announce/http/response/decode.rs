//! Answers from bytes. Trackers are sloppy and may be hostile: fields of the wrong type count as
//! absent where the answer makes sense without them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::announce::http::TRACKER_ID_BYTES;
use crate::announce::text;
use crate::bencode::{self, Limits, Scan, Value};
use crate::limits::{ADDRESS_BYTES, ANSWER_LIBP2P_PEERS, ANSWER_PEERS, RECORD_ADDRESSES, RECORD_BYTES};

use super::{AnnounceResponse, AnswerError, Failure, Libp2pPeer, Libp2pPeers, PeerFlags, RetryIn, TcpPeer};

/// The interval of an answer that names none, in seconds: what most trackers ask for.
const DEFAULT_INTERVAL_SECS: u32 = 1800;

/// Longest peer id kept, in bytes: an inlined public key of any type libp2p uses is shorter.
const PEER_ID_BYTES: usize = 64;

/// Most bootstrap addresses kept.
const BOOTSTRAP: usize = 32;

impl AnnounceResponse {
    /// Reads an answer. Peers without a usable address (port 0, no IP) are skipped, those beyond the caps
    /// of [`limits`](crate::limits) are dropped.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Refused`] when the tracker said no; otherwise when the bytes do not start with
    /// a dictionary within the limits, or a peer list is malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, AnswerError> {
        let scan = scan_answer(bytes)?;
        let dict = scan.root();
        let mut peers = tcp_peers(dict)?;
        if let Some(list) = bytes_of(dict, "peers6") {
            append_v6(list, &mut peers)?;
        }
        let tracker_id = bytes_of(dict, "tracker id").filter(|id| id.len() <= TRACKER_ID_BYTES);
        Ok(Self {
            interval_secs: count(dict, "interval").unwrap_or(DEFAULT_INTERVAL_SECS),
            min_interval_secs: count(dict, "min interval"),
            complete: count(dict, "complete"),
            incomplete: count(dict, "incomplete"),
            downloaded: count(dict, "downloaded"),
            external_ip: bytes_of(dict, "external ip").and_then(ip_of),
            warning: bytes_of(dict, "warning message").map(text),
            tracker_id: tracker_id.map(<[u8]>::to_vec),
            peers,
            libp2p: dict.get("libp2p").filter(|value| value.as_dict().is_some()).map(libp2p_peers),
        })
    }
}

/// The parts of an answer that is a dictionary and no failure; what follows it, mostly a newline, is skipped.
pub(in crate::announce::http) fn scan_answer(bytes: &[u8]) -> Result<Scan<'_>, AnswerError> {
    let scan = bencode::scan_prefix(bytes, Limits::TRACKER_ANSWER)?;
    let dict = scan.root();
    if dict.as_dict().is_none() {
        return Err(AnswerError::NoDictionary);
    }
    if let Some(reason) = bytes_of(dict, "failure reason") {
        return Err(Failure { reason: text(reason), retry_in: retry_in(dict) }.into());
    }
    Ok(scan)
}

fn retry_in(dict: Value<'_>) -> Option<RetryIn> {
    let value = dict.get("retry in")?;
    if value.as_bytes() == Some(b"never") {
        return Some(RetryIn::Never);
    }
    // BEP 31's own example sends the number as a string.
    let as_text = || value.as_str()?.parse().ok();
    value.as_int().and_then(saturate).or_else(as_text).map(RetryIn::Minutes)
}

fn tcp_peers(dict: Value<'_>) -> Result<Vec<TcpPeer>, AnswerError> {
    let mut peers = Vec::new();
    if let Some(value) = dict.get("peers") {
        match (value.as_bytes(), value.as_list()) {
            (Some(list), _) => append_v4(list, &mut peers)?,
            (None, Some(list)) => keep(list.filter_map(peer_of), &mut peers),
            (None, None) => return Err(AnswerError::Field("peers")),
        }
    }
    Ok(peers)
}

fn append_v4(list: &[u8], peers: &mut Vec<TcpPeer>) -> Result<(), AnswerError> {
    let (entries, rest) = list.as_chunks::<6>();
    if !rest.is_empty() {
        return Err(AnswerError::Field("peers"));
    }
    let found = entries.iter().filter_map(|&[a, b, c, d, high, low]| {
        usable(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]), None)
    });
    keep(found, peers);
    Ok(())
}

fn append_v6(list: &[u8], peers: &mut Vec<TcpPeer>) -> Result<(), AnswerError> {
    let (entries, rest) = list.as_chunks::<18>();
    if !rest.is_empty() {
        return Err(AnswerError::Field("peers6"));
    }
    let found = entries.iter().filter_map(|entry| {
        let (ip, port) = entry.split_first_chunk::<16>()?;
        usable(Ipv6Addr::from(*ip).into(), u16::from_be_bytes(port.try_into().ok()?), None)
    });
    keep(found, peers);
    Ok(())
}

/// Appends as many as the cap allows.
fn keep(found: impl Iterator<Item = TcpPeer>, peers: &mut Vec<TcpPeer>) {
    peers.extend(found.take(ANSWER_PEERS - peers.len()));
}

fn peer_of(entry: Value<'_>) -> Option<TcpPeer> {
    let ip = entry.get("ip")?.as_str()?.parse().ok()?;
    let port = u16::try_from(entry.get("port")?.as_int()?).ok()?;
    usable(ip, port, bytes_of(entry, "peer id").and_then(|id| id.try_into().ok()))
}

fn usable(ip: IpAddr, port: u16, peer_id: Option<[u8; 20]>) -> Option<TcpPeer> {
    let address = SocketAddr::new(ip, port);
    (port != 0 && !ip.is_unspecified()).then_some(TcpPeer { address, peer_id })
}

/// Reads the value of `libp2p`; entries of no use are skipped.
pub(in crate::announce) fn libp2p_peers(dict: Value<'_>) -> Libp2pPeers {
    let listed = dict.get("p").and_then(|value| value.as_list()).into_iter().flatten();
    let peers = listed.filter_map(libp2p_peer).take(ANSWER_LIBP2P_PEERS).collect();
    Libp2pPeers { bootstrap: addresses(dict, "b", BOOTSTRAP), peers }
}

fn libp2p_peer(entry: Value<'_>) -> Option<Libp2pPeer> {
    let id = bytes_of(entry, "id").filter(|id| (1..=PEER_ID_BYTES).contains(&id.len()))?;
    let record = bytes_of(entry, "r").filter(|record| record.len() <= RECORD_BYTES);
    let flags = entry.get("f").and_then(|value| u64::try_from(value.as_int()?).ok());
    Some(Libp2pPeer {
        addresses: addresses(entry, "a", RECORD_ADDRESSES),
        flags: flags.map(PeerFlags::from_bits).unwrap_or_default(),
        id: id.to_vec(),
        record: record.unwrap_or_default().to_vec(),
    })
}

fn addresses(dict: Value<'_>, key: &str, limit: usize) -> Vec<Vec<u8>> {
    let Some(list) = dict.get(key).and_then(|value| value.as_list()) else { return Vec::new() };
    let addresses = list.filter_map(|entry| entry.as_bytes()).filter(|bytes| bytes.len() <= ADDRESS_BYTES);
    addresses.take(limit).map(<[u8]>::to_vec).collect()
}

fn bytes_of<'a>(dict: Value<'a>, key: &str) -> Option<&'a [u8]> {
    dict.get(key)?.as_bytes()
}

/// A count or a number of seconds; negative ones count as absent.
pub(in crate::announce) fn count(dict: Value<'_>, key: &str) -> Option<u32> {
    saturate(dict.get(key)?.as_int()?)
}

fn saturate(number: i64) -> Option<u32> {
    (number >= 0).then(|| u32::try_from(number).unwrap_or(u32::MAX))
}

fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
