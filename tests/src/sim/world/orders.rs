//! What engines order, carried out, and what hosts find out, told.

use samara_peer::engine::event::{DisconnectReason, Input, LinkId, Output, PeerMessage, Verdict};
use samara_proto::layout::PieceIndex;

use super::{TORRENT, World};
use crate::sim::agenda::{Event, HostNo, LinkNo};
use crate::sim::link::pipe_no;
use crate::sim::pipe::Parcel;
use crate::sim::wire::Talk;

impl World {
    /// Does what an engine ordered, or what the host makes of it.
    pub(super) fn carry_out(&mut self, host: HostNo, output: Output) {
        self.trace.note(self.now, host, &output);
        let lie = self.hosts[host as usize].spec.lie;
        if lie.is_honest() {
            self.check_order(host, &output);
        }
        let Some(output) = lie.bend(output) else { return };
        match output {
            Output::Dial { peer, .. } => self.dial(host, peer.0 as HostNo),
            Output::Send { link, message } => self.send(host, link, message),
            Output::SendBlock { link, block } => {
                let is_bad = lie.spoils(&mut self.rng);
                if let Some((link_no, side)) = self.open_end(host, link) {
                    self.links[link_no as usize].pipes[side].post_block(Parcel { block, is_bad });
                    self.offer(pipe_no(link_no, side));
                }
            }
            Output::CheckPiece { piece, .. } => self.check_piece(host, piece),
            Output::Judge { link, block } => self.ask_for_leaves(host, link, block),
            Output::FetchLeaves { link, piece } => self.fetch_leaves(host, link, piece),
            Output::CheckBlocks { block, order, .. } => self.check_blocks(host, block, order),
            Output::Disconnect { link, reason } => {
                if let Some((link_no, side)) = self.open_end(host, link) {
                    if matches!(reason, DisconnectReason::Offence(_) | DisconnectReason::HolderBanned) {
                        let other = self.links[link_no as usize].ends[1 - side].host;
                        self.hosts[host as usize].counts.bans.push((other, reason));
                    }
                    self.cut(link_no, side);
                }
            }
            Output::HolderBanned { .. } => {}
            Output::Completed { .. } => {
                if !self.hosts[host as usize].disk.verified().is_full() {
                    self.violate(host, "it says that it has everything and has not");
                }
                self.on_completed(host);
            }
        }
    }

    fn send(&mut self, host: HostNo, link: LinkId, message: PeerMessage) {
        let Some((link_no, side)) = self.open_end(host, link) else { return };
        let link = &mut self.links[link_no as usize];
        let other = link.other(host);
        let end = &mut link.ends[side];
        end.has_spoken = true;
        if let PeerMessage::Request(block) = message {
            end.asked.push(block);
            if self.settings.v2 {
                let asker = &mut self.hosts[host as usize];
                block.blocks().for_each(|one| asker.on_asked(one, other));
            }
        }
        self.post(link_no, side, Talk::Message(message));
    }

    fn check_piece(&mut self, host: HostNo, piece: PieceIndex) {
        let hasher = &mut self.hosts[host as usize];
        let time = u64::from(self.settings.shape.piece_length) * 1_000_000_000 / hasher.spec.hash_rate;
        hasher.hashed_at = hasher.hashed_at.max(self.now) + time;
        let wait = hasher.hashed_at - self.now;
        self.plan_for(host, wait, |host, life| Event::Checked { host, life, piece: piece.0 });
    }

    pub(super) fn on_checked(&mut self, host: HostNo, piece: u32) {
        let piece = PieceIndex(piece);
        let disk = &mut self.hosts[host as usize].disk;
        let verdict = if disk.is_good(piece) { Verdict::Good } else { Verdict::Bad };
        match verdict {
            Verdict::Good => disk.on_good(piece),
            // Where single blocks can be judged, the good ones of a bad piece count.
            Verdict::Bad if self.settings.v2 => {}
            Verdict::Bad => disk.on_bad(piece),
        }
        self.fact(host, Input::PieceChecked { torrent: TORRENT, piece, verdict });
    }

    /// A message reaches its host's engine.
    pub(super) fn take_message(&mut self, host: HostNo, link_no: LinkNo, side: usize, message: PeerMessage) {
        if let PeerMessage::Reject(block) = &message {
            self.links[link_no as usize].ends[side].on_answered(*block);
        }
        self.fact(host, Input::Received { link: LinkId(u64::from(link_no)), message });
    }

    /// A block reaches its host: to the disk if it was asked for, else nowhere.
    pub(super) fn take_block(&mut self, host: HostNo, link_no: LinkNo, side: usize, parcel: Parcel) {
        let Parcel { block, is_bad } = parcel;
        let link = &mut self.links[link_no as usize];
        let was_asked = link.ends[side].on_answered(block);
        let giver = link.ends[1 - side].host;
        let taker = &mut self.hosts[host as usize];
        taker.counts.received += u64::from(block.length);
        if !was_asked {
            taker.counts.duplicate += u64::from(block.length);
            if self.hosts[giver as usize].spec.lie.is_honest()
                && self.hosts[host as usize].spec.lie.is_honest()
            {
                self.violate(host, format!("{block:?} came from {giver} and was not asked for"));
            }
            return;
        }
        if is_bad {
            taker.counts.on_wrong(giver, block.length);
        }
        taker.counts.duplicate += u64::from(taker.disk.write(block, is_bad.then_some(giver)).duplicate);
        self.fact(host, Input::BlockReceived { link: LinkId(u64::from(link_no)), block });
    }

    /// A link that `host` holds open, and its side of it.
    pub(in crate::sim) fn open_end(&self, host: HostNo, link: LinkId) -> Option<(LinkNo, usize)> {
        let number = LinkNo::try_from(link.0).ok()?;
        let link = self.links.get(number as usize)?;
        let side = link.side_of(host);
        link.ends[side].is_open.then_some((number, side))
    }

    /// A liar acts of its own accord.
    pub(super) fn mischief(&mut self, host: HostNo) {
        let lie = self.hosts[host as usize].spec.lie;
        for link_no in self.hosts[host as usize].links.clone() {
            let side = self.links[link_no as usize].side_of(host);
            // It has to have said what it has, and there is no point in more than the other end takes.
            let link = &self.links[link_no as usize];
            if !link.ends[side].has_spoken || link.pipes[side].messages_held() > 0 {
                continue;
            }
            for message in lie.mischief(self.settings.shape, &mut self.rng) {
                self.post(link_no, side, Talk::Message(message));
            }
        }
        self.touched.push(host);
        let wait = self.jittered(crate::sim::lie::MISCHIEF_INTERVAL);
        self.plan_for(host, wait, |host, life| Event::Mischief { host, life });
    }
}
