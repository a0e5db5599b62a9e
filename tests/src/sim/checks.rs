//! The claims about safety: each order of an honest engine is judged as it is given, and whole hosts now and
//! then.

use samara_peer::engine::Engine;
use samara_peer::engine::event::{DisconnectReason, LinkId, Output, PeerMessage};
use samara_proto::bitfield::Bitfield;
use samara_proto::layout::BlockRef;
use samara_proto::limits::BLOCK_LENGTH;

use super::agenda::{HostNo, LinkNo};
use super::world::{TORRENT, World};

impl World {
    /// Judges an order before it is carried out.
    pub(super) fn check_order(&mut self, host: HostNo, output: &Output) {
        let broken = match output {
            Output::Send { link, message } => self.check_message(host, *link, message),
            Output::SendBlock { block, .. } => {
                (!self.has(host, *block)).then(|| format!("it serves {block:?}, which is not verified"))
            }
            Output::CheckPiece { piece, .. } => (!self.hosts[host as usize].disk.is_whole(*piece))
                .then(|| format!("it checks piece {piece}, of which blocks are missing")),
            Output::CheckBlocks { block, .. } => self
                .cannot_check(host, *block)
                .then(|| format!("it checks {block:?} one by one without leaf hashes or blocks")),
            Output::Disconnect { link, reason } => self.check_disconnect(host, *link, *reason),
            Output::Dial { .. }
            | Output::Judge { .. }
            | Output::FetchLeaves { .. }
            | Output::HolderBanned { .. }
            | Output::Completed { .. } => None,
        };
        if let Some(what) = broken {
            self.violate(host, what);
        }
    }

    fn check_message(&self, host: HostNo, link: LinkId, message: &PeerMessage) -> Option<String> {
        let (link_no, side) = self.open_end(host, link)?;
        let end = &self.links[link_no as usize].ends[side];
        let verified = self.hosts[host as usize].disk.verified();
        let is_opening =
            matches!(message, PeerMessage::Bitfield(_) | PeerMessage::HaveAll | PeerMessage::HaveNone);
        if is_opening == end.has_spoken {
            return Some(format!("{message:?} is out of order"));
        }
        match message {
            PeerMessage::Have(piece) if !verified.get(*piece) => {
                Some(format!("it announces piece {piece}, which is not verified"))
            }
            PeerMessage::Bitfield(has) if has.any_not_in(verified) => {
                Some("its bitfield has pieces that are not verified".to_owned())
            }
            PeerMessage::HaveAll if !verified.is_full() => {
                Some("it says that it has everything and has not".to_owned())
            }
            PeerMessage::Blocks { piece, blocks } => {
                let told = blocks.iter_ones().map(|n| (*piece, n.0 * BLOCK_LENGTH));
                let mut told = told.map(|(piece, begin)| BlockRef { piece, begin, length: BLOCK_LENGTH });
                let unverified = told.find(|&block| !self.has(host, block));
                unverified.map(|block| format!("it announces {block:?}, which is not verified"))
            }
            PeerMessage::Request(block) if verified.get(block.piece) => {
                Some(format!("it requests {block:?}, which is verified"))
            }
            PeerMessage::Request(block) if !self.is_whole_blocks(block.begin, block.length) => {
                Some(format!("it requests {block:?}, which is not made of whole blocks"))
            }
            PeerMessage::Request(block) if self.is_convicted(host, link_no) => {
                Some(format!("it requests {block:?} of somebody of whom a bad block was judged"))
            }
            PeerMessage::Request(_) if end.asked.len() >= super::world::REQUEST_QUEUE as usize => {
                Some("it requests more than the other end holds".to_owned())
            }
            _ => None,
        }
    }

    /// Whether the other end gave `host` a block that was judged and found bad, and nobody else was ever asked for
    /// that block.
    fn is_convicted(&self, host: HostNo, link: LinkNo) -> bool {
        self.hosts[host as usize].convicted.contains(&self.links[link as usize].other(host))
    }

    /// Looks whether a host that was told of bad blocks is rid of those who gave them.
    pub(super) fn check_rid_of_convicted(&mut self, host: HostNo) {
        let links = &self.hosts[host as usize].links;
        if let Some(&link) = links.iter().find(|&&link| self.is_convicted(host, link)) {
            let giver = self.links[link as usize].other(host);
            self.violate(host, format!("it keeps its link to {giver}, of whom a bad block was judged"));
        }
    }

    fn is_whole_blocks(&self, begin: u32, length: u32) -> bool {
        let is_aligned = begin.is_multiple_of(BLOCK_LENGTH) && length.is_multiple_of(BLOCK_LENGTH);
        is_aligned && length > 0 && begin.saturating_add(length) <= self.settings.shape.piece_length
    }

    fn check_disconnect(&self, host: HostNo, link: LinkId, reason: DisconnectReason) -> Option<String> {
        let (link_no, _) = self.open_end(host, link)?;
        let other = self.links[link_no as usize].other(host);
        // No honest host shares its address.
        let is_ban = matches!(reason, DisconnectReason::Offence(_) | DisconnectReason::HolderBanned);
        let is_unjust = is_ban && self.hosts[other as usize].spec.lie.is_honest();
        is_unjust.then(|| format!("it ends a link to the honest host {other}: {reason:?}"))
    }

    fn cannot_check(&self, host: HostNo, block: BlockRef) -> bool {
        !self.is_whole_blocks(block.begin, block.length)
            || !self.hosts[host as usize].disk.knows_leaves(block.piece)
    }

    fn has(&self, host: HostNo, block: BlockRef) -> bool {
        self.is_whole_blocks(block.begin, block.length) && self.hosts[host as usize].disk.may_serve(block)
    }

    /// Looks at everything about one host.
    pub(super) fn inspect(&mut self, host: HostNo) {
        let Some(engine) = self.engine(host) else { return };
        if let Some(what) = self.broken_claim(host, engine) {
            self.violate(host, what);
        }
    }

    fn broken_claim(&self, number: HostNo, engine: &Engine) -> Option<String> {
        let host = &self.hosts[number as usize];
        if host.disk.is_spoilt() {
            return Some("a wrong byte is on its disk in a piece that counts as verified".to_owned());
        }
        let nothing = Bitfield::new(0);
        let believed = engine.verified(TORRENT).unwrap_or(&nothing);
        if believed.any_not_in(host.disk.verified()) {
            return Some("its engine takes pieces for verified that are not".to_owned());
        }
        if engine.link_count(TORRENT) > host.spec.config.links_per_torrent {
            return Some(format!("it has {} links", engine.link_count(TORRENT)));
        }
        let held = u64::from(host.spec.config.upload_window_ceiling_bytes / BLOCK_LENGTH);
        for &link in &host.links {
            let link = &self.links[link as usize];
            let side = link.side_of(number);
            // Blocks of 16 KiB at least, so that bytes bound their number, and one more that goes alone.
            if link.pipes[side].blocks_held() as u64 > held + 1 {
                return Some(format!(
                    "its driver holds {} blocks for one link",
                    link.pipes[side].blocks_held()
                ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use samara_peer::engine::event::Offence;
    use samara_proto::layout::PieceIndex;

    use super::*;
    use crate::sim::plan::{Params, Plan};

    /// A small swarm in the middle of its work, and a link of its first leech.
    fn busy() -> (World, HostNo, LinkId) {
        let params = Params { leeches: 2, pieces: 64, up: 20.0, down: 20.0, ..Params::default() };
        let plan = Plan::calm(&params, params.crowd());
        let mut world = World::new(plan.settings, plan.hosts, plan.script);
        world.run(Duration::from_secs(3));
        assert_eq!(world.violation, None);
        let has_some = world.hosts[1].disk.verified().count_ones();
        assert!((1..64).contains(&has_some), "{has_some}");
        let link = LinkId(u64::from(world.hosts[1].links[0]));
        (world, 1, link)
    }

    fn broken_by(order: impl FnOnce(&World, LinkId) -> Output) -> String {
        let (mut world, host, link) = busy();
        let order = order(&world, link);
        world.check_order(host, &order);
        world.violation.unwrap_or_default()
    }

    fn missing(world: &World) -> PieceIndex {
        world.hosts[1].disk.verified().iter_zeros().next().expect("it is not complete")
    }

    fn verified(world: &World) -> PieceIndex {
        world.hosts[1].disk.verified().iter_ones().next().expect("it has something")
    }

    fn block(piece: PieceIndex) -> BlockRef {
        BlockRef { piece, begin: 0, length: BLOCK_LENGTH }
    }

    #[test]
    fn what_is_not_verified_may_be_neither_announced_nor_served() {
        let announced =
            broken_by(|world, link| Output::Send { link, message: PeerMessage::Have(missing(world)) });
        assert!(announced.contains("announces"), "{announced}");
        let told = broken_by(|world, link| {
            let message = PeerMessage::Blocks { piece: missing(world), blocks: Bitfield::full(16) };
            Output::Send { link, message }
        });
        assert!(told.contains("announces"), "{told}");
        let served = broken_by(|world, link| Output::SendBlock { link, block: block(missing(world)) });
        assert!(served.contains("serves"), "{served}");
    }

    #[test]
    fn what_is_verified_may_not_be_requested() {
        let requested = broken_by(|world, link| {
            let message = PeerMessage::Request(block(verified(world)));
            Output::Send { link, message }
        });
        assert!(requested.contains("which is verified"), "{requested}");
    }

    #[test]
    fn nobody_of_whom_a_bad_block_was_judged_may_be_asked_for_more_or_stay() {
        let (mut world, host, link) = busy();
        let (link_no, _) = world.open_end(host, link).expect("the link is up");
        let giver = world.links[link_no as usize].other(host);
        world.hosts[host as usize].convicted.insert(giver);
        let request = PeerMessage::Request(block(missing(&world)));
        world.check_order(host, &Output::Send { link, message: request });
        assert!(world.violation.take().is_some_and(|what| what.contains("bad block")));
        world.check_rid_of_convicted(host);
        assert!(world.violation.is_some_and(|what| what.contains("keeps its link")));
    }

    #[test]
    fn no_more_may_be_requested_than_the_other_end_holds() {
        let (mut world, host, link) = busy();
        let wanted = block(missing(&world));
        let (link_no, side) = world.open_end(host, link).expect("the link is up");
        world.links[link_no as usize].ends[side].asked =
            vec![wanted; crate::sim::world::REQUEST_QUEUE as usize];
        world.check_order(host, &Output::Send { link, message: PeerMessage::Request(wanted) });
        assert!(world.violation.is_some_and(|what| what.contains("holds")));
    }

    #[test]
    fn a_piece_with_a_hole_may_not_be_checked_and_no_honest_host_be_banned() {
        let torrent = TORRENT;
        let checked = broken_by(|world, _| Output::CheckPiece { torrent, piece: missing(world) });
        assert!(checked.contains("missing"), "{checked}");
        let banned = broken_by(|_, link| {
            let reason = DisconnectReason::Offence(Offence::MessageFlood);
            Output::Disconnect { link, reason }
        });
        assert!(banned.contains("honest"), "{banned}");
    }

    #[test]
    fn a_wrong_byte_on_disk_is_noticed() {
        let (mut world, host, _) = busy();
        let piece = missing(&world);
        let disk = &mut world.hosts[1].disk;
        disk.write(block(piece), Some(0));
        disk.on_good(piece);
        world.inspect(host);
        assert!(world.violation.is_some_and(|what| what.contains("wrong byte")));
    }
}
