//! Wire messages in the log at its finest level: what each says, without the bytes it carries. Which link it is
//! about is said by the span of the task.

use std::fmt;

use samara_proto::layout::BlockRef;
use samara_proto::wire::message::Message;

/// What `SAMARA_LOG` calls them.
const TARGET: &str = "samara_peer::wire";

/// A message came.
pub(super) fn received(message: &Message) {
    tracing::trace!(target: TARGET, "in {}", Brief(message));
}

/// A message was gathered to be written.
pub(super) fn written(message: &Message) {
    tracing::trace!(target: TARGET, "out {}", Brief(message));
}

/// A block came, awaited or not.
pub(super) fn block_received(block: BlockRef) {
    tracing::trace!(target: TARGET, "in piece {}", Block(block));
}

/// A block was gathered to be written.
pub(super) fn block_written(block: BlockRef) {
    tracing::trace!(target: TARGET, "out piece {}", Block(block));
}

struct Brief<'a>(&'a Message);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Message::KeepAlive => f.write_str("keep-alive"),
            Message::Choke => f.write_str("choke"),
            Message::Unchoke => f.write_str("unchoke"),
            Message::Interested => f.write_str("interested"),
            Message::NotInterested => f.write_str("not interested"),
            Message::Have(piece) => write!(f, "have {}", piece.0),
            Message::Bitfield(bits) => write!(f, "bitfield, {} bytes", bits.len()),
            &Message::Request(block) => write!(f, "request {}", Block(block)),
            Message::Piece { piece, begin, data } => {
                let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
                write!(f, "piece {}", Block(BlockRef { piece: *piece, begin: *begin, length }))
            }
            &Message::Cancel(block) => write!(f, "cancel {}", Block(block)),
            Message::Port(port) => write!(f, "port {port}"),
            Message::Suggest(piece) => write!(f, "suggest {}", piece.0),
            Message::HaveAll => f.write_str("have all"),
            Message::HaveNone => f.write_str("have none"),
            &Message::Reject(block) => write!(f, "reject {}", Block(block)),
            Message::AllowedFast(piece) => write!(f, "allowed fast {}", piece.0),
            Message::Extended { id, payload } => write!(f, "extended {id}, {} bytes", payload.len()),
            Message::HashRequest(request) => write!(f, "hash request, {} hashes", request.length),
            Message::Hashes { hashes, .. } => write!(f, "hashes, {} of them", hashes.len()),
            Message::HashReject(request) => write!(f, "hash reject, {} hashes", request.length),
            Message::Unknown { id } => write!(f, "unknown {id}"),
        }
    }
}

/// `7 at 16384, 16384 bytes`.
struct Block(BlockRef);

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BlockRef { piece, begin, length } = self.0;
        write!(f, "{} at {begin}, {length} bytes", piece.0)
    }
}

#[cfg(test)]
mod tests {
    use samara_proto::layout::PieceIndex;

    use super::*;

    #[test]
    fn a_message_is_told_without_what_it_carries() {
        let told = |message| Brief(&message).to_string();
        let block = BlockRef { piece: PieceIndex(7), begin: 16384, length: 500 };
        assert_eq!(told(Message::Request(block)), "request 7 at 16384, 500 bytes");
        assert_eq!(told(Message::Extended { id: 3, payload: b"\x1b[31m".to_vec() }), "extended 3, 5 bytes");
        let piece = Message::Piece { piece: PieceIndex(7), begin: 0, data: vec![0; 3] };
        assert_eq!(told(piece), "piece 7 at 0, 3 bytes");
    }
}
