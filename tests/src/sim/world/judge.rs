//! Leaf hashes on the way: asked for, computed by whoever has the piece, held against what is on disk.

use samara_peer::engine::event::{Input, LinkId};
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;

use super::{TORRENT, World};
use crate::sim::agenda::{Blocks, Event, HostNo, LinkNo, Nanos};
use crate::sim::host::Asked;
use crate::sim::wire::Talk;

impl World {
    /// Something other than content reaches a host.
    pub(super) fn take_talk(&mut self, host: HostNo, link_no: LinkNo, side: usize, talk: Talk) {
        match talk {
            Talk::Message(message) => self.take_message(host, link_no, side, message),
            Talk::Hashes(block) if self.answers_question(host, link_no, block) => {
                self.hosts[host as usize].disk.on_leaves(block.piece);
                self.fact(host, Input::LeavesCame { torrent: TORRENT, piece: block.piece });
            }
            Talk::HashReject(block) if self.answers_question(host, link_no, block) => {
                let (link, piece) = (LinkId(u64::from(link_no)), block.piece);
                self.fact(host, Input::NoLeaves { link, piece });
            }
            Talk::HashRequest(block) => self.prove(host, link_no, side, block),
            Talk::Hashes(block) => {
                let wait = self.hash_time(host, block.length);
                let of = blocks_of(block);
                self.plan_for(host, wait, |host, life| Event::Judged { host, life, link: link_no, of });
            }
            Talk::HashReject(block) => {
                self.fact(host, Input::Unjudged { link: LinkId(u64::from(link_no)), block });
            }
        }
    }

    pub(super) fn ask_for_leaves(&mut self, host: HostNo, link: LinkId, block: BlockRef) {
        if let Some((link_no, side)) = self.open_end(host, link) {
            self.post(link_no, side, Talk::HashRequest(block));
        }
    }

    pub(super) fn fetch_leaves(&mut self, host: HostNo, link: LinkId, piece: PieceIndex) {
        if let Some((link_no, side)) = self.open_end(host, link) {
            self.hosts[host as usize].leaf_questions.insert((link_no, piece));
            let block = BlockRef { piece, begin: 0, length: self.settings.shape.piece_length };
            self.post(link_no, side, Talk::HashRequest(block));
        }
    }

    /// Whether an answer is about a whole piece that was asked for to check its blocks.
    fn answers_question(&mut self, host: HostNo, link_no: LinkNo, block: BlockRef) -> bool {
        block.length == self.settings.shape.piece_length
            && self.hosts[host as usize].leaf_questions.remove(&(link_no, block.piece))
    }

    /// Orders the blocks that came to be hashed, at once: they are in memory.
    pub(super) fn check_blocks(&mut self, host: HostNo, block: BlockRef, order: u32) {
        let (wait, of) = (self.hash_time(host, block.length), blocks_of(block));
        let hasher = &mut self.hosts[host as usize];
        hasher.hashed_at = hasher.hashed_at.max(self.now) + wait;
        let wait = hasher.hashed_at - self.now;
        self.plan_for(host, wait, |host, life| Event::BlocksChecked { host, life, of, order });
    }

    /// Whoever gave a bad block, and was alone asked for it, has to be gone as soon as the engine knows.
    pub(super) fn on_blocks_checked(&mut self, host: HostNo, of: Blocks, order: u32) {
        let block = block_of(of);
        self.convict_givers(host, block);
        let bad = self.hosts[host as usize].disk.check(block);
        self.fact(host, Input::BlocksChecked { torrent: TORRENT, block, order, bad });
    }

    /// A host is asked for leaf hashes: it hashes the piece after all that its disk has to hash already.
    fn prove(&mut self, host: HostNo, link: LinkNo, side: usize, block: BlockRef) {
        let asked = &self.hosts[host as usize];
        if !asked.spec.lie.proves() {
            return;
        }
        if asked.disk.has_leaves(block.piece) {
            return self.post(link, side, Talk::Hashes(block));
        }
        if !asked.disk.verified().get(block.piece) {
            return self.post(link, side, Talk::HashReject(block));
        }
        let time = self.hash_time(host, self.settings.shape.piece_length);
        let hasher = &mut self.hosts[host as usize];
        hasher.hashed_at = hasher.hashed_at.max(self.now) + time;
        let wait = hasher.hashed_at - self.now;
        let of = blocks_of(block);
        self.plan_for(host, wait, |host, life| Event::Proven { host, life, link, of });
    }

    pub(super) fn on_proven(&mut self, host: HostNo, link: LinkNo, of: Blocks) {
        if let Some((link, side)) = self.open_end(host, LinkId(u64::from(link))) {
            self.post(link, side, Talk::Hashes(block_of(of)));
            self.touched.push(host);
        }
    }

    /// Blocks were held against their leaf hashes. Whoever gave a bad one, and was alone asked for it, has to be
    /// gone as soon as the engine knows.
    pub(super) fn on_judged(&mut self, host: HostNo, link: LinkNo, of: Blocks) {
        let (block, link) = (block_of(of), LinkId(u64::from(link)));
        if self.open_end(host, link).is_none() {
            return;
        }
        let wrong = self.convict_givers(host, block);
        let bad = wrong.into_iter().map(|(bad, _)| bad).collect();
        self.fact(host, Input::Judged { link, block, bad });
    }

    fn convict_givers(&mut self, host: HostNo, block: BlockRef) -> Vec<(BlockRef, HostNo)> {
        let judge = &mut self.hosts[host as usize];
        let wrong = judge.disk.wrong_in(block);
        for (bad, giver) in &wrong {
            if judge.asked_of.get(bad) == Some(&Asked::One(*giver)) {
                judge.convicted.insert(*giver);
            }
        }
        wrong
    }

    fn hash_time(&self, host: HostNo, bytes: u32) -> Nanos {
        u64::from(bytes) * 1_000_000_000 / self.hosts[host as usize].spec.hash_rate
    }
}

fn blocks_of(block: BlockRef) -> Blocks {
    // A piece has at most 16,384.
    let number = |bytes: u32| (bytes / BLOCK_LENGTH) as u16;
    Blocks { piece: block.piece.0, first: number(block.begin), count: number(block.length) }
}

fn block_of(of: Blocks) -> BlockRef {
    let bytes = |blocks: u16| u32::from(blocks) * BLOCK_LENGTH;
    BlockRef { piece: PieceIndex(of.piece), begin: bytes(of.first), length: bytes(of.count) }
}
