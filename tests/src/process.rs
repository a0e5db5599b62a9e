//! The real `samara` binary as a child process: started, listened to, watched, killed.

pub mod binary;
pub mod memory;
pub mod place;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use memory::PeakMemory;
use place::Place;

use crate::netns::Namespace;
use crate::patience;

/// The address every process under test is bound to.
pub const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Every running [`Samara`], for [`kill_all`].
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Ends every [`Samara`] of this program at once: for a program that ends without unwinding.
pub fn kill_all() {
    for id in std::mem::take(&mut *RUNNING.lock().unwrap_or_else(PoisonError::into_inner)) {
        // It fails only if the process has ended, which is what is wanted.
        let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
    }
}

/// A running `samara` with `--json`; killed when dropped.
pub struct Samara {
    name: String,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<Value>,
    errors: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    memory: PeakMemory,
    exit_code: Option<i32>,
}

impl Samara {
    /// Starts `samara ARGS --json` with its own state in `state_dir`, bound to loopback. `name` is for
    /// messages only.
    ///
    /// # Panics
    /// When the binary cannot be started.
    pub fn start<S: AsRef<OsStr>>(name: &str, state_dir: &Path, args: &[S]) -> Self {
        Self::start_at(&Place::loopback(), name, state_dir, args)
    }

    /// Starts `samara ARGS --json` in a network namespace, bound to `bind` if given. `name` is for messages
    /// only.
    ///
    /// # Panics
    /// When the binary cannot be started.
    pub fn start_in<S: AsRef<OsStr>>(
        namespace: &Namespace,
        bind: Option<&str>,
        name: &str,
        state_dir: &Path,
        args: &[S],
    ) -> Self {
        let place = bind.map_or_else(|| Place::unbound(namespace), |bind| Place::bound(namespace, bind));
        Self::start_at(&place, name, state_dir, args)
    }

    /// Starts `samara ARGS --json` in a place, with its own state in `state_dir`.
    ///
    /// # Panics
    /// When the binary cannot be started there.
    pub fn start_at<S: AsRef<OsStr>>(place: &Place, name: &str, state_dir: &Path, args: &[S]) -> Self {
        let mut command = place.command(state_dir);
        command.args(args).arg("--json");
        Self::listen_to(name, command)
    }

    /// Starts any other program that says what happens as samara does: JSON objects, a line each.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn listen_to(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let out = std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let errors = Arc::new(Mutex::new(String::new()));
        let (collected, stderr) = (errors.clone(), child.stderr.take().expect("standard error is piped"));
        let err = std::thread::spawn(move || collect(stderr, &collected));
        let memory = PeakMemory::watch(child.id());
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(child.id());
        let (name, seen) = (name.to_owned(), Vec::new());
        Self { name, child, lines, seen, errors, readers: vec![out, err], memory, exit_code: None }
    }

    /// Waits for the next event of this kind; those before it are passed over.
    ///
    /// # Panics
    /// When `limit` passes or the process ends first; the message tells what it said instead.
    pub fn wait_for(&mut self, event: &str, limit: Duration) -> Value {
        self.wait_until(&format!("the event {event:?}"), limit, |value| value["event"] == event)
    }

    /// Waits for the next event that `matches`; those before it stay readable by [`Samara::events`].
    ///
    /// # Panics
    /// When `limit` passes or the process ends first; the message tells what it said instead.
    pub fn wait_until(&mut self, what: &str, limit: Duration, matches: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + limit;
        loop {
            match self.next_event(patience::until_next_look(end)) {
                Ok(value) if matches(&value) => return value,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(why) = patience::is_over() {
                        self.fail(&format!("waiting for {what}: {why}"));
                    }
                    if Instant::now() >= end {
                        self.fail(&format!("{what} did not come in {limit:?}"));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => self.fail(&format!("it ended before {what}")),
            }
        }
    }

    /// Waits for an event that `matches`, or gives the first that was read already.
    ///
    /// # Panics
    /// When `limit` passes or the process ends first; the message tells what it said instead.
    pub fn find(&mut self, what: &str, limit: Duration, matches: impl Fn(&Value) -> bool) -> Value {
        if let Some(value) = self.seen.iter().find(|value| matches(value)) {
            return value.clone();
        }
        self.wait_until(what, limit, matches)
    }

    /// Every event read so far, oldest first, after taking in what is there already.
    pub fn events(&mut self) -> &[Value] {
        while self.next_event(Duration::ZERO).is_ok() {}
        &self.seen
    }

    /// Waits for the process to end by itself, and returns its exit code (minus the signal's number
    /// if a signal ended it).
    ///
    /// # Panics
    /// When it is still running after `limit`.
    pub fn wait_exit(&mut self, limit: Duration) -> i32 {
        let end = Instant::now() + limit;
        while self.poll_exit().is_none() {
            if Instant::now() >= end || patience::is_over().is_some() {
                self.fail(&format!("it is still running after {limit:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.join_readers();
        self.exit_code.expect("the loop ends once it is known")
    }

    /// Ends it as a power cut would: `kill -9`.
    pub fn kill(&mut self) {
        // It fails only if the process has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.exit_code.get_or_insert(-9);
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.child.id());
        self.join_readers();
    }

    /// Presses Ctrl-C.
    ///
    /// # Panics
    /// When `kill` cannot be run.
    pub fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(status.expect("kill is part of every system").success(), "{} is gone already", self.name);
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.poll_exit().is_none()
    }

    /// What it wrote to standard error so far.
    pub fn standard_error(&self) -> String {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All that it writes on standard error, for who looks at it after the process is gone.
    pub fn errors(&self) -> Arc<Mutex<String>> {
        self.errors.clone()
    }

    /// The most memory it had resident at any time, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.memory.bytes()
    }

    /// The last events (of runs of figures the last) and everything on standard error, for messages.
    pub fn story(&mut self) -> String {
        let events = self.events();
        let is_figures = |event: &Value| event["event"] == "progress";
        let mut told: Vec<&Value> = Vec::new();
        for event in events {
            if is_figures(event) && told.last().is_some_and(|last| is_figures(last)) {
                told.pop();
            }
            told.push(event);
        }
        let tail: Vec<String> = told.iter().rev().take(20).rev().map(ToString::to_string).collect();
        format!("last events:\n{}\nstandard error:\n{}", tail.join("\n"), self.standard_error())
    }

    /// Fails with its name and story.
    ///
    /// # Panics
    /// Always.
    pub fn fail(&mut self, what: &str) -> ! {
        let story = self.story();
        panic!("{}: {what}\n{story}", self.name)
    }

    fn next_event(&mut self, limit: Duration) -> Result<Value, RecvTimeoutError> {
        let line = self.lines.recv_timeout(limit)?;
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("{} wrote a line that is not JSON ({error}): {line:?}", self.name)
        });
        assert!(value.is_object(), "{} wrote a line that is not an object: {line}", self.name);
        self.seen.push(value.clone());
        Ok(value)
    }

    fn poll_exit(&mut self) -> Option<i32> {
        if self.exit_code.is_none() {
            let status = self.child.try_wait().expect("a child of ours can be waited for");
            self.exit_code = status.map(code_of);
            if self.exit_code.is_some() {
                // The number may be somebody else's from now on.
                RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.child.id());
            }
        }
        self.exit_code
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            // A reader that panicked leaves its text incomplete, which the test will show.
            let _ = reader.join();
        }
    }
}

impl Drop for Samara {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a command that ends by itself ended.
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ended {
    /// Its standard output as one JSON value.
    ///
    /// # Panics
    /// When it is not.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {:?}\n{}", self.stdout, self.stderr))
    }
}

/// Runs `samara ARGS` to its end.
///
/// # Panics
/// When it cannot be started, writes something that is not UTF-8, or runs longer than `limit`.
pub fn run<S: AsRef<OsStr>>(state_dir: &Path, args: &[S], limit: Duration) -> Ended {
    let mut command = Place::loopback().command(state_dir);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let [stdout, stderr] = [Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(String::new()))];
    let out_pipe = child.stdout.take().expect("standard output is piped");
    let err_pipe = child.stderr.take().expect("standard error is piped");
    let (out_text, err_text) = (stdout.clone(), stderr.clone());
    let out = std::thread::spawn(move || collect(out_pipe, &out_text));
    let err = std::thread::spawn(move || collect(err_pipe, &err_text));
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours can be waited for") {
            break status;
        }
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} is still running after {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    out.join().expect("the reader only reads");
    err.join().expect("the reader only reads");
    let text = |shared: &Mutex<String>| shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ended { code: code_of(status), stdout: text(&stdout), stderr: text(&stderr) }
}

fn collect(mut pipe: impl Read, text: &Mutex<String>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}

#[cfg(unix)]
fn code_of(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}

#[cfg(not(unix))]
fn code_of(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}
