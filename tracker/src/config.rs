//! How a tracker is set up: a TOML file whose every key has a default.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::access::Access;
use crate::registry::{Limits, Pace};

/// The port trackers are usually found at.
const PORT: u16 = 6969;

/// A commented configuration file that says what holds without one.
pub const DEFAULT_FILE: &str = include_str!("config/default.toml");

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackerConfig {
    /// Where it listens.
    pub listen: Listen,
    /// How often peers announce.
    pub announce: Pace,
    /// What is kept at most.
    pub limits: Limits,
    /// HTTP connections.
    pub http: HttpLimits,
    /// Which swarms are served.
    pub access: Access,
}

/// Where a tracker listens; without an address for a protocol it does not serve that protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Over HTTP; port 0 takes a free one.
    pub http: Option<SocketAddr>,
    /// Over UDP; port 0 takes a free one.
    pub udp: Option<SocketAddr>,
}

/// Caps on HTTP connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Connections open at the same time, as far as the system allows; more wait in the kernel's queue.
    pub connections: usize,
    /// Of these, connections from one IPv4 address or IPv6 /64; further ones are closed at once. The
    /// tracker's own machine may have any number.
    pub connections_per_ip: u32,
    /// Seconds a client may take to send a request, from the end of the last one or the connection's
    /// start: from 1 to 3600, to which others are moved.
    pub request_timeout_secs: u64,
    /// Seconds a client may take to read an answer, within the same bounds.
    pub answer_timeout_secs: u64,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("{}, line {line}, column {column}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A listener would leave the address that every socket must stay on.
    #[error("cannot listen on {listen}: every socket must stay on {bind}")]
    NotOnBind {
        /// What was asked for.
        listen: SocketAddr,
        /// Where sockets must stay.
        bind: IpAddr,
    },
}

impl Default for Listen {
    fn default() -> Self {
        let address = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        Self { http: address, udp: address }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { connections: 4096, connections_per_ip: 64, request_timeout_secs: 10, answer_timeout_secs: 30 }
    }
}

impl HttpLimits {
    /// Time for a request.
    pub(crate) fn request_timeout(&self) -> Duration {
        timeout(self.request_timeout_secs)
    }

    /// Time for an answer.
    pub(crate) fn answer_timeout(&self) -> Duration {
        timeout(self.answer_timeout_secs)
    }
}

/// Without any time nobody is served; with much more than anybody needs, connections are held for nothing.
fn timeout(secs: u64) -> Duration {
    Duration::from_secs(secs.clamp(1, 3600))
}

impl TrackerConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no TOML, has a key that does not exist, or a value that is none.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| not_parsed(path, &text, &error))
    }

    /// Keeps every listener on `bind`. Listeners on all addresses, and on the default one, move there.
    ///
    /// # Errors
    ///
    /// When a listener was to be on another address.
    pub fn keep_on(&mut self, bind: IpAddr) -> Result<(), ConfigError> {
        let default = Listen::default();
        keep_on(&mut self.listen.http, default.http, bind)?;
        keep_on(&mut self.listen.udp, default.udp, bind)
    }
}

/// Where and why, in one line: the error's own words are a drawing of several.
fn not_parsed(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    ConfigError::Parse {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: error.message().lines().collect::<Vec<_>>().join(", "),
    }
}

fn keep_on(
    listen: &mut Option<SocketAddr>,
    default: Option<SocketAddr>,
    bind: IpAddr,
) -> Result<(), ConfigError> {
    let is_default = *listen == default;
    match listen {
        Some(address) if is_default || address.ip().is_unspecified() => address.set_ip(bind),
        Some(address) if address.ip() != bind => {
            return Err(ConfigError::NotOnBind { listen: *address, bind });
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_file_says_what_holds_without_one() {
        let config: TrackerConfig = toml::from_str(DEFAULT_FILE).unwrap();
        assert_eq!(config, TrackerConfig::default());
    }

    #[test]
    fn the_commented_file_has_every_key() {
        // Every field appears in the debug form; each must be a key or a table of the file.
        let debug = format!("{:?}", TrackerConfig::default());
        let fields = debug.split([' ', '{', ',']).filter_map(|word| word.strip_suffix(':'));
        for field in fields {
            let is_there = DEFAULT_FILE
                .lines()
                .any(|line| line.starts_with(&format!("{field} =")) || line == format!("[{field}]"));
            assert!(is_there, "{field} is missing");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        for text in ["prot = 1", "[http]\nconections = 1", "[listen]\ntcp = \"127.0.0.1:1\""] {
            let error = toml::from_str::<TrackerConfig>(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
        let error = toml::from_str::<TrackerConfig>("[access]\ndeny = [\"xyz\"]").unwrap_err();
        assert!(error.to_string().contains("no info-hash"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_in_one_line_that_says_where() {
        let path = Path::new("tracker.toml");
        for (text, place) in [
            ("# ü\n[http]\nconections = 1\n", "line 3, column 1: unknown field"),
            ("[listen]\nhttp = \"foo\"", "line 2, column 8: "),
            ("[http\n", "line 1, column 6: "),
            ("a = \"ü\" \"\"\"x\n", "line 1, column 9: "),
        ] {
            let error = toml::from_str::<TrackerConfig>(text).unwrap_err();
            let told = not_parsed(path, text, &error).to_string();
            assert!(told.contains(place) && told.lines().count() == 1, "{told}");
        }
    }

    #[test]
    fn a_protocol_without_an_address_is_not_served() {
        let config: TrackerConfig = toml::from_str("[listen]\nudp = \"127.0.0.1:1\"").unwrap();
        assert_eq!(config.listen.http, None);
    }

    #[test]
    fn listeners_stay_on_the_bound_address_or_fail() {
        let bind: IpAddr = "127.0.0.2".parse().unwrap();
        let listen_on = |http: &str| {
            let mut config = TrackerConfig::default();
            config.listen.http = Some(http.parse().unwrap());
            config.keep_on(bind).map(|()| config.listen.http.unwrap().to_string())
        };
        assert_eq!(listen_on("0.0.0.0:80").unwrap(), "127.0.0.2:80");
        assert_eq!(listen_on("[::]:80").unwrap(), "127.0.0.2:80");
        assert_eq!(listen_on("127.0.0.1:6969").unwrap(), "127.0.0.2:6969");
        assert_eq!(listen_on("127.0.0.2:0").unwrap(), "127.0.0.2:0");
        assert!(listen_on("127.0.0.3:80").is_err());
    }
}
