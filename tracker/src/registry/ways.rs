//! Ways into the DHT that a tracker tells its clients of, each as far as it means something to the client.

use std::net::IpAddr;

use samara_proto::limits::RECORD_ADDRESSES;
use samara_proto::record::Multiaddr;

use super::contact::Address;
use super::scope::may_learn;

/// Addresses of nodes of the DHT.
#[derive(Clone, Debug, Default)]
pub struct Ways(Vec<Address>);

impl Ways {
    /// Those of `addresses` that begin with an IP address; others are never passed on.
    pub fn new(addresses: &[Multiaddr]) -> Self {
        Self(addresses.iter().filter_map(Address::new).collect())
    }

    /// Those that a client seen at `viewer` may be told, as binary multiaddrs; as many as a record holds.
    pub fn for_client(&self, viewer: IpAddr) -> Vec<Vec<u8>> {
        let told = self.0.iter().filter(|address| may_learn(viewer, address.host));
        told.map(|address| address.bytes.clone()).take(RECORD_ADDRESSES).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_of_ways_that_reach_it() {
        let texts = [
            "/ip4/198.51.100.1/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/127.0.0.1/tcp/1",
            "/dns4/example.org/tcp/1",
            "/ip6/fe80::1/tcp/1",
        ];
        let addresses = texts.map(|text| text.parse::<Multiaddr>().unwrap());
        let ways = Ways::new(&addresses);
        let told = |viewer: &str| {
            let viewer = viewer.parse().unwrap();
            let known = |bytes: &Vec<u8>| addresses.iter().position(|address| address.to_vec() == *bytes);
            ways.for_client(viewer).iter().filter_map(known).collect::<Vec<_>>()
        };
        assert_eq!(told("198.51.100.9"), [0]);
        assert_eq!(told("10.0.0.2"), [0, 1]);
        assert_eq!(told("192.168.0.2"), [0]);
        assert_eq!(told("127.0.0.1"), [0, 1, 2]);
    }

    #[test]
    fn many_ways_are_cut_to_what_a_record_holds() {
        let address = |port: u16| format!("/ip4/198.51.100.1/tcp/{port}").parse::<Multiaddr>().unwrap();
        let ways = Ways::new(&(1..100).map(address).collect::<Vec<_>>());
        assert_eq!(ways.for_client([198, 51, 100, 9].into()).len(), RECORD_ADDRESSES);
    }
}
