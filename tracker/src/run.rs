//! A tracker in the foreground: says where it listens, and runs until it is told to stop.

use std::io::{self, Write};

use serde_json::json;
use thiserror::Error;

use crate::{StartError, Tracker, TrackerConfig, start};

/// What standard output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A person reads it.
    Human,
    /// A program reads it: one JSON object a line.
    Json,
}

/// Why a tracker does not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nothing can be written to standard output, or signals cannot be waited for.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Starts a tracker, prints where it listens, and serves until the process is interrupted or told to
/// terminate.
///
/// # Errors
///
/// When it cannot start, or cannot say so.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn run(config: TrackerConfig, output: Output) -> Result<(), RunError> {
    // Before the first line is printed, so that whoever reads it may interrupt at once.
    let stopped = stop_signal()?;
    let tracker = start(config).await?;
    announce_addresses(&tracker, output)?;
    stopped.await;
    tracker.stop().await;
    Ok(())
}

fn announce_addresses(tracker: &Tracker, output: Output) -> io::Result<()> {
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
