//! What a torrent may use of the engine while it handles one fact.

use std::collections::VecDeque;

use samara_proto::moment::Moment;

use super::ahead::Ahead;
use super::choker::Choker;
use super::config::EngineConfig;
use super::event::{HolderKey, LinkId, Output, PeerKey, PeerMessage};
use super::reputation::Reputation;
use super::rng::EngineRng;
use super::timers::Timers;

/// A peer that gave what is corrupt, for certain.
#[derive(Clone, Copy, Debug)]
pub struct Outcast {
    /// Who.
    pub peer: PeerKey,
    /// From whose address it was linked last.
    pub holder: Option<HolderKey>,
}

/// The parts of the engine that all torrents share, and the moment.
#[derive(Debug)]
pub struct Context<'a> {
    /// The moment of the fact.
    pub now: Moment,
    /// Bounds and paces.
    pub config: &'a EngineConfig,
    /// Chance.
    pub rng: &'a mut EngineRng,
    /// Orders decided so far.
    pub outputs: &'a mut VecDeque<Output>,
    /// What peers were caught at.
    pub reputation: &'a mut Reputation,
    /// What is requested over all links.
    pub ahead: &'a mut Ahead,
    /// The upload slots.
    pub choker: &'a mut Choker,
    /// What to be woken for.
    pub timers: &'a mut Timers,
    /// Peers to be thrown out of every torrent once the fact is handled.
    pub outcasts: &'a mut Vec<Outcast>,
}

impl Context<'_> {
    /// Orders a message.
    pub fn send(&mut self, link: LinkId, message: PeerMessage) {
        self.outputs.push_back(Output::Send { link, message });
    }
}
