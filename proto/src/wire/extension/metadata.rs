//! The info dictionary in pieces, for peers that know only its hash (BEP 9).

use std::ops::Range;

use serde::Deserialize;
use thiserror::Error;

use crate::bencode::{self, BencodeError, Limits};
use crate::limits;

/// Bytes of every metadata piece but the last.
pub const METADATA_PIECE: u32 = 16 * 1024;

/// How many pieces an info dictionary of `size` bytes comes in.
pub fn metadata_pieces(size: u32) -> u32 {
    size.div_ceil(METADATA_PIECE)
}

/// Where in an info dictionary of `size` bytes a piece lies, if there is such a piece.
pub fn metadata_range(size: u32, piece: u32) -> Option<Range<usize>> {
    let start = piece.checked_mul(METADATA_PIECE).filter(|&start| start < size)?;
    let end = start.saturating_add(METADATA_PIECE).min(size);
    Some(start as usize..end as usize)
}

/// A message of the metadata exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataMessage {
    /// Asks for a piece.
    Request {
        /// Which.
        piece: u32,
    },
    /// A piece. Decoding makes sure that it is one of an info dictionary of `total_size` bytes, and
    /// whole.
    Data {
        /// Which.
        piece: u32,
        /// Bytes of the info dictionary.
        total_size: u32,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A piece will not come.
    Reject {
        /// Which.
        piece: u32,
    },
}

impl MetadataMessage {
    /// The payload of the extended message, its id not included.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Request { piece } => format!("d8:msg_typei0e5:piecei{piece}ee").into_bytes(),
            Self::Data { piece, total_size, bytes } => {
                let head = format!("d8:msg_typei1e5:piecei{piece}e10:total_sizei{total_size}ee");
                [head.as_bytes(), bytes].concat()
            }
            Self::Reject { piece } => format!("d8:msg_typei2e5:piecei{piece}ee").into_bytes(),
        }
    }

    /// Reads the payload of an extended message that came under our id for
    /// [`UT_METADATA`](super::UT_METADATA).
    ///
    /// # Errors
    /// If it is malformed, is a piece that cannot be, or is of a kind that BEP 9 does not know
    /// ([`MetadataError::UnknownKind`], which BEP 9 wants ignored).
    pub fn decode(payload: &[u8]) -> Result<Self, MetadataError> {
        let (head, end): (Head, usize) = bencode::from_prefix(payload, Limits::EXTENSION)?;
        let bytes = &payload[end..];
        let piece = u32::try_from(head.piece).map_err(|_| MetadataError::WrongPiece)?;
        let message = match head.msg_type {
            0 => Self::Request { piece },
            1 => return data(piece, head.total_size, bytes),
            2 => Self::Reject { piece },
            kind => return Err(MetadataError::UnknownKind(kind)),
        };
        if bytes.is_empty() { Ok(message) } else { Err(MetadataError::TrailingBytes) }
    }
}

fn data(piece: u32, total_size: Option<i64>, bytes: &[u8]) -> Result<MetadataMessage, MetadataError> {
    let total_size = total_size
        .and_then(|size| u32::try_from(size).ok())
        .filter(|&size| size as usize <= limits::INFO_BYTES)
        .ok_or(MetadataError::WrongSize)?;
    let range = metadata_range(total_size, piece).ok_or(MetadataError::WrongPiece)?;
    if bytes.len() == range.len() {
        Ok(MetadataMessage::Data { piece, total_size, bytes: bytes.to_vec() })
    } else {
        Err(MetadataError::WrongPiece)
    }
}

/// Why a payload is not a metadata message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// It does not begin with a bencoded dictionary within the limits, or a value is missing or has the
    /// wrong type.
    #[error("the metadata message is malformed: {0}")]
    Bencode(#[from] BencodeError),
    /// A kind of message that BEP 9 does not know; to be ignored.
    #[error("a metadata message of unknown kind {0}")]
    UnknownKind(i64),
    /// The size of the info dictionary is missing, negative or beyond the cap.
    #[error("the metadata message has an impossible total size")]
    WrongSize,
    /// No such piece, or not all of it, or more than it.
    #[error("the metadata message has a piece that does not fit its total size")]
    WrongPiece,
    /// A request or reject with something behind it.
    #[error("the metadata message has bytes behind its end")]
    TrailingBytes,
}

/// What every metadata message begins with.
#[derive(Deserialize)]
struct Head {
    msg_type: i64,
    piece: i64,
    total_size: Option<i64>,
}

#[cfg(test)]
mod tests;
