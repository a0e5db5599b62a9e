//! The claims about safety: each order of an honest engine is judged as it is given, and whole hosts now and
//! then.

use samara_peer::engine::Engine;
use samara_peer::engine::event::{DisconnectReason, LinkId, Output, PeerMessage};
use samara_proto::bitfield::Bitfield;
use samara_proto::layout::PieceIndex;
use samara_proto::limits::BLOCK_LENGTH;

use super::agenda::HostNo;
use super::world::{TORRENT, World};

impl World {
    /// Judges an order before it is carried out.
    pub(super) fn check_order(&mut self, host: HostNo, output: &Output) {
        let broken = match output {
            Output::Send { link, message } => self.check_message(host, *link, message),
            Output::SendBlock { block, .. } => {
                (!self.has(host, block.piece)).then(|| format!("it serves {block:?}, which is not verified"))
            }
            Output::CheckPiece { piece, .. } => (!self.hosts[host as usize].disk.is_whole(*piece))
                .then(|| format!("it checks piece {piece}, of which blocks are missing")),
            Output::Disconnect { link, reason } => self.check_disconnect(host, *link, *reason),
            Output::Dial { .. } | Output::Completed { .. } => None,
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
            PeerMessage::Request(block) if verified.get(block.piece) => {
                Some(format!("it requests {block:?}, which is verified"))
            }
            PeerMessage::Request(block) if !self.is_whole_blocks(block.begin, block.length) => {
                Some(format!("it requests {block:?}, which is not made of whole blocks"))
            }
            PeerMessage::Request(_) if end.asked.len() >= super::world::REQUEST_QUEUE as usize => {
                Some("it requests more than the other end holds".to_owned())
            }
            _ => None,
        }
    }

    fn is_whole_blocks(&self, begin: u32, length: u32) -> bool {
        let is_aligned = begin.is_multiple_of(BLOCK_LENGTH) && length.is_multiple_of(BLOCK_LENGTH);
        is_aligned && length > 0 && begin.saturating_add(length) <= self.settings.shape.piece_length
    }

    fn check_disconnect(&self, host: HostNo, link: LinkId, reason: DisconnectReason) -> Option<String> {
        let (link_no, _) = self.open_end(host, link)?;
        let other = self.links[link_no as usize].other(host);
        let is_unjust =
            matches!(reason, DisconnectReason::Offence(_)) && self.hosts[other as usize].spec.lie.is_honest();
        is_unjust.then(|| format!("it ends a link to the honest host {other}: {reason:?}"))
    }

    fn has(&self, host: HostNo, piece: PieceIndex) -> bool {
        self.hosts[host as usize].disk.verified().get(piece)
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
