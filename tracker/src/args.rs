//! The command line of a tracker, shared by both binaries.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::config::{ConfigError, TrackerConfig};

/// What a tracker is told on the command line.
#[derive(Args, Clone, Debug, Default)]
pub struct TrackerArgs {
    /// Address of the HTTP tracker [default: 127.0.0.1:6969 unless only --udp is given]
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    pub http: Option<SocketAddr>,
    /// Address of the UDP tracker [default: 127.0.0.1:6969 unless only --http is given]
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    pub udp: Option<SocketAddr>,
    /// Configuration file (TOML); the flags above override it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

impl TrackerArgs {
    /// The configuration these arguments and the file they name ask for, with every listener on `bind`
    /// if given.
    ///
    /// # Errors
    ///
    /// When the file is no configuration, or a listener would not be on `bind`.
    pub fn to_config(&self, bind: Option<IpAddr>) -> Result<TrackerConfig, ConfigError> {
        let mut config =
            self.config.as_deref().map(TrackerConfig::from_file).transpose()?.unwrap_or_default();
        if self.config.is_none() && (self.http.is_some() || self.udp.is_some()) {
            (config.listen.http, config.listen.udp) = (self.http, self.udp);
        }
        config.listen.http = self.http.or(config.listen.http);
        config.listen.udp = self.udp.or(config.listen.udp);
        if let Some(bind) = bind {
            config.keep_on(bind)?;
        }
        Ok(config)
    }
}

/// An address to listen on, for the parser of a command line.
///
/// # Errors
///
/// When it is not an IP address and a port, with an example of what is right.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let said = match (
        text.parse(),
        text.strip_prefix(':').unwrap_or(text).parse::<u16>(),
        text.parse::<IpAddr>(),
    ) {
        (Ok(address), ..) => return Ok(address),
        (_, Ok(port), _) => format!(
            "an address comes before the port: 127.0.0.1:{port} for this machine alone, 0.0.0.0:{port} for everybody"
        ),
        (_, _, Ok(ip)) => format!("a port comes after the address, as in {}", SocketAddr::new(ip, 6969)),
        _ => "it is not an IP address and a port, such as 127.0.0.1:6969 or [::1]:6969".to_owned(),
    };
    Err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_to_listen_on_is_answered_with_one_that_is() {
        let check = |text: &str, example: &str| {
            let said = listen_address(text).expect_err(text);
            assert!(said.contains(example), "{said}");
            assert!(listen_address(example).is_ok(), "{example}");
        };
        check("7811", "127.0.0.1:7811");
        check(":7811", "0.0.0.0:7811");
        check("192.0.2.1", "192.0.2.1:6969");
        check("::1", "[::1]:6969");
        for nonsense in ["", "localhost:6969", "127.0.0.1:99999"] {
            check(nonsense, "127.0.0.1:6969");
        }
    }

    fn listens(http: Option<&str>, udp: Option<&str>, file: Option<&str>) -> [Option<String>; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tracker.toml");
        std::fs::write(&path, file.unwrap_or_default()).unwrap();
        let args = TrackerArgs {
            http: http.map(|text| text.parse().unwrap()),
            udp: udp.map(|text| text.parse().unwrap()),
            config: file.map(|_| path),
        };
        let listen = args.to_config(None).unwrap().listen;
        [listen.http, listen.udp].map(|address| address.map(|address| address.to_string()))
    }

    #[test]
    fn flags_choose_the_protocols_and_override_the_file() {
        let both = "127.0.0.1:6969".to_owned();
        assert_eq!(listens(None, None, None), [Some(both.clone()), Some(both.clone())]);
        assert_eq!(listens(Some("127.0.0.1:1"), None, None), [Some("127.0.0.1:1".to_owned()), None]);
        assert_eq!(listens(None, Some("127.0.0.1:1"), None), [None, Some("127.0.0.1:1".to_owned())]);
        let file = "[listen]\nhttp = \"127.0.0.1:2\"";
        assert_eq!(listens(None, None, Some(file)), [Some("127.0.0.1:2".to_owned()), None]);
        assert_eq!(listens(Some("127.0.0.1:1"), None, Some(file)), [Some("127.0.0.1:1".to_owned()), None]);
        assert_eq!(listens(None, None, Some("")), [Some(both.clone()), Some(both)]);
    }
}
