//! Which log lines are shown, and that they do not tear the progress bars.

use tracing_subscriber::EnvFilter;

use super::output::Output;

/// Starts logging to standard error; `SAMARA_LOG` overrides the level that `-v` chose.
pub fn start(verbose: u8, output: &Output) {
    let by_flag = match verbose {
        0 => "error,samara_peer=warn,samara_tracker=warn",
        1 => "warn,samara_peer=info,samara_tracker=info",
        2 => "info,samara_peer=debug,samara_tracker=debug",
        _ => "debug,samara_peer=trace,samara_tracker=trace",
    };
    let filter = std::env::var("SAMARA_LOG").unwrap_or_default();
    let filter = if filter.is_empty() { by_flag } else { &filter };
    let writer = output.clone();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse_lossy(filter))
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
}
