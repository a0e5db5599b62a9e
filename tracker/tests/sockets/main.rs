//! The tracker as clients meet it: real sockets on loopback, bytes written by hand.

mod binary;
mod connections;
mod http;
mod libp2p;
mod udp;

use std::net::SocketAddr;
use std::time::Duration;

use samara_tracker::{Tracker, TrackerConfig, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing on loopback takes this long: whoever waits longer has failed.
const DEADLINE: Duration = Duration::from_secs(10);

/// A tracker on free ports of 127.0.0.1, set up by `change`.
async fn tracker_with(change: impl FnOnce(&mut TrackerConfig)) -> Tracker {
    let mut config = TrackerConfig::default();
    config.listen.http = Some("127.0.0.1:0".parse().unwrap());
    config.listen.udp = Some("127.0.0.1:0".parse().unwrap());
    change(&mut config);
    start(config).await.unwrap()
}

async fn tracker() -> Tracker {
    tracker_with(|_| ()).await
}

/// Waits for `future`, but not for ever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("this takes no time on loopback")
}

/// An HTTP connection.
struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// An HTTP answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        Self { stream: soon(TcpStream::connect(address)).await.unwrap(), unread: Vec::new() }
    }

    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    async fn get(&mut self, target: &str) -> Answer {
        self.write(request(target)).await;
        self.answer().await.expect("the connection stays open")
    }

    /// The next answer; `None` if the connection was closed before it.
    async fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = self.take_answer() {
                return Some(answer);
            }
            let mut piece = [0; 4096];
            match soon(self.stream.read(&mut piece)).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.unread.extend(&piece[..length]),
            }
        }
    }

    fn take_answer(&mut self) -> Option<Answer> {
        let end = self.unread.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.unread[..end].to_vec()).unwrap().to_lowercase();
        let length = head
            .split_once("content-length: ")
            .map_or(0, |(_, rest)| rest.split("\r\n").next().unwrap().parse().unwrap());
        let body = self.unread.get(end..end + length)?.to_vec();
        self.unread.drain(..end + length);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Answer { status, head, body })
    }
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: tracker\r\n\r\n")
}

/// One request on a connection of its own.
async fn get(tracker: &Tracker, target: &str) -> Answer {
    Connection::open(tracker.http_address().unwrap()).await.get(target).await
}

/// A figure of `/metrics`.
async fn metric(tracker: &Tracker, name: &str) -> u64 {
    let page = String::from_utf8(get(tracker, "/metrics").await.body).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("samara_tracker_{name} ")));
    line.unwrap_or_else(|| panic!("{name} is not in\n{page}")).parse().unwrap()
}
