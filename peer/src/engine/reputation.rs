//! What each peer has been caught at, whichever torrent and link it happened on, and those who share its address.

mod holders;
mod memory;

use std::time::Duration;

use samara_proto::moment::Moment;

use super::event::{HolderKey, Offence, PeerKey};
use holders::Holders;
use memory::Memory;

/// Peers remembered; the one whose first offence is longest ago is forgotten first.
const RECORDS_MAX: usize = 4096;
/// The ban for a first offence against the protocol; it doubles with every further one.
const FIRST_BAN: Duration = Duration::from_secs(600);
/// Doublings of [`FIRST_BAN`], which makes a week.
const DOUBLINGS_MAX: u32 = 10;
/// The ban for a corrupt piece: longer than any process runs.
const LIFE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    last: Option<Offence>,
    offences: u32,
    banned_until: Moment,
    suspect: bool,
}

/// The memory of offences.
#[derive(Clone, Debug, Default)]
pub struct Reputation {
    records: Memory<PeerKey, Record, RECORDS_MAX>,
    holders: Holders,
}

impl Reputation {
    /// What `peer` is banned for at `now`, if it is.
    pub fn ban(&self, peer: PeerKey, now: Moment) -> Option<Offence> {
        self.records.get(peer).filter(|record| record.banned_until > now).and_then(|record| record.last)
    }

    /// `peer` was caught. A corrupt piece bans it for good, anything else for a time.
    pub fn on_offence(&mut self, peer: PeerKey, offence: Offence, now: Moment) {
        let record = self.records.record(peer);
        record.last = Some(offence);
        let ban = match offence {
            Offence::CorruptPiece => LIFE,
            _ => FIRST_BAN * 2_u32.pow(record.offences.min(DOUBLINGS_MAX)),
        };
        record.offences = record.offences.saturating_add(1);
        record.banned_until = record.banned_until.max(now + ban);
    }

    /// `peer` gave a corrupt piece from an address of `holder`. Gives the time for which the holder is banned, if he
    /// is from now on.
    pub fn on_culprit(&mut self, holder: HolderKey, peer: PeerKey, now: Moment) -> Option<Duration> {
        self.holders.on_culprit(holder, peer, now)
    }

    /// Until when nobody at an address of `holder` is linked, if that is later than `now`.
    pub fn holder_banned_until(&self, holder: HolderKey, now: Moment) -> Option<Moment> {
        self.holders.banned_until(holder, now)
    }

    /// Whether `peer` gave part of a bad piece and has not proved itself since.
    pub fn is_suspect(&self, peer: PeerKey) -> bool {
        self.records.get(peer).is_some_and(|record| record.suspect)
    }

    /// `peer` gave part of a bad piece, with others.
    pub fn suspect(&mut self, peer: PeerKey) {
        self.records.record(peer).suspect = true;
    }

    /// `peer` gave a whole good piece alone.
    pub fn clear(&mut self, peer: PeerKey) {
        if let Some(record) = self.records.get_mut(peer) {
            record.suspect = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerKey = PeerKey(1);

    fn seconds(seconds: u64) -> Moment {
        Moment::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_corrupt_piece_bans_for_good() {
        let mut reputation = Reputation::default();
        reputation.on_offence(PEER, Offence::CorruptPiece, seconds(0));
        assert_eq!(reputation.ban(PEER, seconds(1_000_000_000)), Some(Offence::CorruptPiece));
        assert_eq!(reputation.ban(PeerKey(2), seconds(0)), None);
    }

    #[test]
    fn offences_against_the_protocol_ban_longer_each_time() {
        let mut reputation = Reputation::default();
        reputation.on_offence(PEER, Offence::BadRequest, seconds(0));
        assert_eq!(reputation.ban(PEER, seconds(599)), Some(Offence::BadRequest));
        assert_eq!(reputation.ban(PEER, seconds(600)), None);
        reputation.on_offence(PEER, Offence::LateBitfield, seconds(1000));
        assert_eq!(reputation.ban(PEER, seconds(2199)), Some(Offence::LateBitfield));
        for _ in 0..100 {
            reputation.on_offence(PEER, Offence::LateBitfield, seconds(1000));
        }
    }

    #[test]
    fn a_suspect_is_cleared_by_a_good_piece() {
        let mut reputation = Reputation::default();
        reputation.suspect(PEER);
        assert!(reputation.is_suspect(PEER));
        reputation.clear(PEER);
        assert!(!reputation.is_suspect(PEER));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut reputation = Reputation::default();
        for peer in 0..2 * RECORDS_MAX as u64 {
            reputation.suspect(PeerKey(peer));
        }
        assert_eq!(reputation.records.lengths(), (RECORDS_MAX, RECORDS_MAX));
        assert!(reputation.is_suspect(PeerKey(2 * RECORDS_MAX as u64 - 1)));
    }
}
