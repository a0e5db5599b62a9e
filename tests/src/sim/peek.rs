//! What those who are not done yet are doing at a moment: for finding out why a run is slow.

use std::fmt::Write as _;
use std::time::Duration;

use super::agenda::HostNo;
use super::plan::Plan;
use super::world::{TORRENT, World};

/// Hosts told of, those who miss most first, and links of each.
const MOST: usize = 6;

/// Runs a world up to `at` and describes the honest hosts that miss something then, and their links.
pub fn at(plan: &Plan, at: Duration) -> String {
    let mut world = World::new(plan.settings.clone(), plan.hosts.clone(), plan.script.clone());
    world.run(at);
    let missing = |&host: &HostNo| {
        let host = &world.hosts[host as usize];
        host.is_up && host.must_complete() && host.completed_at.is_none()
    };
    let mut waiting: Vec<HostNo> = (0..world.hosts.len() as HostNo).filter(missing).collect();
    waiting.sort_by_key(|&host| (world.hosts[host as usize].disk.verified().count_ones(), host));
    let mut out = format!("{} hosts miss something at {:.3} s\n", waiting.len(), world.now as f64 / 1e9);
    for host in waiting.into_iter().take(MOST) {
        describe(&world, host, &mut out);
    }
    out
}

fn describe(world: &World, number: HostNo, out: &mut String) {
    let host = &world.hosts[number as usize];
    let stats = world.engine(number).map(|engine| engine.stats());
    let Some(stats) = stats.as_ref().and_then(|stats| stats.torrents.get(&TORRENT)) else { return };
    let missing: Vec<u32> = host.disk.verified().iter_zeros().map(|piece| piece.0).take(2 * MOST).collect();
    let _ = writeln!(
        out,
        "host {number} ({}): {} of {} pieces, {} begun, {} links, {} candidates, {} bytes under way to it; misses {missing:?}",
        host.spec.class,
        stats.pieces_verified,
        stats.pieces,
        stats.pieces_begun,
        stats.links.len(),
        stats.candidates,
        host.inbound,
    );
    let mut links: Vec<_> = stats.links.iter().collect();
    links.sort_by_key(|(id, link)| (std::cmp::Reverse(link.in_flight), **id));
    for (id, link) in links.into_iter().take(MOST) {
        let wire = &world.links[id.0 as usize];
        let pipe = &wire.pipes[1 - wire.side_of(number)];
        let _ = writeln!(
            out,
            "  from {}: {} pieces, {} bytes asked for, {} a second{}{}{}{}; its driver holds {} blocks, {} messages{}",
            link.peer.0,
            link.pieces,
            link.in_flight,
            link.down_rate,
            if link.we_want { ", wanted" } else { "" },
            if link.chokes_us { ", choking" } else { "" },
            if link.we_choke { ", choked" } else { "" },
            if link.snubbed { ", snubbed" } else { "" },
            pipe.blocks_held(),
            pipe.messages_held(),
            if pipe.is_quiet() { "" } else { ", bytes under way" },
        );
    }
}
