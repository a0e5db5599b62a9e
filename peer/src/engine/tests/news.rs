//! What others are told of pieces that we have got, and when.

use std::time::Duration;

use samara_proto::layout::PieceIndex;

use crate::engine::event::{Input, LinkId, Output, PeerMessage, Verdict};

use super::hand::{FAST, Hand, LINK, TORRENT, block};

const OTHER: LinkId = LinkId(6);
const GIVER: LinkId = LinkId(7);
/// Longer than news waits.
const A_WHILE: Duration = Duration::from_secs(1);

/// A leech, two peers that have nothing, of which the first wants something, and one that gives.
fn hand() -> Hand {
    let mut hand = Hand::leech();
    for (link, peer) in [(LINK, 1), (OTHER, 2), (GIVER, 3)] {
        hand.connect(link, peer, FAST);
    }
    hand.say(PeerMessage::Interested);
    (0..8).for_each(|piece| drop(from_giver(&mut hand, PeerMessage::Have(PieceIndex(piece)))));
    from_giver(&mut hand, PeerMessage::Unchoke);
    hand
}

fn from_giver(hand: &mut Hand, message: PeerMessage) -> Vec<Output> {
    hand.tell(Input::Received { link: GIVER, message })
}

/// Gets a piece; whom it tells of it.
fn get(hand: &mut Hand, piece: u32) -> Vec<(LinkId, u32)> {
    for begin in 0..4 {
        hand.tell(Input::BlockReceived { link: GIVER, block: block(piece, begin * 16384) });
    }
    let piece = PieceIndex(piece);
    told(&hand.tell(Input::PieceChecked { torrent: TORRENT, piece, verdict: Verdict::Good }))
}

fn told(outputs: &[Output]) -> Vec<(LinkId, u32)> {
    let of = |output: &Output| match output {
        Output::Send { link, message: PeerMessage::Have(piece) } => Some((*link, piece.0)),
        _ => None,
    };
    outputs.iter().filter_map(of).collect()
}

fn later(hand: &mut Hand) -> Vec<(LinkId, u32)> {
    hand.now += A_WHILE;
    told(&hand.tell(Input::Wake))
}

#[test]
fn who_wants_nothing_hears_at_once_and_the_others_hear_of_several_pieces_together() {
    let mut hand = hand();
    assert_eq!(get(&mut hand, 0), [(OTHER, 0)]);
    assert_eq!(get(&mut hand, 1), [(OTHER, 1)]);
    assert_eq!(later(&mut hand), [(LINK, 0), (LINK, 1)]);
    assert_eq!(later(&mut hand), []);
}

#[test]
fn many_pieces_wait_for_no_more() {
    let mut hand = hand();
    (0..7).for_each(|piece| assert_eq!(get(&mut hand, piece), [(OTHER, piece)]));
    let all = (0..8).map(|piece| (LINK, piece)).chain([(OTHER, 7)]);
    assert_eq!(get(&mut hand, 7), all.collect::<Vec<_>>());
}

#[test]
fn who_is_asked_for_something_hears_in_the_same_breath() {
    let mut hand = hand();
    get(&mut hand, 0);
    hand.say(PeerMessage::Have(PieceIndex(20)));
    let outputs = hand.say(PeerMessage::Unchoke);
    assert_eq!(told(&outputs), [(LINK, 0)]);
    assert!(matches!(outputs.last(), Some(Output::Send { message: PeerMessage::Request(_), .. })));
}

#[test]
fn who_wants_nothing_any_more_hears_what_there_is() {
    let mut hand = hand();
    get(&mut hand, 0);
    assert_eq!(told(&hand.say(PeerMessage::NotInterested)), [(LINK, 0)]);
}

#[test]
fn what_one_got_elsewhere_or_we_lost_is_no_news() {
    let mut hand = hand();
    (0..3).for_each(|piece| drop(get(&mut hand, piece)));
    hand.say(PeerMessage::Have(PieceIndex(0)));
    hand.tell(Input::PieceLost { torrent: TORRENT, piece: PieceIndex(1) });
    assert_eq!(later(&mut hand), [(LINK, 2)]);
}
