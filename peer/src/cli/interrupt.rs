//! Ctrl-C and termination signals: the first asks for an orderly end, the second ends at once.

use std::time::{Duration, Instant};

use super::failure::{Exit, Failure};

/// A signal so soon after another is the same one: whoever stops a process together with its group sends it twice.
const TOGETHER: Duration = Duration::from_millis(200);

/// Hears the signals that ask us to stop, from its creation on.
pub struct Interrupt {
    #[cfg(unix)]
    ctrl_c: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// The terminal went away; not heard by whoever was started to outlive it.
    #[cfg(unix)]
    hang_up: Option<tokio::signal::unix::Signal>,
}

impl Interrupt {
    /// Listens from now on.
    #[cfg(unix)]
    pub fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let hear = |kind| {
            signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))
        };
        let hang_up = ends_with_terminal().then(|| hear(SignalKind::hangup())).transpose()?;
        Ok(Self {
            ctrl_c: hear(SignalKind::interrupt())?,
            terminate: hear(SignalKind::terminate())?,
            hang_up,
        })
    }

    /// Listens from now on.
    #[cfg(not(unix))]
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// Returns at the next signal; a signal that came since the last call counts.
    pub async fn wait(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.ctrl_c.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hung_up(&mut self.hang_up) => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }

    /// Ends the process at the next signal, while an orderly end is under way.
    pub fn now_means_now(mut self) {
        tokio::spawn(async move {
            let asked_at = Instant::now();
            loop {
                self.wait().await;
                if asked_at.elapsed() >= TOGETHER {
                    std::process::exit(Exit::Interrupted.code().into());
                }
            }
        });
    }
}

#[cfg(unix)]
async fn hung_up(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether a hang-up is to end us: `nohup` has it ignored, and listening would undo that. Where the system does
/// not say, the signal is left alone.
#[cfg(unix)]
fn ends_with_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 0)
}
