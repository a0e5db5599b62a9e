//! What goes wrong for a while must not go wrong for good.

use std::time::Duration;

use crate::engine::event::{
    Direction, DisconnectReason, Input, LinkId, Output, PeerKey, PeerMessage, Source,
};

use super::hand::{FAST, Hand, LINK, TORRENT};

fn requests(outputs: &[Output]) -> Vec<(LinkId, samara_proto::layout::BlockRef)> {
    let request = |output: &Output| match output {
        Output::Send { link, message: PeerMessage::Request(block) } => Some((*link, *block)),
        _ => None,
    };
    outputs.iter().filter_map(request).collect()
}

/// Lets seconds pass until an output is `awaited`; how many that took.
fn seconds_until(hand: &mut Hand, limit: u32, awaited: impl Fn(&Output) -> bool) -> Option<u32> {
    (1..=limit).find(|_| {
        hand.now += Duration::from_secs(1);
        hand.tell(Input::Wake).iter().any(&awaited)
    })
}

#[test]
fn a_seed_that_vanished_and_came_back_is_dialled_again_soon() {
    let mut hand = Hand::leech();
    let peer = PeerKey(1);
    hand.tell(Input::Candidate { torrent: TORRENT, peer, source: Source::Tracker });
    let direction = Direction::Outbound;
    hand.tell(Input::Connected { torrent: TORRENT, peer, link: LINK, direction, traits: FAST });
    hand.say(PeerMessage::HaveAll);
    let asked = requests(&hand.say(PeerMessage::Unchoke));
    hand.tell(Input::BlockReceived { link: LINK, block: asked[0].1 });
    let is_end =
        |output: &Output| *output == Output::Disconnect { link: LINK, reason: DisconnectReason::Stalled };
    assert!(seconds_until(&mut hand, 130, is_end).is_some());
    hand.tell(Input::Disconnected { link: LINK });
    let wait = seconds_until(&mut hand, 100, |output| matches!(output, Output::Dial { .. }));
    assert!(wait.is_some_and(|wait| wait <= 2), "{wait:?}");
}
