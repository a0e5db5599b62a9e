//! Conversations with made-up trackers on loopback.

use samara_proto::announce::Event;
use samara_proto::announce::http::Libp2pPeers;
use samara_proto::announce::udp::Libp2pAnswer;
use tokio::sync::mpsc;

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HASH: InfoHash = InfoHash([7; 20]);

/// A tracker that says to each packet what `answer` says, and the requests it has seen.
async fn tracker(
    mut answer: impl FnMut(Request) -> Vec<Response> + Send + 'static,
) -> (Url, mpsc::Receiver<Request>) {
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let url = format!("udp://{}/announce?k=v", socket.local_addr().unwrap()).parse().unwrap();
    let (sender, seen) = mpsc::channel(100);
    tokio::spawn(async move {
        let mut packet = [0; PACKET_BYTES];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let request = Request::decode(&packet[..length]).unwrap();
            for response in answer(request.clone()) {
                socket.send_to(&response.encode(), from).await.unwrap();
            }
            if sender.send(request).await.is_err() {
                return;
            }
        }
    });
    (url, seen)
}

/// What a tracker says that gives everybody the same id.
fn honest(request: Request) -> Response {
    match request {
        Request::Connect { transaction_id } => {
            Response::Connect { transaction_id, connection_id: ConnectionId(42) }
        }
        Request::Announce { transaction_id, .. } => {
            let libp2p = Some(Libp2pAnswer { min_interval_secs: Some(30), libp2p: Libp2pPeers::default() });
            let announced =
                Announced { interval_secs: 300, leechers: 2, seeders: 1, peers: Vec::new(), libp2p };
            Response::Announce { transaction_id, announced }
        }
        Request::Scrape { transaction_id, info_hashes, .. } => {
            let counts = (0..).map(|n| SwarmCounts { complete: n, downloaded: 2 * n, incomplete: 3 * n });
            Response::Scrape { transaction_id, counts: counts.take(info_hashes.len()).collect() }
        }
    }
}

fn announce() -> AnnounceRequest {
    AnnounceRequest {
        event: Event::Started,
        num_want: Some(50),
        record: Some(vec![1, 2, 3]),
        wants_libp2p: true,
        ..AnnounceRequest::new(HASH, [1; 20])
    }
}

fn client() -> Udp {
    Udp::new(Some(LOOPBACK))
}

/// The requests seen so far.
fn all(seen: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    std::iter::from_fn(|| seen.try_recv().ok()).collect()
}

fn connects(requests: &[Request]) -> usize {
    requests.iter().filter(|request| matches!(request, Request::Connect { .. })).count()
}

#[tokio::test]
async fn an_announce_carries_port_0_and_the_record_behind_the_urls_own_query() {
    let (url, mut seen) = tracker(|request| vec![honest(request)]).await;
    let (answer, from) = client().announce(&url, &announce()).await.unwrap();
    assert_eq!((answer.interval_secs, answer.min_interval_secs), (300, Some(30)));
    assert_eq!((answer.complete, answer.incomplete), (Some(1), Some(2)));
    assert_eq!(answer.libp2p, Some(Libp2pPeers::default()));
    assert_eq!(from.port(), url.port().unwrap());
    let requests = all(&mut seen);
    let [Request::Connect { .. }, Request::Announce { connection_id, announce, .. }] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert_eq!(*connection_id, ConnectionId(42));
    assert_eq!((announce.port, announce.left, announce.num_want), (0, UNKNOWN_LEFT, Some(50)));
    assert_eq!(announce.url_data, b"/announce?k=v&lp2p=1&lp2p_rec=AQID");
    assert_eq!(announce.libp2p_record(), Ok(Some(vec![1, 2, 3])));
}

#[tokio::test]
async fn a_tracker_that_answers_addresses_knows_no_libp2p_peers() {
    let (url, _seen) = tracker(|request| match honest(request) {
        Response::Announce { transaction_id, announced } => {
            let peers = vec!["1.2.3.4:5".parse().unwrap()];
            vec![Response::Announce {
                transaction_id,
                announced: Announced { peers, libp2p: None, ..announced },
            }]
        }
        other => vec![other],
    })
    .await;
    let (answer, _) = client().announce(&url, &announce()).await.unwrap();
    assert_eq!((answer.libp2p, answer.complete), (None, Some(1)));
}

#[tokio::test]
async fn only_the_answer_to_the_question_counts() {
    let (url, _seen) = tracker(|request| {
        let right = honest(request);
        let TransactionId(id) = right.transaction_id();
        let wrong = TransactionId(id.wrapping_add(1));
        let error = Response::Error { transaction_id: wrong, message: "not for you".to_owned() };
        let other_kind = Response::Scrape { transaction_id: TransactionId(id), counts: Vec::new() };
        vec![error, other_kind, right]
    })
    .await;
    client().announce(&url, &announce()).await.unwrap();
}

#[tokio::test]
async fn an_error_is_a_refusal_and_is_not_asked_again() {
    let (url, mut seen) = tracker(|request| match honest(request) {
        right @ Response::Connect { .. } => vec![right],
        other => vec![Response::Error { transaction_id: other.transaction_id(), message: "no".to_owned() }],
    })
    .await;
    let error = client().announce(&url, &announce()).await.unwrap_err();
    assert_eq!(error.to_string(), "the tracker refused: no");
    assert_eq!(all(&mut seen).len(), 2);
}

#[tokio::test]
async fn what_is_lost_is_sent_again() {
    let mut packets = 0;
    let (url, mut seen) = tracker(move |request| {
        packets += 1;
        // The first connect and the first announce are lost.
        if packets % 2 == 1 { Vec::new() } else { vec![honest(request)] }
    })
    .await;
    client().announce(&url, &announce()).await.unwrap();
    let requests = all(&mut seen);
    assert_eq!((requests.len(), connects(&requests)), (4, 2));
    assert_eq!(requests[2], requests[3], "a late answer to the first would have been as good");
}

#[tokio::test]
async fn a_port_nobody_listens_on_is_told_at_once() {
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let url: Url = format!("udp://{}", socket.local_addr().unwrap()).parse().unwrap();
    drop(socket);
    let begun = Instant::now();
    let error = client().announce(&url, &announce()).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error}");
    assert!(begun.elapsed() < WAITS[0], "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_id_is_used_again_while_it_is_good_and_got_anew_when_it_is_not() {
    let mut forgotten = false;
    let (url, mut seen) = tracker(move |request| match request {
        // Restarted after the second announce: ids from before are not known any more.
        Request::Announce { connection_id: ConnectionId(42), transaction_id, .. } if forgotten => {
            vec![Response::Error { transaction_id, message: "connection id".to_owned() }]
        }
        Request::Connect { transaction_id } if forgotten => {
            vec![Response::Connect { transaction_id, connection_id: ConnectionId(43) }]
        }
        Request::Scrape { .. } => {
            forgotten = true;
            vec![honest(request)]
        }
        request => vec![honest(request)],
    })
    .await;
    let client = client();
    client.announce(&url, &announce()).await.unwrap();
    client.announce(&url, &announce()).await.unwrap();
    client.scrape(&url, &[HASH]).await.unwrap();
    assert_eq!(connects(&all(&mut seen)), 1);
    client.announce(&url, &announce()).await.unwrap();
    assert_eq!(connects(&all(&mut seen)), 1, "the tracker was restarted");
}

#[tokio::test]
async fn an_id_is_too_old_after_a_minute() {
    let (url, mut seen) = tracker(|request| vec![honest(request)]).await;
    let client = client();
    client.announce(&url, &announce()).await.unwrap();
    for connection in client.idle.lock().unwrap().iter_mut() {
        connection.since -= CONNECTION_LIFE;
    }
    client.announce(&url, &announce()).await.unwrap();
    assert_eq!(connects(&all(&mut seen)), 2);
}

#[tokio::test]
async fn figures_come_in_the_order_asked() {
    let (url, _seen) = tracker(|request| vec![honest(request)]).await;
    let counts = client().scrape(&url, &[HASH, InfoHash([8; 20])]).await.unwrap();
    let second = SwarmCounts { complete: 1, downloaded: 2, incomplete: 3 };
    assert_eq!(counts, [SwarmCounts::default(), second]);
    let many = vec![HASH; SCRAPE_HASHES + 1];
    assert_eq!(client().scrape(&url, &many).await.unwrap().len(), many.len());
}

#[tokio::test]
async fn a_bound_client_asks_nobody_off_its_address_and_no_name_server() {
    for url in ["udp://192.0.2.1:1/announce", "udp://[::1]:1", "udp://tracker.example:1", "udp://127.0.0.1"] {
        let error = client().announce(&url.parse().unwrap(), &announce()).await.unwrap_err();
        assert!(matches!(error, ClientError::Unusable(_)), "{url}: {error}");
    }
    let (url, _seen) = tracker(|request| vec![honest(request)]).await;
    let by_name = format!("udp://localhost:{}/announce", url.port().unwrap());
    client().announce(&by_name.parse().unwrap(), &announce()).await.unwrap();
}
