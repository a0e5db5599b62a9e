//! What a message weighs on the wire, by the production codec, and that it survives the way.

use std::num::NonZeroU8;

use samara_peer::engine::event::PeerMessage;
use samara_proto::infohash::Sha256Hash;
use samara_proto::layout::{BlockRef, Layout};
use samara_proto::limits::{BLOCK_LENGTH, REQUEST_LENGTH};
use samara_proto::wire::codec::{FrameLimits, LENGTH_PREFIX, PieceHeader, check_head, frame_length};
use samara_proto::wire::message::{HashRequest, Message};

use super::disk::Shape;

/// Bytes both sides send before the first message: BEP 3's handshake and a usual one of BEP 10.
pub const HANDSHAKE_BYTES: u32 = 68 + 160;
/// Bytes before a block's own.
pub const BLOCK_HEADER_BYTES: u32 = PieceHeader::ENCODED as u32;

/// Where everybody wants to hear of single blocks.
const BLOCKS_ID: u8 = 3;

/// What one end says to the other besides content.
#[derive(Clone, Debug, PartialEq)]
pub enum Talk {
    /// A message between engines.
    Message(PeerMessage),
    /// Its driver asks for the leaf hashes of blocks of one piece.
    HashRequest(BlockRef),
    /// The answer.
    Hashes(BlockRef),
    /// No answer will come.
    HashReject(BlockRef),
}

/// Weighs messages; every so many of them is also decoded again and compared.
#[derive(Debug)]
pub struct Scales {
    limits: FrameLimits,
    shape: Shape,
    layout: Layout,
    decode_every: u32,
    until_decode: u32,
    buffer: Vec<u8>,
}

impl Scales {
    /// For a torrent of that shape; one in `decode_every` messages is decoded.
    pub fn new(shape: Shape, decode_every: u32) -> Self {
        let limits = FrameLimits::for_torrent(shape.pieces, REQUEST_LENGTH);
        let layout = Layout::single_file(shape.bytes(), shape.piece_length);
        Self { limits, shape, layout, decode_every, until_decode: 0, buffer: Vec::new() }
    }

    /// Bytes on the wire of whatever is said.
    ///
    /// # Errors
    /// See [`Self::weigh`].
    pub fn weigh_talk(&mut self, talk: &Talk) -> Result<u32, String> {
        match talk {
            Talk::Message(message) => self.weigh(message),
            Talk::HashRequest(block) => Ok(self.weigh_hashes(*block, Message::HashRequest)),
            Talk::HashReject(block) => Ok(self.weigh_hashes(*block, Message::HashReject)),
            Talk::Hashes(block) => Ok(self.weigh_hashes(*block, |request| {
                let uncles = (request.proof_layers + 1).saturating_sub(request.length.ilog2());
                let hashes = vec![Sha256Hash([0; 32]); (request.length + uncles) as usize];
                Message::Hashes { request, hashes }
            })),
        }
    }

    /// Bytes of all the messages of one kind by which the leaf hashes of a block come.
    fn weigh_hashes(&mut self, block: BlockRef, message: impl Fn(HashRequest) -> Message) -> u32 {
        let first = block.piece.0 * self.shape.blocks() + block.begin / BLOCK_LENGTH;
        let (root, count) = (Sha256Hash([0; 32]), block.length / BLOCK_LENGTH);
        self.buffer.clear();
        let requests =
            HashRequest::of_leaves(root, self.shape.bytes(), self.shape.piece_length, first, count);
        requests.for_each(|request| message(request).encode(&mut self.buffer));
        self.buffer.len() as u32
    }

    /// The message's bytes on the wire.
    ///
    /// # Errors
    /// What became of the message, if it does not come out of the codec as it went in.
    pub fn weigh(&mut self, message: &PeerMessage) -> Result<u32, String> {
        self.buffer.clear();
        let on_wire = message.clone().into_wire(NonZeroU8::new(BLOCKS_ID));
        on_wire.expect("everybody hears of blocks").encode(&mut self.buffer);
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
        match Message::decode(body, &self.limits).ok()? {
            Message::Extended { id: BLOCKS_ID, payload } => {
                PeerMessage::of_blocks(&payload, &self.layout).ok()
            }
            message => PeerMessage::from_wire(message, self.shape.pieces).ok()?,
        }
    }
}

#[cfg(test)]
mod tests {
    use samara_proto::bitfield::Bitfield;
    use samara_proto::layout::PieceIndex;

    use super::*;

    const SHAPE: Shape = Shape { pieces: 20, piece_length: 16 * BLOCK_LENGTH };

    #[test]
    fn messages_weigh_what_bep_3_says() {
        let mut scales = Scales::new(SHAPE, 1);
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
        let whole = BlockRef { piece: PieceIndex(3), begin: 0, length: 16 * BLOCK_LENGTH };
        assert_eq!(scales.weigh_talk(&Talk::HashRequest(whole)), Ok(53));
        // Five layers above those of a piece's own leaves.
        assert_eq!(scales.weigh_talk(&Talk::Hashes(whole)), Ok(53 + (16 + 5) * 32));
    }
}
