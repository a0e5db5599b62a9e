//! Runs swarms in virtual time: `cargo run --release -p samara-tests --bin sim -- --scenario NAME | --list`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Parser};
use samara_tests::sim::choices::{Choices, known, replay, runs_in};
use samara_tests::sim::compare::table;
use samara_tests::sim::plan::Params;
use samara_tests::sim::report::Report;
use samara_tests::sim::scenario::{ALL, Scenario};
use samara_tests::sim::{REGRESSIONS, matrix, pace, peek};
use serde_json::json;

/// Worlds are many small things, and this is faster with them than the system's.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Run swarms of production engines in virtual time
#[derive(Parser)]
#[command(name = "sim", max_term_width = 100, group = ArgGroup::new("what").required(true).args(["list", "scenario", "matrix", "regressions", "compare"]))]
struct Cli {
    /// Say which scenarios there are
    #[arg(long)]
    list: bool,
    /// The scenario to run
    #[arg(long, value_name = "NAME", value_parser = known)]
    scenario: Option<&'static Scenario>,
    /// Measure everything that has a target, and print the table; fails if a target is missed
    #[arg(long)]
    matrix: bool,
    /// Run again whatever once broke a claim
    #[arg(long)]
    regressions: bool,
    /// Compare two files of what --json printed
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
    compare: Option<Vec<PathBuf>>,
    #[command(flatten)]
    choices: Choices,
    /// Run it so many times, each with the next seed [default: 1, or 5 for the matrix]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    runs: Option<u64>,
    /// Say what those who are not done are doing so many seconds after the beginning, instead of running on
    #[arg(long, value_name = "SECONDS", requires = "scenario")]
    peek: Option<f64>,
    /// Print every so many seconds how the run goes, instead of what it came to
    #[arg(long, value_name = "SECONDS", requires = "scenario", conflicts_with = "peek")]
    pace: Option<f64>,
    /// Print one JSON object for each run, or each row of the matrix
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse(), &mut io::stdout().lock()) {
        Ok(code) => code,
        // Whoever read it has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot print: {error}")),
    }
}

fn run(cli: &Cli, out: &mut impl Write) -> io::Result<ExitCode> {
    if cli.list {
        for scenario in ALL {
            writeln!(out, "{:<18} {}", scenario.name, scenario.about)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(files) = &cli.compare {
        return compare(out, &files[0], &files[1]);
    }
    if cli.matrix {
        return measure(out, cli.runs.unwrap_or(5), cli.json);
    }
    let runs: Vec<(&Scenario, Params)> = match cli.scenario {
        Some(scenario) => {
            let first = cli.choices.params(scenario);
            let nth = |number| Params { rng_seed: first.rng_seed + number, ..first.clone() };
            (0..cli.runs.unwrap_or(1)).map(|number| (scenario, nth(number))).collect()
        }
        None => match runs_in(REGRESSIONS) {
            Ok(runs) => runs,
            Err(what) => return Ok(fail(&what)),
        },
    };
    if let Some(seconds) = cli.peek {
        let at = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        for (scenario, params) in runs {
            write!(out, "{}", peek::at(&(scenario.plan)(&params), at))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(seconds) = cli.pace {
        let step = Duration::try_from_secs_f64(seconds).unwrap_or_default().max(Duration::from_millis(1));
        for (scenario, params) in runs {
            write!(out, "{}", pace::of(&(scenario.plan)(&params), step))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut is_good = true;
    for (scenario, params) in runs {
        let since = Instant::now();
        let report = scenario.run(&params);
        is_good &= report.is_good();
        tell(out, cli.json, &report, since.elapsed())?;
        if let Some(violation) = &report.violation {
            eprintln!("{violation}\nagain: {}", replay(scenario, &params));
        }
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(out: &mut impl Write, old: &Path, new: &Path) -> io::Result<ExitCode> {
    let read = |file: &Path| {
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
    };
    match read(old).and_then(|old| table(&old, &read(new)?)) {
        Ok(table) => {
            write!(out, "{table}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(what) => Ok(fail(&what)),
    }
}

fn measure(out: &mut impl Write, runs: u64, json: bool) -> io::Result<ExitCode> {
    let rows = matrix::run(runs, &|scenario, params| {
        eprintln!("{} with {} leeches, seed {}", scenario.name, params.leeches, params.rng_seed);
    });
    if json {
        for row in &rows {
            let row = json!({ "what": row.what, "target": row.target, "measured": row.measured, "met": row.is_met });
            writeln!(out, "{row}")?;
        }
    } else {
        write!(out, "{}", matrix::markdown(&rows))?;
    }
    Ok(if rows.iter().all(|row| row.is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fail(what: &str) -> ExitCode {
    eprintln!("{what}");
    ExitCode::FAILURE
}

fn tell(out: &mut impl Write, json: bool, report: &Report, took: Duration) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", report.json());
    }
    writeln!(
        out,
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
    )?;
    for class in &report.classes {
        writeln!(
            out,
            "  {:<12} {:>5}: mean {:.2} s, last {:.2} s, bound {:.2} s, gave {:.3} F",
            class.class,
            class.count,
            class.mean_seconds,
            class.last_seconds,
            class.bound_seconds,
            class.given_ratio
        )?;
    }
    for (what, value) in &report.extra {
        writeln!(out, "  {what}: {value:.4}")?;
    }
    Ok(())
}
