//! `samara demo`: a swarm in one process that grows up, loses its tracker half way and does not mind.

mod member;
mod scratch;

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use samara_proto::infohash::Sha256Hash;
use samara_proto::magnet::Magnet;
use samara_proto::metainfo::Metainfo;
use samara_tracker::{Listen, Tracker, TrackerConfig};
use tokio::net::TcpStream;

use super::args::DemoArgs;
use super::events::{self, Event};
use super::failure::{Exit, Failure, Outcome};
use super::interrupt::Interrupt;
use super::output::Output;
use super::{create, units};
use crate::engine::event::Source;
use crate::handle::{Node, Role, Stage, TorrentSource};
use crate::metrics::source_name;
use member::{Completed, Member, State};
use scratch::Scratch;

const FILE_NAME: &str = "demo.bin";
const SEED: &str = "seed";
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Longer than any machine should need; a demo that hangs has failed.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Runs it.
pub async fn run(args: &DemoArgs, output: &Output, mut interrupt: Interrupt) -> Outcome {
    let scratch = Scratch::new()?;
    let story = Story { started: Instant::now(), output: output.clone(), stopped: Arc::default() };
    let told = tokio::select! {
        told = tokio::time::timeout(TIME_LIMIT, tell(args, &scratch, &story)) => {
            told.unwrap_or_else(|_| Err(Failure::failed("the demo took too long; try a smaller --size")))
        }
        () = interrupt.wait() => return Ok(Exit::Interrupted),
    };
    told.and_then(|()| scratch.remove()).map(|()| Exit::Done)
}

/// Says what happens, with the time since the start.
struct Story {
    started: Instant,
    output: Output,
    /// The tracker, from when it is being stopped.
    stopped: Stopped,
}

/// The announce URL of a tracker of which nobody need be warned that it does not answer.
type Stopped = Arc<OnceLock<String>>;

impl Story {
    fn say(&self, what: impl Display) {
        self.output.say(format_args!("{:>7.2} s  {what}", self.started.elapsed().as_secs_f64()));
    }

    fn say_stage(&self, member: &Member, state: &State) {
        if let Some((stage, why)) = &state.stage {
            self.say(format_args!("{} sees the swarm {}: {why}", member.name, events::stage_name(*stage)));
        }
    }

    fn say_complete(&self, member: &Member, state: &State) {
        if let Some(Completed { bytes, elapsed, peers }) = &state.complete {
            let rate = units::rate((*bytes as f64 / elapsed.as_secs_f64().max(0.001)) as u64);
            let (size, peers) = (units::size(*bytes), units::count(*peers, "peer"));
            self.say(format_args!("{} is complete: {size} at {rate} from {peers}", member.name));
        }
    }
}

async fn tell(args: &DemoArgs, scratch: &Scratch, story: &Story) -> Result<(), Failure> {
    story.say(format_args!("everything stays on {LOCALHOST} and in {}", scratch.path().display()));
    let original = scratch.folder("seed")?.join(FILE_NAME);
    let digest = blocking("write", &original, {
        let size = args.size;
        move |path| scratch::make_up(path, size)
    })
    .await?;
    story.say(format_args!(
        "made up {FILE_NAME}, {} of noise, SHA-256 {:.8}…",
        units::size(args.size),
        digest.to_string()
    ));

    let (tracker, tracker_address) = start_tracker().await?;
    let announce_url = format!("http://{tracker_address}/announce");
    story.output.event(&Event::Listening {
        protocol: "http",
        address: tracker_address.to_string(),
        node: None,
    });
    story.say(format_args!("tracker listens at {announce_url}"));

    let (metainfo, torrent_file) = describe(&original, scratch, announce_url.clone(), &story.output).await?;
    let layout = metainfo.layout();
    let (pieces, length) = (layout.piece_count(), units::size(layout.piece_length().into()));
    story.say(format_args!("made {FILE_NAME}.torrent: {pieces} pieces of {length}"));

    let source = || TorrentSource::Metainfo(metainfo.clone());
    let home = original.parent().unwrap_or(scratch.path());
    let seed = Member::join(SEED, source(), home, Role::Seed, story).await?;
    seed.wait("its files are checked", |state| state.is_ready).await?;
    let link = announce(story, &metainfo, &torrent_file, &seed.node);
    story.say("seed is ready: it has everything, the tracker knows it");

    let join = async |name: &'static str, source: TorrentSource| {
        Member::join(name, source, &scratch.folder(name)?, Role::Get, story).await
    };
    let first = join("leech 1", source()).await?;
    story.say("leech 1 starts with nothing but the .torrent, and asks the tracker who has it");
    let stage =
        |wanted: Stage| move |state: &State| state.stage.as_ref().is_some_and(|(stage, _)| *stage >= wanted);
    let assisted = first.wait("it takes part in the swarm", stage(Stage::Assisted)).await?;
    story.say_stage(&first, &assisted);
    let hybrid = first.wait("another source than the tracker works", stage(Stage::Hybrid)).await?;
    story.say_stage(&first, &hybrid);

    let complete = |state: &State| state.complete.is_some();
    story.say_complete(&first, &first.wait("it is complete", complete).await?);

    let second = join("leech 2", source()).await?;
    story.say("leech 2 joins");
    let autonomous = second.wait("the tracker could vanish", stage(Stage::Autonomous)).await?;
    story.say_stage(&second, &autonomous);
    story.say_complete(&second, &second.wait("it is complete", complete).await?);

    let third = join("leech 3", source()).await?;
    story.say("leech 3 joins");
    let total = layout.total_size();
    third.wait("half of it has arrived", |state| 2 * state.received >= total).await?;
    // It is set only here.
    let _ = story.stopped.set(announce_url);
    stop_tracker(tracker, tracker_address, &third, total, story).await?;

    story.say_complete(&third, &third.wait("it is complete", complete).await?);

    let fourth = join("leech 4", TorrentSource::Magnet(link)).await?;
    story.say("leech 4 comes with the link alone: no .torrent, no tracker to ask, one address of the seed");
    story.say_complete(&fourth, &fourth.wait("it is complete", complete).await?);

    let leeches = [first, second, third, fourth];
    let members: Vec<&Member> = std::iter::once(&seed).chain(&leeches).collect();
    who_found_whom(&members, story);
    let copies = leeches.iter().map(|leech| leech.folder.join(FILE_NAME)).collect();
    compare(digest, copies, story).await?;
    for leech in leeches {
        leech.node.shutdown().await;
    }
    seed.node.shutdown().await;
    story.say("cleaned up; the swarm outlived its tracker");
    Ok(())
}

/// Says of each node who it met, and how they came to know of each other.
fn who_found_whom(members: &[&Member], story: &Story) {
    story.say("who found whom, and by what:");
    for member in members {
        let found = member.state().found;
        let met = members.iter().filter_map(|other| {
            let by = match found.get(&other.node.peer_id())? {
                Source::Incoming => "came by itself",
                source => source_name(*source),
            };
            Some(format!("{} ({by})", other.name))
        });
        story.say(format_args!("  {}: {}", member.name, met.collect::<Vec<_>>().join(", ")));
    }
}

/// Runs what blocks on a file away from the runtime's threads.
async fn blocking<T: Send + 'static>(
    verb: &'static str,
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || work(&path).map_err(|error| Failure::file(verb, &path, &error)))
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Checks that the copies are the original.
async fn compare(original: Sha256Hash, copies: Vec<PathBuf>, story: &Story) -> Result<(), Failure> {
    for copy in copies {
        let digest = blocking("read", &copy, scratch::sha256).await?;
        if digest != original {
            return Err(Failure::failed(format!("{} is not what was shared", copy.display())));
        }
    }
    story
        .say(format_args!("all four copies are equal to the original: SHA-256 {:.8}…", original.to_string()));
    Ok(())
}

async fn start_tracker() -> Result<(Tracker, SocketAddr), Failure> {
    let listen = Listen { http: Some(SocketAddr::new(LOCALHOST, 0)), udp: None };
    let config = TrackerConfig { listen, ..TrackerConfig::default() };
    let failed = |why: &dyn Display| Failure::failed(format!("cannot start the tracker: {why}"));
    let tracker = samara_tracker::start(config).await.map_err(|error| failed(&error))?;
    let address = tracker.http_address().ok_or_else(|| failed(&"it has no address"))?;
    Ok((tracker, address))
}

/// Stops the tracker and makes sure that it is gone.
async fn stop_tracker(
    tracker: Tracker,
    address: SocketAddr,
    leech: &Member,
    total: u64,
    story: &Story,
) -> Result<(), Failure> {
    let state = leech.state();
    tracker.stop().await;
    if TcpStream::connect(address).await.is_ok() {
        return Err(Failure::failed("the tracker still answers after it was stopped"));
    }
    if state.complete.is_some() {
        story.say(format_args!(
            "the tracker is stopped and gone; {} was faster, and needs a larger --size to be seen half way",
            leech.name
        ));
        return Ok(());
    }
    let percent = state.received.saturating_mul(100) / total.max(1);
    story.say(format_args!(
        "half way ({} has {percent} %): the tracker is stopped and gone; nobody can ask it again",
        leech.name
    ));
    Ok(())
}

/// Makes the `.torrent`, beside the folders of seed and leeches.
async fn describe(
    original: &Path,
    scratch: &Scratch,
    announce_url: String,
    output: &Output,
) -> Result<(Arc<Metainfo>, PathBuf), Failure> {
    let torrent = scratch.path().join(format!("{FILE_NAME}.torrent"));
    let (original, written, output) = (original.to_owned(), torrent.clone(), output.clone());
    let making =
        tokio::task::spawn_blocking(move || create::for_demo(&original, &written, announce_url, &output));
    let metainfo = making.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    Ok((Arc::new(metainfo), torrent))
}

/// Tells others how to get it; gives the link, which names the seed's address and no tracker.
fn announce(story: &Story, metainfo: &Metainfo, torrent: &Path, seed: &Node) -> Magnet {
    let addresses: Vec<_> = seed.addresses().iter().map(ToString::to_string).collect();
    let magnet = Magnet { peers: addresses.clone(), ..Magnet::to_torrent(metainfo) };
    story.output.event(&Event::Seeding {
        name: metainfo.name().to_owned(),
        magnet: magnet.to_string(),
        torrent: torrent.display().to_string(),
        hashes: metainfo.info_hashes().into(),
        addresses,
        node: Some(SEED),
    });
    Magnet { trackers: Vec::new(), ..magnet }
}
