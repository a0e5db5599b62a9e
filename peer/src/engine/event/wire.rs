//! The engine's messages as they stand on the wire, both ways.

use samara_proto::bitfield::{Bitfield, BitfieldError};
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
}

impl From<PeerMessage> for Message {
    fn from(message: PeerMessage) -> Self {
        match message {
            PeerMessage::Choke => Self::Choke,
            PeerMessage::Unchoke => Self::Unchoke,
            PeerMessage::Interested => Self::Interested,
            PeerMessage::NotInterested => Self::NotInterested,
            PeerMessage::Have(piece) => Self::Have(piece),
            PeerMessage::Bitfield(has) => Self::Bitfield(has.to_wire()),
            PeerMessage::HaveAll => Self::HaveAll,
            PeerMessage::HaveNone => Self::HaveNone,
            PeerMessage::Request(block) => Self::Request(block),
            PeerMessage::Cancel(block) => Self::Cancel(block),
            PeerMessage::Reject(block) => Self::Reject(block),
            PeerMessage::Suggest(piece) => Self::Suggest(piece),
            PeerMessage::AllowedFast(piece) => Self::AllowedFast(piece),
        }
    }
}
