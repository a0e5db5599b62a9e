//! One host of the small test world and what it puts on the wire.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use crate::engine::Engine;
use crate::engine::config::EngineConfig;
use crate::engine::event::{DisconnectReason, LinkId, PeerKey, PeerMessage, PeerTraits, Proof};

/// What travels over a wire.
#[derive(Clone, Debug)]
pub(super) enum Frame {
    Message(PeerMessage),
    Block { block: BlockRef, is_bad: bool },
}

impl Frame {
    pub(super) fn block(&self) -> Option<BlockRef> {
        match self {
            Frame::Message(_) => None,
            Frame::Block { block, .. } => Some(*block),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match self {
            Frame::Message(PeerMessage::Bitfield(has)) => 5 + u64::from(has.len().div_ceil(8)),
            Frame::Message(_) => 17,
            Frame::Block { block, .. } => 13 + u64::from(block.length),
        }
    }
}

/// How a host is made.
#[derive(Clone, Debug)]
pub(super) struct HostSpec {
    /// Bytes a second.
    pub(super) up: u64,
    pub(super) seed: bool,
    pub(super) proof: Proof,
    /// Every block it sends is wrong.
    pub(super) corrupts: bool,
    pub(super) config: EngineConfig,
    pub(super) traits: PeerTraits,
}

impl HostSpec {
    pub(super) fn leech(up: u64) -> Self {
        let traits = PeerTraits {
            fast: true,
            request_length: BLOCK_LENGTH,
            request_queue: 1024,
            upload_only: false,
            blocks: false,
        };
        Self {
            up,
            seed: false,
            proof: Proof::Pieces,
            corrupts: false,
            config: EngineConfig::default(),
            traits,
        }
    }

    pub(super) fn seed(up: u64) -> Self {
        Self { seed: true, ..Self::leech(up) }
    }
}

pub(super) struct Host {
    pub(super) spec: HostSpec,
    pub(super) engine: Option<Engine>,
    /// Events for an earlier life are void.
    pub(super) life: u32,
    /// What survives a crash.
    pub(super) disk: Bitfield,
    pub(super) bad_blocks: BTreeSet<(PieceIndex, u32)>,
    pub(super) expected: BTreeSet<(LinkId, BlockRef)>,
    /// Links whose end it has not been told yet.
    pub(super) open: BTreeSet<LinkId>,
    /// Links on which it has said something.
    pub(super) spoken: BTreeSet<LinkId>,
    /// Frames that wait for the uplink, by link.
    pub(super) outbox: BTreeMap<LinkId, VecDeque<Frame>>,
    pub(super) last_served: LinkId,
    pub(super) is_sending: bool,
    pub(super) wake_at: Option<Moment>,
    pub(super) completed_at: Option<Moment>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) disconnects: Vec<(PeerKey, DisconnectReason)>,
    /// How often each 16 KiB block was asked for.
    pub(super) asked: BTreeMap<(PieceIndex, u32), u32>,
}

impl Host {
    pub(super) fn new(spec: HostSpec, disk: Bitfield) -> Self {
        Self {
            spec,
            engine: None,
            life: 0,
            disk,
            bad_blocks: BTreeSet::new(),
            expected: BTreeSet::new(),
            open: BTreeSet::new(),
            spoken: BTreeSet::new(),
            outbox: BTreeMap::new(),
            last_served: LinkId(0),
            is_sending: false,
            wake_at: None,
            completed_at: None,
            received: 0,
            sent: 0,
            disconnects: Vec::new(),
            asked: BTreeMap::new(),
        }
    }
}
