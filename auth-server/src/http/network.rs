//! Which network a visitor is in, as far as limits are concerned.

use std::net::IpAddr;

use actix_web::{HttpRequest, http::header::USER_AGENT};
use ipnet::IpNet;

use crate::flows::Peer;

/// Proxies whose `X-Forwarded-For` is believed. Without any, the header is ignored.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Believes these networks, each an address and a prefix length.
    pub fn new(networks: &[(IpAddr, u8)]) -> Self {
        Self(networks.iter().filter_map(|(address, length)| IpNet::new(*address, *length).ok()).collect())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The visitor's network: /24 for IPv4, /48 for IPv6: what one customer of a provider may be given.
    pub fn network_of(&self, request: &HttpRequest) -> String {
        self.address_of(request).map_or_else(|| "unknown".to_owned(), network)
    }

    /// Where the request comes from.
    pub fn peer_of(&self, request: &HttpRequest) -> Peer {
        let address = self.address_of(request);
        let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        Peer {
            network: address.map_or_else(|| "unknown".to_owned(), network),
            address: address.map(|address| address.to_string()),
            agent: agent.map(String::from),
        }
    }

    fn address_of(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip().to_canonical();
        let mut visitor = peer;
        if self.trusts(peer) {
            // The rightmost hop that is none of ours; everything to its left was written by strangers.
            let hops = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
            let hops: Vec<_> = hops.flat_map(|value| value.split(',')).collect();
            for hop in hops.iter().rev() {
                let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
                visitor = address.to_canonical();
                if !self.trusts(visitor) {
                    break;
                }
            }
        }
        Some(visitor)
    }
}

fn network(address: IpAddr) -> String {
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).map_or_else(|_| address.to_string(), |network| network.trunc().to_string())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn network(proxies: &TrustedProxies, peer: &str, forwarded: &str) -> String {
        let request = TestRequest::default()
            .peer_addr(peer.parse().unwrap())
            .insert_header(("x-forwarded-for", forwarded))
            .to_http_request();
        proxies.network_of(&request)
    }

    #[test]
    fn a_strangers_header_is_ignored() {
        assert_eq!(network(&TrustedProxies::default(), "192.0.2.9:1", "1.2.3.4"), "192.0.2.0/24");
    }

    #[test]
    fn behind_a_trusted_proxy_the_rightmost_untrusted_hop_counts() {
        let proxies = TrustedProxies::new(&[("10.0.0.0".parse().unwrap(), 8)]);
        assert_eq!(network(&proxies, "10.0.0.1:1", "1.2.3.4, 198.51.100.7, 10.0.0.2"), "198.51.100.0/24");
        assert_eq!(network(&proxies, "10.0.0.1:1", "evil, not-an-address"), "10.0.0.0/24");
        assert_eq!(network(&proxies, "10.0.0.1:1", "::ffff:198.51.100.7"), "198.51.100.0/24");
        assert_eq!(network(&proxies, "[2001:db8:1:2:3::1]:1", "1.2.3.4"), "2001:db8:1::/48");
    }
}
