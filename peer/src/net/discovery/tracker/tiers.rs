//! Which tracker of a group is asked next (BEP 12): tier by tier, what answers first, what failed later; pure.
//!
//! A torrent's own list of trackers is one group: one of them that is of use is enough, because whoever has
//! the same list meets there. A tracker that the user or a link names is a group of its own, asked beside the
//! others: whoever was given the torrent without it would not be met there, nor the others here.

use std::collections::BTreeSet;

use rand::Rng;
use rand::seq::SliceRandom;
use tokio::time::Instant;

/// One tracker of a group, as long as the group lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerKey(usize);

/// A tracker, and how it has answered so far.
#[derive(Clone, Debug)]
pub struct Tracker {
    /// The announce URL.
    pub url: String,
    /// What it wants to be told next time.
    pub tracker_id: Option<Vec<u8>>,
    /// It has been told that we take part, and so is told when we leave.
    pub is_told: bool,
    /// Times in a row that it was of no use.
    pub failures: u32,
    /// It was reported to be silent or of no use, and not yet that it is back.
    pub is_reported: bool,
    /// It is left alone until then.
    not_before: Option<Instant>,
}

/// The trackers of a group, in tiers.
#[derive(Clone, Debug)]
pub struct Tiers {
    trackers: Vec<Tracker>,
    /// Each tier in the order in which its trackers are asked.
    order: Vec<Vec<TrackerKey>>,
}

impl Tiers {
    /// The groups of a torrent: each of `own` alone, and `list` without those. Each tier is shuffled once, so
    /// that the load is shared among its trackers.
    pub fn groups(
        own: impl IntoIterator<Item = String>,
        list: &[Vec<String>],
        rng: &mut impl Rng,
    ) -> Vec<Self> {
        let mut seen = BTreeSet::new();
        let mut groups = Vec::new();
        for url in own {
            if seen.insert(url.clone()) {
                groups.push(Self::new([vec![url]]));
            }
        }
        let mut tiers = Vec::with_capacity(list.len());
        for tier in list {
            let mut tier: Vec<String> =
                tier.iter().filter(|&url| seen.insert(url.clone())).cloned().collect();
            tier.shuffle(rng);
            tiers.push(tier);
        }
        groups.push(Self::new(tiers));
        groups.retain(|group| !group.trackers.is_empty());
        groups
    }

    fn new(tiers: impl IntoIterator<Item = Vec<String>>) -> Self {
        let mut trackers = Vec::new();
        let mut order = Vec::new();
        for tier in tiers {
            let first = trackers.len();
            trackers.extend(tier.into_iter().map(Tracker::new));
            order.push((first..trackers.len()).map(TrackerKey).collect());
        }
        Self { trackers, order }
    }

    /// All of them, in no particular order.
    pub fn trackers(&self) -> impl Iterator<Item = &Tracker> {
        self.trackers.iter()
    }

    /// One of them.
    pub fn get(&self, key: TrackerKey) -> &Tracker {
        &self.trackers[key.0]
    }

    /// One of them.
    pub fn get_mut(&mut self, key: TrackerKey) -> &mut Tracker {
        &mut self.trackers[key.0]
    }

    /// Those that may be asked, from the front of the first tier on: each if all before it are of no use.
    pub fn due(&self, now: Instant) -> impl Iterator<Item = TrackerKey> {
        let all = self.order.iter().flatten().copied();
        all.filter(move |&key| self.get(key).not_before.is_none_or(|at| at <= now))
    }

    /// When the first of those that are left alone may be asked again.
    pub fn next_due(&self) -> Option<Instant> {
        self.trackers.iter().filter_map(|tracker| tracker.not_before).min()
    }

    /// It is of use: it comes to the front of its tier.
    pub fn on_answer(&mut self, key: TrackerKey) {
        let tracker = self.get_mut(key);
        tracker.failures = 0;
        tracker.not_before = None;
        for tier in &mut self.order {
            if let Some(at) = tier.iter().position(|&other| other == key) {
                tier[..=at].rotate_right(1);
            }
        }
    }

    /// It is of no use, and left alone until `not_before`.
    pub fn on_failure(&mut self, key: TrackerKey, not_before: Instant) {
        let tracker = self.get_mut(key);
        tracker.failures = tracker.failures.saturating_add(1);
        tracker.not_before = Some(not_before);
    }
}

impl Tracker {
    fn new(url: String) -> Self {
        Self { url, tracker_id: None, is_told: false, failures: 0, is_reported: false, not_before: None }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(3)
    }

    fn list(tiers: &[&[&str]]) -> Vec<Vec<String>> {
        tiers.iter().map(|tier| tier.iter().map(|&url| url.to_owned()).collect()).collect()
    }

    fn group(tiers: &[&[&str]]) -> Tiers {
        let groups = Tiers::groups([], &list(tiers), &mut rng());
        <[Tiers; 1]>::try_from(groups).expect("a list is one group")[0].clone()
    }

    fn due(tiers: &Tiers, now: Instant) -> Vec<&str> {
        tiers.due(now).map(|key| tiers.get(key).url.as_str()).collect()
    }

    fn key(tiers: &Tiers, url: &str) -> TrackerKey {
        let all = tiers.order.iter().flatten().copied();
        all.into_iter().find(|&key| tiers.get(key).url == url).expect("it is in the group")
    }

    #[test]
    fn what_the_user_or_a_link_names_is_asked_beside_the_torrents_list() {
        let own = ["a", "b", "a"].map(str::to_owned);
        let groups = Tiers::groups(own, &list(&[&["c", "b"], &["d", "c"], &["a"]]), &mut rng());
        let urls: Vec<_> = groups.iter().map(|group| due(group, Instant::now())).collect();
        assert_eq!(urls, [vec!["a"], vec!["b"], vec!["c", "d"]]);
        assert!(Tiers::groups([], &[], &mut rng()).is_empty());
        assert!(Tiers::groups(["a".to_owned()], &list(&[&["a"]]), &mut rng()).len() == 1);
    }

    #[test]
    fn tiers_come_in_order_and_inside_a_tier_chance_decides_once() {
        let mut firsts = BTreeSet::new();
        for seed in 0..50 {
            let tiers = list(&[&["a", "b", "c"], &["d"]]);
            let group = &Tiers::groups([], &tiers, &mut ChaCha8Rng::seed_from_u64(seed))[0];
            let order = due(group, Instant::now());
            assert_eq!(order.len(), 4);
            assert_eq!(order[3], "d");
            assert_eq!(due(group, Instant::now()), order);
            firsts.insert(order[0].to_owned());
        }
        assert_eq!(firsts.len(), 3);
    }

    #[test]
    fn what_answers_comes_to_the_front_of_its_own_tier() {
        let now = Instant::now();
        let mut tiers = group(&[&["a", "b", "c"], &["d", "e"]]);
        let order: Vec<String> = due(&tiers, now).iter().map(|&url| url.to_owned()).collect();
        tiers.on_answer(key(&tiers, &order[2]));
        assert_eq!(due(&tiers, now), [2, 0, 1, 3, 4].map(|at: usize| order[at].as_str()));
        tiers.on_answer(key(&tiers, &order[4]));
        assert_eq!(due(&tiers, now), [2, 0, 1, 4, 3].map(|at: usize| order[at].as_str()));
    }

    #[test]
    fn what_failed_is_left_alone_for_a_while_and_then_is_first_again() {
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        let mut tiers = group(&[&["a"], &["b"], &["c"]]);
        tiers.on_failure(key(&tiers, "a"), later);
        tiers.on_failure(key(&tiers, "b"), later + Duration::from_secs(1));
        assert_eq!(due(&tiers, now), ["c"]);
        assert_eq!(tiers.next_due(), Some(later));
        tiers.on_answer(key(&tiers, "c"));
        assert_eq!(due(&tiers, later), ["a", "c"]);
        assert_eq!(tiers.get(key(&tiers, "a")).failures, 1);
        tiers.on_answer(key(&tiers, "a"));
        assert_eq!(tiers.get(key(&tiers, "a")).failures, 0);
        assert_eq!(tiers.next_due(), Some(later + Duration::from_secs(1)));
    }
}
