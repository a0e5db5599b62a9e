//! Links that come up, end, and are dialled.

use std::collections::BTreeMap;
use std::time::Duration;

use samara_proto::layout::PieceIndex;
use samara_proto::moment::Moment;

use super::super::connections::Farewell;
use super::super::context::Context;
use super::super::event::{
    Direction, DisconnectReason, HolderKey, LinkId, Offence, Output, PeerKey, PeerTraits, Source,
};
use super::super::peer::Peer;
use super::super::timers::TimerName;
use super::Torrent;

/// A link that said nothing for this long gives way to a new one from the same peer, which has probably
/// restarted.
const DEAF_AFTER: Duration = Duration::from_secs(10);
/// A link that neither side ever wanted anything from gives way to a new one after this long.
const BORING_AFTER: Duration = Duration::from_secs(60);
/// A link that lasted this long was of use, if only to know each other.
const USEFUL_AFTER: Duration = Duration::from_secs(20);

impl Torrent {
    /// Somebody may have the torrent.
    pub fn on_candidate(&mut self, peer: PeerKey, source: Source, context: &mut Context<'_>) {
        if context.reputation.ban(peer, context.now).is_none() {
            self.connections.learn(peer, source, self.need(), context.now, context.rng);
        }
    }

    /// A dial came to nothing.
    pub fn on_dial_failed(&mut self, peer: PeerKey, context: &mut Context<'_>) {
        self.connections.on_dial_failed(peer, self.need(), context.now, context.rng);
    }

    /// A dial ended at a peer that does not take part.
    pub fn on_refused(&mut self, peer: PeerKey) {
        self.connections.on_refused(peer);
    }

    /// Dials candidates that are due, at most `budget` of them, and asks to be woken for the next.
    pub fn dial(&mut self, mut budget: usize, context: &mut Context<'_>) {
        while budget > 0
            && self.connections.engaged() < context.config.dialled_links_per_torrent
            && let Some(peer) = self.connections.take_due(context.now)
        {
            if context.reputation.ban(peer, context.now).is_some() {
                self.connections.forget(peer);
                continue;
            }
            if let Some(holder) = self.connections.holder(peer)
                && let Some(until) = context.reputation.holder_banned_until(holder, context.now)
            {
                self.connections.hold(peer, holder, until);
                continue;
            }
            budget -= 1;
            context.outputs.push_back(Output::Dial { torrent: self.id, peer });
        }
        // Without budget, the end of a dial or a link brings us here again.
        if let Some(at) = self.connections.next_at()
            && at > context.now
        {
            context.timers.set_no_later(TimerName::Dial, at);
        }
    }

    /// A link came up. It is ended at once if there is no place for it.
    pub fn on_connected(
        &mut self,
        link: LinkId,
        (key, holder): (PeerKey, Option<HolderKey>),
        direction: Direction,
        traits: PeerTraits,
        context: &mut Context<'_>,
    ) {
        if let Err(reason) = self.admit(key, holder, direction, context) {
            context.outputs.push_back(Output::Disconnect { link, reason });
            if direction == Direction::Outbound {
                self.on_dial_failed(key, context);
            }
            return;
        }
        self.connections.on_linked(key, holder, context.now);
        self.by_peer.insert(key, link);
        let trial = self.first_trial();
        let peer = Peer::new(key, traits, self.layout.piece_count(), trial, context.now);
        self.links.insert(link, peer);
        if let Some(opening) = self.opening(traits) {
            context.send(link, opening);
        }
        self.show_first(link, context);
    }

    /// Whether a link to `key` may stay, making room for it if need be.
    fn admit(
        &mut self,
        key: PeerKey,
        holder: Option<HolderKey>,
        direction: Direction,
        context: &mut Context<'_>,
    ) -> Result<(), DisconnectReason> {
        if let Some(offence) = context.reputation.ban(key, context.now) {
            self.connections.forget(key);
            return Err(DisconnectReason::Offence(offence));
        }
        if let Some(holder) = holder
            && let Some(until) = context.reputation.holder_banned_until(holder, context.now)
        {
            self.connections.hold(key, holder, until);
            return Err(DisconnectReason::HolderBanned);
        }
        if let Some(&old) = self.by_peer.get(&key) {
            let is_deaf = self.links.get(&old).is_none_or(|peer| peer.heard_at + DEAF_AFTER <= context.now);
            if direction == Direction::Outbound || !is_deaf {
                return Err(DisconnectReason::Duplicate);
            }
            self.drop_link(old, DisconnectReason::Duplicate, context);
        }
        if self.links.len() >= context.config.links_per_torrent {
            let leaver = self.boring(context.now).or_else(|| self.crowding(holder));
            let Some(leaver) = leaver else { return Err(DisconnectReason::TooManyLinks) };
            self.drop_link(leaver, DisconnectReason::TooManyLinks, context);
        }
        Ok(())
    }

    /// A link of which neither side has wanted anything for long.
    fn boring(&self, now: Moment) -> Option<LinkId> {
        let is_boring =
            |peer: &Peer| !peer.is_useful() && !peer.wants_us && peer.linked_at + BORING_AFTER <= now;
        self.links.iter().find(|(_, peer)| is_boring(peer)).map(|(&link, _)| link)
    }

    /// Of the links from the addresses with most of them, the oldest that traded least; none if a newcomer from
    /// `holder` would make a crowd as large. Whoever takes names and places without end takes them from himself.
    fn crowding(&self, holder: Option<HolderKey>) -> Option<LinkId> {
        let mut crowds = BTreeMap::<Option<HolderKey>, Vec<(u64, Moment, LinkId)>>::new();
        for (&link, peer) in &self.links {
            let traded = peer.down.total() + peer.up.total();
            let crowd = crowds.entry(self.connections.holder(peer.key)).or_default();
            crowd.push((traded, peer.linked_at, link));
        }
        let others = crowds.get(&holder).map_or(0, Vec::len);
        let largest = crowds.into_values().max_by_key(Vec::len)?;
        if others + 1 >= largest.len() {
            return None;
        }
        largest.into_iter().min().map(|(_, _, link)| link)
    }

    /// A link ended, not by our order.
    pub fn on_disconnected(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get(&link) else { return };
        let farewell = if self.is_finished() && peer.has.is_full() {
            Farewell::NothingToTrade
        } else if self.has_traded(link) || peer.linked_at + USEFUL_AFTER <= context.now {
            Farewell::LostUseful
        } else {
            Farewell::LostUseless
        };
        self.forget_link(link, farewell, context);
    }

    /// Orders the end of a link and forgets it.
    pub(super) fn drop_link(&mut self, link: LinkId, reason: DisconnectReason, context: &mut Context<'_>) {
        let farewell = match reason {
            DisconnectReason::Offence(_) | DisconnectReason::HolderBanned | DisconnectReason::Unwelcome => {
                Farewell::Offence
            }
            DisconnectReason::NothingToTrade => Farewell::NothingToTrade,
            // It may have gone without a word, and may come back.
            DisconnectReason::Stalled if self.has_traded(link) => Farewell::LostUseful,
            DisconnectReason::Stalled
            | DisconnectReason::Duplicate
            | DisconnectReason::TooManyLinks
            | DisconnectReason::TorrentRemoved => Farewell::LostUseless,
        };
        self.forget_link(link, farewell, context);
        context.outputs.push_back(Output::Disconnect { link, reason });
    }

    fn has_traded(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|peer| peer.down.total() > 0 || peer.up.total() > 0)
    }

    fn forget_link(&mut self, link: LinkId, farewell: Farewell, context: &mut Context<'_>) {
        self.release_all(link, context);
        let Some(peer) = self.links.remove(&link) else { return };
        self.freed |= self.picker.disown(peer.key, context.now);
        // What it was told not to give may have been written in the moment when the link ended.
        peer.cancelled.blocks().for_each(|block| self.picker.doubt(block));
        if peer.came_with_all {
            self.picker.on_all_gone();
        } else {
            self.picker.on_gone(&peer.has, context.rng);
        }
        if let Some(dispersal) = &mut self.dispersal {
            dispersal.forget(link, context.rng);
            self.show_all_more(context);
        }
        self.hungry.remove(&link);
        self.resting.remove(&link);
        self.served.remove(&link);
        self.held.remove(&link);
        self.by_peer.remove(&peer.key);
        if peer.wants_us {
            self.interested -= 1;
            if peer.we_choke {
                context.choker.on_waited_in_vain();
            }
        }
        if !peer.we_choke {
            self.on_slot_free(context);
        }
        self.connections.on_unlinked(peer.key, farewell, self.need(), context.now, context.rng);
        self.on_witness_gone(link, context);
    }

    /// Throws a peer out that gave a corrupt piece or block.
    pub fn cast_out(&mut self, peer: PeerKey, context: &mut Context<'_>) {
        if let Some(&link) = self.by_peer.get(&peer) {
            self.drop_link(link, DisconnectReason::Offence(Offence::CorruptPiece), context);
        }
        self.connections.forget(peer);
    }

    /// Ends the links with all who are at an address of `holder`, none of whom is linked before `until`.
    pub fn cast_out_holder(&mut self, holder: HolderKey, until: Moment, context: &mut Context<'_>) {
        let is_there = |peer: &PeerKey| self.connections.holder(*peer) == Some(holder);
        let there = self.by_peer.iter().filter(|(peer, _)| is_there(peer));
        for (peer, link) in there.map(|(&peer, &link)| (peer, link)).collect::<Vec<_>>() {
            self.drop_link(link, DisconnectReason::HolderBanned, context);
            self.connections.hold(peer, holder, until);
        }
    }

    /// From whose address `peer` is linked, or was last.
    pub fn holder(&self, peer: PeerKey) -> Option<HolderKey> {
        self.connections.holder(peer)
    }

    /// Ends every link.
    pub fn drop_all(&mut self, context: &mut Context<'_>) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.drop_link(link, DisconnectReason::TorrentRemoved, context);
        }
    }

    /// Ends the links to those who have everything, as we have what we want.
    pub(super) fn drop_idle_seeds(&mut self, context: &mut Context<'_>) {
        let idle: Vec<LinkId> =
            self.links.iter().filter(|(_, peer)| peer.has.is_full()).map(|(&link, _)| link).collect();
        for link in idle {
            self.drop_link(link, DisconnectReason::NothingToTrade, context);
        }
    }

    /// Links that are up.
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Dials in progress.
    pub fn dialing(&self) -> usize {
        self.connections.dialing()
    }

    /// Linked peers that have `piece`.
    pub fn availability(&self, piece: PieceIndex) -> u32 {
        self.picker.availability(piece)
    }
}
