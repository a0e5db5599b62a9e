//! `--metrics`: a node's figures over HTTP, for Prometheus and for curious people.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::events::Event;
use super::failure::Failure;
use super::output::Output;
use crate::handle::Figures;

/// Readers at once: a Prometheus, its stand-in, a person, and as many more that only hold their connection open;
/// with another one the oldest is hung up on.
const READERS: usize = 32;
/// For one request and its answer; the figures are small.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept, as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves `figures` at `address` until the process ends. A node that must stay on `bind` serves there only.
pub async fn serve(
    address: SocketAddr,
    bind: Option<IpAddr>,
    figures: Figures,
    output: &Output,
) -> Result<(), Failure> {
    if let Some(bind) = bind.filter(|bind| *bind != address.ip()) {
        return Err(Failure::failed(format!(
            "cannot serve metrics at {address}: every socket must stay on {bind}"
        )));
    }
    let failed = |error| Failure::failed(format!("cannot serve metrics at {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    output.event(&Event::Listening { protocol: "metrics", address: address.to_string(), node: None });
    output.note(format_args!("metrics at http://{address}/metrics"));
    tokio::spawn(accept(listener, figures));
    Ok(())
}

async fn accept(listener: TcpListener, figures: Figures) {
    let mut readers: VecDeque<JoinHandle<()>> = VecDeque::with_capacity(READERS);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        readers.retain(|reader| !reader.is_finished());
        if readers.len() >= READERS
            && let Some(oldest) = readers.pop_front()
        {
            // Whoever asks at once has been answered by now; whoever waited kept a newcomer out.
            oldest.abort();
        }
        readers.push_back(tokio::spawn(converse(stream, figures.clone())));
    }
}

/// One request and its answer.
async fn converse(stream: TcpStream, figures: Figures) {
    let service = service_fn(|request| answer(request, figures.clone()));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A reader that breaks off or dawdles has had its chance.
    let _ = timeout(TIMEOUT, serving).await;
}

async fn answer<B>(request: Request<B>, figures: Figures) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, figures.read().await.render()),
        (&Method::GET, _) => {
            (StatusCode::NOT_FOUND, "there is nothing here; the figures are at /metrics\n".into())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n".into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::{Node, NodeConfig};

    #[tokio::test]
    async fn a_running_node_tells_its_figures_over_http() {
        let local = IpAddr::from([127, 0, 0, 1]);
        let node = Node::start(NodeConfig { bind: Some(local), ..NodeConfig::default() }).await.unwrap();
        let listener = TcpListener::bind((local, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, node.figures()));

        let get = |path: &str| {
            let url = format!("http://{address}{path}");
            async move { reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap() }
        };

        let page = get("/metrics").await.text().await.unwrap();
        assert!(page.lines().any(|line| line == "samara_connections 0"), "{page}");
        assert_eq!(get("/").await.status(), 404);
    }

    #[tokio::test]
    async fn readers_who_ask_nothing_keep_nobody_waiting() {
        let local = IpAddr::from([127, 0, 0, 1]);
        let node = Node::start(NodeConfig { bind: Some(local), ..NodeConfig::default() }).await.unwrap();
        let listener = TcpListener::bind((local, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, node.figures()));
        let mut silent = Vec::new();
        for _ in 0..2 * READERS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }

        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asking = client.get(format!("http://{address}/metrics")).send();

        assert_eq!(timeout(TIMEOUT / 2, asking).await.unwrap().unwrap().status(), 200);
    }

    #[tokio::test]
    async fn figures_stay_where_the_node_must_stay() {
        let node = Node::start(NodeConfig { bind: Some([127, 0, 0, 1].into()), ..NodeConfig::default() })
            .await
            .unwrap();
        let elsewhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let refused = serve(elsewhere, Some([127, 0, 0, 1].into()), node.figures(), &Output::new(true)).await;
        assert!(refused.unwrap_err().to_string().contains("127.0.0.1"));
    }
}
