//! Measures swarms of real processes on shaped links: `cargo run --release -p samara-tests --bin star -- --help`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use samara_tests::star::outcome::{Figures, Outcome};
use samara_tests::star::plan::{Classes, MOST_LEECHES, Plan, Transport, Twist};
use samara_tests::star::rate::Rate;
use samara_tests::star::run::{Content, try_once};
use samara_tests::star::system::System;
use samara_tests::star::{check, corrupter, scratch, summary};
use samara_tests::{interrupt, netns, patience};
use serde_json::json;

/// Measure one seed and many leeches, real processes on links of given rates
///
/// Hosts are network namespaces around a hub, with no way out; both ends of every link are limited by tc. T is
/// from the start of the first leech to the completion of the last, T_min = max{F/u_s, F/d_min,
/// N·F/(u_s+Σu_i)}, η = T_min / T. `seed/F` is content the seed sent, `wire/F` all that its link carried from
/// it; `dup/F`, `ctrl/F` and `lost/F` are, for each leech, content received again, bytes received that are
/// neither content nor headers, and bytes that were sent but found no room before the receiver's link.
///
/// Needs root and iproute2; libtorrent needs its Python package, http needs nginx and curl.
#[derive(Parser)]
#[command(name = "star", max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct Options {
    /// How many fetch
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=MOST_LEECHES as u64))]
    leeches: u64,
    /// Mebibytes of content; everybody keeps a copy
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    size: u64,
    /// Mbit/s that a leech can send
    #[arg(long, value_name = "R", default_value = "50")]
    up: Rate,
    /// Mbit/s that a leech, and the seed, can receive [default: as --up]
    #[arg(long, value_name = "R")]
    down: Option<Rate>,
    /// Mbit/s that the seed can send [default: as --up]
    #[arg(long, value_name = "R")]
    seed_up: Option<Rate>,
    /// Classes of links by weight, dealt to the leeches in turns: the heaviest has --up and --down, the others
    /// their share of both
    #[arg(long, value_name = "W:W:W", default_value = "1")]
    classes: Classes,
    /// Kill the seed once it has sent so many copies
    #[arg(long, value_name = "COPIES", conflicts_with = "corrupter")]
    seed_leaves: Option<f64>,
    /// Add a peer that corrupts every block it gives, to samara's swarm on a v2 torrent
    #[arg(long)]
    corrupter: bool,
    /// Measure these too, on the same links
    #[arg(long, value_enum, value_name = "SYSTEM", value_delimiter = ',')]
    versus: Vec<System>,
    /// Measure these instead of samara
    #[arg(long, value_enum, value_name = "SYSTEM", value_delimiter = ',', conflicts_with = "versus")]
    only: Vec<System>,
    /// Run each so many times, in turns, and give the medians too
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Print one JSON object for each run on standard output, and one for the medians
    #[arg(long)]
    json: bool,
    /// What samara's processes may speak
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    transport: Transport,
    /// How samara's processes find each other, as samara's --discovery [default: by everything]
    #[arg(long, value_name = "LIST")]
    discovery: Option<String>,
    /// Folder for scratch files [default: in memory if there is room, else the one for temporary files]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Keep what the processes say, and what they log by SAMARA_LOG, in this folder; later runs overwrite it
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Measure what plain TCP gets of these links, and nothing else
    #[arg(long)]
    check_links: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Be the corrupting peer of a run
    #[command(name = corrupter::COMMAND, hide = true)]
    Corrupter { torrent: PathBuf, content: PathBuf, address: IpAddr },
}

impl Options {
    fn plan(&self) -> Plan {
        let twist = match self.seed_leaves {
            Some(copies) => Twist::SeedLeaves { copies },
            None if self.corrupter => Twist::Corrupter,
            None => Twist::Calm,
        };
        Plan {
            leeches: self.leeches as usize,
            bytes: self.size << 20,
            seed_up: self.seed_up.unwrap_or(self.up),
            up: self.up,
            down: self.down.unwrap_or(self.up),
            classes: self.classes.clone(),
            twist,
            transport: self.transport,
            discovery: self.discovery.clone(),
            logs: self.logs.clone(),
            format: if self.corrupter { "v2" } else { "hybrid" },
        }
    }

    fn systems(&self) -> Vec<System> {
        let mut systems = if self.only.is_empty() { vec![System::Samara] } else { self.only.clone() };
        systems.extend(&self.versus);
        systems.sort_unstable();
        systems.dedup();
        systems
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Corrupter { torrent, content, address }) = cli.command {
        corrupter::serve(&torrent, &content, address);
        return ExitCode::SUCCESS;
    }
    let options = cli.options;
    if !netns::available("star") {
        return ExitCode::FAILURE;
    }
    let plan = options.plan();
    let systems = options.systems();
    if let Some(why) = why_not(&systems, &plan) {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    interrupt::clean_up_on_interrupt();
    if options.check_links {
        for share in check::links(&plan) {
            println!("{}: {:.3} to {:.3} of the rate", share.what, share.slowest, share.fastest);
        }
        return ExitCode::SUCCESS;
    }
    let scratch = options.scratch.clone().unwrap_or_else(|| scratch::folder(&plan));
    let all_well = Measurement::new(&options, &plan, &scratch, systems).run();
    if patience::is_interrupted() {
        return ExitCode::from(130);
    }
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What keeps `systems` from being measured here.
fn why_not(systems: &[System], plan: &Plan) -> Option<String> {
    for system in systems {
        if plan.twist == Twist::Corrupter && !system.can_be_corrupted() {
            return Some(format!("{system} cannot be given a corrupter: it speaks samara's wire"));
        }
        if let Err(missing) = system.look() {
            return Some(format!("{system} cannot be measured: {missing}"));
        }
    }
    None
}

/// Every system in turns.
struct Measurement<'a> {
    options: &'a Options,
    plan: &'a Plan,
    scratch: &'a Path,
    content: Content,
    found: Vec<(System, Vec<Figures>)>,
    all_well: bool,
}

impl<'a> Measurement<'a> {
    fn new(options: &'a Options, plan: &'a Plan, scratch: &'a Path, systems: Vec<System>) -> Self {
        let content = Content::make(plan, scratch);
        let found = systems.into_iter().map(|system| (system, Vec::new())).collect();
        Self { options, plan, scratch, content, found, all_well: true }
    }

    /// Whether everybody got everything every time.
    fn run(mut self) -> bool {
        self.say(summary::head);
        for run in 1..=self.options.runs {
            for at in 0..self.found.len() {
                if patience::is_interrupted() {
                    return false;
                }
                let system = self.found[at].0;
                match try_once(system, self.plan, &self.content, self.scratch) {
                    Ok(outcome) => self.take(at, run, &outcome),
                    Err(_) if patience::is_interrupted() => return false,
                    Err(why) => self.fail(system, run, &why),
                }
            }
        }
        self.conclude();
        self.all_well
    }

    fn take(&mut self, at: usize, run: u32, outcome: &Outcome) {
        let (system, figures) = (self.found[at].0, outcome.figures(self.plan));
        self.tell(system, json!(run), &run.to_string(), &figures);
        if let Some(corruption) = &outcome.corruption {
            self.say(|| summary::corruption(corruption));
            if !corruption.is_punished() {
                self.fail(
                    system,
                    run,
                    "the corrupter is not banned by everybody it gave a bad block, for the first",
                );
            }
        }
        self.found[at].1.push(figures);
    }

    fn fail(&mut self, system: System, run: u32, why: &str) {
        self.all_well = false;
        match self.options.json {
            true => {
                println!(
                    "{}",
                    json!({ "system": system.name(), "run": run, "complete": false, "error": why })
                );
            }
            false => println!("{system:<12} {run:>6} FAILED: {why}"),
        }
    }

    fn conclude(&self) {
        let medians: Vec<(System, Figures)> =
            self.found.iter().filter_map(|(system, runs)| Some((*system, summary::medians(runs)?))).collect();
        if self.options.runs > 1 {
            for (system, figures) in &medians {
                self.tell(*system, json!("median"), "median", figures);
            }
        }
        if let Some(((System::Samara, samara), others)) = medians.split_first() {
            for (system, figures) in others {
                self.say(|| summary::comparison(samara, *system, figures));
            }
        }
    }

    fn tell(&self, system: System, run: serde_json::Value, label: &str, figures: &Figures) {
        match self.options.json {
            true => println!("{}", summary::object(system, run, self.plan, figures)),
            false => println!("{}", summary::row(system, label, self.plan, figures)),
        }
    }

    /// For people alone.
    fn say(&self, text: impl Fn() -> String) {
        if !self.options.json {
            println!("{}", text());
        }
    }
}
