//! Watches a swarm of real processes grow up and lose its tracker, and draws the README's picture of it.
//!
//! `cargo run --release -p samara-tests --bin transition`; takes two minutes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use samara_tests::process::binary::repository;
use samara_tests::transition::{Plan, picture, run, watch};

/// Watches a swarm of real processes grow up and lose its tracker, and draws the picture in the README
#[derive(Parser)]
struct Args {
    /// Where to draw [default: tests/figures/transition.svg]
    #[arg(short, long, value_name = "SVG")]
    output: Option<PathBuf>,
    /// Nodes besides the first seed and the newcomer
    #[arg(long, default_value_t = Plan::default().nodes)]
    nodes: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let output = args.output.unwrap_or_else(|| repository().join("tests/figures/transition.svg"));
    let plan = Plan { nodes: args.nodes, ..Plan::default() };
    let record = run(plan);
    println!("{}", watch::summary(&record.samples));
    if let Err(error) = picture::draw(&record, plan, &output) {
        eprintln!("error: cannot draw {}: {error}", output.display());
        return ExitCode::FAILURE;
    }
    match record.newcomer_secs {
        Some(secs) => {
            println!("the newcomer had everything {secs:.2} s after it came, without the tracker");
            println!("drawn: {}", output.display());
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("error: the newcomer did not complete");
            ExitCode::FAILURE
        }
    }
}
