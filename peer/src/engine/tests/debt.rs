//! Who took much more than it gave waits for others, and not for ever.

use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::PieceIndex;
use samara_proto::limits::BLOCK_LENGTH;

use crate::engine::event::{Aim, Input, LinkId, Output, PeerMessage, Verdict};

use super::hand::{FAST, Hand, LINK, PIECES, TORRENT, block};

const DEBTOR: LinkId = LinkId(6);
/// We miss the pieces from here on.
const MISSED: u32 = PIECES - 2;

fn hear(hand: &mut Hand, link: LinkId, message: PeerMessage) -> Vec<Output> {
    hand.tell(Input::Received { link, message })
}

fn handed_to(link: LinkId, outputs: &[Output]) -> usize {
    outputs
        .iter()
        .filter(|output| matches!(output, Output::SendBlock { link: to, .. } if *to == link))
        .count()
}

fn request(piece: u32, n: u32) -> PeerMessage {
    PeerMessage::Request(block(piece, n * BLOCK_LENGTH))
}

/// A leech that gave one peer two turns, has given another a block that is still in the driver's hands, and was
/// asked by the first for more than that leaves for it.
fn owed() -> Hand {
    let mut verified = Bitfield::full(PIECES);
    (MISSED..PIECES).for_each(|piece| _ = verified.clear(PieceIndex(piece)));
    let mut hand = Hand::new(verified, Aim::Fetch);
    for (link, peer) in [(LINK, 1), (DEBTOR, 2)] {
        hand.connect(link, peer, FAST);
        hear(&mut hand, link, PeerMessage::HaveNone);
        hear(&mut hand, link, PeerMessage::Interested);
    }
    for n in 0..4 * (MISSED - 1) {
        let (piece, n) = (n / 4, n % 4);
        assert_eq!(handed_to(DEBTOR, &hear(&mut hand, DEBTOR, request(piece, n))), 1);
        hand.tell(Input::BlockSent { link: DEBTOR, block: block(piece, n * BLOCK_LENGTH) });
    }
    assert_eq!(handed_to(LINK, &hear(&mut hand, LINK, request(0, 0))), 1);
    // What was saved for it is soon used up.
    let waits = |piece| {
        let is_held = handed_to(DEBTOR, &hear(&mut hand, DEBTOR, request(piece, 0))) == 0;
        if !is_held {
            hand.tell(Input::BlockSent { link: DEBTOR, block: block(piece, 0) });
        }
        is_held
    };
    assert!((0..12).any(waits), "others come first");
    hand
}

#[test]
fn who_owes_goes_on_when_nobody_else_is_served() {
    let mut hand = owed();
    let outputs = hand.tell(Input::BlockSent { link: LINK, block: block(0, 0) });
    assert_eq!(handed_to(DEBTOR, &outputs), 1);
}

#[test]
fn nobody_owes_once_we_miss_nothing() {
    let mut hand = owed();
    let giver = LinkId(7);
    hand.connect(giver, 3, FAST);
    hear(&mut hand, giver, PeerMessage::HaveAll);
    hear(&mut hand, giver, PeerMessage::Unchoke);
    let mut outputs = Vec::new();
    for piece in MISSED..PIECES {
        for n in 0..4 {
            outputs.extend(
                hand.tell(Input::BlockReceived { link: giver, block: block(piece, n * BLOCK_LENGTH) }),
            );
        }
        let piece = PieceIndex(piece);
        outputs.extend(hand.tell(Input::PieceChecked { torrent: TORRENT, piece, verdict: Verdict::Good }));
    }
    assert_eq!(handed_to(DEBTOR, &outputs), 1);
}

#[test]
fn nobody_waits_for_who_takes_nothing_of_what_it_was_given() {
    let mut hand = owed();
    // Its turn ends, and it has the next.
    for millis in [1500, 10] {
        hand.now += Duration::from_millis(millis);
        hand.tell(Input::Wake);
    }
    assert_eq!(handed_to(DEBTOR, &hear(&mut hand, DEBTOR, request(0, 1))), 1);
}
