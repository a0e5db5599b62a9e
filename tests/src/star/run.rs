//! One system on the star, once: from a fresh hub to what came of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;

use super::bound::Link;
use super::corrupter;
use super::hub::{HUB_ADDRESS, Host, Hub};
use super::outcome::{Content as Figures, Outcome};
use super::plan::{Plan, Twist};
use super::system::{Leech, System};
use super::traffic::Traffic;
use super::watch::{self, Lost, SeedWatch};
use crate::content::{difference, write_file};
use crate::patience;
use crate::process::Samara;
use crate::process::place::Place;
use crate::scene::{PROMPT, Scene, path_text};

/// What is brought from one to many; the same for all runs.
pub struct Content {
    /// The original.
    pub path: PathBuf,
    /// Holds it.
    _scene: Scene,
}

/// What a system finds when it starts.
pub(super) struct Field<'a> {
    pub plan: &'a Plan,
    pub content: &'a Content,
    /// Folders for this run alone.
    pub scene: Scene,
    /// The `.torrent`, which names the tracker.
    pub torrent: PathBuf,
    /// The address of the seed's host.
    pub seed_address: String,
    /// Where the corrupter can be dialled, if there is one.
    pub corrupter: Option<String>,
}

impl Content {
    /// Makes it up in a folder of its own below `scratch`.
    ///
    /// # Panics
    /// When `scratch` cannot be written.
    pub fn make(plan: &Plan, scratch: &Path) -> Self {
        let scene = Scene::under(scratch, Place::loopback());
        let path = scene.path("content").join("star.bin");
        write_file(&path, plan.bytes, plan.bytes).expect("the scratch folder is writable");
        Self { path, _scene: scene }
    }

    /// The name of the file.
    pub fn file_name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).expect("it was named here")
    }
}

/// Tries `system` once. Nothing of it is left when this returns, whatever happened.
///
/// # Errors
/// Why somebody did not get what the seed has.
pub fn try_once(system: System, plan: &Plan, content: &Content, scratch: &Path) -> Result<Outcome, String> {
    let run = || {
        patience::limit_this_thread(watch::limit(plan) + 4 * PROMPT);
        catch_unwind(AssertUnwindSafe(|| run(system, plan, content, scratch)))
    };
    // A thread of its own, for its limit and for what it says when it fails.
    let caught = std::thread::scope(|scope| scope.spawn(run).join()).and_then(|caught| caught);
    caught.map_err(|panic| crate::drill::message(panic.as_ref()))
}

fn run(system: System, plan: &Plan, content: &Content, scratch: &Path) -> Outcome {
    let mut hub = Hub::new();
    let scene = Scene::under(scratch, hub.place());
    let tracker = scene.tracker_in(&hub.place(), HUB_ADDRESS, &[]);
    let seed_host = hub.host("seed", Link { up: plan.seed_up, down: plan.down });
    let hosts: Vec<Host> =
        (0..plan.leeches).map(|number| hub.host(&format!("leech{number}"), plan.link(number))).collect();
    let torrent = scene.create(&content.path, plan.format, &["--tracker", &tracker.http]);
    let seed_address = seed_host.address.clone();
    let mut field = Field { plan, content, scene, torrent, seed_address, corrupter: None };
    let corrupter_host = (plan.twist == Twist::Corrupter)
        .then(|| hub.host(corrupter::COMMAND, Link { up: plan.up, down: plan.down }));
    let mut corrupter = corrupter_host.as_ref().map(|host| corrupter::start(&field, host));
    field.corrupter = corrupter.as_ref().map(|(_, address)| address.clone());

    let mut seed = system.start_seed(&field, &seed_host);
    if system.asks_a_tracker() {
        wait_for_seed(&field, &hub);
    }
    let before = Links::read(&seed_host, &hosts);
    let began = Instant::now();
    let mut leeches: Vec<Leech> =
        hosts.iter().enumerate().map(|(number, host)| system.start_leech(&field, host, number)).collect();
    let mut seed_watch = SeedWatch::new(plan, &mut seed, &seed_host, &before.seed);
    let arrivals = watch::until_complete(plan, &mut leeches, began, &mut seed_watch);
    let after = Links::read(&seed_host, &hosts);
    if let Some(logs) = &plan.logs {
        let processes = leeches.iter_mut().map(|leech| &mut leech.process).chain([&mut seed]);
        keep_logs(&logs.join(system.name()), processes);
    }
    let arrivals = match arrivals {
        Ok(arrivals) => arrivals,
        Err(Lost { leech, why }) => leeches[leech].process.fail(&why),
    };

    let figures = Figures {
        seed: last_figures(&mut seed),
        leeches: leeches.iter_mut().map(|leech| last_figures(&mut leech.process)).collect(),
    };
    for leech in &mut leeches {
        compare(content, leech);
    }
    let corruption = corrupter.as_mut().map(|(process, _)| corrupter::judge(process, &leeches));
    let leech_traffic =
        after.leeches.iter().zip(&before.leeches).map(|(after, before)| after.since(before)).collect();
    Outcome {
        system,
        arrivals,
        corruption,
        seed_traffic: after.seed.since(&before.seed),
        leech_traffic,
        content: figures,
    }
}

/// Waits until the tracker can tell of the seed.
fn wait_for_seed(field: &Field, hub: &Hub) {
    patience::wait_for("the tracker knows the seed", PROMPT, || {
        let args = ["show", &path_text(&field.torrent), "--scrape"];
        let mut scrape = field.scene.start_at(&hub.place(), "scrape", &args);
        scrape.wait_exit(PROMPT);
        let seeds = scrape.events().first().and_then(|shown| shown["swarm"][0]["seeds"].as_u64());
        seeds.filter(|seeds| *seeds > 0)
    });
}

/// What all links have carried.
struct Links {
    seed: Traffic,
    leeches: Vec<Traffic>,
}

impl Links {
    fn read(seed: &Host, leeches: &[Host]) -> Self {
        Self { seed: seed.traffic(), leeches: leeches.iter().map(Host::traffic).collect() }
    }
}

/// What a process says it has sent and received of content, after the end; nothing if it cannot.
fn last_figures(process: &mut Samara) -> Option<Exchanged> {
    let is_progress = |event: &Value| event["event"] == "progress";
    process.events();
    if process.is_running() && process.events().iter().any(is_progress) {
        process.wait_until("figures", PROMPT, is_progress);
    }
    let last = process.events().iter().rev().find(|event| is_progress(event))?;
    Some(Exchanged { sent: last["bytes_sent"].as_u64()?, received: last["bytes_received"].as_u64()? })
}

fn keep_logs<'a>(folder: &Path, processes: impl Iterator<Item = &'a mut Samara>) {
    std::fs::create_dir_all(folder).expect("the folder for logs is writable");
    for process in processes {
        let events: String = process.events().iter().map(|event| format!("{event}\n")).collect();
        for (kind, text) in [("events", events), ("log", process.standard_error())] {
            let path = folder.join(format!("{}.{kind}", process.name()));
            std::fs::write(path, text).expect("the folder for logs is writable");
        }
    }
}

/// Content bytes that a process sent and received, whatever became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
}

fn compare(content: &Content, leech: &mut Leech) {
    match difference(&content.path, &leech.file) {
        Ok(None) => {}
        Ok(Some(difference)) => leech.process.fail(&difference),
        Err(error) => leech.process.fail(&format!("{}: {error}", path_text(&leech.file))),
    }
}
