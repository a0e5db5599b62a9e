//! Announce and scrape over UDP (BEP 15), with the options of BEP 41. All numbers are big endian.
//!
//! A tracker answers nobody whose address it has not seen working: a client first asks for a
//! connection id, which only arrives if the client's address is its own, and shows it with every later
//! request.
//!
//! An announce of a peer that speaks libp2p alone has port 0, and at the end of its URL (BEP 41) the same
//! `lp2p=1` and `lp2p_rec` as over HTTP. A tracker that knows them answers with libp2p peers in place of
//! addresses; one that does not sees a URL it has no use for. Answers to everybody else stay as they are.

mod extension;
mod options;
mod request;
mod response;

#[cfg(test)]
mod tests;

pub use extension::{Libp2pAnswer, url_data};
pub use request::{Announce, Request, RequestError};
pub use response::{Announced, Family, Response, ResponseError};

/// What a connect request begins with, in place of a connection id.
pub const PROTOCOL_ID: u64 = 0x0417_2710_1980;

/// Longest answer a tracker sends, in bytes: fits a packet on every IPv6 path (1,280 bytes less
/// 48 of headers).
pub const RESPONSE_BYTES: usize = 1232;

/// Most IPv4 peers in an answer.
pub const PEERS_V4: usize = (RESPONSE_BYTES - 20) / 6;

/// Most IPv6 peers in an answer.
pub const PEERS_V6: usize = (RESPONSE_BYTES - 20) / 18;

/// Most info-hashes in one scrape: what BEP 15 says fits a packet.
pub const SCRAPE_HASHES: usize = 74;

/// Proof that a client receives what is sent to its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// Tells a client which of its requests an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransactionId(pub u32);

/// The numbers that say what a packet is.
mod action {
    pub(super) const CONNECT: u32 = 0;
    pub(super) const ANNOUNCE: u32 = 1;
    pub(super) const SCRAPE: u32 = 2;
    pub(super) const ERROR: u32 = 3;
}

/// Takes numbers off the front of a packet; `None` when it has ended.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(packet: &'a [u8]) -> Self {
        Self { rest: packet }
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }
}
