//! How a run goes from second to second: where the swarm's uplinks are idle, and what its leeches wait for.

use std::fmt::Write as _;
use std::time::Duration;

use super::agenda::HostNo;
use super::host::MBIT;
use super::plan::Plan;
use super::world::{TORRENT, World};

/// What is counted over all leeches that miss something at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    leeches: u64,
    pieces: u64,
    fewest: u32,
    most: u32,
    unchoked: u64,
    wanted: u64,
    asked: u64,
    in_flight: u64,
    idle_uplinks: u64,
    begun: u64,
}

/// Runs a world to its end and describes it every `step`: pieces that anybody but a seed has, pieces of a leech
/// (fewest, mean, most), the share of all leeches' uplinks in use since the last line, and for a leech that
/// misses something the links that do not choke it, those that have something it lacks, those it has asked,
/// and the bytes asked for.
pub fn of(plan: &Plan, step: Duration) -> String {
    let mut world = World::new(plan.settings.clone(), plan.hosts.clone(), plan.script.clone());
    let mut out = String::from(
        "seconds    out  fewest   mean   most  uplinks  idle  seed  unchoked  useful  asked  KiB asked  begun  waiting\n",
    );
    let capacity: f64 = uplinks(&world).map(|(host, _)| host as f64).sum();
    let (mut at, mut given, mut seeded) = (Duration::ZERO, 0, 0);
    while at < plan.limit {
        at += step;
        let done = world.run(at);
        let moment = look(&world);
        let total: u64 = uplinks(&world).map(|(_, given)| given).sum();
        let seeds = world.hosts.iter().filter(|host| host.spec.is_seed);
        let (seeds_given, seeds_up) =
            seeds.fold((0, 0.0), |(given, up), host| (given + host.counts.given, up + host.spec.up * MBIT));
        let each = |sum: u64| sum as f64 / moment.leeches.max(1) as f64;
        let _ = writeln!(
            out,
            "{:7.2} {:6} {:7} {:6.1} {:6} {:8.3} {:5} {:5.2} {:9.1} {:7.1} {:6.1} {:10.0} {:6.1} {:8}",
            at.as_secs_f64(),
            pieces_out(&world),
            moment.fewest,
            each(moment.pieces),
            moment.most,
            (total - given) as f64 / (capacity * step.as_secs_f64()),
            moment.idle_uplinks,
            (seeds_given - seeded) as f64 / (seeds_up * step.as_secs_f64()),
            each(moment.unchoked),
            each(moment.wanted),
            each(moment.asked),
            each(moment.in_flight) / 1024.0,
            each(moment.begun),
            moment.leeches,
        );
        (given, seeded) = (total, seeds_given);
        if done || world.violation.is_some() {
            break;
        }
    }
    out
}

/// Bytes a second that each leech could give, and bytes it has given.
fn uplinks(world: &World) -> impl Iterator<Item = (u64, u64)> + '_ {
    let leeches = world.hosts.iter().filter(|host| !host.spec.is_seed);
    leeches.map(|host| ((host.spec.up * MBIT) as u64, host.counts.given))
}

fn pieces_out(world: &World) -> usize {
    let leeches: Vec<_> = world.hosts.iter().filter(|host| !host.spec.is_seed && host.is_up).collect();
    let pieces = 0..world.settings.shape.pieces;
    let has = |piece| leeches.iter().any(|host| host.disk.verified().get(piece));
    pieces.map(samara_proto::layout::PieceIndex).filter(|&piece| has(piece)).count()
}

fn look(world: &World) -> Sample {
    let mut moment = Sample { fewest: u32::MAX, ..Sample::default() };
    for (number, host) in world.hosts.iter().enumerate() {
        if host.spec.is_seed || !host.is_up {
            continue;
        }
        moment.idle_uplinks += u64::from(host.uplink_free_at <= world.now && host.ring.is_empty());
        if host.completed_at.is_some() {
            continue;
        }
        let stats = world.engine(number as HostNo).map(|engine| engine.stats());
        let Some(stats) = stats.as_ref().and_then(|stats| stats.torrents.get(&TORRENT)) else { continue };
        moment.leeches += 1;
        moment.pieces += u64::from(stats.pieces_verified);
        moment.fewest = moment.fewest.min(stats.pieces_verified);
        moment.most = moment.most.max(stats.pieces_verified);
        moment.begun += stats.pieces_begun as u64;
        for link in stats.links.values() {
            moment.unchoked += u64::from(!link.chokes_us);
            moment.wanted += u64::from(!link.chokes_us && link.we_want);
            moment.asked += u64::from(link.in_flight > 0);
            moment.in_flight += link.in_flight;
        }
    }
    if moment.leeches == 0 {
        moment.fewest = 0;
    }
    moment
}
