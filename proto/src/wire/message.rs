//! The messages two peers exchange once their handshakes are done (BEP 3, 6, 10, 52).

use crate::infohash::Sha256Hash;
use crate::layout::{BlockRef, PieceIndex};

/// The first byte of a message's body.
pub mod id {
    /// BEP 3.
    pub const CHOKE: u8 = 0;
    /// BEP 3.
    pub const UNCHOKE: u8 = 1;
    /// BEP 3.
    pub const INTERESTED: u8 = 2;
    /// BEP 3.
    pub const NOT_INTERESTED: u8 = 3;
    /// BEP 3.
    pub const HAVE: u8 = 4;
    /// BEP 3.
    pub const BITFIELD: u8 = 5;
    /// BEP 3.
    pub const REQUEST: u8 = 6;
    /// BEP 3.
    pub const PIECE: u8 = 7;
    /// BEP 3.
    pub const CANCEL: u8 = 8;
    /// BEP 5.
    pub const PORT: u8 = 9;
    /// BEP 6.
    pub const SUGGEST: u8 = 13;
    /// BEP 6.
    pub const HAVE_ALL: u8 = 14;
    /// BEP 6.
    pub const HAVE_NONE: u8 = 15;
    /// BEP 6.
    pub const REJECT: u8 = 16;
    /// BEP 6.
    pub const ALLOWED_FAST: u8 = 17;
    /// BEP 10.
    pub const EXTENDED: u8 = 20;
    /// BEP 52.
    pub const HASH_REQUEST: u8 = 21;
    /// BEP 52.
    pub const HASHES: u8 = 22;
    /// BEP 52.
    pub const HASH_REJECT: u8 = 23;
}

/// One message. Its numbers are the remote's word: that they fit the torrent is not promised here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Nothing, so that the link is not taken for dead (BEP 3).
    KeepAlive,
    /// The sender answers no requests until it says otherwise (BEP 3).
    Choke,
    /// The sender answers requests (BEP 3).
    Unchoke,
    /// The sender would request if it were unchoked (BEP 3).
    Interested,
    /// It would not (BEP 3).
    NotInterested,
    /// The sender verified a piece (BEP 3).
    Have(PieceIndex),
    /// The pieces the sender has, one bit each, first piece in the highest bit; first message or
    /// never (BEP 3).
    Bitfield(Vec<u8>),
    /// Asks for a block (BEP 3).
    Request(BlockRef),
    /// A block (BEP 3). Bulk transfers use [`PieceHeader`](super::codec::PieceHeader) and keep the
    /// bytes out of messages.
    Piece {
        /// The piece it lies in.
        piece: PieceIndex,
        /// Its first byte in that piece.
        begin: u32,
        /// Its bytes, at least one.
        data: Vec<u8>,
    },
    /// Takes a request back (BEP 3).
    Cancel(BlockRef),
    /// The UDP port of the sender's BEP 5 node; meaningless inside libp2p, and skipped.
    Port(u16),
    /// A piece that is cheap for the sender to give (BEP 6).
    Suggest(PieceIndex),
    /// In place of a full bitfield (BEP 6).
    HaveAll,
    /// In place of an empty bitfield (BEP 6).
    HaveNone,
    /// A request will not be answered (BEP 6).
    Reject(BlockRef),
    /// A piece that may be requested while choked (BEP 6).
    AllowedFast(PieceIndex),
    /// A message of an extension (BEP 10).
    Extended {
        /// 0 is the extension handshake; others as the receiver numbered them in its own.
        id: u8,
        /// What the extension says.
        payload: Vec<u8>,
    },
    /// Asks for hashes of a file's Merkle tree (BEP 52).
    HashRequest(HashRequest),
    /// The answer (BEP 52).
    Hashes {
        /// The request it answers, field by field.
        request: HashRequest,
        /// Hashes of the base layer, then uncles from the lowest to the highest.
        hashes: Vec<Sha256Hash>,
    },
    /// The hashes asked for will not come (BEP 52).
    HashReject(HashRequest),
    /// A message we do not know; its payload was skipped.
    Unknown {
        /// Its id.
        id: u8,
    },
}

/// Which hashes of which tree (BEP 52). The rules among its fields are for whoever answers to check,
/// so that a bad request can be rejected by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashRequest {
    /// The file, by the root of its tree.
    pub pieces_root: Sha256Hash,
    /// The layer asked for, counted from the leaves (0).
    pub base_layer: u32,
    /// The first hash in that layer; a multiple of `length`.
    pub index: u32,
    /// How many hashes of that layer; a power of two, at least 2.
    pub length: u32,
    /// How many layers above the base layer the proof shall climb.
    pub proof_layers: u32,
}
