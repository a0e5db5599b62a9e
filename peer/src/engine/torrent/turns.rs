//! Giving out slots, and taking them back when a turn is over.

use std::time::Duration;

use samara_proto::moment::Moment;

use super::super::choker::Contender;
use super::super::context::Context;
use super::super::event::{LinkId, PeerMessage};
use super::super::peer::Peer;
use super::super::timers::TimerName;
use super::super::turn::Turn;
use super::upload::STUCK_AFTER;
use super::{Aim, Torrent, news};

/// Turns that everybody may have before it is asked what it gives.
const CREDIT_TURNS: u64 = 2;

/// The longest that a turn is taken to last: whole pieces on slow uplinks take minutes.
const USUAL_MAX: Duration = Duration::from_secs(300);

impl Torrent {
    /// A peer wants something from us.
    pub(super) fn on_interested(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if std::mem::replace(&mut peer.wants_us, true) {
            return;
        }
        peer.ever_wanted_us = true;
        self.interested += 1;
        if peer.we_choke {
            self.await_turn(link, context);
        }
        let owes = self.links.get(&link).is_some_and(|peer| self.owes(peer));
        if owes {
            context.timers.set_no_later(TimerName::FillSlots, context.choker.fill_at(context.now));
        } else if context.choker.has_room(context.config) {
            self.unchoke(link, context);
        }
    }

    /// A peer wants nothing from us any more: its slot goes to somebody else.
    pub(super) fn on_not_interested(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if std::mem::replace(&mut peer.wants_us, false) {
            self.interested -= 1;
            if peer.we_choke {
                context.choker.on_waited_in_vain();
            }
            news::tell_all(link, peer, context);
            self.choke(link, context);
            self.lure(link, context);
        }
    }

    fn await_turn(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        peer.turn.wait(context.now);
        context.choker.on_waiting();
        context.timers.set_no_later(TimerName::Turns, context.now);
    }

    /// Lets a peer take from us.
    pub fn unchoke(&mut self, link: LinkId, context: &mut Context<'_>) {
        let usual = self.usual_turn(context);
        let Some(peer) = self.links.get_mut(&link) else { return };
        if std::mem::replace(&mut peer.we_choke, false) {
            peer.turn.begin(context.now);
            self.served.insert(link);
            context.choker.on_unchoked(peer.wants_us);
            context.timers.set_no_later(TimerName::Turns, peer.turn.ends_at(false, usual));
            // What it is shown comes first: who is unchoked and finds nothing to ask for gives its turn away.
            self.show_more(link, context);
            self.tell_of_parts(link, context);
            context.send(link, PeerMessage::Unchoke);
        }
    }

    /// Lets a peer take nothing more; what the driver holds already still goes out.
    pub fn choke(&mut self, link: LinkId, context: &mut Context<'_>) {
        let Some(peer) = self.links.get_mut(&link) else { return };
        if std::mem::replace(&mut peer.we_choke, true) {
            return;
        }
        let waiting = peer.uploads.take_all();
        self.served.remove(&link);
        self.held.remove(&link);
        let (fast, wants_us) = (peer.traits.fast, peer.wants_us);
        if wants_us {
            self.await_turn(link, context);
        }
        context.send(link, PeerMessage::Choke);
        for block in waiting.into_iter().filter(|_| fast) {
            context.send(link, PeerMessage::Reject(block));
        }
        if self.dispersal.as_mut().is_some_and(|dispersal| dispersal.on_choked(link, context.rng)) {
            self.show_all_more(context);
        }
        self.on_slot_free(context);
    }

    /// A slot that was taken is free.
    pub(super) fn on_slot_free(&mut self, context: &mut Context<'_>) {
        context.choker.on_choked();
        context.timers.set_no_later(TimerName::FillSlots, context.choker.fill_at(context.now));
    }

    /// How many bytes a turn covers.
    pub(super) fn turn_length(&self, context: &Context<'_>) -> u64 {
        Turn::length(self.layout.piece_length(), context.choker.uplink.slot_rate(context.config))
    }

    /// How long a turn takes where a slot gives what it usually does; nothing if that is not known.
    pub(super) fn usual_turn(&self, context: &Context<'_>) -> Duration {
        let rate = context.choker.uplink.slot_rate(context.config);
        let seconds = self.turn_length(context).checked_div(rate).unwrap_or_default();
        Duration::from_secs(seconds).min(USUAL_MAX)
    }

    /// Whether a link that could be given more has had its turn, and somebody else should have one.
    pub(super) fn is_turn_over(&self, link: LinkId, context: &Context<'_>) -> bool {
        let Some(peer) = self.links.get(&link).filter(|peer| !peer.we_choke) else { return false };
        match self.dispersal.as_ref().filter(|dispersal| dispersal.is_needed()) {
            // A first seed promised what it showed.
            Some(dispersal) => self.is_shown_enough(link, context) && dispersal.is_all_given(link),
            None => {
                let next = peer.uploads.next_piece();
                peer.turn.is_used_up(self.turn_length(context), next, context.now)
                    && (context.choker.is_wanted(context.config)
                        || (self.owes(peer) && self.is_somebody_square()))
            }
        }
    }

    /// Whether a peer took more than twice what it gave, and more than everybody may have for nothing, while we
    /// miss something that it could give.
    pub(super) fn owes(&self, peer: &Peer) -> bool {
        let credit = CREDIT_TURNS * Turn::length(self.layout.piece_length(), 0);
        !self.is_giving_only() && peer.up.total() > peer.down.total().saturating_mul(2).saturating_add(credit)
    }

    fn is_somebody_square(&self) -> bool {
        self.links.values().any(|peer| peer.wants_us && !self.owes(peer))
    }

    fn is_giving_only(&self) -> bool {
        self.aim == Aim::Serve || self.is_finished()
    }

    /// Ends turns that are not used or last too long, and asks to be woken for the next.
    pub fn on_turns_timer(&mut self, context: &mut Context<'_>) {
        self.serve_held(context);
        if !self.held.is_empty() {
            context.timers.set_no_later(TimerName::Turns, context.now + STUCK_AFTER);
        }
        let usual = self.usual_turn(context);
        for link in self.served.clone() {
            if !context.choker.is_wanted(context.config) {
                return;
            }
            let Some(peer) = self.links.get(&link) else { continue };
            let at = peer.turn.ends_at(peer.uploads.is_busy(), usual);
            if at <= context.now {
                self.choke(link, context);
            } else {
                context.timers.set_no_later(TimerName::Turns, at);
            }
        }
    }

    /// The links whose peers want something.
    pub fn contenders(&self, now: Moment) -> impl Iterator<Item = Contender> + '_ {
        let seeding = self.is_giving_only();
        let wanting = self.links.iter().filter(|(_, peer)| peer.wants_us);
        wanting.map(move |(&link, peer)| Contender {
            torrent: self.id,
            link,
            seeding,
            unchoked: !peer.we_choke,
            since: peer.turn.since(),
            balance: peer.up.total().cast_signed().saturating_sub_unsigned(peer.down.total()),
            gave_lately: peer.down.in_window(now),
            owes: self.owes(peer),
            hoards: self.dispersal.as_ref().is_some_and(|dispersal| dispersal.is_kept_from(link, now)),
        })
    }
}
