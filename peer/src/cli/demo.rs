//! `samara demo`: a swarm in one process that loses its tracker half way and does not mind.

mod scratch;

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use samara_proto::infohash::Sha256Hash;
use samara_proto::magnet::Magnet;
use samara_proto::metainfo::Metainfo;
use samara_tracker::{Listen, Tracker, TrackerConfig};
use tokio::net::TcpStream;

use super::args::DemoArgs;
use super::bars::Bar;
use super::events::{self, Event, Which};
use super::failure::{Exit, Failure, Outcome};
use super::interrupt::Interrupt;
use super::output::Output;
use super::{create, units};
use crate::handle::{AddOptions, Node, NodeConfig, Role, Torrent, TorrentEvent, TorrentSource};
use scratch::Scratch;

const FILE_NAME: &str = "demo.bin";
const LEECHES: [&str; 3] = ["leech 1", "leech 2", "leech 3"];
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How often it is looked whether half of everything has arrived.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Longer than any machine should need; a demo that hangs has failed.
const TIME_LIMIT: Duration = Duration::from_secs(300);

/// Runs it.
pub async fn run(args: &DemoArgs, output: &Output, mut interrupt: Interrupt) -> Outcome {
    let scratch = Scratch::new()?;
    let story = Story { started: Instant::now(), output: output.clone() };
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
}

impl Story {
    fn say(&self, what: impl Display) {
        self.output.say(format_args!("{:>7.2} s  {what}", self.started.elapsed().as_secs_f64()));
    }
}

/// What a leech has to show.
struct Leech {
    name: &'static str,
    node: Node,
    torrent: Torrent,
    folder: PathBuf,
    bar: Bar,
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
    story.output.event(&Event::Listening { protocol: "http", address: tracker_address.to_string() });
    story.say(format_args!("tracker listens at {announce_url}"));

    let (metainfo, torrent_file) = describe(&original, scratch, announce_url, &story.output).await?;
    let layout = metainfo.layout();
    let (pieces, length) = (layout.piece_count(), units::size(layout.piece_length().into()));
    story.say(format_args!("made {FILE_NAME}.torrent: {pieces} pieces of {length}"));

    let (seed, mut seed_torrent) =
        join(&metainfo, original.parent().unwrap_or(scratch.path()), Role::Seed).await?;
    wait_ready(&mut seed_torrent).await?;
    announce(story, &metainfo, &torrent_file, &seed);
    story.say("seed is ready: it has everything, the tracker knows it");

    let mut leeches = Vec::with_capacity(LEECHES.len());
    for name in LEECHES {
        let folder = scratch.folder(name)?;
        let (node, torrent) = join(&metainfo, &folder, Role::Get).await?;
        leeches.push(Leech { name, node, torrent, folder, bar: story.output.bar(name) });
    }
    story.say("three leeches start with nothing but the .torrent, and ask the tracker who has it");

    let done: [AtomicU64; LEECHES.len()] = Default::default();
    let downloads =
        leeches.iter_mut().zip(&done).map(|(leech, done)| download(leech, done, &metainfo, story));
    let half_way = async {
        wait_half_way(&done, layout.total_size()).await;
        stop_tracker(tracker, tracker_address, &done, layout.total_size(), story).await
    };
    tokio::try_join!(try_join_all(downloads), half_way)?;

    let copies = leeches.iter().map(|leech| leech.folder.join(FILE_NAME)).collect();
    compare(digest, copies, story).await?;
    for leech in leeches {
        leech.node.shutdown().await;
    }
    seed.shutdown().await;
    story.say("cleaned up; the swarm outlived its tracker");
    Ok(())
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

async fn join(metainfo: &Arc<Metainfo>, folder: &Path, role: Role) -> Result<(Node, Torrent), Failure> {
    let config = NodeConfig { bind: Some(LOCALHOST), ..NodeConfig::default() };
    let node = Node::start(config)
        .await
        .map_err(|error| Failure::failed(format!("cannot start a node: {error}")))?;
    let options = AddOptions { root: folder.to_owned(), trackers: Vec::new(), peers: Vec::new(), role };
    let torrent = node
        .add(TorrentSource::Metainfo(metainfo.clone()), options)
        .await
        .map_err(|error| Failure::failed(format!("cannot add {FILE_NAME}: {error}")))?;
    Ok((node, torrent))
}

async fn wait_ready(torrent: &mut Torrent) -> Result<(), Failure> {
    loop {
        match torrent.next_event().await {
            Some(TorrentEvent::Ready { .. }) => return Ok(()),
            Some(TorrentEvent::Failed(message)) => {
                return Err(Failure::failed(format!("the seed failed: {message}")));
            }
            Some(_) => {}
            None => return Err(Failure::failed("the seed stopped")),
        }
    }
}

/// Follows one leech to its end, keeping `done` up to date.
async fn download(
    leech: &mut Leech,
    done: &AtomicU64,
    metainfo: &Metainfo,
    story: &Story,
) -> Result<(), Failure> {
    let total = metainfo.layout().total_size();
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    loop {
        let event = tokio::select! {
            event = leech.torrent.next_event() => event,
            _ = look.tick() => {
                let received = leech.torrent.bytes_received().min(total);
                done.store(received, Ordering::Relaxed);
                leech.bar.set(received, total, &[]);
                continue;
            }
        };
        let which = || Which { name: metainfo.name().to_owned(), hashes: metainfo.info_hashes().into() };
        match event {
            Some(TorrentEvent::Complete { bytes, elapsed, bytes_from, peers }) => {
                done.store(total, Ordering::Relaxed);
                let rate = units::rate((bytes as f64 / elapsed.as_secs_f64().max(0.001)) as u64);
                let peers_text = units::count(peers, "peer");
                story.say(format_args!(
                    "{} is complete: {} at {rate} from {peers_text}",
                    leech.name,
                    units::size(bytes)
                ));
                story.output.event(&Event::Complete {
                    which: which(),
                    bytes,
                    seconds: elapsed.as_secs_f64(),
                    bytes_from: events::bytes_from(&bytes_from),
                    peers,
                });
                return Ok(());
            }
            Some(TorrentEvent::Progress(progress)) => {
                story.output.event(&Event::progress(which(), &progress))
            }
            Some(TorrentEvent::Warning(message)) => {
                story.output.warn(format_args!("{}: {message}", leech.name))
            }
            Some(TorrentEvent::Failed(message)) => {
                return Err(Failure::failed(format!("{} failed: {message}", leech.name)));
            }
            Some(_) => {}
            None => return Err(Failure::failed(format!("{} stopped", leech.name))),
        }
    }
}

/// Returns when half of what all leeches want has arrived.
async fn wait_half_way(done: &[AtomicU64], total: u64) {
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    while sum(done).saturating_mul(2) < total.saturating_mul(done.len() as u64) {
        look.tick().await;
    }
}

fn sum(done: &[AtomicU64]) -> u64 {
    done.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
}

/// Checks that the copies are the original.
async fn compare(original: Sha256Hash, copies: Vec<PathBuf>, story: &Story) -> Result<(), Failure> {
    for copy in copies {
        let digest = blocking("read", &copy, scratch::sha256).await?;
        if digest != original {
            return Err(Failure::failed(format!("{} is not what was shared", copy.display())));
        }
    }
    story.say(format_args!(
        "all three copies are equal to the original: SHA-256 {:.8}…",
        original.to_string()
    ));
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
    done: &[AtomicU64],
    total: u64,
    story: &Story,
) -> Result<(), Failure> {
    if sum(done) >= total.saturating_mul(done.len() as u64) {
        return Err(Failure::failed(
            "everything arrived before the tracker could be stopped; use a larger --size",
        ));
    }
    let shares = done.iter().map(|bytes| bytes.load(Ordering::Relaxed).saturating_mul(100) / total.max(1));
    let shares: Vec<_> = shares.map(|share| format!("{share} %")).collect();
    tracker.stop().await;
    if TcpStream::connect(address).await.is_ok() {
        return Err(Failure::failed("the tracker still answers after it was stopped"));
    }
    story.say(format_args!(
        "half way ({}): the tracker is stopped and gone; nobody can ask it again",
        shares.join(", ")
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

fn announce(story: &Story, metainfo: &Metainfo, torrent: &Path, seed: &Node) {
    let addresses: Vec<_> = seed.addresses().iter().map(ToString::to_string).collect();
    story.output.event(&Event::Seeding {
        name: metainfo.name().to_owned(),
        magnet: Magnet { peers: addresses.clone(), ..Magnet::to_torrent(metainfo) }.to_string(),
        torrent: torrent.display().to_string(),
        hashes: metainfo.info_hashes().into(),
        addresses,
    });
}
