//! Runs swarms in virtual time: `cargo run --release -p samara-tests --bin sim -- --scenario NAME | --list`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Parser};
use samara_tests::sim::choices::{Choices, known, replay};
use samara_tests::sim::report::Report;
use samara_tests::sim::scenario::{ALL, Scenario};

/// Run swarms of production engines in virtual time
#[derive(Parser)]
#[command(name = "sim", max_term_width = 100, group = ArgGroup::new("what").required(true).args(["list", "scenario"]))]
struct Cli {
    /// Say which scenarios there are
    #[arg(long)]
    list: bool,
    /// The scenario to run
    #[arg(long, value_name = "NAME", value_parser = known)]
    scenario: Option<&'static Scenario>,
    #[command(flatten)]
    choices: Choices,
    /// Run it so many times, each with the next seed
    #[arg(long, value_name = "K", default_value_t = 1)]
    runs: u64,
    /// Print one JSON object for each run
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.list {
        for scenario in ALL {
            println!("{:<18} {}", scenario.name, scenario.about);
        }
        return ExitCode::SUCCESS;
    }
    let Some(scenario) = cli.scenario else { return ExitCode::FAILURE };
    let mut params = cli.choices.params(scenario);
    let mut is_good = true;
    for number in 0..cli.runs {
        params.rng_seed = cli.choices.rng_seed + number;
        let since = Instant::now();
        let report = scenario.run(&params);
        is_good &= report.is_good();
        tell(&cli, &report, since.elapsed());
        if let Some(violation) = &report.violation {
            eprintln!("{violation}\nagain: {}", replay(scenario, &params));
        }
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(cli: &Cli, report: &Report, took: Duration) {
    if cli.json {
        println!("{}", report.json());
        return;
    }
    println!(
        "{} with {} leeches, seed {}: {:.2} s of at least {:.2} s, efficiency {:.3}; the seed gave {:.3} F, \
         duplicates {:.4} F, control {:.4} F; trace {:016x}; ran for {:.1} s, {:.1} million facts",
        report.scenario,
        report.leeches,
        report.rng_seed,
        report.seconds,
        report.bound_seconds,
        report.efficiency(),
        report.seed_bytes_ratio,
        report.duplicate_ratio,
        report.control_ratio,
        report.trace_hash,
        took.as_secs_f64(),
        report.facts as f64 / 1e6,
    );
    for class in &report.classes {
        println!(
            "  {:<12} {:>5}: mean {:.2} s, last {:.2} s, bound {:.2} s, gave {:.3} F",
            class.class,
            class.count,
            class.mean_seconds,
            class.last_seconds,
            class.bound_seconds,
            class.given_ratio
        );
    }
    for (what, value) in &report.extra {
        println!("  {what}: {value:.4}");
    }
}
