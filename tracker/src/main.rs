//! The binary `samara-tracker`: a tracker and nothing else.

use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use clap::{ArgAction, Parser};
use samara_tracker::{ConfigError, DEFAULT_FILE, StartError, Tracker, TrackerArgs, start_on};
use serde_json::json;
use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// A BitTorrent tracker: it helps the first peers of a swarm to find each other
#[derive(Parser, Debug)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    tracker: TrackerArgs,
    /// Every socket stays on this address and its network interface, or fails
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

/// What standard output is for.
#[derive(Clone, Copy, Debug)]
enum Output {
    /// A person reads it.
    Human,
    /// A program reads it: one JSON object a line.
    Json,
}

#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nothing can be written to standard output, or signals cannot be waited for.
    #[error(transparent)]
    Io(#[from] io::Error),
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
        io::stdout().write_all(DEFAULT_FILE.as_bytes())?;
        return Ok(());
    }
    // Before the first line is printed, so that whoever reads it may interrupt at once.
    let stopped = stop_signal()?;
    let tracker = start_on(cli.tracker.to_config(cli.bind)?, cli.bind).await?;
    say_where(&tracker, if cli.json { Output::Json } else { Output::Human })?;
    stopped.await;
    tracker.stop().await;
    Ok(())
}

fn say_where(tracker: &Tracker, output: Output) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let listeners = [
        ("http", tracker.http_address(), tracker.http_url()),
        ("udp", tracker.udp_address(), tracker.udp_url()),
    ];
    for (protocol, address, url) in listeners {
        let (Some(address), Some(url)) = (address, url) else { continue };
        match output {
            Output::Human => writeln!(stdout, "tracker listens: {url}")?,
            Output::Json => {
                let event = json!({"event": "listening", "protocol": protocol, "address": address});
                writeln!(stdout, "{event}")?;
            }
        }
    }
    stdout.flush()
}

#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without signals the process ends when it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info,samara_tracker=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let stderr = io::stderr;
    let with_colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(with_colours).init();
}
