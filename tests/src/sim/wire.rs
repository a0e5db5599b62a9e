//! What a message weighs on the wire, by the production codec, and that it survives the way.

use samara_peer::engine::event::PeerMessage;
use samara_proto::limits::REQUEST_LENGTH;
use samara_proto::wire::codec::{FrameLimits, LENGTH_PREFIX, PieceHeader, check_head, frame_length};
use samara_proto::wire::message::Message;

/// Bytes both sides send before the first message: BEP 3's handshake and a usual one of BEP 10.
pub const HANDSHAKE_BYTES: u32 = 68 + 160;
/// Bytes before a block's own.
pub const BLOCK_HEADER_BYTES: u32 = PieceHeader::ENCODED as u32;

/// Weighs messages; every so many of them is also decoded again and compared.
#[derive(Debug)]
pub struct Scales {
    limits: FrameLimits,
    pieces: u32,
    decode_every: u32,
    until_decode: u32,
    buffer: Vec<u8>,
}

impl Scales {
    /// For a torrent of so many pieces; one in `decode_every` messages is decoded.
    pub fn new(pieces: u32, decode_every: u32) -> Self {
        let limits = FrameLimits::for_torrent(pieces, REQUEST_LENGTH);
        Self { limits, pieces, decode_every, until_decode: 0, buffer: Vec::new() }
    }

    /// The message's bytes on the wire.
    ///
    /// # Errors
    /// What became of the message, if it does not come out of the codec as it went in.
    pub fn weigh(&mut self, message: &PeerMessage) -> Result<u32, String> {
        self.buffer.clear();
        Message::from(message.clone()).encode(&mut self.buffer);
        if self.until_decode == 0 {
            self.until_decode = self.decode_every;
            let back = self.decode();
            if back.as_ref() != Some(message) {
                return Err(format!("{message:?} comes out of the codec as {back:?}"));
            }
        }
        self.until_decode -= 1;
        Ok(self.buffer.len() as u32)
    }

    fn decode(&self) -> Option<PeerMessage> {
        let (prefix, body) = self.buffer.split_first_chunk::<LENGTH_PREFIX>()?;
        let length = frame_length(*prefix, &self.limits).ok()?;
        if length as usize != body.len() {
            return None;
        }
        check_head(length, *body.first()?, &self.limits).ok()?;
        PeerMessage::from_wire(Message::decode(body, &self.limits).ok()?, self.pieces).ok()?
    }
}

#[cfg(test)]
mod tests {
    use samara_proto::bitfield::Bitfield;
    use samara_proto::layout::{BlockRef, PieceIndex};

    use super::*;

    #[test]
    fn messages_weigh_what_bep_3_says() {
        let mut scales = Scales::new(20, 1);
        let block = BlockRef { piece: PieceIndex(3), begin: 16_384, length: 65_536 };
        let mut has = Bitfield::new(20);
        has.set(PieceIndex(19));
        for (message, bytes) in [
            (PeerMessage::Choke, 5),
            (PeerMessage::Have(PieceIndex(7)), 9),
            (PeerMessage::Request(block), 17),
            (PeerMessage::Bitfield(has), 8),
        ] {
            assert_eq!(scales.weigh(&message), Ok(bytes));
        }
    }
}
