//! One bad block names one peer, where single blocks can be checked.

use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;

use super::hand::{FAST, Hand, PIECES, TORRENT, block, offence};
use super::host::HostSpec;
use super::world::World;
use crate::engine::event::{
    Aim, DisconnectReason, Input, LinkId, Offence, Output, PeerKey, PeerMessage, Proof, Verdict,
};

const A: LinkId = LinkId(1);
const B: LinkId = LinkId(2);
const C: LinkId = LinkId(3);

fn requests(outputs: &[Output], of: LinkId) -> Vec<BlockRef> {
    let request = |output: &Output| match output {
        Output::Send { link, message: PeerMessage::Request(block) } if *link == of => Some(*block),
        _ => None,
    };
    outputs.iter().filter_map(request).collect()
}

fn judgements(outputs: &[Output]) -> Vec<(LinkId, BlockRef)> {
    let judge = |output: &Output| match output {
        Output::Judge { link, block } => Some((*link, *block)),
        _ => None,
    };
    outputs.iter().filter_map(judge).collect()
}

fn is_banned(outputs: &[Output], link: LinkId) -> bool {
    let reason = DisconnectReason::Offence(Offence::CorruptPiece);
    outputs.contains(&Output::Disconnect { link, reason })
}

/// A leech of a v2 torrent that lacks the first `missing` pieces.
fn leech(missing: u32) -> Hand {
    let mut verified = Bitfield::full(PIECES);
    (0..missing).for_each(|piece| assert!(verified.clear(PieceIndex(piece))));
    Hand::with_proof(verified, Aim::Fetch, Proof::Blocks)
}

/// Links somebody who has everything that is missing and does not choke us; what it is asked for.
fn link(hand: &mut Hand, link: LinkId) -> Vec<BlockRef> {
    hand.connect(link, link.0, FAST);
    let mut has = Bitfield::full(PIECES);
    has.clear(PieceIndex(PIECES - 1));
    hand.tell(Input::Received { link, message: PeerMessage::Bitfield(has) });
    let outputs = hand.tell(Input::Received { link, message: PeerMessage::Unchoke });
    requests(&outputs, link)
}

fn give(hand: &mut Hand, link: LinkId, block: BlockRef) -> Vec<Output> {
    hand.tell(Input::BlockReceived { link, block })
}

fn judged(hand: &mut Hand, link: LinkId, block: BlockRef, bad: &[BlockRef]) -> Vec<Output> {
    hand.tell(Input::Judged { link, block, bad: bad.to_vec() })
}

/// Links somebody whose first block is good, so that its pipeline is full; what it is asked for.
fn link_tried(hand: &mut Hand, of: LinkId) -> Vec<BlockRef> {
    let [first] = link(hand, of)[..] else { panic!("one block to begin with") };
    let outputs = give(hand, of, first);
    assert_eq!(judgements(&outputs)[0], (of, first));
    requests(&judged(hand, of, first, &[]), of)
}

fn whole(piece: u32) -> BlockRef {
    BlockRef { length: 4 * BLOCK_LENGTH, ..block(piece, 0) }
}

#[test]
fn a_newcomer_is_asked_for_one_block_and_bad_as_that_is_for_none_after_it() {
    let mut hand = leech(8);
    let first = link(&mut hand, A);
    assert_eq!(first.len(), 1);
    let outputs = give(&mut hand, A, first[0]);
    assert_eq!(judgements(&outputs), [(A, first[0])], "it has to prove it itself");
    assert_eq!(requests(&outputs, A), []);
    let outputs = judged(&mut hand, A, first[0], &first);
    assert!(is_banned(&outputs, A) && requests(&outputs, A).is_empty(), "{outputs:?}");
    hand.tell(Input::Disconnected { link: A });
    assert_eq!(offence(&hand.connect(B, A.0, FAST)), Some(Offence::CorruptPiece));
}

#[test]
fn whoever_proved_its_first_block_is_asked_for_as_much_as_anybody() {
    let mut hand = leech(8);
    let asked = link_tried(&mut hand, A);
    assert!(asked.len() > 10, "{}", asked.len());
    assert!(judgements(&give(&mut hand, A, asked[0])).is_empty(), "and need not prove it again");
}

#[test]
fn where_nobody_gives_leaf_hashes_a_newcomer_is_asked_for_more_all_the_same() {
    let mut hand = leech(8);
    let first = link(&mut hand, A)[0];
    give(&mut hand, A, first);
    let outputs = hand.tell(Input::Unjudged { link: A, block: first });
    assert!(requests(&outputs, A).len() > 10);
}

#[test]
fn a_newcomer_and_another_are_asked_at_once_and_a_third_if_both_are_silent() {
    let mut hand = leech(8);
    let first = link(&mut hand, A)[0];
    link(&mut hand, B);
    assert_eq!(judgements(&give(&mut hand, A, first)), [(A, first), (B, first)]);
    link(&mut hand, C);
    let asked = (1..=4).find_map(|_| {
        hand.now += Duration::from_secs(1);
        judgements(&hand.tell(Input::Wake)).pop()
    });
    assert_eq!(asked, Some((C, first)));
    // An answer that comes late is as good.
    assert!(is_banned(&judged(&mut hand, B, first, &[first]), A));
}

/// A leech whom A, B and C gave a piece, and the blocks each gave.
fn shared_piece(hand: &mut Hand) -> Vec<(LinkId, BlockRef)> {
    let mut gave = Vec::new();
    for of in [A, B, C] {
        let [first] = link(hand, of)[..] else { panic!("one block to begin with") };
        let outputs = give(hand, of, first);
        gave.push((of, first));
        assert_eq!(judgements(&outputs)[0], (of, first));
    }
    // B is the first to pass, and gives the last block.
    let rest = requests(&judged(hand, B, gave[1].1, &[]), B);
    assert_eq!(rest.len(), 1);
    let outputs = give(hand, B, rest[0]);
    assert!(outputs.contains(&Output::CheckPiece { torrent: TORRENT, piece: PieceIndex(0) }));
    gave.push((B, rest[0]));
    gave
}

fn check(hand: &mut Hand, verdict: Verdict) -> Vec<Output> {
    hand.tell(Input::PieceChecked { torrent: TORRENT, piece: PieceIndex(0), verdict })
}

#[test]
fn a_bad_piece_names_the_giver_of_its_bad_block_and_only_that_is_fetched_again() {
    let mut hand = leech(1);
    let gave = shared_piece(&mut hand);
    let outputs = check(&mut hand, Verdict::Bad);
    let [(witness, asked)] = judgements(&outputs)[..] else { panic!("{outputs:?}") };
    assert_eq!(asked, whole(0));
    let outputs = judged(&mut hand, witness, asked, &[gave[2].1]);
    assert!(is_banned(&outputs, C) && !is_banned(&outputs, A) && !is_banned(&outputs, B), "{outputs:?}");
    let again = [requests(&outputs, A), requests(&outputs, B)].concat();
    assert_eq!(again, [gave[2].1]);
    let giver = if requests(&outputs, A).is_empty() { B } else { A };
    let outputs = give(&mut hand, giver, gave[2].1);
    assert!(outputs.contains(&Output::CheckPiece { torrent: TORRENT, piece: PieceIndex(0) }));
    assert!(check(&mut hand, Verdict::Good).contains(&Output::Completed { torrent: TORRENT }));
}

#[test]
fn a_verdict_about_blocks_that_were_replaced_since_blames_nobody() {
    let mut hand = leech(1);
    let gave = shared_piece(&mut hand);
    let outputs = judged(&mut hand, A, gave[0].1, &[gave[0].1]);
    assert!(is_banned(&outputs, A));
    assert_eq!(requests(&outputs, B), [gave[0].1]);
    give(&mut hand, B, gave[0].1);
    assert_eq!(judgements(&check(&mut hand, Verdict::Bad)), [], "it is of what was there before");
    assert!(check(&mut hand, Verdict::Good).contains(&Output::Completed { torrent: TORRENT }));
}

#[test]
fn a_bad_block_that_two_were_asked_for_bans_neither() {
    let mut hand = leech(1);
    let asked = link_tried(&mut hand, A);
    assert_eq!(asked.len(), 3);
    let first = link(&mut hand, B);
    assert_eq!(first, [], "A is asked for all of it");
    // A is slow, so B is asked too; then both blocks come.
    hand.now += Duration::from_secs(11);
    let outputs = hand.tell(Input::Wake);
    let [also] = requests(&outputs, B)[..] else { panic!("{outputs:?}") };
    give(&mut hand, A, also);
    give(&mut hand, B, also);
    for &block in asked.iter().filter(|block| **block != also) {
        give(&mut hand, A, block);
    }
    let outputs = check(&mut hand, Verdict::Bad);
    let [(witness, whole)] = judgements(&outputs)[..] else { panic!("{outputs:?}") };
    let outputs = judged(&mut hand, witness, whole, &[also]);
    assert_eq!(offence(&outputs), None);
    let again = [requests(&outputs, A), requests(&outputs, B)].concat();
    assert_eq!(again, [also], "by one of them alone");
}

#[test]
fn where_nobody_gives_leaf_hashes_a_bad_piece_is_fetched_again_as_a_whole() {
    let mut hand = leech(1);
    let gave = shared_piece(&mut hand);
    let mut outputs = check(&mut hand, Verdict::Bad);
    let mut asked = 0;
    while let Some((link, block)) = judgements(&outputs).into_iter().find(|(_, asked)| *asked == whole(0)) {
        outputs = hand.tell(Input::Unjudged { link, block });
        asked += 1;
    }
    assert_eq!((asked, gave.len()), (3, 4));
    assert_eq!(offence(&outputs), None, "three may have given it");
    let again = seconds_until(&mut hand, |output| {
        matches!(output, Output::Send { message: PeerMessage::Request(_), .. })
    });
    assert!(again.is_some_and(|seconds| seconds <= 7), "{again:?}");
}

fn seconds_until(hand: &mut Hand, awaited: impl Fn(&Output) -> bool) -> Option<u32> {
    (1..=60).find(|_| {
        hand.now += Duration::from_secs(1);
        hand.tell(Input::Wake).iter().any(&awaited)
    })
}

#[test]
fn corrupters_are_banned_for_one_block_each_and_cost_hardly_any_time() {
    let up = 4_000_000;
    let seed = HostSpec { proof: Proof::Blocks, ..HostSpec::seed(up) };
    let leech = HostSpec { proof: Proof::Blocks, ..HostSpec::leech(up) };
    let corrupter = HostSpec { corrupts: true, ..seed.clone() };
    let mut specs = vec![seed, corrupter.clone(), corrupter];
    specs.resize(8, leech);
    let mut world = World::new(32 << 20, 16 * BLOCK_LENGTH, Duration::from_millis(10), specs);
    world.introduce_all();
    assert!(world.run(Duration::from_secs(60), World::all_complete));
    for leech in 3..8 {
        let offence = DisconnectReason::Offence(Offence::CorruptPiece);
        let banned: Vec<PeerKey> = world.hosts[leech]
            .disconnects
            .iter()
            .filter(|(_, reason)| *reason == offence)
            .map(|(peer, _)| *peer)
            .collect();
        assert!(banned.iter().all(|peer| [1, 2].contains(&peer.0)), "{banned:?}");
        for corrupter in [1, 2] {
            let bad = world.hosts[corrupter].sent / u64::from(BLOCK_LENGTH);
            assert!(bad <= 5, "{bad} blocks to five leeches");
        }
    }
}
