//! One HTTP announce: bounded in time and size, on the address the user chose.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::redirect::Policy;
use samara_proto::announce::http::{AnnounceRequest, AnnounceResponse, AnswerError, RetryIn, announce_url};
use thiserror::Error;

#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::net::bind::Binding;

/// For one announce from first to last byte; a tracker that hangs costs no more.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Largest answer read: several thousand peers with signed records fit.
const ANSWER_BYTES: usize = 2 << 20;
/// Redirects followed; a tracker that moved needs one or two.
const REDIRECTS: usize = 3;

/// The one name that needs no name server.
const LOCALHOST: &str = "localhost";

/// An announce failed.
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
    #[error("it answered with HTTP status {0}; is the URL right?")]
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

/// Asks HTTP trackers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
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
        Ok(Self { http, bind })
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
        let url = reqwest::Url::parse(&announce_url(announce, &request.to_query()))
            .map_err(|error| ClientError::Unusable(format!("not a URL: {error}")))?;
        self.check_bound(&url)?;
        let unreachable = |error: reqwest::Error| ClientError::Unreachable(reason(&error));
        let mut response = self.http.get(url).send().await.map_err(unreachable)?;
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
        Ok((AnnounceResponse::decode(&body)?, from))
    }

    /// A bound client asks no name server: a tracker's name would leave by another way.
    fn check_bound(&self, url: &reqwest::Url) -> Result<(), ClientError> {
        let Some(bind) = self.bind else { return Ok(()) };
        let host = url.host_str().unwrap_or_default();
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let needs_no_lookup = is_address || (bind.is_loopback() && host == LOCALHOST);
        if !needs_no_lookup {
            return Err(ClientError::Unusable(
                "its name cannot be looked up while bound to one address; give its IP address".to_owned(),
            ));
        }
        Ok(())
    }
}

/// The innermost cause: the outer layers only repeat that a request failed.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
