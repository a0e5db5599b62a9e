//! The network is cut in two and healed.

use std::time::Duration;

use super::network::Network;
use super::stage::{Peer, Stage, TRANSFER};
use crate::patience;

/// Megabits a second that every machine's cable carries.
const CABLE: u32 = 40;

/// The half with the seed finishes; the half without trades what it has; then both are one swarm again.
pub(super) fn cut_and_healed(stage: &mut Stage) -> String {
    let content = stage.content(stage.by_scale(12, 32));
    let mut network = Network::new();
    let machines = ["left", "left", "right", "right"].map(|switch| network.machine(switch, CABLE));
    stage.move_to(machines[0].place());
    let mut seed = stage.seed("seed", &content, &[]);
    let link = content.link(&[&seed.address()], &[]);
    let mut peers = Vec::new();
    for (machine, name) in machines[1..].iter().zip(["left", "right one", "right two"]) {
        stage.move_to(machine.place());
        peers.push(stage.join(name, &link, &[]));
    }
    let [left, one, two] = peers.try_into().ok().expect("three joined");
    let [mut left, mut right] = [vec![left], vec![one, two]];
    for peer in &mut right {
        peer.wait_share(&content, 20);
    }
    network.cut();

    let before: u64 = right.iter_mut().map(Peer::bytes_done).sum();
    patience::wait_for("the half without the seed goes on", TRANSFER, || {
        (right.iter_mut().map(Peer::bytes_done).sum::<u64>() > before).then_some(())
    });
    for peer in &mut left {
        peer.complete(&content);
    }
    // Long enough that both halves hold the other for dead.
    patience::let_pass(Duration::from_secs(stage.by_scale(5, 25)));
    let meanwhile: u64 = right.iter_mut().map(Peer::bytes_done).sum();
    assert!(!right.iter_mut().any(Peer::is_complete), "the cut came too late: make the content larger");
    network.heal();
    let healed = std::time::Instant::now();
    for peer in &mut right {
        peer.complete(&content);
    }
    format!(
        "without the seed {:.1} MiB more were traded; whole again {:.1} s after healing",
        (meanwhile - before) as f64 / f64::from(1 << 20),
        healed.elapsed().as_secs_f64()
    )
}
