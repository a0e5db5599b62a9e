//! Arguments that need more than their type's own parser.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use samara_tracker::registry::names_host;

/// A tracker's announce URL: `http`, `https` or `udp`, with a host.
pub fn tracker_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text)
        .map_err(|_| "it is no URL such as http://tracker.example:6969/announce".to_owned())?;
    match url.scheme() {
        "http" | "https" => {}
        "udp" if url.port().is_some() => {}
        "udp" => return Err("a udp tracker needs a port, as in udp://127.0.0.1:6969".into()),
        other => return Err(format!("{other} is not a tracker's protocol; use http, https or udp")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it names no host".into());
    }
    Ok(text.to_owned())
}

/// A peer's address with its identity, so that nobody else can answer in its place.
pub fn peer_address(text: &str) -> Result<Multiaddr, String> {
    let address: Multiaddr =
        text.parse().map_err(|_| "it is no multiaddress such as /ip4/192.0.2.7/tcp/4001/p2p/12D3Koo…")?;
    let mut parts: Vec<Protocol<'_>> = address.iter().collect();
    let Some(Protocol::P2p(_)) = parts.pop() else {
        return Err(
            "it must end in /p2p/ and the peer's id; whole addresses are in the link that samara seed \
                    prints (samara show lists them), and samara node prints its own"
                .into(),
        );
    };
    if !parts.first().is_some_and(names_host) {
        return Err(
            "it does not begin with where the peer is, as in /ip4/192.0.2.7/tcp/4001/p2p/12D3Koo…".into()
        );
    }
    match parts[1..] {
        [Protocol::Tcp(0)] | [Protocol::Udp(0), Protocol::QuicV1] => Err("nobody listens on port 0".into()),
        [Protocol::Tcp(_)] | [Protocol::Udp(_), Protocol::QuicV1] => Ok(address),
        [] if matches!(parts[0], Protocol::Dnsaddr(_)) => Ok(address),
        _ => Err("peers are dialled over TCP or QUIC: /tcp/PORT or /udp/PORT/quic-v1 must come before /p2p/"
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trackers_speak_http_https_or_udp() {
        assert!(tracker_url("http://127.0.0.1:6969/announce").is_ok());
        assert!(tracker_url("https://tracker.example/announce?key=1").is_ok());
        assert!(tracker_url("udp://[::1]:6969").is_ok());
        for wrong in
            ["", "tracker.example", "ftp://a/b", "udp://tracker.example", "http://", "file:///etc/passwd"]
        {
            assert!(tracker_url(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn a_peer_address_carries_an_identity() {
        let id = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
        assert!(peer_address(&format!("/ip4/127.0.0.1/tcp/4001/p2p/{id}")).is_ok());
        let told = peer_address("/ip4/127.0.0.1/tcp/4001").unwrap_err();
        assert!(told.contains("samara show") && told.contains("samara node"), "where to find the id: {told}");
        assert!(peer_address("127.0.0.1:4001").is_err());
    }

    #[test]
    fn a_peer_address_is_one_that_can_be_dialled() {
        let check = |text: &str| {
            peer_address(&format!("{text}/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"))
        };
        for fine in ["/ip6/::1/tcp/1", "/dns/example.org/udp/1/quic-v1", "/dnsaddr/example.org"] {
            assert!(check(fine).is_ok(), "{fine}");
        }
        for wrong in ["/ip4/127.0.0.1/udp/6969", "/ip4/127.0.0.1", "", "/ip4/127.0.0.1/tcp/1/ws", "/tcp/1"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(check("/ip4/127.0.0.1/tcp/0").unwrap_err().contains("port 0"));
    }
}
