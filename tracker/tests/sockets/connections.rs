//! Connections that are long, slow, many or no HTTP at all.

use samara_tracker::Tracker;

use super::*;

/// Seconds that a client may take for a request, and for an answer.
async fn impatient(request_secs: u64, answer_secs: u64) -> Tracker {
    tracker_with(|config| {
        config.http.request_timeout_secs = request_secs;
        config.http.answer_timeout_secs = answer_secs;
    })
    .await
}

async fn connect(tracker: &Tracker) -> Connection {
    Connection::open(tracker.http_address().unwrap()).await
}

/// Waits until only the connection that asks is open.
async fn wait_for_the_others_to_close(tracker: &Tracker) {
    let closed = async {
        while metric(tracker, "http_connections").await > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(closed).await;
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let tracker = tracker().await;
    let mut connection = connect(&tracker).await;
    for _ in 0..3 {
        assert_eq!(connection.get("/scrape").await.status, 200);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let tracker = tracker().await;
    let mut connection = connect(&tracker).await;
    connection.write([request("/"), request("/nowhere"), request("/scrape")].concat()).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(connection.answer().await.unwrap().status);
    }
    assert_eq!(statuses, [200, 404, 200]);
}

#[tokio::test]
async fn a_request_in_single_bytes_is_answered() {
    let tracker = tracker().await;
    let mut connection = connect(&tracker).await;
    for byte in request("/scrape").into_bytes() {
        connection.write([byte]).await;
    }
    assert_eq!(connection.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_never_ends_its_request_is_cut_off() {
    let tracker = impatient(1, 30).await;
    let mut connection = connect(&tracker).await;
    let drip = async {
        connection.write("GET /scrape HTTP/1.1\r\n").await;
        // One header at a time, each in good time, until the tracker has had enough.
        while connection.stream.write_all(b"X-Slow: 1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(drip).await;
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_cut_off_before_and_after_a_request() {
    let tracker = impatient(1, 30).await;
    let mut silent = connect(&tracker).await;
    assert!(silent.answer().await.is_none());
    let mut idle = connect(&tracker).await;
    idle.get("/scrape").await;
    assert!(idle.answer().await.is_none());
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off() {
    let tracker = impatient(30, 1).await;
    let mut connection = connect(&tracker).await;
    // Far more answers than fit the buffers on the way.
    let requests = request("/metrics").repeat(1000);
    let flood = async {
        for _ in 0..20 {
            if connection.stream.write_all(requests.as_bytes()).await.is_err() {
                return;
            }
        }
        wait_for_the_others_to_close(&tracker).await;
    };
    soon(flood).await;
    wait_for_the_others_to_close(&tracker).await;
}

#[tokio::test]
async fn a_client_that_pipelines_and_reads_nothing_is_cut_off_while_it_sends() {
    let tracker = impatient(30, 1).await;
    let mut connection = connect(&tracker).await;
    // Each write ends within a request: there is always more to read, which must be no reason not to write.
    let hashes: Vec<_> = (10..40).map(|n| format!("info_hash=aaaaaaaaaaaaaaaaaa{n}")).collect();
    let one = request(&format!("/scrape?{}", hashes.join("&")));
    let (start, rest) = one.split_at(10);
    connection.write(start).await;
    let requests = format!("{rest}{}{start}", one.repeat(50));
    let flood = async { while connection.stream.write_all(requests.as_bytes()).await.is_ok() {} };
    soon(flood).await;
    // What the tracker answered fits the buffers on the way: no more is held for one that does not read.
    let answered = metric(&tracker, "scrapes_total{protocol=\"http\"}").await;
    assert!(answered < 10_000, "{answered}");
}

#[tokio::test]
async fn whatever_times_are_configured_clients_are_served() {
    for secs in [0, u64::MAX] {
        let tracker = impatient(secs, secs).await;
        assert_eq!(get(&tracker, "/scrape").await.status, 200, "{secs}");
    }
}

#[tokio::test]
async fn an_oversized_request_is_refused_and_the_connection_closed() {
    let tracker = tracker().await;
    for request in [
        format!("GET /announce?{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)),
        format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000)),
    ] {
        let mut connection = connect(&tracker).await;
        // The tracker may close before all of it is written.
        let _ = soon(connection.stream.write_all(request.as_bytes())).await;
        if let Some(answer) = connection.answer().await {
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
        assert!(connection.answer().await.is_none());
    }
    assert_eq!(get(&tracker, "/scrape").await.status, 200);
}

#[tokio::test]
async fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let tracker = tracker().await;
    for garbage in
        [&b"\0\0\x04\x17\x27\x10\x19\x80"[..], b"\x16\x03\x01\x02\0\x01", b"\r\n\r\n\xff\xff\r\n\r\n"]
    {
        let mut connection = connect(&tracker).await;
        connection.write(garbage).await;
        connection.write("\r\n\r\n").await;
        if let Some(answer) = connection.answer().await {
            assert_eq!(answer.status, 400);
        }
        assert!(connection.answer().await.is_none());
    }
    assert!(metric(&tracker, "malformed_total{protocol=\"http\"}").await > 0);
    assert_eq!(get(&tracker, "/scrape").await.status, 200);
}

#[tokio::test]
async fn beyond_the_most_connections_the_next_waits_its_turn() {
    let tracker = tracker_with(|config| config.http.connections = 2).await;
    let mut first = connect(&tracker).await;
    let mut second = connect(&tracker).await;
    first.get("/scrape").await;
    second.get("/scrape").await;
    let mut third = connect(&tracker).await;
    third.write(request("/scrape")).await;
    let too_early = tokio::time::timeout(Duration::from_millis(300), third.answer()).await;
    assert!(too_early.is_err(), "there was no room yet");
    drop(first);
    assert_eq!(third.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn when_a_tracker_has_stopped_its_ports_are_free_and_its_connections_closed() {
    let tracker = tracker().await;
    let (http, udp) = (tracker.http_address().unwrap(), tracker.udp_address().unwrap());
    let mut connection = connect(&tracker).await;
    connection.get("/scrape").await;
    tracker.stop().await;
    assert!(connection.answer().await.is_none());
    let again = tracker_with(|config| {
        config.listen.http = Some(http);
        config.listen.udp = Some(udp);
    });
    assert_eq!(again.await.http_address(), Some(http));
}

#[tokio::test]
async fn a_tracker_that_is_to_listen_nowhere_does_not_start() {
    let mut config = samara_tracker::TrackerConfig::default();
    (config.listen.http, config.listen.udp) = (None, None);
    let message = start(config).await.unwrap_err().to_string();
    assert!(message.contains("HTTP or UDP"), "{message}");
}

#[tokio::test]
async fn an_address_in_use_is_said_so() {
    let tracker = tracker().await;
    let mut config = samara_tracker::TrackerConfig::default();
    config.listen.http = tracker.http_address();
    config.listen.udp = None;
    let message = start(config).await.unwrap_err().to_string();
    let address = tracker.http_address().unwrap().to_string();
    assert!(message.contains(&address) && message.contains("in use"), "{message}");
}
