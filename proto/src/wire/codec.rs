//! Between messages and their bytes: a four-byte length, an id, a payload (BEP 3).
//!
//! A reader takes three steps and can refuse at each of them: [`frame_length`] after four bytes,
//! [`check_head`] after five, both before it allocates, and [`Message::decode`] once the body is
//! there. Blocks take the short cut of [`PieceHeader`], so that their bytes go from the stream to
//! their own buffer.

use std::ops::RangeInclusive;

use thiserror::Error;

use super::message::{HashRequest, Message, id};
use crate::infohash::Sha256Hash;
use crate::layout::{BlockRef, PieceIndex};
use crate::limits::{EXTENSION_BYTES, HASHES_PER_REQUEST, PIECES, PROOF_HASHES, UNKNOWN_MESSAGE_BYTES};

/// Bytes of a message's length prefix.
pub const LENGTH_PREFIX: usize = 4;

/// Payload bytes of a hash request and a hash reject.
const HASH_REQUEST_BYTES: usize = 48;

/// How long the messages of one link may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Bytes of a bitfield: exactly so many, or, as long as the torrent is not known, none but the cap.
    pub bitfield_bytes: Option<u32>,
    /// Most bytes of content in a piece message; 0 refuses every such message.
    pub block_bytes: u32,
    /// Most bytes of an extended message's payload, its own id not counted.
    pub extended_bytes: u32,
    /// Most hashes in a hashes message, uncles included.
    pub hashes: u32,
}

impl FrameLimits {
    /// For a torrent of so many pieces from which we ask at most `request_length` bytes at once.
    pub fn for_torrent(piece_count: u32, request_length: u32) -> Self {
        Self {
            bitfield_bytes: Some(piece_count.div_ceil(8)),
            block_bytes: request_length,
            ..Self::before_metainfo()
        }
    }

    /// For a torrent of which only the name is known: nothing was requested, so no block may come.
    pub fn before_metainfo() -> Self {
        Self {
            bitfield_bytes: None,
            block_bytes: 0,
            extended_bytes: EXTENSION_BYTES as u32,
            hashes: HASHES_PER_REQUEST + PROOF_HASHES,
        }
    }

    /// The payload lengths a message of this id may have, the id itself not counted.
    fn payload(&self, id: u8) -> RangeInclusive<u32> {
        const HASH_REQUEST: u32 = HASH_REQUEST_BYTES as u32;
        match id {
            id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED | id::HAVE_ALL | id::HAVE_NONE => {
                0..=0
            }
            id::HAVE | id::SUGGEST | id::ALLOWED_FAST => 4..=4,
            id::BITFIELD => match self.bitfield_bytes {
                Some(bytes) => bytes..=bytes,
                None => 0..=PIECES.div_ceil(8),
            },
            id::REQUEST | id::CANCEL | id::REJECT => 12..=12,
            id::PIECE => 9..=self.block_bytes.saturating_add(8),
            id::PORT => 2..=2,
            id::EXTENDED => 1..=self.extended_bytes.saturating_add(1),
            id::HASH_REQUEST | id::HASH_REJECT => HASH_REQUEST..=HASH_REQUEST,
            id::HASHES => HASH_REQUEST..=self.hashes.saturating_mul(32).saturating_add(HASH_REQUEST),
            _ => 0..=UNKNOWN_MESSAGE_BYTES,
        }
    }

    /// The longest body any message may have, its id counted.
    fn longest_body(&self) -> u32 {
        [id::BITFIELD, id::PIECE, id::EXTENDED, id::HASHES, u8::MAX]
            .into_iter()
            .map(|id| *self.payload(id).end())
            .max()
            .unwrap_or(0)
            .saturating_add(1)
    }
}

/// Why bytes are not a message we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// No message of this link may be so long.
    #[error("a message of {length} bytes, where {longest} is the most")]
    TooLong {
        /// What its prefix says.
        length: u32,
        /// The most any message may have.
        longest: u32,
    },
    /// A message of this kind cannot have this length.
    #[error("a message of kind {id} cannot have {length} bytes")]
    WrongLength {
        /// Its kind.
        id: u8,
        /// The length of its body, id included.
        length: u32,
    },
    /// A message without even an id where one was promised.
    #[error("an empty message where one with an id was due")]
    Empty,
}

/// The length of the body that follows `prefix`; 0 is a keep-alive.
///
/// # Errors
/// If no message of this link may be so long.
pub fn frame_length(prefix: [u8; LENGTH_PREFIX], limits: &FrameLimits) -> Result<u32, CodecError> {
    let length = u32::from_be_bytes(prefix);
    let longest = limits.longest_body();
    if length > longest { Err(CodecError::TooLong { length, longest }) } else { Ok(length) }
}

/// Whether a message of this id may have a body of `length` bytes, id included.
///
/// # Errors
/// If it may not, or if `length` is 0.
pub fn check_head(length: u32, id: u8, limits: &FrameLimits) -> Result<(), CodecError> {
    let payload = length.checked_sub(1).ok_or(CodecError::Empty)?;
    if limits.payload(id).contains(&payload) { Ok(()) } else { Err(CodecError::WrongLength { id, length }) }
}

impl Message {
    /// Reads a message from its body: nothing for a keep-alive, else its id and payload.
    ///
    /// # Errors
    /// If a message of that id cannot have this length.
    pub fn decode(body: &[u8], limits: &FrameLimits) -> Result<Self, CodecError> {
        let Some((&id, payload)) = body.split_first() else { return Ok(Self::KeepAlive) };
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        check_head(length, id, limits)?;
        decode_payload(id, payload).ok_or(CodecError::WrongLength { id, length })
    }

    /// Appends the message as it is sent, length prefix included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH_PREFIX]);
        self.encode_body(out);
        // Every payload is a Vec in memory that the limits keep far below 4 GiB.
        let length = (out.len() - start - LENGTH_PREFIX) as u32;
        out[start..start + LENGTH_PREFIX].copy_from_slice(&length.to_be_bytes());
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::KeepAlive => {}
            Self::Choke => out.push(id::CHOKE),
            Self::Unchoke => out.push(id::UNCHOKE),
            Self::Interested => out.push(id::INTERESTED),
            Self::NotInterested => out.push(id::NOT_INTERESTED),
            Self::Have(piece) => put_piece(out, id::HAVE, *piece),
            Self::Bitfield(bits) => {
                out.push(id::BITFIELD);
                out.extend_from_slice(bits);
            }
            Self::Request(block) => put_block(out, id::REQUEST, *block),
            Self::Piece { piece, begin, data } => {
                out.push(id::PIECE);
                out.extend_from_slice(&piece.0.to_be_bytes());
                out.extend_from_slice(&begin.to_be_bytes());
                out.extend_from_slice(data);
            }
            Self::Cancel(block) => put_block(out, id::CANCEL, *block),
            Self::Port(port) => {
                out.push(id::PORT);
                out.extend_from_slice(&port.to_be_bytes());
            }
            Self::Suggest(piece) => put_piece(out, id::SUGGEST, *piece),
            Self::HaveAll => out.push(id::HAVE_ALL),
            Self::HaveNone => out.push(id::HAVE_NONE),
            Self::Reject(block) => put_block(out, id::REJECT, *block),
            Self::AllowedFast(piece) => put_piece(out, id::ALLOWED_FAST, *piece),
            Self::Extended { id, payload } => {
                out.extend_from_slice(&[id::EXTENDED, *id]);
                out.extend_from_slice(payload);
            }
            Self::HashRequest(request) => put_hash_request(out, id::HASH_REQUEST, request),
            Self::Hashes { request, hashes } => {
                put_hash_request(out, id::HASHES, request);
                for hash in hashes {
                    out.extend_from_slice(hash.as_bytes());
                }
            }
            Self::HashReject(request) => put_hash_request(out, id::HASH_REJECT, request),
            Self::Unknown { id } => out.push(*id),
        }
    }
}

fn decode_payload(id: u8, mut payload: &[u8]) -> Option<Message> {
    let bytes = &mut payload;
    let message = match id {
        id::CHOKE => Message::Choke,
        id::UNCHOKE => Message::Unchoke,
        id::INTERESTED => Message::Interested,
        id::NOT_INTERESTED => Message::NotInterested,
        id::HAVE => Message::Have(PieceIndex(take_u32(bytes)?)),
        id::BITFIELD => Message::Bitfield(take_rest(bytes)),
        id::REQUEST => Message::Request(take_block(bytes)?),
        id::PIECE => Message::Piece {
            piece: PieceIndex(take_u32(bytes)?),
            begin: take_u32(bytes)?,
            data: take_rest(bytes),
        },
        id::CANCEL => Message::Cancel(take_block(bytes)?),
        id::PORT => Message::Port(u16::from_be_bytes(*take(bytes)?)),
        id::SUGGEST => Message::Suggest(PieceIndex(take_u32(bytes)?)),
        id::HAVE_ALL => Message::HaveAll,
        id::HAVE_NONE => Message::HaveNone,
        id::REJECT => Message::Reject(take_block(bytes)?),
        id::ALLOWED_FAST => Message::AllowedFast(PieceIndex(take_u32(bytes)?)),
        id::EXTENDED => Message::Extended { id: take::<1>(bytes)?[0], payload: take_rest(bytes) },
        id::HASH_REQUEST => Message::HashRequest(take_hash_request(bytes)?),
        id::HASHES => Message::Hashes { request: take_hash_request(bytes)?, hashes: take_hashes(bytes) },
        id::HASH_REJECT => Message::HashReject(take_hash_request(bytes)?),
        id => {
            *bytes = &[];
            Message::Unknown { id }
        }
    };
    bytes.is_empty().then_some(message)
}

fn put_piece(out: &mut Vec<u8>, id: u8, piece: PieceIndex) {
    out.push(id);
    out.extend_from_slice(&piece.0.to_be_bytes());
}

fn put_block(out: &mut Vec<u8>, id: u8, block: BlockRef) {
    put_piece(out, id, block.piece);
    out.extend_from_slice(&block.begin.to_be_bytes());
    out.extend_from_slice(&block.length.to_be_bytes());
}

fn put_hash_request(out: &mut Vec<u8>, id: u8, request: &HashRequest) {
    out.push(id);
    out.extend_from_slice(request.pieces_root.as_bytes());
    for number in [request.base_layer, request.index, request.length, request.proof_layers] {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = bytes.split_first_chunk()?;
    *bytes = tail;
    Some(head)
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).map(|number| u32::from_be_bytes(*number))
}

fn take_rest(bytes: &mut &[u8]) -> Vec<u8> {
    std::mem::take(bytes).to_vec()
}

fn take_block(bytes: &mut &[u8]) -> Option<BlockRef> {
    Some(BlockRef { piece: PieceIndex(take_u32(bytes)?), begin: take_u32(bytes)?, length: take_u32(bytes)? })
}

fn take_hash_request(bytes: &mut &[u8]) -> Option<HashRequest> {
    Some(HashRequest {
        pieces_root: Sha256Hash(*take(bytes)?),
        base_layer: take_u32(bytes)?,
        index: take_u32(bytes)?,
        length: take_u32(bytes)?,
        proof_layers: take_u32(bytes)?,
    })
}

/// Whole hashes only; a remainder stays in `bytes`.
fn take_hashes(bytes: &mut &[u8]) -> Vec<Sha256Hash> {
    let (hashes, rest) = bytes.as_chunks();
    *bytes = rest;
    hashes.iter().copied().map(Sha256Hash).collect()
}

/// What stands before a block's bytes in a piece message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceHeader {
    /// The piece the block lies in.
    pub piece: PieceIndex,
    /// Its first byte in that piece.
    pub begin: u32,
    /// Its length in bytes; that many follow.
    pub length: u32,
}

impl PieceHeader {
    /// Bytes of an encoded header: length prefix, id, piece and begin.
    pub const ENCODED: usize = 13;

    /// Bytes of a header that follow the length prefix and the id.
    pub const AFTER_ID: usize = 8;

    /// The header as it is sent, length prefix and id included.
    pub fn encode(&self) -> [u8; Self::ENCODED] {
        let mut bytes = [0; Self::ENCODED];
        bytes[..4].copy_from_slice(&self.length.saturating_add(9).to_be_bytes());
        bytes[4] = id::PIECE;
        bytes[5..9].copy_from_slice(&self.piece.0.to_be_bytes());
        bytes[9..].copy_from_slice(&self.begin.to_be_bytes());
        bytes
    }

    /// Reads a header from the eight bytes after length prefix and id; `frame_length` is what the
    /// prefix said, and has passed [`check_head`].
    ///
    /// # Errors
    /// If no block can follow in a message of that length.
    pub fn decode(after_id: &[u8; Self::AFTER_ID], frame_length: u32) -> Result<Self, CodecError> {
        let wrong = CodecError::WrongLength { id: id::PIECE, length: frame_length };
        let length = frame_length.checked_sub(9).filter(|&length| length > 0).ok_or(wrong)?;
        let [p0, p1, p2, p3, b0, b1, b2, b3] = *after_id;
        Ok(Self {
            piece: PieceIndex(u32::from_be_bytes([p0, p1, p2, p3])),
            begin: u32::from_be_bytes([b0, b1, b2, b3]),
            length,
        })
    }

    /// The block that follows.
    pub fn block(&self) -> BlockRef {
        BlockRef { piece: self.piece, begin: self.begin, length: self.length }
    }
}

impl From<BlockRef> for PieceHeader {
    fn from(block: BlockRef) -> Self {
        Self { piece: block.piece, begin: block.begin, length: block.length }
    }
}

#[cfg(test)]
mod tests;
