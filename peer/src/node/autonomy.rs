//! How much of a torrent's swarm would be found again with the tracker gone; pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use samara_proto::moment::Moment;

use crate::engine::event::Source;
use crate::handle::Stage;
use crate::net::discovery::Voice;

/// A source that has not named a peer for so long is not counted on to name it again.
const FRESH: Duration = Duration::from_secs(30 * 60);
/// Autonomy from which the tracker may vanish.
const ENOUGH: f64 = 0.9;
/// Sources besides the tracker that must work for it to be able to vanish: one alone may fail too.
const SOURCES: usize = 2;

/// Which sources named a peer, and when last.
#[derive(Clone, Debug)]
pub(super) struct Sightings {
    found_by: Source,
    voice: Voice,
    last: BTreeMap<Source, Moment>,
}

impl Sightings {
    /// Of a peer that `source` named first, at `now`.
    pub(super) fn new(source: Source, now: Moment) -> Self {
        Self { found_by: source, voice: Voice::default(), last: BTreeMap::from([(source, now)]) }
    }

    /// The same, with the source's voice that said so first.
    pub(super) fn told_by(self, voice: Voice) -> Self {
        Self { voice, ..self }
    }

    /// The source that found it, and who of that source did.
    pub(super) fn teller(&self) -> (Source, Voice) {
        (self.found_by, self.voice)
    }

    /// `source` named it, again perhaps.
    pub(super) fn see(&mut self, source: Source, now: Moment) {
        if self.found_by == Source::Incoming {
            self.found_by = source;
        }
        self.last.insert(source, now);
    }

    /// The source that found it: the first that is not chance contact.
    pub(super) fn found_by(&self) -> Source {
        self.found_by
    }

    /// The sources that named it within the last half hour.
    pub(super) fn fresh(&self, now: Moment) -> impl Iterator<Item = Source> + '_ {
        self.last.iter().filter(move |(_, at)| now.since(**at) <= FRESH).map(|(source, _)| *source)
    }

    /// Whether nobody but `sources` ever named it.
    pub(super) fn is_named_only_by(&self, sources: &[Source]) -> bool {
        self.last.keys().all(|named_by| sources.contains(named_by))
    }

    /// Whether any source ever named it that can name it again.
    pub(super) fn is_named_by(&self, source: Source) -> bool {
        self.last.contains_key(&source)
    }
}

/// How a torrent's trackers are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trackers {
    /// There are none, or they are not asked.
    None,
    /// At least one has not failed.
    Answering,
    /// None answers.
    Silent,
}

/// What a torrent's swarm depends on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assessment {
    pub(super) stage: Stage,
    /// Share of live peers that a source other than the tracker has also named within the last half hour.
    pub(super) autonomy: f64,
    /// The stage's reason, for people.
    pub(super) why: String,
    /// Live peers that each source has named within the last half hour.
    pub(super) named_by: Vec<(Source, usize)>,
    /// How many there are.
    pub(super) live_peers: usize,
}

impl Assessment {
    /// Of whoever has no network: nobody is reached, with a tracker or without.
    pub(super) fn cut_off() -> Self {
        Self {
            stage: Stage::Assisted,
            autonomy: 0.0,
            why: "the network interface is away, and nobody can be reached".to_owned(),
            named_by: Vec::new(),
            live_peers: 0,
        }
    }
}

/// Judges by the peers linked at `now`.
pub(super) fn assess<'a>(
    now: Moment,
    live: impl IntoIterator<Item = &'a Sightings>,
    trackers: Trackers,
) -> Assessment {
    let (mut peers, mut findable) = (0_usize, 0_usize);
    let mut named_by: BTreeMap<Source, usize> = BTreeMap::new();
    let is_other = |source: &Source| !matches!(source, Source::Tracker | Source::Incoming);
    for sightings in live {
        peers += 1;
        findable += usize::from(sightings.fresh(now).any(|source| is_other(&source)));
        for source in sightings.fresh(now) {
            *named_by.entry(source).or_default() += 1;
        }
    }
    let working: BTreeSet<Source> = named_by.keys().copied().filter(is_other).collect();
    let autonomy = if peers == 0 { 0.0 } else { findable as f64 / peers as f64 };
    let is_enough = autonomy >= ENOUGH && working.len() >= SOURCES;
    let found = || {
        let names: Vec<&str> = working.iter().copied().map(name).collect();
        format!("{findable} of {peers} peers could be found without the tracker, by {}", names.join(", "))
    };
    let (stage, why) = match trackers {
        _ if peers == 0 => (Stage::Assisted, "no peer is linked yet".to_owned()),
        Trackers::None => (Stage::Autonomous, "there is no tracker, and the swarm goes on".to_owned()),
        Trackers::Silent => (Stage::Autonomous, "the tracker is gone, and the swarm goes on".to_owned()),
        Trackers::Answering if is_enough => (Stage::Autonomous, found()),
        Trackers::Answering if findable > 0 => (Stage::Hybrid, found()),
        Trackers::Answering => (Stage::Assisted, "without the tracker no peer would be found".to_owned()),
    };
    Assessment { stage, autonomy, why, named_by: named_by.into_iter().collect(), live_peers: peers }
}

fn name(source: Source) -> &'static str {
    match source {
        Source::Tracker => "tracker",
        Source::Dht => "DHT",
        Source::Pex => "other peers",
        Source::Lan => "local network",
        Source::Cache => "earlier sessions",
        Source::Link => "the link",
        Source::Incoming => "chance",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(60 * minutes)
    }

    /// A peer named by `sources` at the beginning.
    fn peer(sources: &[Source]) -> Sightings {
        let mut sightings = Sightings::new(sources[0], at(0));
        for &source in sources {
            sightings.see(source, at(0));
        }
        sightings
    }

    fn check(live: &[&[Source]], trackers: Trackers, stage: Stage, autonomy: f64) {
        let live: Vec<Sightings> = live.iter().map(|sources| peer(sources)).collect();
        let assessment = assess(at(1), &live, trackers);
        assert_eq!(assessment.stage, stage, "{assessment:?}");
        assert!((assessment.autonomy - autonomy).abs() < 1e-9, "{assessment:?}");
    }

    const T: Source = Source::Tracker;
    const P: Source = Source::Pex;
    const D: Source = Source::Dht;
    const I: Source = Source::Incoming;

    #[test]
    fn a_swarm_the_tracker_alone_names_is_assisted() {
        check(&[&[T], &[T, I], &[I]], Trackers::Answering, Stage::Assisted, 0.0);
        check(&[], Trackers::Answering, Stage::Assisted, 0.0);
        check(&[], Trackers::Silent, Stage::Assisted, 0.0);
    }

    #[test]
    fn other_sources_make_it_hybrid_until_two_of_them_name_nearly_everybody() {
        check(&[&[T, P], &[T]], Trackers::Answering, Stage::Hybrid, 0.5);
        check(&[&[T, P], &[T, P]], Trackers::Answering, Stage::Hybrid, 1.0);
        check(&[&[T, P], &[T, D]], Trackers::Answering, Stage::Autonomous, 1.0);
        let nine_of_ten: Vec<&[Source]> = [vec![&[T, P, D][..]; 9], vec![&[T][..]]].concat();
        check(&nine_of_ten, Trackers::Answering, Stage::Autonomous, 0.9);
        let eight_of_nine: Vec<&[Source]> = [vec![&[T, P, D][..]; 8], vec![&[T][..]]].concat();
        check(&eight_of_nine, Trackers::Answering, Stage::Hybrid, 8.0 / 9.0);
    }

    #[test]
    fn a_swarm_that_goes_on_without_its_tracker_is_autonomous() {
        check(&[&[T]], Trackers::Silent, Stage::Autonomous, 0.0);
        check(&[&[Source::Link]], Trackers::None, Stage::Autonomous, 1.0);
    }

    #[test]
    fn what_was_named_long_ago_does_not_count() {
        let mut sightings = peer(&[T, P]);
        let assessed = |sightings: &Sightings, minutes| assess(at(minutes), [sightings], Trackers::Answering);
        assert_eq!(assessed(&sightings, 30).autonomy, 1.0);
        assert_eq!(assessed(&sightings, 31).autonomy, 0.0);
        sightings.see(P, at(31));
        assert_eq!(assessed(&sightings, 31).autonomy, 1.0);
    }

    #[test]
    fn the_source_that_found_a_peer_is_the_first_that_is_not_chance() {
        let mut sightings = Sightings::new(I, at(0));
        assert_eq!(sightings.found_by(), I);
        sightings.see(P, at(1));
        sightings.see(T, at(2));
        assert_eq!(sightings.found_by(), P);
    }

    #[test]
    fn the_reason_names_figures_and_sources() {
        let live = [peer(&[T, P]), peer(&[T])];
        let why = assess(at(1), &live, Trackers::Answering).why;
        assert_eq!(why, "1 of 2 peers could be found without the tracker, by other peers");
    }
}
