//! Whose addresses corrupt pieces came from: an identity costs nothing, an address does.

use std::time::Duration;

use samara_proto::moment::Moment;

use super::super::event::{HolderKey, PeerKey};
use super::memory::Memory;

/// Different peers at one holder's addresses that give corrupt pieces before all who are there are refused: one may
/// have a bad disk, and two may be a household's; nothing but corrupt pieces counts, as those who share an address
/// may share a client that errs.
const CULPRITS: usize = 3;
/// A culprit counts for so long. Addresses change hands, and a great many people behind one may have a broken
/// machine among them now and then.
const COUNTS_FOR: Duration = Duration::from_secs(24 * 3600);
/// A holder's first ban; it doubles with every further one. Others who share his address wait, too.
const FIRST_BAN: Duration = Duration::from_secs(3600);
/// Doublings of [`FIRST_BAN`], which makes five days.
const DOUBLINGS_MAX: u32 = 7;
/// Holders remembered; the one whose first culprit is longest ago is forgotten first.
const HOLDERS_MAX: usize = 4096;

#[derive(Clone, Debug, Default)]
struct Record {
    /// Less than [`CULPRITS`], and when they were caught.
    culprits: Vec<(PeerKey, Moment)>,
    bans: u32,
    banned_until: Moment,
}

/// The memory of where culprits were.
#[derive(Clone, Debug, Default)]
pub(super) struct Holders {
    records: Memory<HolderKey, Record, HOLDERS_MAX>,
}

impl Holders {
    /// `peer` gave a corrupt piece from an address of `holder`. Gives the time for which he is banned, if he is from
    /// now on.
    pub(super) fn on_culprit(&mut self, holder: HolderKey, peer: PeerKey, now: Moment) -> Option<Duration> {
        let record = self.records.record(holder);
        // What is found out now was given before the ban.
        if record.banned_until > now {
            return None;
        }
        record.culprits.retain(|&(other, caught_at)| other != peer && now.since(caught_at) < COUNTS_FOR);
        record.culprits.push((peer, now));
        if record.culprits.len() < CULPRITS {
            return None;
        }
        record.culprits.clear();
        let ban = FIRST_BAN * 2_u32.pow(record.bans.min(DOUBLINGS_MAX));
        record.bans = record.bans.saturating_add(1);
        record.banned_until = now + ban;
        Some(ban)
    }

    /// Until when `holder` is banned, if that is later than `now`.
    pub(super) fn banned_until(&self, holder: HolderKey, now: Moment) -> Option<Moment> {
        self.records.get(holder).map(|record| record.banned_until).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: HolderKey = HolderKey(1);
    const HOUR: Duration = Duration::from_secs(3600);

    fn hours(hours: u64) -> Moment {
        Moment::ZERO + HOUR * hours as u32
    }

    #[test]
    fn three_peers_at_one_address_are_too_many_and_one_that_errs_again_is_one() {
        let mut holders = Holders::default();
        for peer in [1, 2, 2, 1, 2] {
            assert_eq!(holders.on_culprit(HOLDER, PeerKey(peer), hours(0)), None);
        }
        assert_eq!(holders.on_culprit(HolderKey(2), PeerKey(3), hours(0)), None);
        assert_eq!(holders.banned_until(HOLDER, hours(0)), None);
        assert_eq!(holders.on_culprit(HOLDER, PeerKey(4), hours(0)), Some(HOUR));
        assert_eq!(holders.banned_until(HOLDER, hours(0)), Some(hours(1)));
        assert_eq!(holders.banned_until(HOLDER, hours(1)), None);
        assert_eq!(holders.banned_until(HolderKey(2), hours(0)), None);
    }

    #[test]
    fn each_ban_is_twice_as_long_and_takes_three_more_who_came_after_the_last() {
        let mut holders = Holders::default();
        let (mut now, mut bans) = (hours(0), Vec::new());
        for peer in 0..30 {
            if let Some(ban) = holders.on_culprit(HOLDER, PeerKey(peer), now) {
                assert_eq!(holders.on_culprit(HOLDER, PeerKey(100 + peer), now), None, "it came before");
                bans.push(ban.as_secs() / HOUR.as_secs());
                now += ban;
            }
        }
        assert_eq!(bans, [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]);
    }

    #[test]
    fn broken_machines_of_a_crowd_do_not_add_up_for_ever() {
        let mut holders = Holders::default();
        for peer in 0..100 {
            assert_eq!(holders.on_culprit(HOLDER, PeerKey(peer), hours(12 * peer)), None);
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut holders = Holders::default();
        for holder in 0..2 * HOLDERS_MAX as u128 {
            holders.on_culprit(HolderKey(holder), PeerKey(1), hours(0));
        }
        assert_eq!(holders.records.lengths(), (HOLDERS_MAX, HOLDERS_MAX));
        let record = holders.records.get(HolderKey(2 * HOLDERS_MAX as u128 - 1)).unwrap();
        assert_eq!(record.culprits, [(PeerKey(1), hours(0))]);
    }
}
