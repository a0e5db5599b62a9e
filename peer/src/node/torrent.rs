//! What the node keeps of one torrent besides what the engine decides on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use samara_proto::bitfield::Bitfield;
use samara_proto::infohash::{InfoHash, InfoHashes};
use samara_proto::layout::PieceIndex;
use samara_proto::metainfo::Metainfo;
use samara_proto::moment::Moment;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::autonomy::{Assessment, Sightings, Trackers, assess};
use super::dht::TorrentInDht;
use super::exchange::Parted;
use super::interface::Outside;
use super::remember::Remembered;
use super::retract::Retraction;
use super::select::Wishes;
use super::unreached::Vain;
use super::waiting::Lack;
use crate::choice::{Choice, Chosen};
use crate::disk::Store;
use crate::engine::event::{PeerKey, Source};
use crate::handle::{Progress, Role, TorrentEvent};
use crate::net::discovery::Voice;
use crate::net::discovery::tracker::{Figures, Tiers};
use crate::net::link::Hosted;

/// How far a torrent has come.
pub(super) enum Phase {
    /// The metainfo, or a part needed to check content, is being fetched from peers.
    Fetching(Box<Fetching>),
    /// What is on disk is being checked; dropped with the phase, the check ends.
    Checking { _opening: JoinSet<()> },
    /// The engine has it.
    Active(Active),
    /// It cannot go on.
    Failed,
}

/// A torrent whose metainfo is not complete yet.
pub(super) struct Fetching {
    /// The info dictionary, if only piece layers are missing.
    pub(super) partial: Option<Metainfo>,
    /// Peers being asked now.
    pub(super) asking: BTreeSet<PeerKey>,
    /// Peers that failed, how often, and when they may be asked again.
    pub(super) failed: BTreeMap<PeerKey, (u32, Instant)>,
    /// The conversations; dropped with the phase.
    pub(super) tasks: JoinSet<()>,
    /// Held by whoever is being asked for a large info dictionary: they are fetched one at a time.
    pub(super) large: Arc<Semaphore>,
}

impl Fetching {
    /// Nothing has been asked yet; `partial` is known.
    pub(super) fn new(partial: Option<Metainfo>) -> Self {
        let large = Arc::new(Semaphore::new(1));
        Self { partial, asking: BTreeSet::new(), failed: BTreeMap::new(), tasks: JoinSet::new(), large }
    }
}

/// A torrent the engine has.
pub(super) struct Active {
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) chosen: Arc<Chosen>,
    pub(super) store: Store,
    /// Verified content bytes that are wanted.
    pub(super) bytes_done: u64,
    /// Verified content bytes.
    pub(super) bytes_verified: u64,
    /// Everything that is wanted was here once.
    pub(super) completed: bool,
    /// When the engine got it.
    pub(super) since: Instant,
}

impl Active {
    /// What a handshake tells of it.
    pub(super) fn hosted(&self) -> Hosted {
        // Others take it for a promise of everything.
        let upload_only = self.completed && self.chosen.is_everything() && self.bytes_left() == 0;
        Hosted { metainfo: self.metainfo.clone(), upload_only }
    }

    /// A piece is verified.
    pub(super) fn on_good(&mut self, piece: PieceIndex) {
        let bytes = u64::from(self.metainfo.layout().content_size(piece));
        self.bytes_verified += bytes;
        self.bytes_done += if self.chosen.wants(piece) { bytes } else { 0 };
    }

    /// A piece is verified no more.
    pub(super) fn on_lost(&mut self, piece: PieceIndex) {
        let bytes = u64::from(self.metainfo.layout().content_size(piece));
        self.bytes_verified = self.bytes_verified.saturating_sub(bytes);
        let wanted = if self.chosen.wants(piece) { bytes } else { 0 };
        self.bytes_done = self.bytes_done.saturating_sub(wanted);
    }

    /// Something else is wanted from now on; so much is verified.
    pub(super) fn choose(&mut self, chosen: Arc<Chosen>, verified: &Bitfield) {
        let layout = self.metainfo.layout();
        let wanted = verified.iter_ones().filter(|&piece| chosen.wants(piece));
        self.bytes_done = wanted.map(|piece| u64::from(layout.content_size(piece))).sum();
        self.chosen = chosen;
    }

    /// Content bytes that are not verified, wanted or not: what trackers are told.
    pub(super) fn bytes_left(&self) -> u64 {
        self.metainfo.layout().total_size().saturating_sub(self.bytes_verified)
    }
}

/// One torrent.
pub(super) struct TorrentState {
    pub(super) names: InfoHashes,
    pub(super) root: PathBuf,
    pub(super) choice: Choice,
    /// What is to be wanted in place of it.
    pub(super) wishes: Wishes,
    pub(super) role: Role,
    /// Its trackers, in groups of which each is asked by itself.
    pub(super) trackers: Vec<Tiers>,
    pub(super) events: mpsc::Sender<TorrentEvent>,
    pub(super) phase: Phase,
    /// Everybody known to take part, and which sources named them when.
    pub(super) known: BTreeMap<PeerKey, Sightings>,
    /// Peers named by hand of whom it was told that they cannot be reached.
    pub(super) unreached: BTreeSet<PeerKey>,
    /// Whether trackers have named peers of whom none can be reached.
    pub(super) vain: Vain,
    /// Seeds whose link ended when there was nothing to trade any more.
    pub(super) parted: BTreeMap<PeerKey, Parted>,
    /// Where it stands in the DHT.
    pub(super) dht: TorrentInDht,
    /// Pieces that peers were told of and that are gone.
    pub(super) retraction: Retraction,
    /// Peers saved for next time.
    pub(super) remembered: Remembered,
    /// Who gave how many content bytes.
    pub(super) given: BTreeMap<PeerKey, u64>,
    pub(super) figures: Arc<Figures>,
    /// Turns true when the torrent is left: announcers say goodbye.
    pub(super) stop: watch::Sender<bool>,
    pub(super) announcers: JoinSet<()>,
    /// Groups of trackers, by their place, and names that an announcer was started for.
    pub(super) announced: BTreeSet<(usize, InfoHash)>,
    /// Announce URLs that do not answer now or name no peers of use, and for how many names.
    pub(super) silent_trackers: BTreeMap<String, usize>,
    pub(super) added: Instant,
    pub(super) rates: Rates,
}

impl TorrentState {
    /// Tells the embedding program. Figures give way to news when it does not keep up.
    pub(super) fn tell(&self, event: TorrentEvent) {
        let is_figure = matches!(event, TorrentEvent::Progress(_) | TorrentEvent::Checking { .. });
        if is_figure && self.events.capacity() < self.events.max_capacity() / 2 {
            return;
        }
        if self.events.try_send(event).is_err() {
            tracing::debug!("nobody listens to this torrent's events");
        }
    }

    /// A piece is verified.
    pub(super) fn on_good(&mut self, piece: PieceIndex) {
        let Some(active) = self.active_mut() else { return };
        active.on_good(piece);
        // A seed begins with what it has, and verifies only what it missed.
        if active.bytes_left() == 0 && self.role == Role::Seed {
            self.tell(TorrentEvent::Note("all that was missing is here again, and shared".to_owned()));
        }
    }

    pub(super) fn active(&self) -> Option<&Active> {
        match &self.phase {
            Phase::Active(active) => Some(active),
            _ => None,
        }
    }

    pub(super) fn active_mut(&mut self) -> Option<&mut Active> {
        match &mut self.phase {
            Phase::Active(active) => Some(active),
            _ => None,
        }
    }

    /// Forgets somebody of whom nothing was ever seen, of those told by whoever told most, for one that `teller`
    /// names; whether there was one. Whoever names thousands crowds out his own.
    pub(super) fn make_room(&mut self, teller: (Source, Voice), linked: &BTreeSet<PeerKey>) -> bool {
        let asking = match &self.phase {
            Phase::Fetching(fetching) => Some(&fetching.asking),
            _ => None,
        };
        let is_mere_word = |peer: &PeerKey, sightings: &Sightings| {
            let is_busy = asking.is_some_and(|asking| asking.contains(peer)) || linked.contains(peer);
            let is_proven = self.given.contains_key(peer) || self.parted.contains_key(peer);
            let is_vouched_for = [Source::Link, Source::Cache].iter().any(|&s| sightings.is_named_by(s));
            !is_busy && !is_proven && !is_vouched_for
        };
        let Some(peer) = crowded_out(&self.known, teller, is_mere_word) else { return false };
        self.known.remove(&peer);
        if let Phase::Fetching(fetching) = &mut self.phase {
            fetching.failed.remove(&peer);
        }
        true
    }

    /// A tracker stopped answering for one name; whether that is news.
    pub(super) fn on_tracker_silent(&mut self, url: String) -> bool {
        let names = self.silent_trackers.entry(url).or_default();
        *names += 1;
        *names == 1
    }

    /// A tracker answers again for one name; whether that is news.
    pub(super) fn on_tracker_back(&mut self, url: &str) -> bool {
        let Some(names) = self.silent_trackers.get_mut(url) else { return false };
        *names = names.saturating_sub(1);
        let is_back = *names == 0;
        if is_back {
            self.silent_trackers.remove(url);
        }
        is_back
    }

    /// The source under which bytes from `peer` are counted.
    fn credited(&self, peer: PeerKey) -> Source {
        self.known.get(&peer).map_or(Source::Incoming, Sightings::found_by)
    }

    /// Content bytes received, by the source that found the giving peer.
    pub(super) fn bytes_from(&self) -> Vec<(Source, u64)> {
        let mut sums = BTreeMap::new();
        for (&peer, &bytes) in &self.given {
            *sums.entry(self.credited(peer)).or_default() += bytes;
        }
        sums.into_iter().collect()
    }

    /// The figures at `now`; `links` are the linked peers and whether each wants something from us, `lack` what a
    /// download misses.
    pub(super) fn progress(
        &mut self,
        now: Moment,
        links: &[(PeerKey, bool)],
        lack: Lack,
        outside: Outside,
    ) -> Progress {
        let uploaded = self.figures.uploaded.load(Ordering::Relaxed);
        let downloaded = self.figures.downloaded.load(Ordering::Relaxed);
        self.rates.update(Instant::now(), downloaded, uploaded);
        let (bytes_done, bytes_total) =
            self.active().map_or((0, 0), |active| (active.bytes_done, active.chosen.bytes()));
        let Assessment { stage, autonomy, why, named_by, live_peers } = self.assess(now, links, outside);
        self.figures.autonomy_permille.store((1000.0 * autonomy) as u64, Ordering::Relaxed);
        Progress {
            bytes_done,
            bytes_total,
            down_rate: self.rates.down.get(),
            up_rate: self.rates.up.get(),
            bytes_received: downloaded,
            bytes_sent: uploaded,
            peers: links.len(),
            interested_peers: links.iter().filter(|(_, wants_us)| *wants_us).count(),
            stage,
            autonomy,
            why,
            named_by,
            live_peers,
            waiting: lack.waits_for(links.len(), self.rates.down.quiet),
            pieces_unseen: lack.unseen,
            found_peers: self.known.len(),
            asked_peers: 0,
        }
    }

    /// How much of the swarm would be found again without a tracker.
    fn assess(&self, now: Moment, links: &[(PeerKey, bool)], outside: Outside) -> Assessment {
        if outside == Outside::Away {
            return Assessment::cut_off();
        }
        let mut asked = self.trackers.iter().flat_map(Tiers::trackers);
        let trackers = match self.announced.is_empty() {
            true => Trackers::None,
            // A tracker that was not asked yet, because another one will do, is not silent.
            false
                if outside == Outside::Open
                    && asked.all(|tracker| self.silent_trackers.contains_key(&tracker.url)) =>
            {
                Trackers::Silent
            }
            false => Trackers::Answering,
        };
        // Seeds hang up on each other when both have everything: they are no less there for that.
        let mut live: BTreeSet<PeerKey> = links.iter().map(|(peer, _)| *peer).collect();
        live.extend(self.parted.iter().filter(|(_, parted)| parted.is_recent(now)).map(|(peer, _)| *peer));
        assess(now, live.iter().filter_map(|peer| self.known.get(peer)), trackers)
    }
}

/// Smoothed transfer rates in bytes a second.
pub(super) struct Rates {
    at: Instant,
    down: Rate,
    up: Rate,
}

impl Rates {
    /// Less time than this cannot be measured well enough to divide by.
    const LEAST: Duration = Duration::from_millis(1);

    pub(super) fn new(now: Instant) -> Self {
        Self { at: now, down: Rate::default(), up: Rate::default() }
    }

    fn update(&mut self, now: Instant, down_total: u64, up_total: u64) {
        let elapsed = now.duration_since(self.at);
        if elapsed < Self::LEAST {
            return;
        }
        self.down.update(elapsed, down_total);
        self.up.update(elapsed, up_total);
        self.at = now;
    }
}

/// A smoothed rate in one direction.
#[derive(Default)]
struct Rate {
    total: u64,
    /// Bytes a second, the latest counting most, times `weight`.
    weighted: f64,
    /// Grows towards 1 with the time measured: the first second is not averaged with the silence before it.
    weight: f64,
    /// How long nothing has moved.
    quiet: Duration,
}

impl Rate {
    /// How fast old rates are forgotten.
    const MEMORY: Duration = Duration::from_secs(3);
    /// A silence after which measuring begins anew.
    const PAUSE: Duration = Duration::from_secs(5);

    fn update(&mut self, elapsed: Duration, total: u64) {
        let bytes = total.saturating_sub(self.total);
        self.total = total;
        self.quiet = if bytes > 0 { Duration::ZERO } else { self.quiet + elapsed };
        if self.quiet >= Self::PAUSE || (bytes == 0 && self.weight == 0.0) {
            (self.weighted, self.weight) = (0.0, 0.0);
            return;
        }
        let keep = (-elapsed.as_secs_f64() / Self::MEMORY.as_secs_f64()).exp();
        self.weighted = self.weighted * keep + bytes as f64 / elapsed.as_secs_f64() * (1.0 - keep);
        self.weight = self.weight * keep + (1.0 - keep);
    }

    fn get(&self) -> u64 {
        if self.weight > 0.0 { (self.weighted / self.weight) as u64 } else { 0 }
    }
}

/// Who goes for one that `teller` names: the first of those told by whoever told most of whom `may_go` holds.
fn crowded_out(
    known: &BTreeMap<PeerKey, Sightings>,
    teller: (Source, Voice),
    may_go: impl Fn(&PeerKey, &Sightings) -> bool,
) -> Option<PeerKey> {
    let mut by_teller: BTreeMap<(Source, Voice), (usize, Option<PeerKey>)> = BTreeMap::new();
    for (&peer, sightings) in known {
        let (count, first) = by_teller.entry(sightings.teller()).or_default();
        *count += 1;
        if first.is_none() && may_go(&peer, sightings) {
            *first = Some(peer);
        }
    }
    let own = by_teller.get(&teller).map_or(0, |(count, _)| *count);
    let (most, first) = by_teller.into_values().max_by_key(|(count, _)| *count)?;
    first.filter(|_| most > own + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_rate_is_that_of_its_own_time_and_a_stopped_one_is_zero() {
        let mut rate = Rate::default();
        let second = Duration::from_secs(1);
        (0..30).for_each(|_| rate.update(second, 0));
        rate.update(second, 1000);
        assert_eq!(rate.get(), 1000);
        rate.update(second, 2000);
        assert_eq!(rate.get(), 1000);
        rate.update(second, 2000);
        assert!((1..1000).contains(&rate.get()));
        (0..4).for_each(|_| rate.update(second, 2000));
        assert_eq!((rate.get(), rate.quiet), (0, 5 * second));
    }

    #[test]
    fn whoever_names_thousands_crowds_out_his_own_and_nobody_else_s() {
        let teller = |name| (Source::Tracker, Voice::of(name));
        let named = |name| Sightings::new(Source::Tracker, Moment::ZERO).told_by(Voice::of(name));
        let mut known: BTreeMap<PeerKey, Sightings> =
            (0..1000).map(|n| (PeerKey(n), named("liar"))).collect();
        known.insert(PeerKey(5000), named("honest"));
        let is_unproven = |peer: &PeerKey, _: &Sightings| peer.0 != 0;

        assert_eq!(crowded_out(&known, teller("honest"), is_unproven), Some(PeerKey(1)));
        assert_eq!(crowded_out(&known, teller("third"), is_unproven), Some(PeerKey(1)));
        assert_eq!(crowded_out(&known, teller("liar"), is_unproven), None);
        assert_eq!(crowded_out(&known, teller("honest"), |_, _| false), None);
    }
}
