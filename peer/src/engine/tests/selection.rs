//! One engine that wants some pieces and not others, and changes its mind.

use std::collections::BTreeSet;
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};

use crate::engine::event::{
    Aim, DisconnectReason, Input, LinkId, Output, PeerKey, PeerMessage, Source, Verdict,
};
use crate::engine::selection::{Priority, Selection, Sequence};

use super::hand::{FAST, Hand, LINK, PIECES, TORRENT};

const OTHER: LinkId = LinkId(6);

/// Only these pieces.
fn only(wanted: &[u32]) -> Selection {
    let priority = |piece| if wanted.contains(&piece) { Priority::Normal } else { Priority::Skip };
    Selection { priorities: (0..PIECES).map(priority).collect(), ..Selection::default() }
}

fn select(hand: &mut Hand, selection: Selection) -> Vec<Output> {
    hand.tell(Input::Select { torrent: TORRENT, selection })
}

/// A leech that wants only these pieces, linked to a seed that unchoked it; what it asked for.
fn fetching(wanted: &[u32]) -> (Hand, Vec<BlockRef>) {
    let mut hand = Hand::leech();
    select(&mut hand, only(wanted));
    hand.connect(LINK, 1, FAST);
    hand.say(PeerMessage::HaveAll);
    let asked = requests(&hand.say(PeerMessage::Unchoke));
    (hand, asked)
}

fn requests(outputs: &[Output]) -> Vec<BlockRef> {
    let request = |output: &Output| match output {
        Output::Send { message: PeerMessage::Request(block), .. } => Some(*block),
        _ => None,
    };
    outputs.iter().filter_map(request).collect()
}

fn pieces(blocks: &[BlockRef]) -> BTreeSet<u32> {
    blocks.iter().map(|block| block.piece.0).collect()
}

/// Answers requests, and those that follow, and finds every piece good; everything that was asked for and said.
fn give(hand: &mut Hand, mut asked: Vec<BlockRef>) -> (BTreeSet<u32>, Vec<Output>) {
    let (mut all, mut said) = (BTreeSet::new(), Vec::new());
    while let Some(block) = asked.pop() {
        all.insert(block.piece.0);
        let mut outputs = hand.tell(Input::BlockReceived { link: LINK, block });
        if outputs.iter().any(|output| matches!(output, Output::CheckPiece { .. })) {
            outputs.extend(check(hand, block.piece));
        }
        asked.extend(requests(&outputs));
        said.extend(outputs);
    }
    (all, said)
}

fn check(hand: &mut Hand, piece: PieceIndex) -> Vec<Output> {
    hand.tell(Input::PieceChecked { torrent: TORRENT, piece, verdict: Verdict::Good })
}

fn is_completed(output: &Output) -> bool {
    matches!(output, Output::Completed { .. })
}

#[test]
fn what_is_skipped_is_never_asked_for_and_a_torrent_is_finished_without_it() {
    let (mut hand, asked) = fetching(&[3, 17]);
    let (all, said) = give(&mut hand, asked);
    assert_eq!(all, BTreeSet::from([3, 17]));
    assert_eq!(said.iter().filter(|output| is_completed(output)).count(), 1);
    assert!(hand.engine.is_finished(TORRENT) && !hand.engine.is_complete(TORRENT));
    let reason = DisconnectReason::NothingToTrade;
    assert!(said.contains(&Output::Disconnect { link: LINK, reason }), "a seed is of no use any more");
}

#[test]
fn who_has_only_what_is_skipped_is_of_no_interest() {
    let mut hand = Hand::leech();
    select(&mut hand, only(&[3]));
    hand.connect(LINK, 1, FAST);
    let mut has = Bitfield::new(PIECES);
    has.set(PieceIndex(4));
    assert_eq!(hand.say(PeerMessage::Bitfield(has)), vec![]);
    assert_eq!(hand.say(PeerMessage::Have(PieceIndex(5))), vec![]);
    assert_eq!(hand.say(PeerMessage::Unchoke), vec![]);
    let interested = Output::Send { link: LINK, message: PeerMessage::Interested };
    assert_eq!(hand.say(PeerMessage::Have(PieceIndex(3)))[0], interested);
}

#[test]
fn what_is_wanted_no_more_is_cancelled_and_what_is_wanted_too_is_asked_for() {
    let (mut hand, asked) = fetching(&[1, 2, 3, 4]);
    assert_eq!(pieces(&asked).len(), 4);
    let outputs = select(&mut hand, only(&[1, 2, 9, 10]));
    let cancelled: Vec<BlockRef> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Send { message: PeerMessage::Cancel(block), .. } => Some(*block),
            _ => None,
        })
        .collect();
    assert_eq!(pieces(&cancelled), BTreeSet::from([3, 4]));
    assert_eq!(pieces(&requests(&outputs)), BTreeSet::from([9, 10]));
    let still = asked.into_iter().filter(|block| block.piece.0 < 3).chain(requests(&outputs)).collect();
    let (all, said) = give(&mut hand, still);
    assert_eq!(all, BTreeSet::from([1, 2, 9, 10]));
    assert!(said.iter().any(is_completed));
}

#[test]
fn giving_up_the_last_missing_pieces_finishes_a_torrent() {
    let mut verified = Bitfield::new(PIECES);
    verified.set(PieceIndex(0));
    let mut hand = Hand::new(verified, Aim::Fetch);
    hand.connect(LINK, 1, FAST);
    hand.say(PeerMessage::HaveAll);
    let outputs = select(&mut hand, only(&[0]));
    let not_interested = Output::Send { link: LINK, message: PeerMessage::NotInterested };
    assert_eq!(outputs[0], not_interested);
    assert!(outputs.iter().any(is_completed));
    assert!(!select(&mut hand, only(&[0])).iter().any(is_completed), "it is said once");
}

#[test]
fn who_wants_more_after_all_dials_those_he_had_parted_from() {
    let (mut hand, asked) = fetching(&[3]);
    let peer = PeerKey(1);
    hand.tell(Input::Candidate { torrent: TORRENT, peer, source: Source::Tracker });
    give(&mut hand, asked);
    hand.tell(Input::Disconnected { link: LINK });
    let outputs = select(&mut hand, Selection::default());
    assert!(outputs.contains(&Output::Dial { torrent: TORRENT, peer }), "{outputs:?}");
}

#[test]
fn a_piece_that_comes_whole_before_it_is_skipped_counts_and_is_not_missed() {
    let (mut hand, asked) = fetching(&[3, 4]);
    let (three, four): (Vec<BlockRef>, Vec<BlockRef>) = asked.iter().partition(|block| block.piece.0 == 3);
    for block in three {
        hand.tell(Input::BlockReceived { link: LINK, block });
    }
    select(&mut hand, only(&[4]));
    let outputs = check(&mut hand, PieceIndex(3));
    assert!(hand.engine.verified(TORRENT).is_some_and(|verified| verified.get(PieceIndex(3))));
    assert!(!outputs.iter().any(is_completed));
    let (_, said) = give(&mut hand, four);
    assert!(said.iter().any(is_completed));
}

#[test]
fn a_skipped_piece_that_is_lost_or_bad_is_not_fetched_again() {
    let (mut hand, asked) = fetching(&[3, 4]);
    for &block in asked.iter().filter(|block| block.piece.0 == 3) {
        hand.tell(Input::BlockReceived { link: LINK, block });
    }
    select(&mut hand, only(&[4]));
    let (torrent, piece, verdict) = (TORRENT, PieceIndex(3), Verdict::Bad);
    let outputs = hand.tell(Input::PieceChecked { torrent, piece, verdict });
    assert_eq!(requests(&outputs), vec![]);
    check(&mut hand, piece);
    assert_eq!(hand.tell(Input::PieceLost { torrent, piece }), vec![]);
}

#[test]
fn pieces_of_high_priority_come_first_and_those_of_low_priority_last() {
    let mut hand = Hand::leech();
    let priorities = (0..PIECES).map(|piece| match piece {
        7 | 30 => Priority::High,
        _ if piece % 2 == 0 => Priority::Normal,
        _ => Priority::Low,
    });
    select(&mut hand, Selection { priorities: priorities.collect(), ..Selection::default() });
    hand.connect(LINK, 1, FAST);
    hand.say(PeerMessage::HaveAll);
    let asked = requests(&hand.say(PeerMessage::Unchoke));
    assert_eq!(pieces(&asked[..8]), BTreeSet::from([7, 30]));
    assert!(pieces(&asked[8..]).iter().all(|piece| piece % 2 == 0), "{asked:?}");
}

#[test]
fn in_sequence_every_link_helps_with_the_first_missing_piece() {
    let mut hand = Hand::leech();
    select(&mut hand, Selection { sequence: Sequence::Ascending, ..Selection::default() });
    let mut asked = Vec::new();
    for (link, peer) in [(LINK, 1), (OTHER, 2)] {
        hand.connect(link, peer, FAST);
        hand.tell(Input::Received { link, message: PeerMessage::HaveAll });
        asked.extend(requests(&hand.tell(Input::Received { link, message: PeerMessage::Unchoke })));
    }
    assert!(asked.is_sorted(), "{asked:?}");
    let dropped = asked[1];
    hand.say(PeerMessage::Reject(dropped));
    let next = hand.tell(Input::BlockReceived { link: OTHER, block: asked[asked.len() - 1] });
    assert_eq!(requests(&next)[0], dropped, "what is missing at the beginning comes before what follows");
}

/// With a link by magnet the metadata come over a link of their own, which ends before anything is asked for.
#[test]
fn who_comes_back_on_a_new_link_and_is_alone_chooses_as_soon_as_on_the_first() {
    let mut hand = Hand::seed();
    hand.connect(LINK, 1, FAST);
    hand.now += Duration::from_millis(100);
    hand.tell(Input::Disconnected { link: LINK });
    let haves = |outputs: &[Output]| {
        let is_have =
            |output: &&Output| matches!(output, Output::Send { link: OTHER, message: PeerMessage::Have(_) });
        outputs.iter().filter(is_have).count()
    };
    let from = hand.now;
    let mut shown = haves(&hand.connect(OTHER, 1, FAST));
    while shown < PIECES as usize && hand.now.since(from) < Duration::from_secs(5) {
        hand.now += Duration::from_millis(50);
        shown += haves(&hand.tell(Input::Wake));
    }
    let waited = hand.now.since(from);
    assert!(waited <= Duration::from_millis(1200), "{shown} pieces within {waited:?}");
}
