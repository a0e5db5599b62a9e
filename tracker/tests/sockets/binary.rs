//! The program `samara-tracker`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use super::*;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samara-tracker"));
    command.args(arguments).env_remove("SAMARA_BIND").env_remove("RUST_LOG");
    command
}

fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// A running tracker, killed at the latest when the test ends.
struct Process(Child);

impl Process {
    fn start(arguments: &[&str]) -> Self {
        Self(command(arguments).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// A tracker that may have as many files open as `ulimit` with that option says.
    #[cfg(unix)]
    fn with_open_files(limit: &str) -> Self {
        let script = format!("ulimit {limit} && exec \"$0\" --json --http 127.0.0.1:0");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_samara-tracker")]).env_remove("SAMARA_BIND");
        Self(shell.env("RUST_LOG", "warn").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn http_address(&mut self) -> SocketAddr {
        let event: serde_json::Value = serde_json::from_str(&self.lines(1)[0]).unwrap();
        event["address"].as_str().unwrap().parse().unwrap()
    }

    /// Ends it; what it has said on standard error.
    fn complaints(mut self) -> String {
        self.0.kill().unwrap();
        std::io::read_to_string(self.0.stderr.take().unwrap()).unwrap()
    }

    fn lines(&mut self, count: usize) -> Vec<String> {
        let stdout = BufReader::new(self.0.stdout.take().unwrap());
        stdout.lines().take(count).map(Result::unwrap).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn it_says_in_json_where_it_listens_and_serves_there() {
    let mut process = Process::start(&["--json", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    let events: Vec<serde_json::Value> =
        process.lines(2).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let protocols: Vec<_> = events.iter().map(|event| event["protocol"].as_str().unwrap()).collect();
    assert_eq!(protocols, ["http", "udp"]);
    assert!(events.iter().all(|event| event["event"] == "listening"));
    let address = events[0]["address"].as_str().unwrap().parse().unwrap();
    assert_eq!(Connection::open(address).await.get("/").await.status, 200);
}

#[test]
fn it_says_in_words_which_url_to_announce_to() {
    let mut process = Process::start(&["--http", "127.0.0.1:0"]);
    let line = process.lines(1).remove(0);
    assert!(line.contains("http://127.0.0.1:") && line.ends_with("/announce"), "{line}");
}

#[cfg(unix)]
#[test]
fn it_ends_well_when_told_to_terminate() {
    let mut process = Process::start(&["--http", "127.0.0.1:0"]);
    process.lines(1);
    let killed = Command::new("kill").arg(process.0.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn it_raises_the_limit_on_open_files_if_it_may() {
    let mut process = Process::with_open_files("-Sn 80");
    let address = process.http_address();
    let mut connections = Vec::new();
    for _ in 0..100 {
        let mut connection = Connection::open(address).await;
        assert_eq!(connection.get("/scrape").await.status, 200);
        connections.push(connection);
    }
    let complaints = process.complaints();
    assert!(!complaints.contains("cannot accept"), "{complaints}");
}

#[cfg(unix)]
#[tokio::test]
async fn it_accepts_no_more_connections_than_it_may_have_open() {
    let mut process = Process::with_open_files("-n 80");
    let address = process.http_address();
    let mut connections = Vec::new();
    for _ in 0..100 {
        connections.push(Connection::open(address).await);
    }
    assert_eq!(connections[0].get("/scrape").await.status, 200);
    drop(connections);
    // Only when the others are gone is it the turn of the last.
    assert_eq!(Connection::open(address).await.get("/scrape").await.status, 200);
    let complaints = process.complaints();
    assert!(complaints.contains("limit on open files"), "{complaints}");
    assert!(!complaints.contains("cannot accept"), "{complaints}");
}

#[test]
fn what_it_prints_as_configuration_it_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracker.toml");
    let printed = output(&["--print-config"]);
    assert!(printed.status.success());
    std::fs::write(&path, printed.stdout).unwrap();
    let config = path.to_str().unwrap();
    let mut process = Process::start(&["--config", config, "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    assert_eq!(process.lines(2).len(), 2);
}

#[test]
fn a_bad_configuration_is_one_clear_sentence_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracker.toml");
    std::fs::write(&path, "[limits]\nswarm = 1\n").unwrap();
    let failed = output(&["--config", path.to_str().unwrap()]);
    let message = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        message.contains("tracker.toml") && message.contains("swarm") && message.contains("line 2"),
        "{message}"
    );
}

#[test]
fn it_does_not_leave_the_address_it_is_bound_to() {
    let arguments = ["--http", "127.0.0.1:0", "--bind", "127.0.0.2"];
    let failed = output(&arguments);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("127.0.0.2"));

    let failed = command(&arguments[..2]).env("SAMARA_BIND", "127.0.0.2").output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(output(&["--frobnicate"]).status.code(), Some(2));
}
