//! The original seed leaves as soon as one copy, and a little more, has left it.

use super::network::Network;
use super::stage::{Peer, Stage, TRANSFER};
use crate::patience;

/// Megabits a second that the seed's cable carries: a household's.
const UPLINK: u32 = 40;
/// The same of those who fetch.
const DOWNLINK: u32 = 400;
/// What the seed gives before it leaves, in percent of the content.
const COPIES_PERCENT: u64 = 105;
/// What sending a hundred bytes of content takes on the cable, at least.
const ON_THE_CABLE: u64 = 102;

/// Nobody has everything when the seed leaves, but all of them together do.
pub(super) fn seed_gone(stage: &mut Stage) -> String {
    let content = stage.content(stage.by_scale(8, 24));
    let mut network = Network::new();
    let (home, others) = (network.machine("left", UPLINK), network.machine("right", DOWNLINK));
    stage.move_to(home.place());
    let mut seed = stage.seed("seed", &content, &[]);
    let link = content.link(&[&seed.address()], &[]);
    stage.move_to(others.place());
    let mut peers: Vec<_> = (0..5).map(|n| stage.join(&format!("peer {n}"), &link, &[])).collect();

    let enough = content.bytes * COPIES_PERCENT / 100 * ON_THE_CABLE / 100;
    // A seed that gives nothing twice may have nothing left to do before that.
    patience::wait_for("1.05 copies leave the seed, or one is enough", TRANSFER, || {
        (home.bytes_sent() >= enough || peers.iter_mut().all(Peer::is_complete)).then_some(())
    });
    let left = home.bytes_sent();
    seed.process.kill();
    let complete = peers.iter_mut().filter_map(|peer| peer.is_complete().then_some(())).count();

    for peer in &mut peers {
        peer.complete(&content);
    }
    let copies = left as f64 / content.bytes as f64;
    format!("{copies:.2} copies on the cable, {complete} of {} complete by then", peers.len())
}
