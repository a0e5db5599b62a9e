//! Announce and scrape over HTTP (BEP 3, 7, 21, 23, 31, 48) and the extension that carries libp2p peers.
//!
//! A client that speaks libp2p adds `lp2p=1` and its signed peer record (`lp2p_rec`, base64url) to the
//! query. The answer then has one more key, `libp2p`, which clients that do not know it skip:
//!
//! ```text
//! 6:libp2p d 1:b l <multiaddr>… e
//!            1:p l d 1:a l <multiaddr>… e 1:f i<flags>e 2:id <peer id> 1:r <signed record> e … e
//!            1:v i1e e
//! ```
//!
//! An announce with `lp2p=1` and no port (or port 0) is of a peer that speaks libp2p alone: it counts
//! in the swarm's figures, but is in no `peers` list. With a port it is in both.

mod query;
mod request;
mod response;
mod scrape;
mod url;

#[cfg(test)]
mod tests;

pub use query::QueryError;
pub use request::AnnounceRequest;
pub use response::{
    AnnounceResponse, AnswerError, Failure, Libp2pPeer, Libp2pPeers, PeerFlags, PeerFormat, RetryIn, TcpPeer,
};
pub use scrape::{ScrapeRequest, ScrapeResponse, Scraped};
pub use url::{announce_url, scrape_url};

pub(super) use query::{append, pairs};
pub(super) use request::decode_record;
pub(super) use response::{Libp2p, Libp2pEntry, count, libp2p_peers};

/// Longest query string read, in bytes: a scrape of 74 hashes and the largest announce both fit.
pub const QUERY_BYTES: usize = 8 * 1024;

/// Most info-hashes in one scrape: what fits a UDP packet, so that both protocols are alike.
pub const SCRAPE_HASHES: usize = 74;

/// Longest `key` kept of an announce, in bytes; clients send 8.
pub const KEY_BYTES: usize = 100;

/// Longest tracker id kept, in bytes: as long as a key, since trackers that use one at all put a number or a
/// hash there. A longer one counts as none: half of it would be another's.
pub const TRACKER_ID_BYTES: usize = 100;
