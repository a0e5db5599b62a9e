//! The engine's messages as they stand on the wire, both ways.

use std::num::NonZeroU8;

use samara_proto::bitfield::{Bitfield, BitfieldError};
use samara_proto::layout::Layout;
use samara_proto::wire::extension::{BlocksError, BlocksMessage};
use samara_proto::wire::message::Message;

use super::PeerMessage;

impl PeerMessage {
    /// The engine's view of a message about a torrent of `pieces` pieces, if it is the engine's business.
    ///
    /// # Errors
    /// If it is a bitfield that is not one of that torrent.
    pub fn from_wire(message: Message, pieces: u32) -> Result<Option<Self>, BitfieldError> {
        Ok(Some(match message {
            Message::Choke => Self::Choke,
            Message::Unchoke => Self::Unchoke,
            Message::Interested => Self::Interested,
            Message::NotInterested => Self::NotInterested,
            Message::Have(piece) => Self::Have(piece),
            Message::Bitfield(bytes) => Self::Bitfield(Bitfield::from_wire(&bytes, pieces)?),
            Message::HaveAll => Self::HaveAll,
            Message::HaveNone => Self::HaveNone,
            Message::Request(block) => Self::Request(block),
            Message::Cancel(block) => Self::Cancel(block),
            Message::Reject(block) => Self::Reject(block),
            Message::Suggest(piece) => Self::Suggest(piece),
            Message::AllowedFast(piece) => Self::AllowedFast(piece),
            Message::KeepAlive
            | Message::Piece { .. }
            | Message::Port(_)
            | Message::Extended { .. }
            | Message::HashRequest(_)
            | Message::Hashes { .. }
            | Message::HashReject(_)
            | Message::Unknown { .. } => return Ok(None),
        }))
    }

    /// The engine's view of the payload of an extended message that tells of blocks.
    ///
    /// # Errors
    /// If it is malformed, or there are no such blocks in the torrent.
    pub fn of_blocks(payload: &[u8], layout: &Layout) -> Result<Self, BlocksError> {
        let BlocksMessage { piece, blocks } = BlocksMessage::decode(payload)?;
        if piece.0 >= layout.piece_count() {
            return Err(BlocksError::OutOfRange);
        }
        let blocks =
            Bitfield::from_wire(&blocks, layout.blocks_in(piece)).map_err(|_| BlocksError::OutOfRange)?;
        Ok(Self::Blocks { piece, blocks })
    }

    /// The message on the wire to a remote that wants to hear of blocks under `blocks_id`; `None` if it does not want
    /// to hear this.
    pub fn into_wire(self, blocks_id: Option<NonZeroU8>) -> Option<Message> {
        Some(match self {
            Self::Choke => Message::Choke,
            Self::Unchoke => Message::Unchoke,
            Self::Interested => Message::Interested,
            Self::NotInterested => Message::NotInterested,
            Self::Have(piece) => Message::Have(piece),
            Self::Bitfield(has) => Message::Bitfield(has.to_wire()),
            Self::HaveAll => Message::HaveAll,
            Self::HaveNone => Message::HaveNone,
            Self::Request(block) => Message::Request(block),
            Self::Cancel(block) => Message::Cancel(block),
            Self::Reject(block) => Message::Reject(block),
            Self::Suggest(piece) => Message::Suggest(piece),
            Self::AllowedFast(piece) => Message::AllowedFast(piece),
            Self::Blocks { piece, blocks } => {
                let payload = BlocksMessage { piece, blocks: blocks.to_wire() }.encode();
                Message::Extended { id: blocks_id?.get(), payload }
            }
        })
    }
}
