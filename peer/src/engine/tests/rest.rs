//! Peers of which there is nothing to ask give their slots away, and are told when there is something again.

use samara_proto::layout::PieceIndex;

use crate::engine::event::{Input, LinkId, Output, PeerMessage, Verdict};

use super::hand::{FAST, Hand, LINK, SLOW, TORRENT, block};

const OTHER: LinkId = LinkId(6);
const PIECE: PieceIndex = PieceIndex(3);

fn hear(hand: &mut Hand, link: LinkId, message: PeerMessage) -> Vec<Output> {
    hand.tell(Input::Received { link, message })
}

fn is_told(outputs: &[Output], to: LinkId, what: &PeerMessage) -> bool {
    outputs
        .iter()
        .any(|output| matches!(output, Output::Send { link, message } if (*link, message) == (to, what)))
}

/// A leech that has asked one peer for all of a piece that another has too.
fn asking() -> (Hand, Vec<Output>) {
    let mut hand = Hand::leech();
    hand.connect(LINK, 1, FAST);
    hand.connect(OTHER, 2, FAST);
    hear(&mut hand, LINK, PeerMessage::Have(PIECE));
    let said = hear(&mut hand, OTHER, PeerMessage::Have(PIECE));
    let asked = hand.say(PeerMessage::Unchoke);
    assert_eq!(asked.len(), 4, "one request for each block");
    (hand, said)
}

#[test]
fn who_is_unchoked_and_finds_nothing_to_ask_for_gives_its_slot_away() {
    let (mut hand, said) = asking();
    assert!(is_told(&said, OTHER, &PeerMessage::Interested));
    let said = hear(&mut hand, OTHER, PeerMessage::Unchoke);
    assert!(is_told(&said, OTHER, &PeerMessage::NotInterested), "{said:?}");
    let said = hear(&mut hand, OTHER, PeerMessage::Have(PieceIndex(4)));
    assert!(is_told(&said, OTHER, &PeerMessage::Interested), "something new: {said:?}");
}

#[test]
fn who_has_only_what_another_is_asked_for_is_told_once_that_one_refuses() {
    let (mut hand, _) = asking();
    let third = LinkId(7);
    hand.connect(third, 3, FAST);
    assert_eq!(hear(&mut hand, third, PeerMessage::Have(PIECE)), vec![]);
    hand.say(PeerMessage::Choke);
    let mut said = Vec::new();
    for begin in 0..4 {
        said.extend(hand.say(PeerMessage::Reject(block(PIECE.0, begin * 16384))));
    }
    assert!(is_told(&said, third, &PeerMessage::Interested), "{said:?}");
}

#[test]
fn who_has_what_was_lost_again_is_told() {
    let (mut hand, _) = asking();
    hear(&mut hand, OTHER, PeerMessage::Unchoke);
    for begin in 0..4 {
        hand.tell(Input::BlockReceived { link: LINK, block: block(PIECE.0, begin * 16384) });
    }
    let said = hand.tell(Input::PieceChecked { torrent: TORRENT, piece: PIECE, verdict: Verdict::Bad });
    assert!(is_told(&said, OTHER, &PeerMessage::Interested), "{said:?}");
}

#[test]
fn who_cannot_refuse_one_by_one_frees_all_by_a_choke() {
    let mut hand = Hand::leech();
    hand.connect(LINK, 1, SLOW);
    hand.connect(OTHER, 2, FAST);
    hear(&mut hand, LINK, PeerMessage::Have(PIECE));
    hear(&mut hand, OTHER, PeerMessage::Have(PIECE));
    hand.say(PeerMessage::Unchoke);
    hear(&mut hand, OTHER, PeerMessage::Unchoke);
    let said = hand.say(PeerMessage::Choke);
    assert!(is_told(&said, OTHER, &PeerMessage::Interested), "{said:?}");
}

#[test]
fn a_first_seed_tells_who_was_refused_that_it_may_have_it_now() {
    let mut hand = Hand::seed();
    hand.connect(LINK, 1, FAST);
    hand.connect(OTHER, 2, FAST);
    for link in [LINK, OTHER] {
        hear(&mut hand, link, PeerMessage::HaveNone);
        hear(&mut hand, link, PeerMessage::Interested);
    }
    let request = |begin| PeerMessage::Request(block(PIECE.0, begin));
    hear(&mut hand, OTHER, request(0));
    let said = hand.say(request(0));
    assert!(is_told(&said, LINK, &PeerMessage::Reject(block(PIECE.0, 0))), "another is to have it: {said:?}");
    let mut said = hand.tell(Input::Disconnected { link: OTHER });
    said.extend(hand.say(request(16384)));
    assert!(is_told(&said, LINK, &PeerMessage::Have(PIECE)), "{said:?}");
    assert!(said.iter().any(|output| matches!(output, Output::SendBlock { .. })), "{said:?}");
}

#[test]
fn who_comes_with_what_was_begun_before_is_asked_for_the_rest() {
    let mut hand = Hand::leech();
    hand.connect(LINK, 1, FAST);
    hear(&mut hand, LINK, PeerMessage::Have(PIECE));
    hand.say(PeerMessage::Unchoke);
    hand.tell(Input::BlockReceived { link: LINK, block: block(PIECE.0, 0) });
    hand.tell(Input::Disconnected { link: LINK });
    hand.connect(OTHER, 2, FAST);
    let said = hear(&mut hand, OTHER, PeerMessage::Have(PIECE));
    assert!(is_told(&said, OTHER, &PeerMessage::Interested), "{said:?}");
    let said = hear(&mut hand, OTHER, PeerMessage::Unchoke);
    assert!(is_told(&said, OTHER, &PeerMessage::Request(block(PIECE.0, 16384))), "{said:?}");
}
