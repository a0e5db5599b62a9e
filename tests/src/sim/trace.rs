//! A fingerprint of everything the engines ordered and when: two runs are the same if theirs are.

use samara_peer::engine::event::{Output, PeerMessage};
use samara_proto::layout::BlockRef;

use super::agenda::{HostNo, Nanos};

/// The fingerprint so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    /// The fingerprint as a number.
    pub fn value(self) -> u64 {
        self.0
    }

    /// One engine gave an order.
    pub fn note(&mut self, now: Nanos, host: HostNo, output: &Output) {
        self.mix(now);
        self.mix(u64::from(host));
        match output {
            Output::Dial { peer, .. } => self.pair(1, peer.0),
            Output::Send { link, message } => {
                self.pair(2, link.0);
                self.message(message);
            }
            Output::SendBlock { link, block } => {
                self.pair(3, link.0);
                self.block(*block);
            }
            Output::CheckPiece { piece, .. } => self.pair(4, u64::from(piece.0)),
            Output::Disconnect { link, reason } => {
                self.pair(5, link.0);
                // Reasons are few and plain: their text is what tells them apart for good.
                for byte in format!("{reason:?}").bytes() {
                    self.mix(u64::from(byte));
                }
            }
            // Orders that are rare may be noted in words.
            other => {
                for byte in format!("{other:?}").bytes() {
                    self.mix(u64::from(byte));
                }
            }
        }
    }

    fn message(&mut self, message: &PeerMessage) {
        match message {
            PeerMessage::Choke => self.mix(10),
            PeerMessage::Unchoke => self.mix(11),
            PeerMessage::Interested => self.mix(12),
            PeerMessage::NotInterested => self.mix(13),
            PeerMessage::HaveAll => self.mix(14),
            PeerMessage::HaveNone => self.mix(15),
            PeerMessage::Have(piece) => self.pair(16, u64::from(piece.0)),
            PeerMessage::Suggest(piece) => self.pair(17, u64::from(piece.0)),
            PeerMessage::AllowedFast(piece) => self.pair(18, u64::from(piece.0)),
            PeerMessage::Blocks { piece, blocks } => {
                self.pair(20 + 100, u64::from(piece.0));
                blocks.iter_ones().for_each(|block| self.mix(u64::from(block.0)));
            }
            PeerMessage::Bitfield(has) => {
                self.pair(19, u64::from(has.len()));
                has.iter_ones().for_each(|piece| self.mix(u64::from(piece.0)));
            }
            PeerMessage::Request(block) => {
                self.mix(20);
                self.block(*block);
            }
            PeerMessage::Cancel(block) => {
                self.mix(21);
                self.block(*block);
            }
            PeerMessage::Reject(block) => {
                self.mix(22);
                self.block(*block);
            }
        }
    }

    fn block(&mut self, block: BlockRef) {
        self.mix(u64::from(block.piece.0) << 32 | u64::from(block.begin));
        self.mix(u64::from(block.length));
    }

    fn pair(&mut self, kind: u64, value: u64) {
        self.mix(kind);
        self.mix(value);
    }

    fn mix(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 29;
    }
}
