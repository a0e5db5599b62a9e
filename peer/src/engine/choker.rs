//! Who may take from us: slots, taken in turns, whose order nobody can buy and nobody can refuse to pay for.
//!
//! Whoever waits while we miss something has the same chance, but for those who took much more than they gave:
//! they come after everybody else. Chance spreads what is new best (Sanghavi, Hajek and Massoulié 2007), and
//! makes no two peers wait for each other, as those who reward the best giver do. Once we miss nothing, who
//! waited longest comes first.

use std::collections::BTreeMap;
use std::time::Duration;

use samara_proto::moment::Moment;

use super::config::{EngineConfig, Order};
use super::event::{LinkId, TorrentId};
use super::rng::EngineRng;
use super::uplink::Uplink;

/// Between two fillings of free slots, so that many peers who come and go cost little.
const FILL_INTERVAL: Duration = Duration::from_millis(5);
/// Slots that those who owe have among them while anybody else wants something: so that what they could give
/// is found out, and nobody who has nothing to give yet is left with nothing.
const OWING_SLOTS: usize = 1;
/// Draws are numbers below this.
const DRAWS: usize = 1 << 30;

/// A link whose peer wants something from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contender {
    /// Its torrent.
    pub torrent: TorrentId,
    /// The link.
    pub link: LinkId,
    /// Whether we miss nothing of that torrent, so that nobody can earn a slot.
    pub seeding: bool,
    /// Whether it has a slot now.
    pub unchoked: bool,
    /// Since when it has its slot, or waits for one.
    pub since: Moment,
    /// Bytes it got from us beyond what it gave us.
    pub balance: i64,
    /// Bytes it gave us lately.
    pub gave_lately: u64,
    /// Whether it took much more than it gave.
    pub owes: bool,
    /// Whether it keeps to itself what we give it while others wait for that.
    pub hoards: bool,
}

/// The node's upload slots.
#[derive(Clone, Debug, Default)]
pub struct Choker {
    /// Slots taken: links that are unchoked.
    taken: usize,
    /// Links that want something and are choked.
    waiting: usize,
    filled_at: Option<Moment>,
    /// What sizes the slots.
    pub uplink: Uplink,
}

impl Choker {
    /// Whether a slot is free.
    pub fn has_room(&self, config: &EngineConfig) -> bool {
        self.taken < self.uplink.slots(config)
    }

    /// Whether somebody waits for a slot and none is free.
    pub fn is_wanted(&self, config: &EngineConfig) -> bool {
        self.waiting > 0 && !self.has_room(config)
    }

    /// A block of so many bytes left. Whether there are more slots since, the uplink being faster than it was known to
    /// be, and somebody waits for one.
    pub fn on_sent(&mut self, now: Moment, bytes: u32, config: &EngineConfig) -> bool {
        let before = self.uplink.slots(config);
        self.uplink.on_sent(now, bytes);
        self.waiting > 0 && self.uplink.slots(config) > before
    }

    /// A link was unchoked; whether it had waited.
    pub fn on_unchoked(&mut self, had_waited: bool) {
        self.taken += 1;
        self.waiting -= usize::from(had_waited);
    }

    /// An unchoked link was choked or is gone.
    pub fn on_choked(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    /// A choked link wants something.
    pub fn on_waiting(&mut self) {
        self.waiting += 1;
    }

    /// A choked link wants nothing any more or is gone.
    pub fn on_waited_in_vain(&mut self) {
        self.waiting -= 1;
    }

    /// When free slots may be filled.
    pub fn fill_at(&self, now: Moment) -> Moment {
        self.filled_at.map_or(now, |filled| now.max(filled + FILL_INTERVAL))
    }

    /// Who of those that wait is to get the free slots: torrents take turns, the one with the fewest slots
    /// first. Those who owe have few slots, unless nobody else wants any.
    pub fn fill(
        &mut self,
        contenders: &[Contender],
        now: Moment,
        config: &EngineConfig,
        rng: &mut EngineRng,
    ) -> Vec<(TorrentId, LinkId)> {
        self.filled_at = Some(now);
        let mut torrents: BTreeMap<TorrentId, (usize, Vec<(Rank, LinkId)>)> = BTreeMap::new();
        for contender in contenders {
            let (held, queue) = torrents.entry(contender.torrent).or_default();
            if contender.unchoked {
                *held += 1;
            } else {
                queue.push((rank(contender, config.order, rng), contender.link));
            }
        }
        for (_, queue) in torrents.values_mut() {
            // The best last, to be popped first.
            queue.sort_unstable_by(|one, other| other.cmp(one));
        }
        let owing = contenders.iter().filter(|contender| contender.owes && contender.unchoked).count();
        let mut owing_left = match contenders.iter().all(|contender| contender.owes) {
            true => usize::MAX,
            false => OWING_SLOTS.saturating_sub(owing),
        };
        let mut chosen = Vec::new();
        for _ in self.taken..self.uplink.slots(config) {
            let may = |queue: &[(Rank, LinkId)]| {
                queue.last().is_some_and(|((class, _), _)| *class != OWES || owing_left > 0)
            };
            let waiting = torrents.iter_mut().filter(|(_, (_, queue))| may(queue));
            let Some((&torrent, (held, queue))) = waiting.min_by_key(|(_, (held, _))| *held) else { break };
            *held += 1;
            if let Some(((class, _), link)) = queue.pop() {
                owing_left -= usize::from(class == OWES);
                chosen.push((torrent, link));
            }
        }
        chosen
    }
}

/// Less is better.
type Rank = (u8, u64);
const SQUARE: u8 = 0;
const OWES: u8 = 1;
const HOARDS: u8 = 2;

fn rank(contender: &Contender, order: Order, rng: &mut EngineRng) -> Rank {
    let class = match contender {
        Contender { hoards: true, .. } => HOARDS,
        Contender { owes: true, .. } => OWES,
        _ => SQUARE,
    };
    let place = match order {
        _ if contender.seeding => contender.since.as_micros(),
        Order::Chance => rng.index(DRAWS) as u64,
        Order::LeastOwed => (u64::MAX / 2).saturating_add_signed(contender.balance),
        Order::MostGiven => u64::MAX - contender.gave_lately,
    };
    (class, place)
}

#[cfg(test)]
mod tests;
