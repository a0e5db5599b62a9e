//! `samara seed`: share a file, a folder or what a `.torrent` describes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use samara_proto::magnet::Magnet;

use super::args::{Common, SeedArgs};
use super::create::{self, Made};
use super::events::Event;
use super::failure::{Exit, Failure, Outcome};
use super::follower::Follower;
use super::interrupt::Interrupt;
use super::output::Output;
use super::setup;
use super::source::{is_link, read_torrent};
use super::units;
use crate::choice::Choice;
use crate::disk;
use crate::handle::{AddOptions, KnownFor, Node, Role, Torrent, TorrentEvent, TorrentSource};

/// Runs it.
pub async fn run(args: SeedArgs, common: &Common, output: &Output, mut interrupt: Interrupt) -> Outcome {
    setup::check_listen(common, &args.listen)?;
    let (listen, trackers) = (args.listen.clone(), args.trackers.clone());
    let preparing = {
        let (state_dir, output) = (setup::state_dir(common)?, output.clone());
        tokio::task::spawn_blocking(move || prepare(&args, &state_dir, &output))
    };
    let share = tokio::select! {
        share = preparing => share.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?,
        () = interrupt.wait() => return Ok(Exit::Interrupted),
    };
    let has_trackers = !trackers.is_empty() || !share.metainfo.trackers().is_empty();
    if has_trackers && !common.discovery_set().tracker {
        output.warn("no tracker is told of this seed, because --discovery leaves trackers out");
    }
    // Links name it.
    let known_for = share.metainfo.info_hashes().wire().next().map_or(KnownFor::Nothing, KnownFor::Torrent);
    let node = setup::start_node(common, &listen, known_for, output).await?;
    let options = AddOptions {
        root: share.root.clone(),
        trackers: trackers.clone(),
        peers: Vec::new(),
        choice: Choice::default(),
        role: Role::Seed,
    };
    let torrent = node
        .add(TorrentSource::Metainfo(share.metainfo.clone()), options)
        .await
        .map_err(|error| Failure::failed(format!("cannot seed {}: {error}", share.torrent.display())))?;
    let outcome = follow(torrent, &share, &trackers, &node, output, &mut interrupt).await;
    interrupt.now_means_now();
    node.shutdown().await;
    outcome
}

/// Finds or makes the `.torrent`.
fn prepare(args: &SeedArgs, state_dir: &Path, output: &Output) -> Result<Made, Failure> {
    let source = &args.source;
    if source.to_str().is_some_and(is_link) {
        return Err(Failure::usage(
            "seed shares a file, a folder or what a .torrent describes; for what a link names use samara get --seed",
        ));
    }
    if is_torrent(source) {
        let metainfo = read_torrent(source)?;
        let dir = args.data.clone().unwrap_or_else(|| folder_of(source));
        let root = disk::content_root(&metainfo, &dir);
        return Ok(Made { metainfo, torrent: source.clone(), root });
    }
    if args.data.is_some() {
        return Err(Failure::usage("--data goes with a .torrent; a file or folder is its own data"));
    }
    create::for_seeding(source, &args.trackers, state_dir, output)
}

fn is_torrent(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("torrent")) && !path.is_dir()
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Tells what happens until interrupted.
async fn follow(
    mut torrent: Torrent,
    share: &Made,
    trackers: &[String],
    node: &Node,
    output: &Output,
    interrupt: &mut Interrupt,
) -> Outcome {
    let mut follower = Follower::seeding(&share.metainfo, output);
    loop {
        let event = tokio::select! {
            event = torrent.next_event() => event,
            () = interrupt.wait() => return Ok(Exit::Interrupted),
        };
        match event {
            None => return Err(Failure::failed("the node stopped; run the same command again")),
            Some(TorrentEvent::Failed(message)) => {
                return Err(Failure::failed(format!("cannot seed {}: {message}", share.metainfo.name())));
            }
            Some(TorrentEvent::Ready { bytes_present, .. }) => {
                tell_missing(share, bytes_present, output)?;
                announce(share, trackers, node, output);
            }
            Some(event) => follower.on_event(Instant::now(), event),
        }
        if output.is_closed() {
            return Ok(Exit::Done);
        }
    }
}

/// A seed without everything says so and gives what is good; one without anything fails.
fn tell_missing(share: &Made, bytes_present: u64, output: &Output) -> Result<(), Failure> {
    let (name, root) = (share.metainfo.name(), share.root.display());
    let total = share.metainfo.layout().total_size();
    if bytes_present == 0 && total > 0 {
        return Err(Failure::failed(format!(
            "cannot seed {name}: nothing of it is in {root}; name the folder that holds it with --data"
        )));
    }
    if bytes_present < total {
        let missing = units::size(total - bytes_present);
        output.warn(format_args!(
            "{name}: {missing} in {root} are missing or not what the torrent says; sharing the rest"
        ));
    }
    Ok(())
}

/// Tells others how to get it.
fn announce(share: &Made, trackers: &[String], node: &Node, output: &Output) {
    let addresses: Vec<_> = setup::reachable(&node.addresses()).iter().map(ToString::to_string).collect();
    let mut magnet = Magnet { peers: addresses.clone(), ..Magnet::to_torrent(&share.metainfo) };
    for url in trackers {
        if !magnet.trackers.contains(url) {
            magnet.trackers.push(url.clone());
        }
    }
    let magnet = magnet.to_string();
    let torrent = share.torrent.display().to_string();
    output.say(format_args!("seeding {}; stop with Ctrl-C", share.metainfo.name()));
    output.field("torrent", &torrent);
    output.field("magnet", &magnet);
    output.event(&Event::Seeding {
        name: share.metainfo.name().to_owned(),
        magnet,
        torrent,
        hashes: share.metainfo.info_hashes().into(),
        addresses,
        node: None,
    });
}
