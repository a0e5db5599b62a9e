//! Answers from bytes. Trackers are sloppy and may be hostile: fields of the wrong type count as
//! absent where the answer makes sense without them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_bencode::value::Value;

use crate::announce::text;

use super::{AnnounceResponse, AnswerError, Failure, Libp2pPeer, Libp2pPeers, PeerFlags, RetryIn, TcpPeer};

/// The interval of an answer that names none, in seconds: what most trackers ask for.
const DEFAULT_INTERVAL_SECS: u32 = 1800;

/// Most addresses kept of a libp2p peer, and longest one in bytes.
const ADDRESSES: usize = 8;
const ADDRESS_BYTES: usize = 256;

/// Longest peer id kept, in bytes: an inlined public key of any type libp2p uses is shorter.
const PEER_ID_BYTES: usize = 64;

/// Most bootstrap addresses kept.
const BOOTSTRAP: usize = 32;

type Dict = HashMap<Vec<u8>, Value>;

impl AnnounceResponse {
    /// Reads an answer. Peers without a usable address (port 0, no IP) are skipped.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Refused`] when the tracker said no; otherwise when the bytes are not one
    /// dictionary within the limits, or a peer list is malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, AnswerError> {
        let dict = answer_dict(bytes)?;
        let mut peers = tcp_peers(&dict)?;
        if let Some(Value::Bytes(list)) = dict.get(b"peers6".as_slice()) {
            append_v6(list, &mut peers)?;
        }
        Ok(Self {
            interval_secs: count(&dict, "interval").unwrap_or(DEFAULT_INTERVAL_SECS),
            min_interval_secs: count(&dict, "min interval"),
            complete: count(&dict, "complete"),
            incomplete: count(&dict, "incomplete"),
            downloaded: count(&dict, "downloaded"),
            external_ip: bytes_of(&dict, "external ip").and_then(ip_of),
            warning: bytes_of(&dict, "warning message").map(text),
            tracker_id: bytes_of(&dict, "tracker id").map(<[u8]>::to_vec),
            peers,
            libp2p: match dict.get(b"libp2p".as_slice()) {
                Some(Value::Dict(libp2p)) => Some(libp2p_peers(libp2p)),
                _ => None,
            },
        })
    }
}

/// The dictionary of an answer that is no failure.
pub(in crate::announce::http) fn answer_dict(bytes: &[u8]) -> Result<Dict, AnswerError> {
    let Value::Dict(dict) = crate::announce::http::bencode_value(bytes)? else {
        return Err(AnswerError::Bencode("it is something else".to_owned()));
    };
    match bytes_of(&dict, "failure reason") {
        Some(reason) => Err(Failure { reason: text(reason), retry_in: retry_in(&dict) }.into()),
        None => Ok(dict),
    }
}

fn retry_in(dict: &Dict) -> Option<RetryIn> {
    match dict.get(b"retry in".as_slice())? {
        Value::Int(minutes) => Some(RetryIn::Minutes(saturate(*minutes)?)),
        Value::Bytes(word) if word == b"never" => Some(RetryIn::Never),
        // BEP 31's own example sends the number as a string.
        Value::Bytes(digits) => std::str::from_utf8(digits).ok()?.parse().ok().map(RetryIn::Minutes),
        _ => None,
    }
}

fn tcp_peers(dict: &Dict) -> Result<Vec<TcpPeer>, AnswerError> {
    let mut peers = Vec::new();
    match dict.get(b"peers".as_slice()) {
        None => {}
        Some(Value::Bytes(list)) => append_v4(list, &mut peers)?,
        Some(Value::List(list)) => peers.extend(list.iter().filter_map(peer_of)),
        Some(_) => return Err(AnswerError::Field("peers")),
    }
    Ok(peers)
}

fn append_v4(list: &[u8], peers: &mut Vec<TcpPeer>) -> Result<(), AnswerError> {
    let (entries, rest) = list.as_chunks::<6>();
    if !rest.is_empty() {
        return Err(AnswerError::Field("peers"));
    }
    peers.extend(entries.iter().filter_map(|&[a, b, c, d, high, low]| {
        usable(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]), None)
    }));
    Ok(())
}

fn append_v6(list: &[u8], peers: &mut Vec<TcpPeer>) -> Result<(), AnswerError> {
    let (entries, rest) = list.as_chunks::<18>();
    if !rest.is_empty() {
        return Err(AnswerError::Field("peers6"));
    }
    peers.extend(entries.iter().filter_map(|entry| {
        let (ip, port) = entry.split_first_chunk::<16>()?;
        usable(Ipv6Addr::from(*ip).into(), u16::from_be_bytes(port.try_into().ok()?), None)
    }));
    Ok(())
}

fn peer_of(entry: &Value) -> Option<TcpPeer> {
    let Value::Dict(dict) = entry else { return None };
    let ip = std::str::from_utf8(bytes_of(dict, "ip")?).ok()?.parse().ok()?;
    let Some(Value::Int(port)) = dict.get(b"port".as_slice()) else { return None };
    let peer_id = bytes_of(dict, "peer id").and_then(|id| id.try_into().ok());
    usable(ip, u16::try_from(*port).ok()?, peer_id)
}

fn usable(ip: IpAddr, port: u16, peer_id: Option<[u8; 20]>) -> Option<TcpPeer> {
    let address = SocketAddr::new(ip, port);
    (port != 0 && !ip.is_unspecified()).then_some(TcpPeer { address, peer_id })
}

fn libp2p_peers(dict: &Dict) -> Libp2pPeers {
    Libp2pPeers {
        bootstrap: addresses(dict, "b", BOOTSTRAP),
        peers: match dict.get(b"p".as_slice()) {
            Some(Value::List(list)) => list.iter().filter_map(libp2p_peer).collect(),
            _ => Vec::new(),
        },
    }
}

fn libp2p_peer(entry: &Value) -> Option<Libp2pPeer> {
    let Value::Dict(dict) = entry else { return None };
    let id = bytes_of(dict, "id").filter(|id| (1..=PEER_ID_BYTES).contains(&id.len()))?;
    let record = bytes_of(dict, "r").filter(|record| record.len() <= super::super::RECORD_BYTES);
    let flags = match dict.get(b"f".as_slice()) {
        Some(Value::Int(bits)) => PeerFlags::from_bits(u64::try_from(*bits).unwrap_or(0)),
        _ => PeerFlags::default(),
    };
    Some(Libp2pPeer {
        addresses: addresses(dict, "a", ADDRESSES),
        flags,
        id: id.to_vec(),
        record: record.unwrap_or_default().to_vec(),
    })
}

fn addresses(dict: &Dict, key: &str, limit: usize) -> Vec<Vec<u8>> {
    let Some(Value::List(list)) = dict.get(key.as_bytes()) else { return Vec::new() };
    list.iter()
        .filter_map(|entry| match entry {
            Value::Bytes(address) if address.len() <= ADDRESS_BYTES => Some(address.clone()),
            _ => None,
        })
        .take(limit)
        .collect()
}

pub(in crate::announce::http) fn bytes_of<'a>(dict: &'a Dict, key: &str) -> Option<&'a [u8]> {
    match dict.get(key.as_bytes()) {
        Some(Value::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}

/// A count or a number of seconds; negative ones count as absent.
pub(in crate::announce::http) fn count(dict: &Dict, key: &str) -> Option<u32> {
    match dict.get(key.as_bytes()) {
        Some(Value::Int(number)) => saturate(*number),
        _ => None,
    }
}

fn saturate(number: i64) -> Option<u32> {
    (number >= 0).then(|| u32::try_from(number).unwrap_or(u32::MAX))
}

fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
