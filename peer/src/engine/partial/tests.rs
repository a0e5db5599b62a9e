//! Pieces that fill up, block by block.

use std::sync::LazyLock;

use super::*;

const PIECE: PieceIndex = PieceIndex(3);
const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const PEER_A: PeerKey = PeerKey(10);
const PEER_B: PeerKey = PeerKey(20);

fn run(first: u32, count: u32) -> Run {
    Run { piece: PIECE, first, count }
}

fn taker(link: LinkId, max_blocks: u32) -> Taker<'static> {
    static NOTHING: LazyLock<Cancelled> = LazyLock::new(Cancelled::default);
    static EVERYTHING: LazyLock<Bitfield> = LazyLock::new(|| Bitfield::full(10));
    static NO_PARTS: LazyLock<Parts> = LazyLock::new(Parts::default);
    Taker { link, cancelled: &NOTHING, has: &EVERYTHING, parts: &NO_PARTS, max_blocks }
}

fn seconds(seconds: u64) -> Moment {
    Moment::from_micros(seconds * 1_000_000)
}

fn begun(blocks: u32, sharing: Sharing) -> Partials {
    let mut partials = Partials::default();
    partials.begin(PIECE, blocks, sharing, seconds(0));
    partials
}

fn shared(blocks: u32) -> Partials {
    begun(blocks, Sharing::Shared)
}

#[test]
fn blocks_are_asked_for_in_order_and_nobody_twice() {
    let mut partials = shared(10);
    for (link, expected) in [(A, run(0, 4)), (B, run(4, 4)), (A, run(8, 2))] {
        let next = partials.next_run(PIECE, taker(link, 4)).unwrap();
        assert_eq!(next, expected);
        partials.on_requested(next, link);
    }
    assert_eq!(partials.next_run(PIECE, taker(A, 4)), None);
    assert_eq!(partials.open().count(), 0);
}

#[test]
fn a_piece_is_completed_once_by_its_last_block() {
    let mut partials = shared(3);
    partials.on_requested(run(0, 3), A);
    assert!(!partials.on_block(run(0, 2), A, PEER_A, seconds(1)).completed);
    assert!(partials.on_block(run(2, 1), A, PEER_A, seconds(1)).completed);
    let again = partials.on_block(run(2, 1), A, PEER_A, seconds(1));
    assert_eq!((again.fresh, again.duplicate, again.completed), (0, 1, false));
    let givers = partials.end(PIECE);
    assert_eq!(givers.peers, BTreeSet::from([PEER_A]));
    assert!(givers.contested, "it came twice");
}

#[test]
fn what_is_refused_is_asked_for_again_from_its_place() {
    let mut partials = shared(6);
    partials.on_requested(run(0, 6), A);
    assert!(partials.on_refused(run(2, 2), A));
    assert_eq!(partials.next_run(PIECE, taker(B, 9)), Some(run(2, 2)));
    partials.on_block(run(0, 2), A, PEER_A, seconds(1));
    assert!(!partials.on_refused(run(0, 2), A), "what came is not missing");
    assert!(!partials.is_untouched(PIECE));
}

#[test]
fn an_overdue_block_is_asked_of_others_and_the_first_to_come_wins() {
    let mut partials = shared(2);
    partials.on_requested(run(0, 2), A);
    assert!(partials.on_overdue(run(0, 2)));
    assert_eq!(partials.next_run(PIECE, taker(A, 2)), None, "not of the same link again");
    partials.on_requested(partials.next_run(PIECE, taker(B, 2)).unwrap(), B);
    let arrival = partials.on_block(run(0, 1), B, PEER_B, seconds(9));
    assert_eq!(arrival.others, BTreeSet::from([A]));
    assert!(partials.has_all_of(run(0, 1)) && !partials.has_all_of(run(0, 2)));
}

#[test]
fn holders_of_a_block_are_bounded() {
    let mut partials = shared(1);
    for link in 0..10 {
        let Some(next) = partials.next_run(PIECE, taker(LinkId(link), 1)) else { break };
        partials.on_requested(next, LinkId(link));
        partials.on_overdue(next);
    }
    let asked = (0..10).filter(|&link| partials.next_run(PIECE, taker(LinkId(link), 1)).is_none()).count();
    assert_eq!(asked, 10, "nobody else can be asked");
    assert_eq!(partials.on_block(run(0, 1), LinkId(0), PEER_A, seconds(1)).others.len(), HOLDERS_MAX - 1);
}

#[test]
fn a_rescue_takes_only_what_is_hopeless_elsewhere() {
    let mut partials = shared(4);
    partials.on_requested(run(0, 2), A);
    partials.on_requested(run(2, 2), LinkId(5));
    let rescue = |partials: &Partials, hopeless: LinkId| {
        partials.rescue_run(taker(B, 9), 100, |_| true, move |holder| holder == hopeless)
    };
    assert_eq!(rescue(&partials, A), Some(run(0, 2)));
    assert_eq!(rescue(&partials, LinkId(9)), None);
    partials.on_requested(run(0, 2), B);
    assert_eq!(rescue(&partials, A), None, "two are enough");
    assert_eq!(partials.rescue_run(taker(B, 9), 100, |_| false, |_| true), None);
}

/// A piece that A alone gave half of when it was taken away.
fn disowned() -> Partials {
    let mut partials = begun(4, Sharing::Sole(Some(PEER_A)));
    partials.on_requested(run(0, 4), A);
    partials.on_block(run(0, 2), A, PEER_A, seconds(1));
    partials.on_refused(run(2, 2), A);
    assert_eq!(partials.disown(PEER_A, seconds(2)), vec![PIECE]);
    assert_eq!(partials.sharing(PIECE), Some(Sharing::Sole(None)));
    partials
}

#[test]
fn another_sole_giver_gives_all_of_it() {
    let mut partials = disowned();
    partials.claim(PIECE, PEER_B, seconds(2));
    assert_eq!(partials.next_run(PIECE, taker(B, 9)), Some(run(0, 4)));
    partials.on_requested(run(0, 4), B);
    assert!(partials.on_block(run(0, 4), B, PEER_B, seconds(2)).completed);
    let givers = partials.end(PIECE);
    assert_eq!((givers.peers, givers.contested), (BTreeSet::from([PEER_B]), false));
}

#[test]
fn a_sole_giver_that_comes_back_goes_on_where_it_was() {
    let mut partials = disowned();
    assert_eq!(partials.missing(PIECE), Some(2));
    partials.claim(PIECE, PEER_A, seconds(3));
    assert_eq!(partials.next_run(PIECE, taker(A, 9)), Some(run(2, 2)));
    partials.on_requested(run(2, 2), A);
    assert!(partials.on_block(run(2, 2), A, PEER_A, seconds(4)).completed);
    let givers = partials.end(PIECE);
    assert_eq!((givers.peers, givers.contested), (BTreeSet::from([PEER_A]), false));
}

#[test]
fn a_new_sole_giver_has_as_much_time_as_the_first() {
    let mut partials = begun(1, Sharing::Sole(Some(PEER_A)));
    let patience = Duration::from_secs(5);
    partials.disown(PEER_A, seconds(4));
    partials.claim(PIECE, PEER_B, seconds(100));
    partials.open_stalled(seconds(104), patience);
    assert_eq!(partials.sharing(PIECE), Some(Sharing::Sole(Some(PEER_B))));
    partials.open_stalled(seconds(105), patience);
    assert_eq!(partials.sharing(PIECE), Some(Sharing::Sole(None)));
}

#[test]
fn a_late_block_of_somebody_else_keeps_blame_uncertain() {
    let mut partials = shared(1);
    partials.on_requested(run(0, 1), A);
    partials.on_withdrawn(run(0, 1), A);
    partials.on_requested(run(0, 1), B);
    partials.on_block(run(0, 1), B, PEER_B, seconds(1));
    assert!(partials.end(PIECE).contested);
}

#[test]
fn a_piece_that_makes_no_progress_is_opened_to_others() {
    let mut partials = shared(2);
    partials.on_requested(run(0, 2), A);
    partials.open_stalled(seconds(4), Duration::from_secs(5));
    assert_eq!(partials.next_run(PIECE, taker(B, 2)), None);
    partials.open_stalled(seconds(5), Duration::from_secs(5));
    assert_eq!(partials.next_run(PIECE, taker(B, 2)), Some(run(0, 2)));
}

#[test]
fn what_is_stored_counts_and_blames_nobody() {
    let mut partials = shared(3);
    partials.on_stored(run(1, 1));
    partials.on_stored(run(1, 1));
    assert_eq!(partials.missing(PIECE), Some(2));
    assert_eq!(partials.next_run(PIECE, taker(A, 9)), Some(run(0, 1)));
    partials.on_stored(run(0, 3));
    assert_eq!(partials.missing(PIECE), Some(0));
    let givers = partials.end(PIECE);
    assert!(givers.disk && givers.peers.is_empty());
}

#[test]
fn who_has_a_part_is_asked_for_what_is_open_of_that() {
    let mut partials = begun(8, Sharing::Shared);
    let (nothing, mut parts, mut blocks) = (Bitfield::new(10), Parts::default(), Bitfield::new(8));
    [1, 2, 5, 6, 7].into_iter().for_each(|n| _ = blocks.set(PieceIndex(n)));
    let next = |partials: &Partials, parts: &Parts| {
        partials.next_run(PIECE, Taker { has: &nothing, parts, ..taker(A, 2) })
    };
    assert_eq!(next(&partials, &parts), None);
    parts.add(PIECE, blocks);
    for expected in [run(1, 2), run(5, 2), run(7, 1)] {
        assert_eq!(next(&partials, &parts), Some(expected));
        partials.on_requested(expected, A);
    }
    assert_eq!(next(&partials, &parts), None);
}

#[test]
fn what_was_replaced_since_its_check_was_ordered_is_not_judged_by_it() {
    let mut partials = begun(4, Sharing::Sole(Some(PEER_A)));
    partials.on_block(run(0, 3), A, PEER_A, seconds(1));
    assert_eq!(partials.on_leaves(PIECE), [run(0, 3)]);
    partials.on_check_ordered(run(0, 1), 1);
    partials.on_check_ordered(run(1, 2), 2);
    assert_eq!(partials.checked_by(run(0, 1), 1), [run(0, 1)]);
    partials.on_blocks_good(run(0, 1), &BTreeSet::new());
    partials.disown(PEER_A, seconds(2));
    partials.claim(PIECE, PEER_B, seconds(2));
    assert_eq!(partials.missing(PIECE), Some(3), "what was found good stays");
    partials.on_block(run(1, 1), B, PEER_B, seconds(3));
    partials.on_check_ordered(run(1, 1), 3);
    assert_eq!(partials.checked_by(run(1, 2), 2), []);
    assert_eq!(partials.checked_by(run(1, 1), 3), [run(1, 1)]);
    assert!(partials.are_blocks_being_checked(PIECE));
}

#[test]
fn others_hear_of_groups_of_good_blocks_and_not_of_the_last() {
    let mut partials = begun(8, Sharing::Shared);
    partials.on_block(run(0, 8), A, PEER_A, seconds(1));
    partials.on_blocks_good(run(0, 3), &BTreeSet::new());
    assert_eq!(partials.take_news(PIECE, 4), None);
    partials.on_blocks_good(run(3, 3), &BTreeSet::from([4]));
    let news = partials.take_news(PIECE, 4).expect("five are good");
    assert_eq!(news.iter_ones().map(|n| n.0).collect::<Vec<_>>(), [0, 1, 2, 3, 5]);
    assert_eq!(partials.take_news(PIECE, 1), None);
    assert_eq!(partials.good_blocks().count(), 1);
    assert!(partials.is_good(run(0, 4)) && !partials.is_good(run(3, 2)));
    partials.on_blocks_good(run(4, 4), &BTreeSet::new());
    assert_eq!(partials.take_news(PIECE, 1), None, "the whole piece is told of as such");
}
