//! Who gets the slots.

use std::time::Duration;

use super::*;

fn seconds(seconds: u64) -> Moment {
    Moment::from_micros(seconds * 1_000_000)
}

fn config(upload_slots: usize, optimistic_slots: usize) -> EngineConfig {
    let turn = Duration::from_secs(30);
    EngineConfig { upload_slots, optimistic_slots, slot_turn: turn, ..EngineConfig::default() }
}

fn contender(link: u64, given: u64) -> Contender {
    Contender {
        torrent: TorrentId(1),
        link: LinkId(link),
        seeding: false,
        unchoked: false,
        since: seconds(0),
        given,
        hoards: false,
    }
}

fn links(chosen: impl IntoIterator<Item = LinkId>) -> Vec<u64> {
    chosen.into_iter().map(|link| link.0).collect()
}

fn rng() -> EngineRng {
    EngineRng::new([8; 32])
}

#[test]
fn those_who_give_most_are_chosen_and_one_by_chance() {
    let contenders: Vec<Contender> = (0..10).map(|n| contender(n, n * 1000)).collect();
    let config = config(3, 1);
    let mut lucky = BTreeSet::new();
    for seed in 0..100 {
        let mut rng = EngineRng::new([seed; 32]);
        let chosen = links(Choker::default().rechoke(&contenders, seconds(50), &config, &mut rng));
        assert!(chosen.ends_with(&[7, 8, 9]) && chosen.len() == 4, "{chosen:?}");
        lucky.insert(chosen[0]);
    }
    assert_eq!(lucky, (0..7).collect(), "chance reaches everybody");
}

#[test]
fn a_lucky_one_keeps_its_slot_for_its_turn() {
    let contenders: Vec<Contender> = (0..10).map(|n| contender(n, n * 1000)).collect();
    let config = config(3, 1);
    let mut choker = Choker::default();
    let mut rng = rng();
    let first = choker.rechoke(&contenders, seconds(0), &config, &mut rng);
    for at in [10, 20] {
        assert_eq!(choker.rechoke(&contenders, seconds(at), &config, &mut rng), first);
    }
    let later: BTreeSet<_> =
        (1..20).map(|turn| choker.rechoke(&contenders, seconds(30 * turn), &config, &mut rng)).collect();
    assert!(later.len() > 3, "it goes round");
}

#[test]
fn a_seed_serves_everybody_in_turn() {
    let config = config(2, 0);
    let mut choker = Choker::default();
    let mut since: BTreeMap<u64, (Moment, bool)> = (0..6).map(|n| (n, (seconds(n), false))).collect();
    let mut served: BTreeMap<u64, u32> = BTreeMap::new();
    for at in (10..370).step_by(10) {
        let now = seconds(at);
        let contenders: Vec<Contender> = since
            .iter()
            // One of them pretends to give a lot, which a seed has no use for.
            .map(|(&link, &(since, unchoked))| Contender {
                seeding: true,
                since,
                unchoked,
                ..contender(link, if link == 3 { 1 << 40 } else { 0 })
            })
            .collect();
        let chosen = choker.rechoke(&contenders, now, &config, &mut rng());
        assert_eq!(chosen.len(), 2);
        for (link, state) in &mut since {
            let unchoked = chosen.contains(&LinkId(*link));
            if unchoked != state.1 {
                *state = (now, unchoked);
            }
            *served.entry(*link).or_default() += u32::from(unchoked);
        }
    }
    let (least, most) = (served.values().min().unwrap(), served.values().max().unwrap());
    assert!(*most <= *least + 3, "{served:?}");
}

#[test]
fn torrents_share_the_slots_evenly() {
    let big = (0..10).map(|n| contender(n, 1_000_000));
    let small = (10..12).map(|n| Contender { torrent: TorrentId(2), ..contender(n, 1) });
    let contenders: Vec<Contender> = big.chain(small).collect();
    let chosen = links(Choker::default().rechoke(&contenders, seconds(0), &config(4, 0), &mut rng()));
    assert_eq!(chosen.iter().filter(|&&link| link >= 10).count(), 2, "{chosen:?}");
    assert_eq!(chosen.len(), 4);
}

#[test]
fn free_slots_go_to_the_best_of_those_who_wait() {
    let mut choker = Choker::default();
    let config = config(3, 0);
    choker.on_unchoked();
    let waiting = [contender(1, 10), contender(2, 30), contender(3, 20)];
    let holder = Contender { unchoked: true, ..contender(4, 0) };
    let contenders = [&waiting[..], &[holder]].concat();
    let filled = choker.fill(&contenders, seconds(5), &config);
    assert_eq!(links(filled.into_iter().map(|(_, link)| link)), [2, 3]);
    assert_eq!(choker.fill_at(seconds(5)), seconds(5) + FILL_INTERVAL);
    (0..2).for_each(|_| choker.on_unchoked());
    assert!(!choker.has_room(&config));
    assert_eq!(choker.fill(&contenders, seconds(6), &config), []);
}

#[test]
fn a_seed_serves_whoever_passes_nothing_on_after_everybody_else() {
    let seeding = |n: u64| Contender { seeding: true, hoards: n < 3, unchoked: n < 3, ..contender(n, 0) };
    let contenders: Vec<Contender> = (0..6).map(seeding).collect();
    let chosen = Choker::default().rechoke(&contenders, seconds(5), &config(3, 0), &mut rng());
    assert_eq!(links(chosen), [3, 4, 5]);
}
