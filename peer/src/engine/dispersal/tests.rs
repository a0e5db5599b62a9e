//! What a first seed shows to whom.

use std::collections::BTreeSet;

use super::*;

const PIECE: u32 = 64 * 1024;
const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);

fn seconds(seconds: u64) -> Moment {
    Moment::from_micros(seconds * 1_000_000)
}

fn rng() -> EngineRng {
    EngineRng::new([3; 32])
}

/// A seed of `pieces` pieces with two links.
fn dispersal(pieces: u32) -> Dispersal {
    let layout = Arc::new(Layout::single_file(u64::from(pieces) * u64::from(PIECE), PIECE));
    let mut dispersal = Dispersal::new(layout, &mut rng());
    dispersal.on_linked(A, seconds(0));
    dispersal.on_linked(B, seconds(0));
    dispersal
}

/// Promises a link as many pieces as are chosen for it, at most `most`.
fn promise(dispersal: &mut Dispersal, link: LinkId, most: usize, now: Moment) -> Vec<Choice> {
    let mut rng = rng();
    let mut choices = Vec::new();
    while choices.len() < most
        && let Some(choice) = dispersal.choose(link, now, &mut rng)
    {
        if let Some(other) = choice.instead_of {
            dispersal.take(other, choice.piece, now, &mut rng);
        }
        dispersal.promise(link, choice.piece, now, &mut rng);
        choices.push(choice);
    }
    choices
}

fn pieces(choices: &[Choice]) -> BTreeSet<PieceIndex> {
    choices.iter().map(|choice| choice.piece).collect()
}

/// Hands a whole piece out.
fn hand(dispersal: &mut Dispersal, link: LinkId, piece: PieceIndex, now: Moment) {
    for begin in (0..PIECE).step_by(BLOCK_LENGTH as usize) {
        dispersal.on_handed(link, BlockRef { piece, begin, length: BLOCK_LENGTH }, now);
    }
}

#[test]
fn nobody_is_promised_what_another_is() {
    let mut dispersal = dispersal(8);
    let a = pieces(&promise(&mut dispersal, A, 4, seconds(0)));
    let b = pieces(&promise(&mut dispersal, B, 4, seconds(0)));
    assert_eq!((a.len(), b.len()), (4, 4));
    assert!(a.is_disjoint(&b));
}

#[test]
fn the_shorter_queue_takes_over_from_the_longer_until_they_are_equal() {
    let mut dispersal = dispersal(8);
    promise(&mut dispersal, A, 8, seconds(0));
    let taken = promise(&mut dispersal, B, 8, seconds(0));
    assert!(taken.iter().all(|choice| choice.instead_of == Some(A)));
    assert!((3..=4).contains(&taken.len()), "{taken:?}");
    for Choice { piece, .. } in taken {
        assert!(dispersal.allows(B, piece, seconds(0)) && !dispersal.allows(A, piece, seconds(0)));
    }
}

#[test]
fn what_was_taken_over_by_somebody_who_left_is_shown_again() {
    let mut dispersal = dispersal(8);
    promise(&mut dispersal, A, 8, seconds(0));
    let taken = pieces(&promise(&mut dispersal, B, 8, seconds(0)));
    dispersal.write_off(seconds(3), &mut rng());
    for (link, piece) in [(A, 7), (B, 0)] {
        let block = BlockRef { piece: PieceIndex(piece), begin: 0, length: BLOCK_LENGTH };
        dispersal.on_handed(link, block, seconds(3));
    }
    assert_eq!(promise(&mut dispersal, A, 8, seconds(3)), vec![], "B is to be given them");
    dispersal.forget(B, &mut rng());
    assert!(taken.iter().all(|&piece| dispersal.allows(A, piece, seconds(0))));
    assert_eq!(pieces(&promise(&mut dispersal, A, 8, seconds(3))), taken);
}

#[test]
fn nothing_is_given_twice_while_a_piece_is_nowhere() {
    let mut dispersal = dispersal(2);
    let first = promise(&mut dispersal, A, 2, seconds(0));
    for choice in &first {
        hand(&mut dispersal, A, choice.piece, seconds(0));
    }
    assert!(!dispersal.on_have(A, first[0].piece, seconds(1), &mut rng()));
    assert_eq!(promise(&mut dispersal, B, 2, seconds(1)), vec![]);
    assert!(dispersal.on_have(A, first[1].piece, seconds(1), &mut rng()), "everything is out");
    assert_eq!(promise(&mut dispersal, B, 2, seconds(1)).len(), 2);
}

#[test]
fn what_was_not_given_before_a_choke_or_an_end_is_free_again() {
    let mut dispersal = dispersal(4);
    promise(&mut dispersal, A, 4, seconds(0));
    dispersal.on_choked(A, &mut rng());
    assert_eq!(promise(&mut dispersal, B, 4, seconds(0)).len(), 4);
    dispersal.forget(B, &mut rng());
    dispersal.on_linked(B, seconds(1));
    let again = promise(&mut dispersal, B, 4, seconds(1));
    assert!(again.len() == 4 && again.iter().all(|choice| choice.instead_of.is_none()));
}

#[test]
fn a_piece_that_is_lost_is_not_waited_for() {
    let mut dispersal = dispersal(2);
    let promised = promise(&mut dispersal, A, 2, seconds(0));
    let [lost, kept] = [promised[0].piece, promised[1].piece];
    dispersal.on_lost(lost, &mut rng());
    hand(&mut dispersal, A, kept, seconds(0));
    dispersal.on_have(A, kept, seconds(1), &mut rng());
    assert_eq!(pieces(&promise(&mut dispersal, B, 2, seconds(1))), [kept].into());
    dispersal.on_have(B, lost, seconds(2), &mut rng());
    dispersal.forget(B, &mut rng());
    assert_eq!(dispersal.nowhere, 0);
}

#[test]
fn a_piece_that_is_back_is_given_like_any_other() {
    let mut dispersal = dispersal(2);
    let promised = promise(&mut dispersal, A, 2, seconds(0));
    let [lost, kept] = [promised[0].piece, promised[1].piece];
    dispersal.on_lost(lost, &mut rng());
    dispersal.on_regained(lost, &mut rng());
    assert_eq!(dispersal.nowhere, 2);
    assert!(dispersal.allows(A, lost, seconds(2)));
    assert!(!dispersal.links[&B].unseen.get(lost), "everybody was told of it");
    dispersal.forget(B, &mut rng());
    dispersal.on_linked(B, seconds(3));
    assert_eq!(pieces(&promise(&mut dispersal, B, 1, seconds(3))), [lost].into());
    assert!(dispersal.links[&A].promised.contains_key(&kept));
}

#[test]
fn what_somebody_hides_does_not_count_as_out() {
    let mut dispersal = dispersal(1);
    let piece = promise(&mut dispersal, A, 1, seconds(0))[0].piece;
    hand(&mut dispersal, A, piece, seconds(0));
    dispersal.write_off(seconds(4), &mut rng());
    assert_eq!(dispersal.copies.count(piece), 2);
    dispersal.write_off(seconds(5), &mut rng());
    assert_eq!((dispersal.copies.count(piece), dispersal.nowhere), (1, 1));
    assert_eq!(pieces(&promise(&mut dispersal, B, 1, seconds(5))), [piece].into());
}

#[test]
fn who_does_not_tell_soon_is_not_waited_for() {
    let mut dispersal = dispersal(2);
    for choice in promise(&mut dispersal, A, 2, seconds(0)) {
        hand(&mut dispersal, A, choice.piece, seconds(0));
    }
    assert_eq!(promise(&mut dispersal, B, 2, seconds(1)), vec![]);
    assert_eq!(promise(&mut dispersal, B, 2, seconds(2)).len(), 1);
}

/// Somebody passes on what it was the first to have, after so long.
fn pass_on(dispersal: &mut Dispersal, after: u64) {
    let [giver, taker] = [LinkId(71), LinkId(72)];
    [giver, taker].iter().for_each(|&link| dispersal.on_linked(link, seconds(0)));
    for choice in promise(dispersal, giver, 1, seconds(0)) {
        hand(dispersal, giver, choice.piece, seconds(0));
        dispersal.on_have(giver, choice.piece, seconds(0), &mut rng());
        dispersal.on_have(taker, choice.piece, seconds(after), &mut rng());
    }
}

#[test]
fn where_others_take_long_to_pass_anything_on_nobody_is_blamed_for_taking_as_long() {
    for (after, is_blamed) in [(0, true), (2, true), (5, false)] {
        let mut dispersal = dispersal(64);
        for choice in promise(&mut dispersal, A, FIRSTS_MIN as usize, seconds(0)) {
            hand(&mut dispersal, A, choice.piece, seconds(0));
            dispersal.on_have(A, choice.piece, seconds(0), &mut rng());
        }
        assert!(!dispersal.is_kept_from(A, seconds(100)), "nobody passes anything on");
        pass_on(&mut dispersal, after);
        assert_eq!(dispersal.is_kept_from(A, seconds(10)), is_blamed, "others take {after} s");
        assert!(dispersal.is_kept_from(A, seconds(100)));
    }
}

#[test]
fn who_passes_nothing_on_gets_nothing_new_while_others_might() {
    let mut dispersal = dispersal(64);
    pass_on(&mut dispersal, 0);
    for choice in promise(&mut dispersal, A, FIRSTS_MIN as usize, seconds(0)) {
        hand(&mut dispersal, A, choice.piece, seconds(0));
        dispersal.on_have(A, choice.piece, seconds(0), &mut rng());
    }
    assert!(dispersal.choose(A, seconds(2), &mut rng()).is_some());
    assert_eq!(dispersal.choose(A, seconds(3), &mut rng()), None);
    let passed_on = dispersal.first.iter().position(|first| *first == Some(A));
    dispersal.on_have(B, PieceIndex(passed_on.expect("A has some") as u32), seconds(3), &mut rng());
    assert!(dispersal.choose(A, seconds(3), &mut rng()).is_some());
}

#[test]
fn more_is_shown_ahead_to_who_runs_dry_and_no_more_than_it_takes_in_a_while() {
    let mut dispersal = dispersal(4096);
    let shown = |dispersal: &mut Dispersal| {
        let before = dispersal.links[&A].open_bytes;
        while dispersal.has_room(A) {
            promise(dispersal, A, 1, seconds(0));
        }
        dispersal.links[&A].open_bytes - before
    };
    assert_eq!(shown(&mut dispersal), AHEAD_FLOOR);
    dispersal.on_dry(A, 1_000_000_000);
    assert_eq!(shown(&mut dispersal), AHEAD_FLOOR);
    for _ in 0..40 {
        dispersal.on_dry(A, 1_000_000);
    }
    assert_eq!(dispersal.links[&A].ahead_bytes, 2_000_000);
}

#[test]
fn what_is_kept_by_who_passes_nothing_on_is_given_to_another() {
    let mut dispersal = dispersal(21);
    let mut rng = rng();
    pass_on(&mut dispersal, 0);
    let kept = pieces(&promise(&mut dispersal, A, 8, seconds(0)));
    for &piece in &kept {
        hand(&mut dispersal, A, piece, seconds(0));
        dispersal.on_have(A, piece, seconds(1), &mut rng);
    }
    let others = pieces(&promise(&mut dispersal, B, 20, seconds(2)));
    assert_eq!(others.len(), 12, "it is not known yet");
    dispersal.write_off(seconds(10), &mut rng);
    assert!(dispersal.is_kept_from(A, seconds(10)));
    assert_eq!(pieces(&promise(&mut dispersal, B, 20, seconds(10))), kept);
    dispersal.forget(A, &mut rng);
    assert_eq!(promise(&mut dispersal, B, 20, seconds(11)), vec![], "it counted for nothing when it went");
}

#[test]
fn whoever_asks_for_what_another_is_to_be_given_waits_until_that_one_is_gone() {
    let mut dispersal = dispersal(2);
    let mut rng = rng();
    let piece = dispersal.lure(B, seconds(0), &mut rng).unwrap();
    assert!(dispersal.allows(B, piece, seconds(0)), "nobody has it");
    dispersal.promise(A, piece, seconds(0), &mut rng);
    assert!(dispersal.allows(A, piece, seconds(0)) && !dispersal.allows(B, piece, seconds(0)));
    dispersal.on_refused(B, piece, seconds(0));
    let other = pieces(&promise(&mut dispersal, B, 2, seconds(0)));
    assert_eq!(other.len(), 1, "not what A is to be given");
    dispersal.forget(A, &mut rng);
    assert_eq!(pieces(&promise(&mut dispersal, B, 2, seconds(0))), BTreeSet::from([piece]));
}

#[test]
fn a_turn_can_end_once_all_that_was_shown_is_handed_out() {
    let mut dispersal = dispersal(4);
    let piece = promise(&mut dispersal, A, 1, seconds(0))[0].piece;
    assert!(!dispersal.is_all_given(A));
    hand(&mut dispersal, A, piece, seconds(0));
    assert!(dispersal.is_all_given(A) && dispersal.is_all_given(B));
}

#[test]
fn who_is_alone_or_takes_nothing_of_what_is_chosen_chooses_for_itself() {
    let (soon, patience) = (seconds(1), Duration::from_secs(1));
    let mut dispersal = dispersal(4);
    assert_eq!(dispersal.choosing(soon, patience), vec![], "two lack something");
    dispersal.give_way(A, soon, Duration::from_secs(2));
    assert_eq!(dispersal.choosing(soon, patience), vec![], "not for long");
    dispersal.give_way(A, soon, patience);
    assert_eq!(dispersal.choosing(soon, patience), vec![A]);
    while dispersal.lure(A, soon, &mut rng()).is_some() {}
    assert_eq!(dispersal.choosing(soon, patience), vec![], "it knows of everything");
    dispersal.forget(A, &mut rng());
    assert_eq!(dispersal.choosing(seconds(0), patience), vec![], "others may still come");
    assert_eq!(dispersal.choosing(soon, patience), vec![B], "it is left alone");
}
