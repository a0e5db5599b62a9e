//! The buckets against a plain count.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn rng() -> EngineRng {
    EngineRng::new([4; 32])
}

fn all(pieces: u32) -> Availability {
    Availability::new(pieces, &Selection::default())
}

fn set_of(pieces: u32, members: impl IntoIterator<Item = u32>) -> Bitfield {
    let mut set = Bitfield::new(pieces);
    for piece in members {
        set.set(PieceIndex(piece));
    }
    set
}

#[test]
fn the_rarest_piece_that_the_peer_has_is_chosen() {
    let mut rng = rng();
    let mut availability = all(5);
    (0..5).for_each(|piece| availability.offer(PieceIndex(piece), &mut rng));
    for (piece, count) in [(0, 3), (1, 1), (2, 2), (3, 2), (4, 5)] {
        (0..count).for_each(|_| availability.gain(PieceIndex(piece), &mut rng));
    }
    let has = set_of(5, [0, 2, 4]);
    assert_eq!(availability.rarest(&has, Priority::Skip, &mut rng, |_| true), Some(PieceIndex(2)));
    assert_eq!(
        availability.rarest(&has, Priority::Skip, &mut rng, |piece| piece.0 != 2),
        Some(PieceIndex(0))
    );
    availability.withdraw(PieceIndex(2));
    assert_eq!(availability.rarest(&has, Priority::Skip, &mut rng, |_| true), Some(PieceIndex(0)));
    assert_eq!(availability.rarest(&set_of(5, []), Priority::Skip, &mut rng, |_| true), None);
}

#[test]
fn ties_are_broken_by_chance() {
    let mut first = BTreeSet::new();
    for seed in 0..50 {
        let mut rng = EngineRng::new([seed; 32]);
        let mut availability = all(20);
        (0..20).for_each(|piece| availability.offer(PieceIndex(piece), &mut rng));
        availability.gain_all();
        first.extend(availability.rarest(&Bitfield::full(20), Priority::Skip, &mut rng, |_| true));
    }
    assert!(first.len() > 10, "only {} different choices", first.len());
}

#[test]
fn a_peer_with_few_common_pieces_is_served_too() {
    let mut rng = rng();
    let pieces = 100_000;
    let mut availability = all(pieces);
    for piece in 0..pieces {
        availability.offer(PieceIndex(piece), &mut rng);
        availability.gain(PieceIndex(piece), &mut rng);
    }
    let has = set_of(pieces, [77_777, 5]);
    for piece in has.iter_ones() {
        (0..3).for_each(|_| availability.gain(piece, &mut rng));
    }
    availability.gain(PieceIndex(5), &mut rng);
    assert_eq!(availability.rarest(&has, Priority::Skip, &mut rng, |_| true), Some(PieceIndex(77_777)));
}

#[derive(Clone, Debug)]
enum Step {
    Gain(u32),
    Lose(u32),
    Offer(u32),
    Withdraw(u32),
    GainAll,
    LoseAll,
    Prioritize(u32, Priority),
}

fn any_priority() -> impl Strategy<Value = Priority> {
    prop_oneof![Just(Priority::Skip), Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..90u32).prop_map(Step::Gain),
        3 => (0..90u32).prop_map(Step::Lose),
        3 => (0..90u32).prop_map(Step::Offer),
        2 => (0..90u32).prop_map(Step::Withdraw),
        1 => Just(Step::GainAll),
        1 => Just(Step::LoseAll),
        2 => (0..90u32, any_priority()).prop_map(|(piece, priority)| Step::Prioritize(piece, priority)),
    ]
}

proptest! {
    #[test]
    fn it_counts_and_chooses_as_a_plain_table_does(
        steps in prop::collection::vec(any_step(), 0..300),
        members in prop::collection::btree_set(0..90u32, 0..90),
    ) {
        let mut rng = rng();
        let mut availability = all(90);
        let mut counts = [0u32; 90];
        let mut everywhere = 0u32;
        let mut choosable = BTreeSet::new();
        let mut priorities = [Priority::Normal; 90];
        for step in steps {
            match step {
                Step::Gain(piece) => {
                    counts[piece as usize] += 1;
                    availability.gain(PieceIndex(piece), &mut rng);
                }
                Step::Lose(piece) => {
                    counts[piece as usize] = counts[piece as usize].saturating_sub(1);
                    availability.lose(PieceIndex(piece), &mut rng);
                }
                Step::Offer(piece) => {
                    if priorities[piece as usize] > Priority::Skip {
                        choosable.insert(piece);
                    }
                    availability.offer(PieceIndex(piece), &mut rng);
                }
                Step::Withdraw(piece) => {
                    choosable.remove(&piece);
                    availability.withdraw(PieceIndex(piece));
                }
                Step::GainAll => {
                    everywhere += 1;
                    availability.gain_all();
                }
                Step::LoseAll => {
                    everywhere = everywhere.saturating_sub(1);
                    availability.lose_all();
                }
                Step::Prioritize(piece, priority) => {
                    priorities[piece as usize] = priority;
                    if priority == Priority::Skip {
                        choosable.remove(&piece);
                    }
                    availability.set_priority(PieceIndex(piece), priority, &mut rng);
                }
            }
        }
        for piece in 0..90 {
            prop_assert_eq!(availability.count(PieceIndex(piece)), counts[piece as usize] + everywhere);
            prop_assert_eq!(availability.is_choosable(PieceIndex(piece)), choosable.contains(&piece));
        }
        prop_assert_eq!(availability.any_choosable_above(Priority::Skip), !choosable.is_empty());
        if everywhere == 0 {
            // A peer that asks has been counted.
            availability.gain_all();
        }
        // 64 of 90 are looked at in order, the rest by a sample of 64: below that the choice is exact.
        let common: Vec<u32> = members.intersection(&choosable).copied().take(64).collect();
        let has = set_of(90, common.iter().copied());
        for above in [Priority::Skip, Priority::Low, Priority::Normal, Priority::High] {
            let priority = |piece: &u32| priorities[*piece as usize];
            let highest = common.iter().map(priority).filter(|own| *own > above).max();
            let due: Vec<u32> = common.iter().copied().filter(|piece| Some(priority(piece)) == highest).collect();
            let least = due.iter().map(|&piece| counts[piece as usize]).min();
            let rarest = availability.rarest(&has, above, &mut rng, |_| true);
            prop_assert_eq!(rarest.map(|piece| counts[piece.0 as usize]), least);
            prop_assert!(rarest.is_none_or(|piece| due.contains(&piece.0)));
            let any = availability.any(&has, above, &mut rng, |_| true);
            prop_assert_eq!(any.is_some(), !due.is_empty());
            prop_assert!(any.is_none_or(|piece| due.contains(&piece.0)));
            let first = availability.first(&has, above, |_| true);
            prop_assert_eq!(first.map(|piece| piece.0), due.first().copied());
        }
    }
}
