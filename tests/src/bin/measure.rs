//! Measures discovery on real processes: `cargo run --release -p samara-tests --bin measure -- WHAT [--json]`.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use samara_tests::measure::{Figure, control, first_byte, tracker_load};
use samara_tests::netns;

/// Measure what discovery costs and how fast it is, with real processes
#[derive(Parser)]
#[command(name = "measure", max_term_width = 100)]
struct Cli {
    /// What to measure
    #[arg(value_enum, required = true)]
    what: Vec<What>,
    /// Content of the control traffic's swarm, in mebibytes; twenty nodes keep a copy each
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    size: u64,
    /// Print one JSON object for each figure
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Time from start to first byte by each source alone, in a 20-node swarm without tracker
    FirstByte,
    /// Tracker requests per peer and hour, assisted and grown
    TrackerLoad,
    /// All traffic besides content in a 20-node swarm, and the quiet afterwards (needs namespaces)
    Control,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let has_namespaces = netns::available("measure");
    for what in &cli.what {
        let figures: Vec<Figure> = match what {
            What::FirstByte => first_byte::run(has_namespaces),
            What::TrackerLoad => tracker_load::run(),
            What::Control if has_namespaces => control::run(cli.size),
            What::Control => return ExitCode::FAILURE,
        };
        for figure in figures {
            if cli.json { println!("{}", figure.json()) } else { println!("{figure}") }
        }
    }
    ExitCode::SUCCESS
}
