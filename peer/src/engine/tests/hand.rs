//! One engine that a test drives fact by fact.

use std::sync::Arc;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, Layout, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use crate::engine::Engine;
use crate::engine::config::EngineConfig;
use crate::engine::event::{
    Aim, Content, Direction, DisconnectReason, HolderKey, Input, LinkId, Offence, Output, PeerKey,
    PeerMessage, PeerTraits, Proof, TorrentId,
};
use crate::engine::selection::Selection;

pub(super) const TORRENT: TorrentId = TorrentId(1);
pub(super) const LINK: LinkId = LinkId(5);
pub(super) const PIECES: u32 = 40;
pub(super) const FAST: PeerTraits = PeerTraits {
    fast: true,
    request_length: BLOCK_LENGTH,
    request_queue: 50,
    upload_only: false,
    blocks: false,
};
pub(super) const SLOW: PeerTraits = PeerTraits { fast: false, ..FAST };

/// One engine, driven by hand.
pub(super) struct Hand {
    pub(super) engine: Engine,
    pub(super) now: Moment,
}

impl Hand {
    pub(super) fn new(verified: Bitfield, aim: Aim) -> Self {
        Self::with_proof(verified, aim, Proof::Pieces)
    }

    pub(super) fn with_proof(verified: Bitfield, aim: Aim, proof: Proof) -> Self {
        Self::with_pieces_of(4, verified, aim, proof)
    }

    /// For a torrent whose pieces have so many blocks.
    pub(super) fn with_pieces_of(blocks: u32, verified: Bitfield, aim: Aim, proof: Proof) -> Self {
        let mut hand =
            Self { engine: Engine::new(EngineConfig::default(), [1; 32]), now: Moment::from_micros(1) };
        let (all, piece) = (u64::from(PIECES * blocks * BLOCK_LENGTH), blocks * BLOCK_LENGTH);
        let layout = Arc::new(Layout::single_file(all, piece));
        let content =
            Content { layout, verified, stored: Vec::new(), proof, selection: Selection::default() };
        hand.tell(Input::AddTorrent { torrent: TORRENT, content, aim });
        hand
    }

    pub(super) fn seed() -> Self {
        Self::new(Bitfield::full(PIECES), Aim::Serve)
    }

    pub(super) fn leech() -> Self {
        Self::new(Bitfield::new(PIECES), Aim::Fetch)
    }

    pub(super) fn tell(&mut self, input: Input) -> Vec<Output> {
        self.engine.handle(self.now, input);
        std::iter::from_fn(|| self.engine.next_output()).collect()
    }

    pub(super) fn connect(&mut self, link: LinkId, peer: u64, traits: PeerTraits) -> Vec<Output> {
        self.connect_from(None, link, peer, traits)
    }

    pub(super) fn connect_from(
        &mut self,
        holder: Option<HolderKey>,
        link: LinkId,
        peer: u64,
        traits: PeerTraits,
    ) -> Vec<Output> {
        let (peer, direction) = (PeerKey(peer), Direction::Inbound);
        self.tell(Input::Connected { torrent: TORRENT, peer, holder, link, direction, traits })
    }

    pub(super) fn say(&mut self, message: PeerMessage) -> Vec<Output> {
        self.tell(Input::Received { link: LINK, message })
    }

    /// Repeats messages until the engine has enough of it; how often it answered.
    pub(super) fn flood(&mut self, messages: impl Fn(u32) -> PeerMessage) -> (usize, Option<Offence>) {
        let mut answers = 0;
        for n in 0..1_000_000 {
            let outputs = self.say(messages(n));
            if let Some(offence) = offence(&outputs) {
                return (answers, Some(offence));
            }
            answers += outputs.len();
        }
        (answers, None)
    }
}

pub(super) fn offence(outputs: &[Output]) -> Option<Offence> {
    outputs.iter().find_map(|output| match output {
        Output::Disconnect { reason: DisconnectReason::Offence(offence), .. } => Some(*offence),
        _ => None,
    })
}

pub(super) fn block(piece: u32, begin: u32) -> BlockRef {
    BlockRef { piece: PieceIndex(piece), begin, length: BLOCK_LENGTH }
}
