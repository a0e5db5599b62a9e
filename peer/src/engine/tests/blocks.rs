//! Single blocks of pieces that are not whole: checked by their leaf hashes, told of, asked for and given.

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;

use super::hand::{FAST, Hand, PIECES, TORRENT, block, offence};
use crate::engine::event::{
    Aim, DisconnectReason, Input, LinkId, Offence, Output, PeerMessage, PeerTraits, Proof,
};

const BLOCKS: u32 = 16;
const PIECE: PieceIndex = PieceIndex(7);
/// Has everything.
const SEED: LinkId = LinkId(1);
/// Have nothing yet.
const B: LinkId = LinkId(2);
const C: LinkId = LinkId(3);
const TALKS: PeerTraits = PeerTraits { blocks: true, ..FAST };

/// A leech that begins [`PIECE`] with a seed, beside two leeches.
fn leech(others: PeerTraits, proof: Proof) -> (Hand, Vec<Output>) {
    let mut hand = Hand::with_pieces_of(BLOCKS, Bitfield::new(PIECES), Aim::Fetch, proof);
    for (link, traits) in [(SEED, FAST), (B, others), (C, others)] {
        hand.connect(link, 100 + link.0, traits);
        hear(&mut hand, link, PeerMessage::HaveNone);
        hear(&mut hand, link, PeerMessage::Interested);
    }
    hear(&mut hand, SEED, PeerMessage::Have(PIECE));
    let outputs = hear(&mut hand, SEED, PeerMessage::Unchoke);
    (hand, outputs)
}

fn hear(hand: &mut Hand, link: LinkId, message: PeerMessage) -> Vec<Output> {
    hand.tell(Input::Received { link, message })
}

fn one(n: u32) -> BlockRef {
    block(PIECE.0, n * BLOCK_LENGTH)
}

fn set(blocks: impl IntoIterator<Item = u32>) -> PeerMessage {
    let mut set = Bitfield::new(BLOCKS);
    blocks.into_iter().for_each(|n| _ = set.set(PieceIndex(n)));
    PeerMessage::Blocks { piece: PIECE, blocks: set }
}

/// The first block is always judged; then so many come, and are checked.
fn take(hand: &mut Hand, blocks: u32, bad: &[BlockRef]) -> Vec<Output> {
    let mut all = Vec::new();
    all.extend(hand.tell(Input::LeavesCame { torrent: TORRENT, piece: PIECE }));
    for n in 0..blocks {
        let outputs = hand.tell(Input::BlockReceived { link: SEED, block: one(n) });
        let check = outputs.iter().find_map(|output| match output {
            Output::CheckBlocks { block, order, .. } => Some((*block, *order)),
            _ => None,
        });
        all.extend(outputs);
        let Some((block, order)) = check else { continue };
        assert_eq!(block, one(n));
        let bad = bad.iter().filter(|bad| **bad == block).copied().collect();
        all.extend(hand.tell(Input::BlocksChecked { torrent: TORRENT, block, order, bad }));
    }
    all
}

fn sent(outputs: &[Output], to: LinkId) -> Vec<&PeerMessage> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { link, message } if *link == to => Some(message),
        _ => None,
    });
    sent.collect()
}

fn fetches_leaves(outputs: &[Output]) -> bool {
    outputs.contains(&Output::FetchLeaves { link: SEED, piece: PIECE })
}

#[test]
fn leaf_hashes_are_asked_for_where_somebody_takes_single_blocks() {
    assert!(fetches_leaves(&leech(TALKS, Proof::Blocks).1));
    assert!(!fetches_leaves(&leech(FAST, Proof::Blocks).1), "nobody takes them");
    assert!(!fetches_leaves(&leech(TALKS, Proof::Pieces).1), "they cannot be checked");
}

#[test]
fn good_blocks_are_told_of_in_groups_to_those_who_lack_them() {
    let (mut hand, _) = leech(TALKS, Proof::Blocks);
    hear(&mut hand, C, PeerMessage::Have(PIECE));
    let outputs = take(&mut hand, 9, &[]);
    let told = |link| -> Vec<PeerMessage> {
        let blocks =
            sent(&outputs, link).into_iter().filter(|message| matches!(message, PeerMessage::Blocks { .. }));
        blocks.cloned().collect()
    };
    assert_eq!(told(B), [set(0..4), set(0..8)]);
    assert_eq!((told(SEED), told(C)), (vec![], vec![]));
}

#[test]
fn without_leaf_hashes_nothing_is_told_of_before_the_piece_is_whole() {
    let (mut hand, _) = leech(TALKS, Proof::Blocks);
    hand.tell(Input::NoLeaves { link: SEED, piece: PIECE });
    let judge = Input::Judged { link: SEED, block: one(0), bad: vec![] };
    for n in 0..9 {
        let outputs = hand.tell(Input::BlockReceived { link: SEED, block: one(n) });
        assert!(!outputs.iter().any(|output| matches!(output, Output::CheckBlocks { .. })));
        if n == 0 {
            assert!(fetches_leaves(&hand.tell(judge.clone())), "it is asked again with the next request");
            hand.tell(Input::NoLeaves { link: SEED, piece: PIECE });
        }
        assert!(sent(&outputs, B).is_empty());
    }
}

#[test]
fn a_good_block_is_given_and_any_other_refused() {
    let (mut hand, _) = leech(TALKS, Proof::Blocks);
    take(&mut hand, 5, &[]);
    let outputs = hear(&mut hand, B, PeerMessage::Request(one(4)));
    assert_eq!(outputs, [Output::SendBlock { link: B, block: one(4) }]);
    for unverified in [one(5), BlockRef { length: 2 * BLOCK_LENGTH, ..one(4) }] {
        let outputs = hear(&mut hand, B, PeerMessage::Request(unverified));
        assert_eq!(sent(&outputs, B), [&PeerMessage::Reject(unverified)]);
    }
}

#[test]
fn who_gave_a_block_that_is_not_what_its_leaf_says_goes_and_the_block_is_not_told_of() {
    let (mut hand, _) = leech(TALKS, Proof::Blocks);
    let outputs = take(&mut hand, 4, &[one(2)]);
    let reason = DisconnectReason::Offence(Offence::CorruptPiece);
    assert!(outputs.contains(&Output::Disconnect { link: SEED, reason }));
    assert!(sent(&outputs, B).iter().all(|message| !matches!(message, PeerMessage::Blocks { .. })));
    let rejected = hear(&mut hand, B, PeerMessage::Request(one(2)));
    assert_eq!(sent(&rejected, B), [&PeerMessage::Reject(one(2))]);
    // Somebody else has it, and is asked for that, and for nothing that is good already.
    hear(&mut hand, B, PeerMessage::Have(PIECE));
    let outputs = hear(&mut hand, B, PeerMessage::Unchoke);
    assert_eq!(sent(&outputs, B), [&PeerMessage::Request(one(2))]);
}

#[test]
fn what_a_peer_has_of_a_piece_is_asked_for_and_nothing_else_of_it() {
    let (mut hand, _) = leech(TALKS, Proof::Blocks);
    let outputs = hear(&mut hand, B, set([3, 9]));
    assert_eq!(sent(&outputs, B), [&PeerMessage::Interested]);
    let outputs = hear(&mut hand, B, PeerMessage::Unchoke);
    assert_eq!(sent(&outputs, B), [&PeerMessage::Request(one(3))], "its first block is to be judged");
    hand.tell(Input::BlockReceived { link: B, block: one(3) });
    let outputs = hand.tell(Input::Judged { link: B, block: one(3), bad: vec![] });
    assert_eq!(sent(&outputs, B), [&PeerMessage::Request(one(9))]);
    let outputs = hand.tell(Input::BlockReceived { link: B, block: one(9) });
    assert_eq!(sent(&outputs, B), [] as [&PeerMessage; 0], "more of it may be told of soon");
    let outputs = hear(&mut hand, B, set([3, 9, 11]));
    assert_eq!(sent(&outputs, B), [&PeerMessage::Request(one(11))]);
}

#[test]
fn a_peer_that_says_the_same_again_and_again_is_a_flood() {
    let (mut hand, _) = leech(TALKS, Proof::Blocks);
    hear(&mut hand, B, set([1]));
    let said = (0..100_000).map(|_| hear(&mut hand, B, set([1])));
    let offences: Vec<Offence> = said.filter_map(|outputs| offence(&outputs)).collect();
    assert_eq!(offences, [Offence::MessageFlood]);
}

#[test]
fn blocks_of_what_does_not_exist_are_an_offence() {
    for (piece, blocks) in [(PIECES, BLOCKS), (1, BLOCKS + 1)] {
        let (mut hand, _) = leech(TALKS, Proof::Blocks);
        let message = PeerMessage::Blocks { piece: PieceIndex(piece), blocks: Bitfield::full(blocks) };
        assert_eq!(offence(&hear(&mut hand, B, message)), Some(Offence::PieceOutOfRange));
    }
}

#[test]
fn a_piece_found_bad_while_its_blocks_are_checked_is_not_fetched_again_as_a_whole() {
    let (mut hand, _) = leech(TALKS, Proof::Blocks);
    let mut outputs = Vec::new();
    hand.tell(Input::BlockReceived { link: SEED, block: one(0) });
    hand.tell(Input::Judged { link: SEED, block: one(0), bad: vec![] });
    (1..BLOCKS).for_each(|n| outputs = hand.tell(Input::BlockReceived { link: SEED, block: one(n) }));
    assert!(outputs.contains(&Output::CheckPiece { torrent: TORRENT, piece: PIECE }));
    let outputs = hand.tell(Input::LeavesCame { torrent: TORRENT, piece: PIECE });
    let whole = BlockRef { piece: PIECE, begin: 0, length: BLOCKS * BLOCK_LENGTH };
    assert_eq!(outputs, [Output::CheckBlocks { torrent: TORRENT, block: whole, order: 0 }]);
    let verdict = crate::engine::event::Verdict::Bad;
    assert_eq!(hand.tell(Input::PieceChecked { torrent: TORRENT, piece: PIECE, verdict }), []);
    let outputs =
        hand.tell(Input::BlocksChecked { torrent: TORRENT, block: whole, order: 0, bad: vec![one(6)] });
    let reason = DisconnectReason::Offence(Offence::CorruptPiece);
    assert!(outputs.contains(&Output::Disconnect { link: SEED, reason }));
}
