//! The swarm's brain: facts in, orders out. No clock, no IO, no chance but a seeded one.
//!
//! This file only routes: each fact goes to the torrent it is about, each timer to what it is for.

pub mod ahead;
pub mod availability;
pub mod blame;
pub mod cancelled;
pub mod choker;
pub mod config;
pub mod connections;
pub mod context;
pub mod dispersal;
pub mod event;
pub mod partial;
pub mod parts;
pub mod peer;
pub mod picker;
pub mod pipeline;
pub mod rate;
pub mod ration;
pub mod reputation;
pub mod requests;
pub mod rng;
pub mod selection;
pub mod stats;
pub mod timers;
pub mod torrent;
pub mod turn;
pub mod uplink;
pub mod uploads;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::moment::Moment;

use ahead::Ahead;
use choker::{Choker, Contender};
use config::EngineConfig;
use context::{Context, Outcast};
use event::{Direction, DisconnectReason, HolderKey, Input, LinkId, Offence, Output, TorrentId};
use reputation::Reputation;
use rng::EngineRng;
use stats::{EngineStats, LinkStats};
use timers::{TimerName, Timers};
use torrent::{REQUESTS_INTERVAL, Torrent};

/// Decides for one node what to fetch from whom, what to give to whom, and whom to know.
///
/// It never fails: what a remote does wrong becomes an order to disconnect it.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    rng: EngineRng,
    now: Moment,
    outputs: VecDeque<Output>,
    torrents: BTreeMap<TorrentId, Torrent>,
    /// Every link that is up as the driver sees it, those we ordered to end included.
    routes: BTreeMap<LinkId, TorrentId>,
    reputation: Reputation,
    ahead: Ahead,
    choker: Choker,
    timers: Timers,
    outcasts: Vec<Outcast>,
}

impl Engine {
    /// An engine without torrents, all of whose choices follow from `rng_seed`.
    pub fn new(config: EngineConfig, rng_seed: [u8; 32]) -> Self {
        Self {
            config,
            rng: EngineRng::new(rng_seed),
            now: Moment::ZERO,
            outputs: VecDeque::new(),
            torrents: BTreeMap::new(),
            routes: BTreeMap::new(),
            reputation: Reputation::default(),
            ahead: Ahead::default(),
            choker: Choker::default(),
            timers: Timers::default(),
            outcasts: Vec::new(),
        }
    }

    /// Takes note of a fact. What follows from it is to be fetched with [`Engine::next_output`].
    ///
    /// A moment before that of an earlier call is taken for the earlier one.
    pub fn handle(&mut self, now: Moment, input: Input) {
        self.now = self.now.max(now);
        if let Some(touched) = self.route(input) {
            self.with(touched, |torrent, context| {
                torrent.feed_hungry(context);
                torrent.serve_held(context);
            });
        }
        self.throw_out();
        while let Some(name) = self.timers.take_due(self.now) {
            self.on_timer(name);
        }
    }

    /// The next order, in the sequence they were decided.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to feed [`Input::Wake`], and what for.
    pub fn deadline(&self) -> Option<(Moment, TimerName)> {
        self.timers.next()
    }

    /// All figures, as of the last fact.
    pub fn stats(&self) -> EngineStats {
        let torrents = self.torrents.iter().map(|(&id, torrent)| (id, torrent.stats(self.now)));
        EngineStats { torrents: torrents.collect() }
    }

    /// One link's figures, as of the last fact; `None` if it is not up.
    pub fn peer_stats(&self, link: LinkId) -> Option<LinkStats> {
        let torrent = self.torrents.get(self.routes.get(&link)?)?;
        torrent.link_stats(link, self.now)
    }

    /// The verified pieces of a torrent; `None` if there is no such torrent.
    pub fn verified(&self, torrent: TorrentId) -> Option<&Bitfield> {
        self.torrents.get(&torrent).map(Torrent::verified)
    }

    /// Content bytes of a torrent's verified pieces; 0 if there is no such torrent.
    pub fn bytes_done(&self, torrent: TorrentId) -> u64 {
        self.torrents.get(&torrent).map_or(0, Torrent::bytes_done)
    }

    /// Whether every piece of a torrent that is wanted is verified.
    pub fn is_finished(&self, torrent: TorrentId) -> bool {
        self.torrents.get(&torrent).is_some_and(Torrent::is_finished)
    }

    /// Whether every piece of a torrent is verified.
    pub fn is_complete(&self, torrent: TorrentId) -> bool {
        self.torrents.get(&torrent).is_some_and(Torrent::is_complete)
    }

    /// Whether whoever connects from an address of `holder` is refused, as of the last fact: to dial it is in vain.
    pub fn has_banned(&self, holder: HolderKey) -> bool {
        self.reputation.holder_banned_until(holder, self.now).is_some()
    }

    /// Linked peers that want something of a torrent from us.
    pub fn interested(&self, torrent: TorrentId) -> usize {
        self.torrents.get(&torrent).map_or(0, Torrent::interested)
    }

    /// Links of a torrent that are up.
    pub fn link_count(&self, torrent: TorrentId) -> usize {
        self.torrents.get(&torrent).map_or(0, Torrent::link_count)
    }

    /// Hands a fact to whom it concerns; which torrent that was.
    fn route(&mut self, input: Input) -> Option<TorrentId> {
        match input {
            Input::AddTorrent { torrent, content, aim } => {
                let (torrents, mut context) = self.split();
                torrents.entry(torrent).or_insert_with(|| Torrent::new(torrent, content, aim, &mut context));
                Some(torrent)
            }
            Input::RemoveTorrent { torrent } => {
                self.with(torrent, |torrent, context| torrent.drop_all(context));
                self.torrents.remove(&torrent);
                self.timers.set_no_later(TimerName::Dial, self.now);
                None
            }
            Input::Candidate { torrent, peer, source } => {
                self.with(torrent, |torrent, context| torrent.on_candidate(peer, source, context));
                self.dial(torrent);
                None
            }
            Input::DialFailed { torrent, peer } => {
                self.with(torrent, |torrent, context| torrent.on_dial_failed(peer, context));
                self.timers.set_no_later(TimerName::Dial, self.now);
                None
            }
            Input::Refused { torrent, peer } => {
                self.with(torrent, |torrent, _| torrent.on_refused(peer));
                self.timers.set_no_later(TimerName::Dial, self.now);
                None
            }
            Input::Connected { torrent, peer, holder, link, direction, traits } => {
                self.routes.insert(link, torrent);
                let too_many = self.routes.len() > self.config.links;
                if too_many || !self.torrents.contains_key(&torrent) {
                    let reason = if too_many {
                        DisconnectReason::TooManyLinks
                    } else {
                        DisconnectReason::TorrentRemoved
                    };
                    self.outputs.push_back(Output::Disconnect { link, reason });
                    if direction == Direction::Outbound {
                        self.with(torrent, |torrent, context| torrent.on_dial_failed(peer, context));
                    }
                } else {
                    self.with(torrent, |torrent, context| {
                        torrent.on_connected(link, (peer, holder), direction, traits, context);
                    });
                }
                self.timers.set_no_later(TimerName::Dial, self.now);
                Some(torrent)
            }
            Input::Disconnected { link } => {
                let torrent = self.routes.remove(&link)?;
                self.with(torrent, |torrent, context| torrent.on_disconnected(link, context));
                self.timers.set_no_later(TimerName::Dial, self.now);
                Some(torrent)
            }
            Input::Received { link, message } => {
                self.at(link, |torrent, context| torrent.on_message(link, message, context))
            }
            Input::BlockReceived { link, block } => {
                self.at(link, |torrent, context| torrent.on_block(link, block, context))
            }
            Input::BlockSent { link, block } => {
                self.at(link, |torrent, context| torrent.on_block_sent(link, block, context))
            }
            Input::BlockUnreadable { link, block } => {
                self.at(link, |torrent, context| torrent.on_block_unreadable(link, block, context))
            }
            Input::PieceChecked { torrent, piece, verdict } => {
                self.with(torrent, |torrent, context| torrent.on_checked(piece, verdict, context));
                Some(torrent)
            }
            Input::Judged { link, block, bad } => {
                self.at(link, |torrent, context| torrent.on_judged(block, &bad, context))
            }
            Input::Unjudged { link, block } => {
                self.at(link, |torrent, context| torrent.on_unjudged(link, block, context))
            }
            Input::LeavesCame { torrent, piece } => {
                self.with(torrent, |torrent, context| torrent.on_leaves(piece, context));
                Some(torrent)
            }
            Input::NoLeaves { link, piece } => self.at(link, |torrent, _| torrent.on_no_leaves(link, piece)),
            Input::BlocksChecked { torrent, block, order, bad } => {
                self.with(torrent, |torrent, context| torrent.on_blocks_checked(block, order, &bad, context));
                Some(torrent)
            }
            Input::PieceLost { torrent, piece } => {
                self.with(torrent, |torrent, context| torrent.on_lost(piece, context));
                Some(torrent)
            }
            Input::Select { torrent, selection } => {
                self.with(torrent, |torrent, context| torrent.select(&selection, context));
                self.timers.set_no_later(TimerName::Dial, self.now);
                Some(torrent)
            }
            // Whatever comes in, the timers that are due are looked after.
            Input::Wake => None,
        }
    }

    fn on_timer(&mut self, name: TimerName) {
        match name {
            TimerName::FillSlots => self.fill_slots(),
            TimerName::Turns => {
                for torrent in self.ids() {
                    self.with(torrent, |torrent, context| torrent.on_turns_timer(context));
                }
            }
            TimerName::Show => {
                for torrent in self.ids() {
                    self.with(torrent, |torrent, context| torrent.on_show_timer(context));
                }
            }
            TimerName::News => {
                for torrent in self.ids() {
                    self.with(torrent, |torrent, context| torrent.tell_news(context));
                }
            }
            TimerName::Dial => {
                for torrent in self.ids() {
                    self.dial(torrent);
                }
            }
            TimerName::Requests => {
                let mut any = false;
                for torrent in self.ids() {
                    self.with(torrent, |torrent, context| {
                        any |= torrent.on_requests_timer(context);
                        torrent.feed_hungry(context);
                    });
                }
                if any {
                    self.timers.set_no_later(TimerName::Requests, self.now + REQUESTS_INTERVAL);
                }
            }
        }
    }

    fn fill_slots(&mut self) {
        let contenders = self.contenders();
        for (torrent, link) in self.choker.fill(&contenders, self.now, &self.config, &mut self.rng) {
            self.with(torrent, |torrent, context| torrent.unchoke(link, context));
        }
    }

    fn contenders(&self) -> Vec<Contender> {
        self.torrents.values().flat_map(|torrent| torrent.contenders(self.now)).collect()
    }

    fn dial(&mut self, id: TorrentId) {
        let dialing: usize = self.torrents.values().map(Torrent::dialing).sum();
        let places = self.config.links.saturating_sub(self.routes.len() + dialing);
        let budget = self.config.dials.saturating_sub(dialing).min(places);
        self.with(id, |torrent, context| torrent.dial(budget, context));
    }

    /// Bans those who were found to have given a corrupt piece, from every torrent.
    fn throw_out(&mut self) {
        while let Some(Outcast { peer, holder }) = self.outcasts.pop() {
            self.reputation.on_offence(peer, Offence::CorruptPiece, self.now);
            for torrent in self.ids() {
                self.with(torrent, |torrent, context| {
                    torrent.cast_out(peer, context);
                    torrent.feed_hungry(context);
                });
            }
            if let Some(holder) = holder
                && let Some(ban) = self.reputation.on_culprit(holder, peer, self.now)
            {
                self.ban_holder(holder, ban);
            }
        }
    }

    /// Ends the links with all who are at an address of `holder`, in every torrent.
    fn ban_holder(&mut self, holder: HolderKey, ban: Duration) {
        self.outputs.push_back(Output::HolderBanned { holder, ban });
        let until = self.now + ban;
        for torrent in self.ids() {
            self.with(torrent, |torrent, context| {
                torrent.cast_out_holder(holder, until, context);
                torrent.feed_hungry(context);
            });
        }
    }

    fn ids(&self) -> Vec<TorrentId> {
        self.torrents.keys().copied().collect()
    }

    /// Lets the torrent of `link` act; which it is.
    fn at(&mut self, link: LinkId, act: impl FnOnce(&mut Torrent, &mut Context<'_>)) -> Option<TorrentId> {
        let &torrent = self.routes.get(&link)?;
        self.with(torrent, act);
        Some(torrent)
    }

    /// Lets a torrent act with what all torrents share.
    fn with(&mut self, id: TorrentId, act: impl FnOnce(&mut Torrent, &mut Context<'_>)) {
        let (torrents, mut context) = self.split();
        if let Some(torrent) = torrents.get_mut(&id) {
            act(torrent, &mut context);
        }
    }

    /// The torrents, and apart from them what they share.
    fn split(&mut self) -> (&mut BTreeMap<TorrentId, Torrent>, Context<'_>) {
        let context = Context {
            now: self.now,
            config: &self.config,
            rng: &mut self.rng,
            outputs: &mut self.outputs,
            reputation: &mut self.reputation,
            ahead: &mut self.ahead,
            choker: &mut self.choker,
            timers: &mut self.timers,
            outcasts: &mut self.outcasts,
        };
        (&mut self.torrents, context)
    }
}

#[cfg(test)]
mod tests;
