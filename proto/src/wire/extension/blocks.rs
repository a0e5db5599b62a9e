//! Telling of single verified blocks of a piece that is not whole yet: ours.

use thiserror::Error;

use crate::layout::PieceIndex;
use crate::limits;

/// Bytes before the set of blocks.
const HEAD: usize = 4;

/// A message about verified blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlocksMessage {
    /// Of which piece.
    pub piece: PieceIndex,
    /// A bit for each of its blocks of 16 KiB, block 0 in the top bit of the first byte; spare bits are 0.
    pub blocks: Vec<u8>,
}

impl BlocksMessage {
    /// The payload of the extended message, its id not included.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(HEAD + self.blocks.len());
        payload.extend_from_slice(&self.piece.0.to_be_bytes());
        payload.extend_from_slice(&self.blocks);
        payload
    }

    /// Reads the payload of an extended message that came under our id for
    /// [`SAMARA_BLOCKS`](super::SAMARA_BLOCKS). Whether there is such a piece, of as many blocks, is for the caller to
    /// see.
    ///
    /// # Errors
    /// If it is too short to tell of any block, tells of none, or is longer than for any piece.
    pub fn decode(payload: &[u8]) -> Result<Self, BlocksError> {
        let (piece, blocks) = payload.split_first_chunk::<HEAD>().ok_or(BlocksError::Length)?;
        if blocks.is_empty() || blocks.len() > limits::BLOCKS_PER_PIECE.div_ceil(8) as usize {
            return Err(BlocksError::Length);
        }
        if blocks.iter().all(|&byte| byte == 0) {
            return Err(BlocksError::None);
        }
        Ok(Self { piece: PieceIndex(u32::from_be_bytes(*piece)), blocks: blocks.to_vec() })
    }
}

/// Why a payload is no message about verified blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BlocksError {
    /// It has the wrong length.
    #[error("a message about blocks has the wrong length")]
    Length,
    /// It tells of nothing.
    #[error("a message about blocks tells of none")]
    None,
    /// The torrent has no such blocks.
    #[error("a message about blocks tells of some that do not exist")]
    OutOfRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_piece_and_a_bit_for_each_block() {
        let message = BlocksMessage { piece: PieceIndex(0x0001_0203), blocks: vec![0xf0, 0x80] };
        assert_eq!(message.encode(), [0, 1, 2, 3, 0xf0, 0x80]);
        assert_eq!(BlocksMessage::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn what_tells_of_nothing_or_of_too_much_is_refused() {
        for short in [&[][..], &[0; 3], &[0; 4]] {
            assert_eq!(BlocksMessage::decode(short), Err(BlocksError::Length));
        }
        assert_eq!(BlocksMessage::decode(&[0; 6]), Err(BlocksError::None));
        let longest = 4 + limits::BLOCKS_PER_PIECE as usize / 8;
        assert!(BlocksMessage::decode(&vec![1; longest]).is_ok());
        assert_eq!(BlocksMessage::decode(&vec![1; longest + 1]), Err(BlocksError::Length));
    }
}
