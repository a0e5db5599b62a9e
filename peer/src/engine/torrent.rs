//! One torrent: its pieces, its links, and what each fact about them leads to.

mod download;
mod forward;
mod judge;
mod late;
mod links;
mod messages;
mod news;
mod select;
mod show;
mod turns;
mod upload;

pub use late::REQUESTS_INTERVAL;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{Layout, PieceIndex};
use samara_proto::moment::Moment;

use super::blame::Cases;
use super::connections::{Connections, Need};
use super::context::Context;
use super::dispersal::Dispersal;
use super::event::{Aim, Content, LinkId, Output, PeerKey, PeerMessage, Proof, TorrentId, Verdict};
use super::peer::Peer;
use super::picker::Picker;
use super::rate::{Meter, Peak};
use super::ration::Ration;
use super::stats::{LinkStats, TorrentStats};
use super::timers::TimerName;

/// Over how long a torrent's own rates are taken.
const RATE_WINDOW: Duration = Duration::from_secs(4);

/// All that the engine knows of one torrent.
#[derive(Debug)]
pub struct Torrent {
    id: TorrentId,
    layout: Arc<Layout>,
    aim: Aim,
    verified: Bitfield,
    bytes_done: u64,
    proof: Proof,
    /// Pieces that are wanted and not verified.
    missing: u32,
    picker: Picker,
    /// Blocks held against their leaf hashes.
    cases: Cases,
    /// Orders to check single blocks so far.
    block_checks: u32,
    /// While we are a first seed.
    dispersal: Option<Dispersal>,
    links: BTreeMap<LinkId, Peer>,
    by_peer: BTreeMap<PeerKey, LinkId>,
    connections: Connections,
    /// Links that could take requests but had none to take.
    hungry: BTreeSet<LinkId>,
    /// Links whose peers have something that we miss, all of it asked of others: told that we want nothing.
    resting: BTreeSet<LinkId>,
    /// Something became free to be requested, by whoever is hungry.
    freed: bool,
    /// Links that have a slot.
    served: BTreeSet<LinkId>,
    /// Who owes and has a slot, but must let others have theirs first.
    held: BTreeSet<LinkId>,
    ration: Ration,
    interested: usize,
    wasted: u64,
    down: Meter,
    /// The highest rate lately at which content came.
    down_reached: Peak,
    up: Meter,
}

impl Torrent {
    /// Takes part in a torrent; blocks that are on disk may lead to orders to check their pieces.
    pub fn new(id: TorrentId, content: Content, aim: Aim, context: &mut Context<'_>) -> Self {
        let Content { layout, verified, stored, proof, selection } = content;
        let missing = verified.iter_zeros().filter(|_| aim == Aim::Fetch);
        let mut picker = Picker::new(Arc::clone(&layout), missing, &selection, context.config, context.rng);
        for block in stored {
            if picker.on_stored(block, context.now) {
                context.outputs.push_back(Output::CheckPiece { torrent: id, piece: block.piece });
            }
        }
        // No more than there are pieces.
        let missing = verified.iter_zeros().filter(|&piece| picker.wants(piece)).count() as u32;
        let dispersal = verified.is_full().then(|| Dispersal::new(Arc::clone(&layout), context.rng));
        let bytes_done = verified.iter_ones().map(|piece| u64::from(layout.content_size(piece))).sum();
        Self {
            id,
            layout,
            aim,
            verified,
            bytes_done,
            proof,
            missing,
            picker,
            cases: Cases::default(),
            block_checks: 0,
            dispersal,
            links: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            connections: Connections::new(context.config.candidates_per_torrent),
            hungry: BTreeSet::new(),
            resting: BTreeSet::new(),
            freed: false,
            served: BTreeSet::new(),
            held: BTreeSet::new(),
            ration: Ration::default(),
            interested: 0,
            wasted: 0,
            down: Meter::new(context.now, RATE_WINDOW),
            down_reached: Peak::new(download::FADE),
            up: Meter::new(context.now, RATE_WINDOW),
        }
    }

    /// The pieces that are verified.
    pub fn verified(&self) -> &Bitfield {
        &self.verified
    }

    /// Content bytes of verified pieces.
    pub fn bytes_done(&self) -> u64 {
        self.bytes_done
    }

    /// Whether every piece that is wanted is verified.
    pub fn is_finished(&self) -> bool {
        self.missing == 0
    }

    /// Whether every piece is verified.
    pub fn is_complete(&self) -> bool {
        self.verified.is_full()
    }

    /// Peers that want something from us.
    pub fn interested(&self) -> usize {
        self.interested
    }

    /// A hash check is done.
    pub fn on_checked(&mut self, piece: PieceIndex, verdict: Verdict, context: &mut Context<'_>) {
        if piece.0 >= self.layout.piece_count() {
            return;
        }
        let is_latest = self.picker.on_check_done(piece);
        match (verdict, self.verified.get(piece)) {
            (Verdict::Good, false) => self.on_good(piece, context),
            (Verdict::Bad, true) => self.on_lost(piece, context),
            // Which of its blocks are bad is about to be known.
            (Verdict::Bad, false) if self.picker.partials().are_blocks_being_checked(piece) => {}
            (Verdict::Bad, false) if is_latest && !self.look_into(piece, context) => {
                self.on_bad_whole(piece, context);
            }
            _ => {}
        }
    }

    /// A verified piece is gone: it is neither served nor counted any more.
    pub fn on_lost(&mut self, piece: PieceIndex, context: &mut Context<'_>) {
        if !self.verified.clear(piece) {
            return;
        }
        self.bytes_done -= u64::from(self.layout.content_size(piece));
        self.refuse_waiting(piece, context);
        self.links.values_mut().for_each(|peer| peer.untold.retain(|untold| *untold != piece));
        if let Some(dispersal) = &mut self.dispersal {
            dispersal.on_lost(piece, context.rng);
        }
        if self.picker.wants(piece) {
            if self.is_finished() {
                self.connections.on_need(context.now);
            }
            self.missing += 1;
        }
        if !self.misses(piece) {
            return;
        }
        self.picker.on_lost(piece, context.rng);
        for (&link, peer) in self.links.iter_mut().filter(|(_, peer)| peer.has.get(piece)) {
            peer.wanted += 1;
            if !peer.we_want {
                peer.we_want = true;
                context.send(link, PeerMessage::Interested);
            }
            self.resting.remove(&link);
            self.hungry.insert(link);
        }
        self.freed = true;
    }

    fn on_good(&mut self, piece: PieceIndex, context: &mut Context<'_>) {
        let is_wanted = self.misses(piece);
        self.missing -= u32::from(self.picker.wants(piece));
        self.verified.set(piece);
        self.bytes_done += u64::from(self.layout.content_size(piece));
        // A first seed has everything at first.
        if let Some(dispersal) = &mut self.dispersal {
            dispersal.on_regained(piece, context.rng);
        }
        // Others wait only for a place among the begun pieces.
        self.freed |= self.picker.is_at_limit();
        let givers = self.picker.on_verified(piece);
        if let (Some(&giver), 1, false) = (givers.peers.first(), givers.peers.len(), givers.disk) {
            context.reputation.clear(giver);
        }
        self.acquit(&givers.peers, context);
        self.close_cases(piece, &givers.peers, context);
        for (&link, peer) in &mut self.links {
            let is_counted = is_wanted && peer.has.get(piece);
            let had_part = peer.parts.remove(piece);
            peer.told.remove(&piece);
            news::tell(link, peer, piece, context);
            if is_counted || had_part {
                peer.wanted -= u32::from(is_counted);
                if !peer.is_useful() {
                    self.resting.remove(&link);
                    if std::mem::take(&mut peer.we_want) {
                        context.send(link, PeerMessage::NotInterested);
                    }
                }
            }
        }
        self.cancel_piece(givers.asked, piece, context);
        if is_wanted && self.is_finished() {
            self.finish(context);
        }
    }

    /// A piece is bad, and nobody can say which of its blocks are.
    fn on_bad_whole(&mut self, piece: PieceIndex, context: &mut Context<'_>) {
        // Some of it may be on its way again already.
        if !self.picker.is_complete(piece) || self.picker.partials().are_blocks_being_checked(piece) {
            return;
        }
        let givers = self.picker.on_failed(piece, context.now, context.rng);
        self.freed = true;
        context.timers.set_no_later(TimerName::Requests, context.now + REQUESTS_INTERVAL);
        self.cancel_piece(givers.asked, piece, context);
        match (givers.peers.first(), givers.peers.len(), givers.contested) {
            // What was on disk before may be to blame.
            _ if givers.disk => {}
            (Some(&culprit), 1, false) => self.convict(culprit, context),
            _ => givers.peers.iter().for_each(|&peer| context.reputation.suspect(peer)),
        }
        self.close_cases(piece, &givers.peers, context);
    }

    fn need(&self) -> Need {
        if self.aim == Aim::Fetch && !self.is_finished() { Need::Urgent } else { Need::None }
    }

    /// The torrent's figures at `now`.
    pub fn stats(&self, now: Moment) -> TorrentStats {
        TorrentStats {
            pieces: self.layout.piece_count(),
            pieces_verified: self.verified.count_ones(),
            pieces_begun: self.picker.begun_count(),
            bytes_done: self.bytes_done,
            downloaded: self.down.total(),
            uploaded: self.up.total(),
            wasted: self.wasted,
            down_rate: self.down.rate(now),
            up_rate: self.up.rate(now),
            interested: self.interested,
            candidates: self.connections.count(),
            links: self.links.iter().map(|(&link, peer)| (link, link_stats(peer, now))).collect(),
        }
    }

    /// One link's figures at `now`.
    pub fn link_stats(&self, link: LinkId, now: Moment) -> Option<LinkStats> {
        self.links.get(&link).map(|peer| link_stats(peer, now))
    }
}

fn link_stats(peer: &Peer, now: Moment) -> LinkStats {
    LinkStats {
        peer: peer.key,
        pieces: peer.has.count_ones(),
        downloaded: peer.down.total(),
        uploaded: peer.up.total(),
        down_rate: peer.pipeline.rate(now),
        up_rate: peer.up.rate(now),
        in_flight: peer.requests.bytes(),
        waiting: peer.uploads.waiting(),
        we_choke: peer.we_choke,
        chokes_us: peer.chokes_us,
        we_want: peer.we_want,
        wants_us: peer.wants_us,
        snubbed: peer.pipeline.is_snubbed(),
    }
}
