//! Answers to bytes: keys sorted, as bencode demands.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use serde_bytes::{ByteBuf, Bytes};

use crate::bencode::to_bytes;

use super::{AnnounceResponse, Failure, Libp2pPeer, Libp2pPeers, PeerFormat, RetryIn, TcpPeer};

/// The `libp2p` dictionary's version.
const LIBP2P_VERSION: u64 = 1;

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    downloaded: Option<u32>,
    #[serde(rename = "external ip", skip_serializing_if = "Option::is_none")]
    external_ip: Option<ByteBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<u32>,
    interval: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    libp2p: Option<Libp2p<'a>>,
    #[serde(rename = "min interval", skip_serializing_if = "Option::is_none")]
    min_interval: Option<u32>,
    peers: Peers<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers6: Option<ByteBuf>,
    #[serde(rename = "tracker id", skip_serializing_if = "Option::is_none")]
    tracker_id: Option<&'a Bytes>,
    #[serde(rename = "warning message", skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Peers<'a> {
    Compact(ByteBuf),
    List(Vec<Peer<'a>>),
}

#[derive(Serialize)]
struct Peer<'a> {
    ip: String,
    #[serde(rename = "peer id", skip_serializing_if = "Option::is_none")]
    id: Option<&'a Bytes>,
    port: u16,
}

/// The value of `libp2p` as it is written.
#[derive(Serialize)]
pub(in crate::announce) struct Libp2p<'a> {
    b: Vec<&'a Bytes>,
    p: Vec<Libp2pEntry<'a>>,
    v: u64,
}

/// One of its peers as it is written.
#[derive(Serialize)]
pub(in crate::announce) struct Libp2pEntry<'a> {
    a: Vec<&'a Bytes>,
    f: u64,
    id: &'a Bytes,
    r: &'a Bytes,
}

#[derive(Serialize)]
struct Refusal<'a> {
    #[serde(rename = "failure reason")]
    reason: &'a str,
    #[serde(rename = "retry in", skip_serializing_if = "Option::is_none")]
    retry_in: Option<Retry>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Retry {
    Minutes(u32),
    Word(&'static str),
}

impl AnnounceResponse {
    /// The answer's bytes. `interval` and `peers` are always there: some clients insist.
    pub fn encode(&self, format: PeerFormat) -> Vec<u8> {
        let (peers, peers6) = match format {
            PeerFormat::Compact => {
                let (v4, v6) = compact(&self.peers);
                (Peers::Compact(ByteBuf::from(v4)), (!v6.is_empty()).then(|| ByteBuf::from(v6)))
            }
            PeerFormat::Dictionaries => (Peers::List(dictionaries(&self.peers, true)), None),
            PeerFormat::DictionariesWithoutIds => (Peers::List(dictionaries(&self.peers, false)), None),
        };
        let answer = Answer {
            complete: self.complete,
            downloaded: self.downloaded,
            external_ip: self.external_ip.map(|ip| ByteBuf::from(ip_bytes(ip))),
            incomplete: self.incomplete,
            interval: self.interval_secs,
            libp2p: self.libp2p.as_ref().map(Libp2p::from),
            min_interval: self.min_interval_secs,
            peers,
            peers6,
            tracker_id: self.tracker_id.as_deref().map(Bytes::new),
            warning: self.warning.as_deref(),
        };
        to_bytes(&answer)
    }
}

impl Failure {
    /// The answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let retry_in = self.retry_in.map(|retry| match retry {
            RetryIn::Minutes(minutes) => Retry::Minutes(minutes),
            RetryIn::Never => Retry::Word("never"),
        });
        to_bytes(&Refusal { reason: &self.reason, retry_in })
    }
}

fn ip_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// The peers as the strings of `peers` and `peers6`.
fn compact(peers: &[TcpPeer]) -> (Vec<u8>, Vec<u8>) {
    let mut v4 = Vec::with_capacity(6 * peers.len());
    let mut v6 = Vec::new();
    for peer in peers {
        match peer.address {
            SocketAddr::V4(address) => {
                v4.extend(address.ip().octets());
                v4.extend(address.port().to_be_bytes());
            }
            SocketAddr::V6(address) => {
                v6.extend(address.ip().octets());
                v6.extend(address.port().to_be_bytes());
            }
        }
    }
    (v4, v6)
}

fn dictionaries(peers: &[TcpPeer], with_ids: bool) -> Vec<Peer<'_>> {
    peers
        .iter()
        .map(|peer| Peer {
            ip: peer.address.ip().to_string(),
            id: peer.peer_id.as_ref().filter(|_| with_ids).map(|id| Bytes::new(id)),
            port: peer.address.port(),
        })
        .collect()
}

impl<'a> From<&'a Libp2pPeers> for Libp2p<'a> {
    fn from(libp2p: &'a Libp2pPeers) -> Self {
        Self {
            b: byte_strings(&libp2p.bootstrap),
            p: libp2p.peers.iter().map(Libp2pEntry::from).collect(),
            v: LIBP2P_VERSION,
        }
    }
}

impl<'a> From<&'a Libp2pPeer> for Libp2pEntry<'a> {
    fn from(peer: &'a Libp2pPeer) -> Self {
        Self {
            a: byte_strings(&peer.addresses),
            f: peer.flags.bits(),
            id: Bytes::new(&peer.id),
            r: Bytes::new(&peer.record),
        }
    }
}

fn byte_strings(strings: &[Vec<u8>]) -> Vec<&Bytes> {
    strings.iter().map(|string| Bytes::new(string)).collect()
}
