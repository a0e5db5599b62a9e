//! Where a drill takes place: a scene, made-up content, and peers that come and go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::network::Machine;
use super::{Options, Scale, network};
use crate::content::{difference, write_file};
use crate::netns::Namespace;
use crate::process::Samara;
use crate::process::place::Place;
use crate::scene::{PROMPT, Scene, Tracker, path_text, text, wait_written};

/// A drill's transfer takes a fraction of this, even unoptimized on a busy machine.
pub const TRANSFER: Duration = Duration::from_secs(180);

/// The stage of one drill.
pub struct Stage {
    /// Where processes meet.
    pub scene: Scene,
    /// Makes every random choice.
    pub rng: ChaCha8Rng,
    scale: Scale,
    place: Place,
    /// Dropped last: processes run in them.
    boxes: Vec<Namespace>,
}

/// What a drill's swarm shares.
pub struct Content {
    /// The original.
    pub path: PathBuf,
    /// Its `.torrent`; without trackers.
    pub torrent: PathBuf,
    /// Its size.
    pub bytes: u64,
    v1: String,
    v2: String,
}

/// A process that takes part in the swarm.
pub struct Peer {
    /// The process.
    pub process: Samara,
    /// Where its copy is, or will be.
    pub file: PathBuf,
}

/// How a download ended.
pub struct Found {
    bytes_from: BTreeMap<String, u64>,
    /// Peers that gave something.
    pub peers: u64,
}

impl Stage {
    /// An empty stage on loopback.
    pub fn new(options: Options) -> Self {
        let (scene, rng) = (Scene::new(), ChaCha8Rng::seed_from_u64(options.rng_seed));
        Self { scene, rng, scale: options.scale, place: Place::loopback(), boxes: Vec::new() }
    }

    /// From now on processes start in `place`.
    pub fn move_to(&mut self, place: Place) {
        self.place = place;
    }

    /// From now on processes start on a machine of their own, whose loopback carries so many megabits a
    /// second for all of them together.
    pub fn move_to_box(&mut self, megabits: u32) {
        let namespace = Namespace::new("box");
        network::limit(&namespace, "lo", megabits);
        self.place = Place::bound(&namespace, "127.0.0.1");
        self.boxes.push(namespace);
    }

    /// Picks by the size of the drill.
    pub fn by_scale<T>(&self, small: T, full: T) -> T {
        match self.scale {
            Scale::Small => small,
            Scale::Full => full,
        }
    }

    /// Makes up a file of about so many mebibytes, and its hybrid `.torrent`.
    ///
    /// # Panics
    /// When either cannot be made.
    pub fn content(&self, mebibytes: u64) -> Content {
        let path = self.scene.path("content").join("drill.bin");
        // A size that ends inside a block shows what whole pieces would hide.
        let bytes = (mebibytes << 20) + 12_345;
        write_file(&path, bytes, bytes).expect("the scratch folder is writable");
        let torrent = self.scene.create(&path, "hybrid", &[]);
        let shown = self.scene.run(&["show", &path_text(&torrent), "--json"]).json();
        Content { path, torrent, bytes, v1: text(&shown, "infohash_v1"), v2: text(&shown, "infohash_v2") }
    }

    /// Starts a tracker.
    pub fn tracker(&self) -> Tracker {
        self.tracker_with(&[])
    }

    /// The same with more arguments.
    pub fn tracker_with(&self, args: &[&str]) -> Tracker {
        self.scene.tracker_in(&self.place, "127.0.0.1", args)
    }

    /// Starts a tracker on a machine, where others reach it.
    pub fn tracker_on(&self, machine: &Machine) -> Tracker {
        self.scene.tracker_in(&machine.place(), &machine.address().to_string(), &[])
    }

    /// Starts somebody who has everything, and waits until it shares.
    pub fn seed(&self, name: &str, content: &Content, args: &[&str]) -> Peer {
        let data = path_text(content.path.parent().expect("content lies in a folder"));
        let torrent = path_text(&content.torrent);
        let args = [&[&torrent, "--data", &data], args].concat();
        let seed = self.scene.seed_at(&self.place, name, &args);
        Peer { process: seed.process, file: content.path.clone() }
    }

    /// Starts somebody who fetches `source`, a link or a `.torrent`, and stays.
    pub fn join(&self, name: &str, source: &str, args: &[&str]) -> Peer {
        self.join_into(name, name, source, args)
    }

    /// The same into a folder of another name: a state may outlive what was fetched.
    pub fn join_into(&self, name: &str, folder: &str, source: &str, args: &[&str]) -> Peer {
        let out = self.scene.path(&format!("copy of {folder}"));
        let folder = path_text(&out);
        let args = [&["get", source, "-o", &folder, "--seed"], args].concat();
        let process = self.scene.start_at(&self.place, name, &args);
        Peer { process, file: out.join("drill.bin") }
    }

    /// Starts a node without a torrent.
    pub fn node(&self, name: &str, args: &[&str]) -> Peer {
        let process = self.scene.start_at(&self.place, name, &[&["node"], args].concat());
        Peer { process, file: PathBuf::new() }
    }
}

impl Content {
    /// A link that names these peers and trackers, and nothing else but the hashes.
    pub fn link(&self, peers: &[&str], trackers: &[&str]) -> String {
        let mut link = format!("magnet:?xt=urn:btih:{}&xt=urn:btmh:1220{}&dn=drill.bin", self.v1, self.v2);
        for (key, values) in [("tr", trackers), ("x.lp", peers)] {
            for value in values {
                link.push_str(&format!("&{key}={value}"));
            }
        }
        link
    }
}

impl Peer {
    /// Where it can be dialled by TCP.
    pub fn address(&mut self) -> String {
        let is_tcp = |event: &Value| event["event"] == "listening" && event["protocol"] == "tcp";
        text(&self.process.find("an address", PROMPT, is_tcp), "address")
    }

    /// The same for a node that listens on every address of a machine.
    pub fn address_at(&mut self, machine: &Machine) -> String {
        let ip = format!("/ip4/{}/tcp/", machine.address());
        let is_there = |event: &Value| {
            event["event"] == "listening"
                && event["address"].as_str().is_some_and(|text| text.starts_with(&ip))
        };
        text(&self.process.find("an address on its machine", PROMPT, is_there), "address")
    }

    /// Waits until so many percent of its copy are on disk.
    ///
    /// # Panics
    /// When they do not come, or it was complete before anybody could look.
    pub fn wait_share(&mut self, content: &Content, percent: u64) {
        let part = self.part();
        wait_written(&mut self.process, &part, content.bytes * percent / 100, TRANSFER);
        assert!(part.exists(), "{} was complete too soon: make the content larger", self.process.name());
    }

    /// Its copy while it is not complete.
    pub fn part(&self) -> PathBuf {
        self.file.with_extension("bin.part")
    }

    /// Verified bytes of content it last said it has.
    pub fn bytes_done(&mut self) -> u64 {
        let last = self.process.events().iter().rev().find(|event| event["event"] == "progress");
        last.and_then(|event| event["bytes_done"].as_u64()).unwrap_or(0)
    }

    /// Whether it has said that everything is there.
    pub fn is_complete(&mut self) -> bool {
        self.process.events().iter().any(|event| event["event"] == "complete")
    }

    /// Waits until everything is there, and compares it with the original.
    ///
    /// # Panics
    /// When it is not, or not the same.
    pub fn complete(&mut self, content: &Content) -> Found {
        let event = self.process.find("completion", TRANSFER, |event| event["event"] == "complete");
        self.compare(&content.path);
        let bytes_from = event["bytes_from"].as_object().expect("complete says where the bytes came from");
        Found {
            bytes_from: bytes_from
                .iter()
                .map(|(source, bytes)| (source.clone(), bytes.as_u64().unwrap_or(0)))
                .collect(),
            peers: event["peers"].as_u64().unwrap_or(0),
        }
    }

    fn compare(&mut self, original: &Path) {
        match difference(original, &self.file) {
            Ok(None) => {}
            Ok(Some(difference)) => self.process.fail(&difference),
            Err(error) => self.process.fail(&error.to_string()),
        }
    }

    /// Content bytes it has received, as it said last.
    pub fn bytes_received(&mut self) -> u64 {
        let events = self.process.events().iter();
        events.filter_map(|event| event["bytes_received"].as_u64()).max().unwrap_or(0)
    }

    /// Warnings it gave.
    pub fn warnings(&mut self) -> Vec<String> {
        let warnings = self.process.events().iter().filter(|event| event["event"] == "warning");
        warnings.map(|event| text(event, "message")).collect()
    }
}

impl Found {
    /// Bytes that came from peers found by `source`.
    pub fn by(&self, source: &str) -> u64 {
        self.bytes_from.get(source).copied().unwrap_or(0)
    }

    /// Whether every peer that gave something was found by one of `sources`, or came by itself.
    pub fn only_by(&self, sources: &[&str]) -> bool {
        self.bytes_from.keys().all(|source| source == "incoming" || sources.contains(&source.as_str()))
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: u64 = self.bytes_from.values().sum();
        let shares = self.bytes_from.iter().map(|(source, bytes)| {
            let percent = *bytes as f64 * 100.0 / all.max(1) as f64;
            format!("{source} {percent:.0} %")
        });
        write!(f, "{} peers, {}", self.peers, shares.collect::<Vec<_>>().join(", "))
    }
}
