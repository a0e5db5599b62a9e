//! A swarm that grows up and loses its tracker, watched: the picture in the README.

pub mod picture;
pub mod watch;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::content::write_file;
use crate::process::Samara;
use crate::scene::{PROMPT, Scene, path_text, text};
use watch::{Sample, Watched};

/// What happens, and when.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Nodes besides the first seed; they come one after another.
    pub nodes: usize,
    /// Time between two of them.
    pub gap: Duration,
    /// When the tracker is killed.
    pub tracker_ends: Duration,
    /// When somebody comes who knows one address and nothing else.
    pub newcomer: Duration,
    /// When the show is over.
    pub end: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self { nodes: 15, gap: secs(2), tracker_ends: secs(80), newcomer: secs(95), end: secs(115) }
    }
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// A sample about every second.
    pub samples: Vec<Sample>,
    /// Seconds from the newcomer's start to its last byte.
    pub newcomer_secs: Option<f64>,
}

/// Seconds between announces of a peer that needs the tracker, and of one that does not; short, so that a show
/// of two minutes sees both.
const TRACKER: &str = "[announce]\ninterval_secs = 24\nmin_interval_secs = 6\n";
/// Small enough that every node has it within a second, like most things that are shared.
const CONTENT_BYTES: u64 = 8 << 20;
const SAMPLE: Duration = Duration::from_secs(1);

/// Runs the show with real processes on loopback.
///
/// # Panics
/// When a process does not do its part.
pub fn run(plan: Plan) -> Record {
    let scene = Scene::new();
    let content = scene.path("content").join("shared.bin");
    write_file(&content, CONTENT_BYTES, 1).expect("the scratch folder is writable");
    let (mut tracker, announce) = start_tracker(&scene);
    let torrent = path_text(&scene.create(&content, "hybrid", &["--tracker", &announce]));
    let data = path_text(content.parent().expect("content lies in a folder"));
    let mut seed = scene.seed("node 0", &[&torrent, "--data", &data]);
    let first_address = seed.addresses.first().cloned().expect("a seed has an address");
    let bare_link = {
        let shown = scene.run(&["show", &torrent, "--json"]).json();
        format!("magnet:?xt=urn:btih:{}&x.lp={first_address}", text(&shown, "infohash_v1"))
    };
    let mut watched = Watched::new(watch::metrics_address(&announce));
    let mut nodes: Vec<Samara> = Vec::new();
    let mut newcomer: Option<Samara> = None;
    let mut record = Record::default();
    let began = Instant::now();
    let mut is_tracker_up = true;
    loop {
        let at = began.elapsed();
        if at >= plan.end {
            return record;
        }
        if nodes.len() < plan.nodes && at >= plan.gap * (nodes.len() as u32 + 1) {
            let name = format!("node {}", nodes.len() + 1);
            nodes.push(stay(&scene, &name, &torrent));
        }
        if is_tracker_up && at >= plan.tracker_ends {
            tracker.kill();
            is_tracker_up = false;
        }
        if newcomer.is_none() && at >= plan.newcomer {
            newcomer = Some(stay(&scene, "newcomer", &bare_link));
        }
        let everybody = std::iter::once(&mut seed.process).chain(&mut nodes).chain(&mut newcomer);
        record.samples.push(watched.look(at, everybody, is_tracker_up));
        if let Some(newcomer) = &mut newcomer {
            let complete = newcomer.events().iter().find(|event| event["event"] == "complete");
            record.newcomer_secs = complete.and_then(|event| event["seconds"].as_f64());
        }
        std::thread::sleep(SAMPLE.saturating_sub(began.elapsed().saturating_sub(at)));
    }
}

fn stay(scene: &Scene, name: &str, source: &str) -> Samara {
    let out = path_text(&scene.path(&format!("copy of {name}")));
    scene.start(name, &["get", source, "-o", &out, "--seed"])
}

fn start_tracker(scene: &Scene) -> (Samara, String) {
    let config: PathBuf = scene.path("tracker.toml");
    std::fs::write(&config, TRACKER).expect("the scratch folder is writable");
    let args = ["tracker", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--config", &path_text(&config)];
    let mut tracker = scene.start("tracker", &args);
    let is_http = |event: &serde_json::Value| event["event"] == "listening" && event["protocol"] == "http";
    let listening = tracker.wait_until("its HTTP address", PROMPT, is_http);
    let address = text(&listening, "address");
    (tracker, format!("http://{address}/announce"))
}
