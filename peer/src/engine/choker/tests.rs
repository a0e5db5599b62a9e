//! Who gets the slots.

use super::*;

fn seconds(seconds: u64) -> Moment {
    Moment::from_micros(seconds * 1_000_000)
}

fn config(slots: usize) -> EngineConfig {
    EngineConfig { upload_slots: slots..=slots, ..EngineConfig::default() }
}

fn contender(link: u64) -> Contender {
    Contender {
        torrent: TorrentId(1),
        link: LinkId(link),
        seeding: false,
        unchoked: false,
        since: seconds(0),
        balance: 0,
        gave_lately: 0,
        owes: false,
        hoards: false,
    }
}

fn links(chosen: impl IntoIterator<Item = (TorrentId, LinkId)>) -> Vec<u64> {
    chosen.into_iter().map(|(_, link)| link.0).collect()
}

fn rng(seed: u8) -> EngineRng {
    EngineRng::new([seed; 32])
}

#[test]
fn chance_reaches_everybody_who_does_not_owe() {
    let debtor = |n| Contender { owes: true, ..contender(n) };
    let contenders: Vec<Contender> = (0..10).map(contender).chain((10..12).map(debtor)).collect();
    let mut reached: Vec<u64> = (0..100)
        .flat_map(|seed| links(Choker::default().fill(&contenders, seconds(5), &config(3), &mut rng(seed))))
        .collect();
    reached.sort_unstable();
    reached.dedup();
    assert_eq!(reached, (0..10).collect::<Vec<u64>>());
}

#[test]
fn those_who_owe_share_few_slots_unless_nobody_else_wants_any() {
    let debtor = |n| Contender { owes: true, ..contender(n) };
    let served = |contenders: &[Contender]| {
        links(Choker::default().fill(contenders, seconds(5), &config(12), &mut rng(1)))
    };
    let mixed: Vec<Contender> = (0..5).map(contender).chain((5..10).map(debtor)).collect();
    assert_eq!(served(&mixed).iter().filter(|&&link| link >= 5).count(), OWING_SLOTS);
    let debtors: Vec<Contender> = (0..5).map(debtor).collect();
    assert_eq!(served(&debtors).len(), 5);
}

#[test]
fn a_seed_serves_whoever_waited_longest() {
    // One of them pretends to give a lot, which a seed has no use for.
    let waits = |n: u64| Contender {
        seeding: true,
        since: seconds(n),
        gave_lately: if n == 5 { 1 << 40 } else { 0 },
        ..contender(n)
    };
    let contenders: Vec<Contender> = (0..6).rev().map(waits).collect();
    let chosen = links(Choker::default().fill(&contenders, seconds(9), &config(4), &mut rng(1)));
    assert_eq!(chosen, [0, 1, 2, 3]);
}

#[test]
fn a_seed_serves_whoever_passes_nothing_on_after_everybody_else() {
    let seeding = |n: u64| Contender { seeding: true, hoards: n < 3, since: seconds(n), ..contender(n) };
    let contenders: Vec<Contender> = (0..6).map(seeding).collect();
    let chosen = Choker::default().fill(&contenders, seconds(9), &config(3), &mut rng(1));
    assert_eq!(links(chosen), [3, 4, 5]);
}

#[test]
fn torrents_share_the_slots_evenly() {
    let big = (0..10).map(contender);
    let small = (10..12).map(|n| Contender { torrent: TorrentId(2), ..contender(n) });
    let contenders: Vec<Contender> = big.chain(small).collect();
    let chosen = links(Choker::default().fill(&contenders, seconds(0), &config(4), &mut rng(2)));
    assert_eq!(chosen.iter().filter(|&&link| link >= 10).count(), 2, "{chosen:?}");
    assert_eq!(chosen.len(), 4);
}

#[test]
fn only_free_slots_are_filled_and_not_too_often() {
    let mut choker = Choker::default();
    let config = config(3);
    (0..3).for_each(|_| choker.on_waiting());
    choker.on_unchoked(false);
    let holder = Contender { unchoked: true, ..contender(4) };
    let contenders = [contender(1), contender(2), contender(3), holder];
    let filled = choker.fill(&contenders, seconds(5), &config, &mut rng(1));
    assert_eq!(filled.len(), 2);
    assert!(filled.iter().all(|(_, link)| link.0 < 4));
    assert_eq!(choker.fill_at(seconds(5)), seconds(5) + FILL_INTERVAL);
    (0..2).for_each(|_| choker.on_unchoked(true));
    assert!(choker.is_wanted(&config));
    assert_eq!(choker.fill(&contenders, seconds(6), &config, &mut rng(1)), []);
    choker.on_waited_in_vain();
    assert!(!choker.is_wanted(&config));
}

#[test]
fn the_orders_it_is_compared_with_rank_by_what_was_given() {
    let contenders: Vec<Contender> = (0..5u64)
        .map(|n| Contender { balance: -n.cast_signed(), gave_lately: 10 - n, ..contender(n) })
        .collect();
    let by = |order| {
        let config = EngineConfig { order, ..config(2) };
        links(Choker::default().fill(&contenders, seconds(1), &config, &mut rng(1)))
    };
    assert_eq!(by(Order::LeastOwed), [4, 3]);
    assert_eq!(by(Order::MostGiven), [0, 1]);
}

#[test]
fn a_faster_uplink_has_more_slots_and_whoever_waits_is_told_once() {
    let (mut choker, config) = (Choker::default(), EngineConfig::default());
    let send = |choker: &mut Choker, from: u64| {
        let sent = (from..from + 8000)
            .map(|millis| choker.on_sent(Moment::from_micros(millis * 1000), 16 * 1024, &config));
        sent.filter(|grew| *grew).count()
    };
    assert_eq!(send(&mut choker, 10_000), 0, "nobody waits");
    let mut choker = Choker::default();
    choker.on_waiting();
    let grew = send(&mut choker, 10_000);
    assert!((1..=16).contains(&grew), "{grew}");
    assert_eq!(send(&mut choker, 18_000), 0, "it is as fast as it was");
}
