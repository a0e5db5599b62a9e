//! Ctrl-C and termination signals: the first asks for an orderly end, the second ends at once.

use super::failure::{Exit, Failure};

/// Hears the signals that ask us to stop, from its creation on.
pub struct Interrupt {
    #[cfg(unix)]
    ctrl_c: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Interrupt {
    /// Listens from now on.
    #[cfg(unix)]
    pub fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let hear = |kind| {
            signal(kind).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))
        };
        Ok(Self { ctrl_c: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())? })
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
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }

    /// Ends the process at the next signal, while an orderly end is under way.
    pub fn now_means_now(mut self) {
        tokio::spawn(async move {
            self.wait().await;
            std::process::exit(Exit::Interrupted.code().into());
        });
    }
}
