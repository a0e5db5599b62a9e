//! BitTorrent's nouns, their arithmetic and their bytes on the wire.
//!
//! Nothing here reads a clock, draws a random number, touches a file or a socket, or waits: every
//! function is a value of its arguments. Everything that comes from outside is parsed into types
//! that cannot be wrong.

pub mod announce;
pub mod bencode;
pub mod bitfield;
pub mod dht;
pub mod infohash;
pub mod layout;
pub mod limits;
pub mod magnet;
pub mod merkle;
pub mod metainfo;
pub mod moment;
#[cfg(feature = "record")]
pub mod record;
pub mod wire;
