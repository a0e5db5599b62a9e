//! Tries drills: `cargo run --release -p samara-tests --bin drill -- NAME... | --all [--times K] [--json]`.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Parser};
use samara_tests::drill::{ALL, Drill, Needs, Options, Report, Scale};
use samara_tests::{interrupt, netns, patience};
use serde_json::json;

/// Try what a swarm of real processes must survive
#[derive(Parser)]
#[command(name = "drill", max_term_width = 100, group = ArgGroup::new("what").required(true).args(["names", "all", "list"]))]
struct Cli {
    /// Drills to try, by name
    #[arg(value_name = "NAME", value_parser = known)]
    names: Vec<&'static Drill>,
    /// Try every drill
    #[arg(long)]
    all: bool,
    /// Say which drills there are
    #[arg(long)]
    list: bool,
    /// Try each so many times
    #[arg(long, value_name = "K", default_value_t = 1)]
    times: u32,
    /// Print one JSON object for each try on standard output, and one for the sum
    #[arg(long)]
    json: bool,
    /// Makes the random choices of the first try; each further try counts up [default: the clock's]
    #[arg(long, value_name = "N")]
    rng_seed: Option<u64>,
    /// Little content, as for an unoptimized build
    #[arg(long)]
    small: bool,
}

fn known(name: &str) -> Result<&'static Drill, String> {
    Drill::named(name).ok_or_else(|| "there is no such drill; --list says which there are".to_owned())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.list {
        for drill in ALL {
            println!("{:<24} {}", drill.name, drill.claim);
        }
        return ExitCode::SUCCESS;
    }
    interrupt::clean_up_on_interrupt();
    let drills: Vec<&Drill> = if cli.all { ALL.iter().collect() } else { cli.names.clone() };
    let scale = if cli.small { Scale::Small } else { Scale::Full };
    let first_seed = cli
        .rng_seed
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs()));
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    if !cli.json {
        println!("{:<24} {:>5} {:>12} {:>8}  result", "drill", "try", "rng seed", "seconds");
    }
    'tries: for number in 0..cli.times {
        for drill in &drills {
            if patience::is_interrupted() {
                break 'tries;
            }
            if drill.needs == Needs::Namespaces && !netns::available(drill.name) {
                skipped += 1;
                continue;
            }
            let rng_seed = first_seed + u64::from(number);
            let report = drill.try_once(Options { scale, rng_seed });
            match report.result {
                Ok(_) => passed += 1,
                Err(_) => failed += 1,
            }
            tell(&cli, drill, number + 1, rng_seed, &report);
        }
    }
    match cli.json {
        true => println!("{}", json!({ "passed": passed, "failed": failed, "skipped": skipped })),
        false if skipped > 0 => println!("{passed} passed, {failed} failed, {skipped} skipped"),
        false => println!("{passed} passed, {failed} failed"),
    }
    if patience::is_interrupted() {
        return ExitCode::from(130);
    }
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(cli: &Cli, drill: &Drill, number: u32, rng_seed: u64, report: &Report) {
    let Report { seconds, result } = report;
    if cli.json {
        let (remark, error) = (result.as_ref().ok(), result.as_ref().err());
        println!(
            "{}",
            json!({ "drill": drill.name, "claim": drill.claim, "try": number, "rng_seed": rng_seed,
                    "seconds": seconds, "passed": result.is_ok(), "remark": remark, "error": error })
        );
        return;
    }
    let name = drill.name;
    match result {
        Ok(remark) => println!("{name:<24} {number:>5} {rng_seed:>12} {seconds:>8.1}  passed: {remark}"),
        Err(why) => {
            println!("{name:<24} {number:>5} {rng_seed:>12} {seconds:>8.1}  FAILED");
            println!("{name} claims: {}\n{why}", drill.claim);
            println!("again: drill {name} --rng-seed {rng_seed}{}", if cli.small { " --small" } else { "" });
        }
    }
}
