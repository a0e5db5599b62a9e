//! Runs swarms in virtual time: `cargo run --release -p samara-tests --bin sim -- --scenario NAME | --list`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args, Parser};
use samara_tests::sim::plan::Params;
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

/// What may be chosen in place of the scenario's own.
#[derive(Args)]
struct Choices {
    /// Leeches
    #[arg(long, value_name = "N")]
    leeches: Option<u32>,
    /// Pieces of the content
    #[arg(long, value_name = "N")]
    pieces: Option<u32>,
    /// Bytes of a piece, a multiple of 16384
    #[arg(long, value_name = "BYTES", value_parser = piece_length)]
    piece_length: Option<u32>,
    /// The seed's uplink in Mbit/s
    #[arg(long, value_name = "R", value_parser = rate)]
    seed_up: Option<f64>,
    /// A leech's uplink in Mbit/s
    #[arg(long, value_name = "R", value_parser = rate)]
    up: Option<f64>,
    /// A leech's downlink in Mbit/s
    #[arg(long, value_name = "R", value_parser = rate)]
    down: Option<f64>,
    /// One way between two hosts, in milliseconds
    #[arg(long, value_name = "MS")]
    latency: Option<f64>,
    /// What chance adds to it at most, in milliseconds
    #[arg(long, value_name = "MS")]
    jitter: Option<f64>,
    /// What lower layers add to every thousand bytes; TCP in Ethernet frames adds 46
    #[arg(long, value_name = "BYTES")]
    overhead: Option<u32>,
    /// Bytes of the kernel's send buffer, below everything that can still be decided
    #[arg(long, value_name = "BYTES")]
    socket_buffer: Option<u32>,
    /// Bytes under way on one link, if the path does not need more
    #[arg(long, value_name = "BYTES")]
    window: Option<u32>,
    /// A v2 torrent: single blocks are judged by their leaf hashes
    #[arg(long, overrides_with = "v1")]
    v2: bool,
    /// A v1 torrent: only whole pieces are judged
    #[arg(long)]
    v1: bool,
    /// Names the first run; each further one counts up
    #[arg(long, value_name = "S", default_value_t = 1)]
    rng_seed: u64,
}

impl Choices {
    fn params(&self, scenario: &Scenario) -> Params {
        let own = (scenario.defaults)();
        let millis =
            |value: Option<f64>, own| value.map_or(own, |value| Duration::from_secs_f64(value / 1e3));
        Params {
            leeches: self.leeches.unwrap_or(own.leeches),
            pieces: self.pieces.unwrap_or(own.pieces),
            piece_length: self.piece_length.unwrap_or(own.piece_length),
            seed_up: self.seed_up.unwrap_or(own.seed_up),
            up: self.up.unwrap_or(own.up),
            down: self.down.unwrap_or(own.down),
            latency: millis(self.latency, own.latency),
            jitter: millis(self.jitter, own.jitter),
            overhead: self.overhead.unwrap_or(own.overhead),
            socket_bytes: self.socket_buffer.unwrap_or(own.socket_bytes),
            window_bytes: self.window.unwrap_or(own.window_bytes),
            v2: (own.v2 || self.v2) && !self.v1,
            rng_seed: self.rng_seed,
        }
    }
}

fn known(name: &str) -> Result<&'static Scenario, String> {
    Scenario::named(name).ok_or_else(|| "there is no such scenario; --list says which there are".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a rate is a number of Mbit/s".to_owned())?;
    if rate >= 0.001 && rate <= 1e6 {
        Ok(rate)
    } else {
        Err("rates lie between 0.001 and 1000000".to_owned())
    }
}

fn piece_length(text: &str) -> Result<u32, String> {
    let wrong = || "a piece length is a multiple of 16384 bytes, up to 16 MiB".to_owned();
    let length: u32 = text.parse().map_err(|_| wrong())?;
    let fits = length > 0 && length.is_multiple_of(16_384) && length <= 16 << 20;
    if fits { Ok(length) } else { Err(wrong()) }
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
            eprintln!("{violation}\nagain: {}", scenario.replay(&params));
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
