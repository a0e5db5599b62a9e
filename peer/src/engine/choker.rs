//! Who may take from us: slots for those who give most, in turn while we only give, and one by chance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use samara_proto::moment::Moment;

use super::config::EngineConfig;
use super::event::{LinkId, TorrentId};
use super::rng::EngineRng;

/// Between two fillings of free slots, so that peers who come and go cost little.
const FILL_INTERVAL: Duration = Duration::from_millis(100);

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
    /// Bytes it gave us lately.
    pub given: u64,
    /// Whether it keeps to itself what we give it while others wait for that.
    pub hoards: bool,
}

/// The node's upload slots.
#[derive(Clone, Debug, Default)]
pub struct Choker {
    /// Slots taken: links that are unchoked.
    taken: usize,
    /// Who holds a slot by chance, and since when.
    lucky: Vec<(LinkId, Moment)>,
    filled_at: Option<Moment>,
}

impl Choker {
    /// Whether a slot is free.
    pub fn has_room(&self, config: &EngineConfig) -> bool {
        self.taken < config.upload_slots + config.optimistic_slots
    }

    /// A link was unchoked.
    pub fn on_unchoked(&mut self) {
        self.taken += 1;
    }

    /// An unchoked link was choked or is gone.
    pub fn on_choked(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    /// When free slots may be filled.
    pub fn fill_at(&self, now: Moment) -> Moment {
        self.filled_at.map_or(now, |filled| now.max(filled + FILL_INTERVAL))
    }

    /// Who is to hold the slots from now on.
    pub fn rechoke(
        &mut self,
        contenders: &[Contender],
        now: Moment,
        config: &EngineConfig,
        rng: &mut EngineRng,
    ) -> BTreeSet<LinkId> {
        let mut chosen = by_merit(contenders, now, config);
        self.lucky.retain(|&(link, since)| {
            let contends = contenders.iter().any(|contender| contender.link == link);
            contends && !chosen.contains(&link) && since + config.slot_turn > now
        });
        let mut rest: Vec<LinkId> = contenders
            .iter()
            .map(|contender| contender.link)
            .filter(|link| !chosen.contains(link) && self.lucky.iter().all(|(lucky, _)| lucky != link))
            .collect();
        while self.lucky.len() < config.optimistic_slots && !rest.is_empty() {
            let link = rest.swap_remove(rng.index(rest.len()));
            self.lucky.push((link, now));
        }
        chosen.extend(self.lucky.iter().map(|&(link, _)| link));
        chosen
    }

    /// Who of those that wait is to get the free slots, nobody being choked for it.
    pub fn fill(
        &mut self,
        contenders: &[Contender],
        now: Moment,
        config: &EngineConfig,
    ) -> Vec<(TorrentId, LinkId)> {
        self.filled_at = Some(now);
        let slots = config.upload_slots + config.optimistic_slots;
        let free = slots.saturating_sub(self.taken);
        let mut waiting: Vec<&Contender> =
            contenders.iter().filter(|contender| !contender.unchoked).collect();
        waiting.sort_by_key(|contender| rank(contender, now, config));
        waiting.into_iter().take(free).map(|contender| (contender.torrent, contender.link)).collect()
    }
}

/// The slots that are not left to chance: shared evenly among the torrents, within one by rank.
fn by_merit(contenders: &[Contender], now: Moment, config: &EngineConfig) -> BTreeSet<LinkId> {
    let mut queues: BTreeMap<TorrentId, Vec<&Contender>> = BTreeMap::new();
    for contender in contenders {
        queues.entry(contender.torrent).or_default().push(contender);
    }
    for queue in queues.values_mut() {
        // The best last, to be popped first.
        queue.sort_by_key(|contender| std::cmp::Reverse(rank(contender, now, config)));
    }
    let mut chosen = BTreeSet::new();
    while chosen.len() < config.upload_slots && queues.values().any(|queue| !queue.is_empty()) {
        for queue in queues.values_mut() {
            if chosen.len() < config.upload_slots
                && let Some(contender) = queue.pop()
            {
                chosen.insert(contender.link);
            }
        }
    }
    chosen
}

/// Less is better. While we miss something: who gave most. While we miss nothing: who is in the middle of
/// its turn, then who waited longest, then who has had its turn, last who passes nothing on.
fn rank(contender: &Contender, now: Moment, config: &EngineConfig) -> (u64, Moment, LinkId) {
    let turn_over = contender.since + config.slot_turn <= now;
    let first = match (contender.seeding, contender.unchoked) {
        (true, _) if contender.hoards => 3,
        (false, _) => u64::MAX - contender.given,
        (true, true) if !turn_over => 0,
        (true, false) => 1,
        (true, true) => 2,
    };
    (first, contender.since, contender.link)
}

#[cfg(test)]
mod tests;
