//! A liar in a process of its own, so that it can live on a machine of its own: the program `rogue`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use crate::netns::Namespace;
use crate::process::binary;

/// A liar on another machine; it ends when dropped, and when this program does.
pub struct Rogue {
    child: Child,
    /// It ends when this is closed.
    _leash: ChildStdin,
    /// Where it can be found: announce URLs or a peer's address; of a liar on the local network, nothing.
    pub found_at: Vec<String>,
}

impl Rogue {
    /// Runs `rogue ARGS` in `namespace`, and waits until it lies.
    ///
    /// # Panics
    /// When it cannot be started, or ends.
    pub fn start(namespace: &Namespace, doors: &Path, args: &[&str]) -> Self {
        let mut command = namespace.command(binary::rogue());
        command.args(args).arg("--doors").arg(doors).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("available() has found ip");
        let leash = child.stdin.take().expect("it is piped");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        stdout.read_line(&mut line).expect("it writes text");
        let mut words = line.split_whitespace().map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("lying"), "rogue {} did not start", args.join(" "));
        Self { child, _leash: leash, found_at: words.collect() }
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
