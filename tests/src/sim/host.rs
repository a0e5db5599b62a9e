//! A host: its links to the net, its disk, its engine's place, and what is counted about it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use samara_peer::engine::config::EngineConfig;
use samara_peer::engine::event::{DisconnectReason, HolderKey};
use samara_proto::layout::{BlockRef, PieceIndex};

use super::agenda::{HostNo, LinkNo, Nanos, PipeNo};
use super::disk::{Disk, Shape};
use super::lie::Lie;

/// Bytes a second of one megabit a second.
pub const MBIT: f64 = 1_000_000.0 / 8.0;

/// When a host goes for good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leaves {
    /// Never.
    Never,
    /// As soon as it has given so many times the content.
    AfterGiving(f64),
    /// So long after it has everything.
    AfterCompletion(Duration),
}

/// How a host is made.
#[derive(Clone, Debug)]
pub struct HostSpec {
    /// Whom it is counted with.
    pub class: &'static str,
    /// It has everything from the start.
    pub is_seed: bool,
    /// Megabits a second.
    pub up: f64,
    /// Megabits a second.
    pub down: f64,
    /// From the host to the middle of the net: half the way between two alike.
    pub delay: Duration,
    /// When it starts.
    pub start: Duration,
    /// How it lies.
    pub lie: Lie,
    /// When it goes.
    pub leaves: Leaves,
    /// Bytes its disk hashes a second.
    pub hash_rate: u64,
    /// The share of the pieces it comes with, in a thousand.
    pub preloaded: u32,
    /// Pieces from the end that are missing in what it comes with.
    pub lacks: u32,
    /// Whose address it is at; `None` is one that nobody is blamed for.
    pub holder: Option<HolderKey>,
    /// Somebody whom it knows by a link.
    pub knows: Option<HostNo>,
    /// Its engine's.
    pub config: EngineConfig,
}

impl HostSpec {
    /// A leech with a symmetric link.
    pub fn leech(rate: f64) -> Self {
        Self {
            class: "leech",
            is_seed: false,
            up: rate,
            down: rate,
            delay: Duration::from_micros(2500),
            start: Duration::ZERO,
            lie: Lie::None,
            leaves: Leaves::Never,
            hash_rate: 1_000_000_000,
            preloaded: 0,
            lacks: 0,
            holder: None,
            knows: None,
            config: EngineConfig::default(),
        }
    }

    /// A seed with a symmetric link.
    pub fn seed(rate: f64) -> Self {
        Self { class: "seed", is_seed: true, ..Self::leech(rate) }
    }
}

/// What is counted about a host over all its lives.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Content bytes written into sockets.
    pub given: u64,
    /// Other bytes written into sockets.
    pub control: u64,
    /// Content bytes received.
    pub received: u64,
    /// Of these, what was there already or not asked for.
    pub duplicate: u64,
    /// Wrong bytes received.
    pub wrong: u64,
    /// Links ended for an offence, or for those of others at the same address, and whose.
    pub bans: Vec<(HostNo, DisconnectReason)>,
    /// Peers from whom wrong blocks came, and how many.
    pub spoilt_by: Vec<(HostNo, u32)>,
}

impl Counts {
    /// A wrong block came from `giver`.
    pub fn on_wrong(&mut self, giver: HostNo, bytes: u32) {
        self.wrong += u64::from(bytes);
        match self.spoilt_by.iter_mut().find(|(known, _)| *known == giver) {
            Some((_, blocks)) => *blocks += 1,
            None => self.spoilt_by.push((giver, 1)),
        }
    }
}

/// One host.
#[derive(Debug)]
pub struct Host {
    /// How it was made.
    pub spec: HostSpec,
    /// Events of an earlier life are void.
    pub life: u32,
    /// It runs.
    pub is_up: bool,
    /// It will not come back.
    pub is_gone: bool,
    /// When its first life began.
    pub started_at: Option<Nanos>,
    /// When it first had everything.
    pub completed_at: Option<Nanos>,
    /// Which part of a divided net it is in.
    pub side: u8,
    /// What survives a crash.
    pub disk: Disk,
    /// When its disk has done all hashing ordered so far.
    pub hashed_at: Nanos,
    /// What its engine asked to be woken at, and is planned.
    pub wake_at: Option<Nanos>,
    /// Its links, open on its side.
    pub links: Vec<LinkNo>,
    /// Pipes with something to send that their windows let through, served in turn.
    pub ring: VecDeque<PipeNo>,
    /// When the uplink has sent what it is sending.
    pub uplink_free_at: Nanos,
    /// That moment is on the agenda.
    pub uplink_planned: bool,
    /// When the downlink has passed all that arrived.
    pub downlink_free_at: Nanos,
    /// Bytes on their way to it, as they were sent.
    pub inbound: u64,
    /// Nothing passes its links until then.
    pub stalled_until: Nanos,
    /// Who was asked for each block in this life, where single blocks are judged.
    pub asked_of: BTreeMap<BlockRef, Asked>,
    /// Leaf hashes asked for to check the blocks of a piece one by one.
    pub leaf_questions: BTreeSet<(LinkNo, PieceIndex)>,
    /// Those whose bad block was judged in this life, where nobody else was asked for the block.
    pub convicted: BTreeSet<HostNo>,
    /// Figures.
    pub counts: Counts,
}

/// Who was asked for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One host.
    One(HostNo),
    /// Several.
    Several,
}

impl Host {
    /// A host that has not started.
    pub fn new(spec: HostSpec, shape: Shape) -> Self {
        let disk = Disk::new(shape, spec.is_seed);
        Self {
            spec,
            life: 0,
            is_up: false,
            is_gone: false,
            started_at: None,
            completed_at: None,
            side: 0,
            disk,
            hashed_at: 0,
            wake_at: None,
            links: Vec::new(),
            ring: VecDeque::new(),
            uplink_free_at: 0,
            uplink_planned: false,
            downlink_free_at: 0,
            inbound: 0,
            stalled_until: 0,
            asked_of: BTreeMap::new(),
            leaf_questions: BTreeSet::new(),
            convicted: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    /// It asks another host for a block of 16 KiB.
    pub fn on_asked(&mut self, block: BlockRef, of: HostNo) {
        let asked = self.asked_of.entry(block).or_insert(Asked::One(of));
        if *asked != Asked::One(of) {
            *asked = Asked::Several;
        }
    }

    /// Nanoseconds its uplink takes for so many bytes.
    pub fn up_time(&self, bytes: u32) -> Nanos {
        (f64::from(bytes) * 1e9 / (self.spec.up * MBIT)) as Nanos
    }

    /// Nanoseconds its downlink takes for so many bytes.
    pub fn down_time(&self, bytes: u32) -> Nanos {
        (f64::from(bytes) * 1e9 / (self.spec.down * MBIT)) as Nanos
    }

    /// Bytes that its downlink passes in `time` nanoseconds.
    pub fn down_bytes(&self, time: Nanos) -> u32 {
        (self.spec.down * MBIT * time as f64 / 1e9) as u32
    }

    /// Whether more is on its way to it than its downlink passes in `time` nanoseconds: whoever sends to it
    /// notices by losses, and holds back.
    pub fn is_congested(&self, time: Nanos) -> bool {
        self.inbound as f64 > self.spec.down * MBIT * time as f64 / 1e9
    }

    /// It must end up with everything.
    pub fn must_complete(&self) -> bool {
        self.spec.lie.is_honest() && !self.spec.is_seed && !(self.is_gone && self.completed_at.is_none())
    }
}
