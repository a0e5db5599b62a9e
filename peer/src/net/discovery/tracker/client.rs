//! One announce or scrape, over HTTP or UDP: bounded in time and size, on the address the user chose.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;
use samara_proto::announce::SwarmCounts;
use samara_proto::announce::http::{
    AnnounceRequest, AnnounceResponse, AnswerError, RetryIn, ScrapeRequest, ScrapeResponse, announce_url,
    scrape_url,
};
use samara_proto::infohash::InfoHash;
use thiserror::Error;
use tokio::time::timeout;

use super::udp::Udp;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::net::bind::Binding;

/// For one announce from the lookup of the name to the last byte; a tracker that hangs costs no more.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Largest answer read: several thousand peers with signed records fit.
const ANSWER_BYTES: usize = 2 << 20;
/// Redirects followed; a tracker that moved needs one or two.
const REDIRECTS: usize = 3;

/// The one name that needs no name server.
pub(super) const LOCALHOST: &str = "localhost";

/// An announce or scrape failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The request could not be made.
    #[error("{0}")]
    Unusable(String),
    /// No answer came.
    #[error("no answer ({0})")]
    Unreachable(String),
    /// The answer is longer than any honest one.
    #[error("its answer is longer than {} MiB", ANSWER_BYTES >> 20)]
    TooLong,
    /// It answered something that is not HTTP 200.
    #[error("it answered with HTTP status {}{}", .0, advice(*.0))]
    Status(u16),
    /// The answer yields no peers.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl ClientError {
    /// When the tracker says that asking again may help.
    pub fn retry_in(&self) -> Option<RetryIn> {
        match self {
            Self::Answer(AnswerError::Refused(failure)) => failure.retry_in,
            _ => None,
        }
    }
}

/// Asks trackers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    udp: Udp,
    bind: Option<IpAddr>,
}

impl Client {
    /// A client whose connections leave from `bind` and its interface, if given.
    ///
    /// # Errors
    /// The system's TLS configuration cannot be used, or no interface has the address.
    pub fn new(bind: Option<IpAddr>) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(Policy::limited(REDIRECTS))
            .user_agent(concat!("Samara/", env!("CARGO_PKG_VERSION")))
            .local_address(bind);
        if let Some(bind) = bind {
            // A redirect may name a host, and looking names up would leave by another way.
            builder = builder.no_proxy().redirect(Policy::none());
            #[cfg(any(target_os = "linux", target_os = "android"))]
            {
                let binding =
                    Binding::find(bind).map_err(|error| ClientError::Unusable(error.to_string()))?;
                builder = builder.interface(binding.interface());
            }
            if bind.is_loopback() {
                // Port 0 keeps the port of the URL.
                builder = builder.resolve(LOCALHOST, (bind, 0).into());
            }
        }
        let http = builder.build().map_err(|error| ClientError::Unusable(reason(&error)))?;
        Ok(Self { http, udp: Udp::new(bind), bind })
    }

    /// Sends `request` to the tracker at `announce`; gives its answer, and the address that it came from.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn announce(
        &self,
        announce: &str,
        request: &AnnounceRequest,
    ) -> Result<(AnnounceResponse, Option<SocketAddr>), ClientError> {
        match self.parse(announce)? {
            (Protocol::Http, _) => {
                let (body, from) = self.get(&announce_url(announce, &request.to_query())).await?;
                Ok((AnnounceResponse::decode(&body)?, from))
            }
            (Protocol::Udp, url) => {
                let (answer, from) = in_time(self.udp.announce(&url, request)).await?;
                Ok((answer, Some(from)))
            }
        }
    }

    /// What the tracker at `announce` knows of each of these swarms, in their order; zeros where it knows
    /// nothing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn scrape(
        &self,
        announce: &str,
        info_hashes: &[InfoHash],
    ) -> Result<Vec<SwarmCounts>, ClientError> {
        match self.parse(announce)? {
            (Protocol::Http, _) => {
                let base = scrape_url(announce).ok_or_else(|| {
                    ClientError::Unusable("its URL does not say where it tells figures (BEP 48)".to_owned())
                })?;
                let request = ScrapeRequest { info_hashes: info_hashes.to_vec() };
                let (body, _) = self.get(&announce_url(&base, &request.to_query())).await?;
                let files = ScrapeResponse::decode(&body)?.files;
                let counts = |name| files.get(name).map(|scraped| scraped.counts).unwrap_or_default();
                Ok(info_hashes.iter().map(counts).collect())
            }
            (Protocol::Udp, url) => in_time(self.udp.scrape(&url, info_hashes)).await,
        }
    }

    /// The URL, if it can be asked from where we must stay.
    fn parse(&self, announce: &str) -> Result<(Protocol, Url), ClientError> {
        let url = parse(announce)?;
        let protocol = match url.scheme() {
            "http" | "https" => Protocol::Http,
            "udp" => Protocol::Udp,
            other => {
                let why = format!("{other} is not spoken here; http, https and udp are");
                return Err(ClientError::Unusable(why));
            }
        };
        self.check_bound(&url)?;
        Ok((protocol, url))
    }

    /// The body of an answer, and where it came from.
    async fn get(&self, url: &str) -> Result<(Vec<u8>, Option<SocketAddr>), ClientError> {
        let unreachable = |error: reqwest::Error| ClientError::Unreachable(reason(&error));
        let mut response = self.http.get(parse(url)?).send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(ClientError::Status(response.status().as_u16()));
        }
        let from = response.remote_addr();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES {
                return Err(ClientError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok((body, from))
    }

    /// A bound client asks no name server: a tracker's name would leave by another way.
    fn check_bound(&self, url: &Url) -> Result<(), ClientError> {
        let Some(bind) = self.bind else { return Ok(()) };
        let host = url.host_str().unwrap_or_default();
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let needs_no_lookup = is_address || (bind.is_loopback() && host == LOCALHOST);
        if !needs_no_lookup {
            return Err(ClientError::Unusable(
                "its name cannot be looked up while bound to one address; give its IP address".to_owned(),
            ));
        }
        let is_out_of_reach =
            |ip: IpAddr| ip.is_ipv4() != bind.is_ipv4() || (bind.is_loopback() && !ip.is_loopback());
        if host.trim_matches(['[', ']']).parse().is_ok_and(is_out_of_reach) {
            let why = format!("it cannot be reached from {bind}, which --bind demands");
            return Err(ClientError::Unusable(why));
        }
        Ok(())
    }
}

/// What a status means for whoever asked.
fn advice(status: u16) -> &'static str {
    match status {
        429 => ": too many requests",
        408 | 500..=599 => ", which is trouble of its own",
        _ => "; is the URL right?",
    }
}

/// What a tracker is asked over.
enum Protocol {
    Http,
    Udp,
}

fn parse(url: &str) -> Result<Url, ClientError> {
    Url::parse(url).map_err(|error| ClientError::Unusable(format!("not a URL: {error}")))
}

async fn in_time<T>(asking: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    timeout(TIMEOUT, asking)
        .await
        .unwrap_or_else(|_| Err(ClientError::Unreachable(format!("nothing came in {} s", TIMEOUT.as_secs()))))
}

/// The innermost cause: the outer layers only repeat that a request failed.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_blamed_on_the_url_only_where_that_can_be() {
        let said = [404, 429, 500].map(|status| ClientError::Status(status).to_string());
        assert_eq!(said.each_ref().map(|said| said.contains("URL")), [true, false, false], "{said:?}");
    }

    #[test]
    fn a_tracker_that_the_bind_keeps_out_of_reach_is_not_asked() {
        let client = Client::new(Some([127, 0, 0, 1].into())).expect("a client");
        for (url, is_asked) in [
            ("http://127.0.0.1:1/announce", true),
            ("http://localhost:1/announce", true),
            ("http://192.0.2.1/announce", false),
            ("udp://[::1]:1", false),
            ("http://tracker.example/announce", false),
        ] {
            assert_eq!(client.parse(url).is_ok(), is_asked, "{url}");
        }
    }
}
