//! Measures swarms of real processes on shaped links: `cargo run --release -p samara-tests --bin star -- --help`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use samara_tests::star::outcome::Figures;
use samara_tests::star::plan::{Classes, MOST_LEECHES, Plan, Transport, Twist};
use samara_tests::star::rate::Rate;
use samara_tests::star::run::{Content, try_once};
use samara_tests::star::summary;
use samara_tests::star::system::System;
use samara_tests::{interrupt, netns, patience};
use serde_json::json;

/// Measure one seed and many leeches, real processes on links of given rates
///
/// Hosts are network namespaces around a hub, with no way out; both ends of every link are limited by `tc`.
/// Needs root and iproute2.
#[derive(Parser)]
#[command(name = "star", max_term_width = 100)]
struct Cli {
    /// How many fetch
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=MOST_LEECHES as i64))]
    leeches: u8,
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
    /// Run each so many times, in turns, and give the medians too
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Print one JSON object for each run on standard output, and one for the medians
    #[arg(long)]
    json: bool,
    /// How samara's processes find each other, as samara --discovery [default: by everything]
    #[arg(long, value_name = "LIST")]
    discovery: Option<String>,
    /// Folder for scratch files [default: memory if it has room, else the one for temporary files]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

impl Cli {
    fn plan(&self) -> Plan {
        Plan {
            leeches: usize::from(self.leeches),
            bytes: self.size << 20,
            seed_up: self.seed_up.unwrap_or(self.up),
            up: self.up,
            down: self.down.unwrap_or(self.up),
            classes: "1".parse::<Classes>().expect("it is a class"),
            twist: Twist::Calm,
            transport: Transport::Tcp,
            discovery: self.discovery.clone(),
            format: "hybrid",
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if !netns::available("star") {
        return ExitCode::FAILURE;
    }
    interrupt::clean_up_on_interrupt();
    let plan = cli.plan();
    let scratch = cli.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let content = Content::make(&plan, &scratch);
    if !cli.json {
        println!("{}", summary::head());
    }
    let measured = measure(&cli, &plan, &content, &scratch);
    if patience::is_interrupted() {
        return ExitCode::from(130);
    }
    if measured { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every system in turns; whether all of them arrived every time.
fn measure(cli: &Cli, plan: &Plan, content: &Content, scratch: &Path) -> bool {
    let systems = [System::Samara];
    let mut figures: Vec<Vec<Figures>> = systems.iter().map(|_| Vec::new()).collect();
    for run in 1..=cli.runs {
        for (system, figures) in systems.iter().zip(&mut figures) {
            if patience::is_interrupted() {
                return false;
            }
            match try_once(*system, plan, content, scratch) {
                Ok(outcome) => {
                    let found = outcome.figures(plan);
                    match cli.json {
                        true => println!("{}", summary::object(*system, json!(run), plan, &found)),
                        false => println!("{}", summary::row(*system, &run.to_string(), plan, &found)),
                    }
                    figures.push(found);
                }
                Err(why) if cli.json => {
                    println!(
                        "{}",
                        json!({ "system": system.name(), "run": run, "complete": false, "error": why })
                    );
                }
                Err(why) => println!("{system:<12} {run:>6} FAILED: {why}"),
            }
        }
    }
    if cli.runs > 1 {
        for (system, figures) in systems.iter().zip(&figures) {
            let Some(medians) = summary::medians(figures) else { continue };
            match cli.json {
                true => println!("{}", summary::object(*system, json!("median"), plan, &medians)),
                false => println!("{}", summary::row(*system, "median", plan, &medians)),
            }
        }
    }
    figures.iter().all(|figures| figures.len() == cli.runs as usize)
}
