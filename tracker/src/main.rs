//! The binary `samara-tracker`: a tracker and nothing else.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::process::ExitCode;

use clap::{ArgAction, Parser};
use samara_tracker::{ConfigError, DEFAULT_FILE, Output, RunError, TrackerArgs, run};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// A BitTorrent tracker: it helps the first peers of a swarm to find each other
#[derive(Parser, Debug)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    tracker: TrackerArgs,
    /// Every socket stays on this address, or fails
    #[arg(long, value_name = "ADDR", env = "SAMARA_BIND")]
    bind: Option<IpAddr>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Say more on standard error; twice for more still
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Print a commented configuration file with all defaults, and end
    #[arg(long)]
    print_config: bool,
}

#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Run(#[from] RunError),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.verbose);
    match serve(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("samara-tracker: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(cli: Cli) -> Result<(), Failure> {
    if cli.print_config {
        print!("{DEFAULT_FILE}");
        return Ok(());
    }
    let output = if cli.json { Output::Json } else { Output::Human };
    Ok(run(cli.tracker.to_config(cli.bind)?, output).await?)
}

fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info,samara_tracker=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let stderr = std::io::stderr;
    let with_colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(with_colours).init();
}
