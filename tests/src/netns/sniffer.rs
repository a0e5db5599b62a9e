//! A script that reads packets in a namespace and writes a line for each that matters.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use super::Namespace;

/// Runs until dropped, or until this process ends, which closes the script's standard input.
pub(super) struct Sniffer<T> {
    child: Child,
    heard: Arc<Mutex<T>>,
}

impl<T: Clone + Default + Send + 'static> Sniffer<T> {
    /// Starts `script`, which says `ready` once it listens to `interfaces`; `note` takes each further line.
    /// The last may be cut off where the script was killed.
    ///
    /// # Panics
    /// When Python or an interface is missing.
    pub(super) fn start(
        namespace: &Namespace,
        script: &str,
        interfaces: &[&str],
        note: impl Fn(&mut T, &str) + Send + 'static,
    ) -> Self {
        let mut command = namespace.command("python3");
        command.args(["-c", script]).args(interfaces).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 is there");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ready = lines.next().expect("it starts").expect("it writes text");
        assert_eq!(ready, "ready");
        let heard = Arc::new(Mutex::new(T::default()));
        let collected = heard.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                note(&mut collected.lock().unwrap_or_else(PoisonError::into_inner), &line);
            }
        });
        Self { child, heard }
    }

    /// All that was noted so far.
    pub(super) fn heard(&self) -> T {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T> Drop for Sniffer<T> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
