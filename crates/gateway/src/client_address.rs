//! Where a client is: the peer, or what the proxies in front that are trusted say of it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::HeaderName;
use axum::http::request::Parts;
use service::settings::FromSetting;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks in which the proxies in front are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<Block>);

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    network: u128,
    prefix_bits: u32,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The client's address, as well as it is known.
    pub(crate) client: IpAddr,
    /// Whether the peer is a proxy whose `x-forwarded-*` headers are believed.
    pub(crate) by_proxy: bool,
}

impl FromSetting for TrustedProxies {
    const EXPECTED: &'static str =
        "addresses or networks, separated by commas, such as `10.89.0.0/16,fd00::/8`";

    fn from_setting(text: &str) -> Option<Self> {
        text.split(',').map(|block| Block::parse(block.trim())).collect::<Option<_>>().map(Self)
    }
}

impl TrustedProxies {
    /// Where the request comes from. `x-forwarded-for` is read from its end, which the nearest proxy wrote, back to
    /// the first address that is no trusted proxy's: what stands before that anyone can have written.
    pub(crate) fn origin(&self, request: &Parts) -> Option<Origin> {
        let ConnectInfo(peer) = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
        let peer = peer.ip().to_canonical();
        if !self.contains(peer) {
            return Some(Origin { client: peer, by_proxy: false });
        }
        let lines: Vec<&str> = request
            .headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .map(|it| it.to_str().unwrap_or_default())
            .collect();
        let mut client = peer;
        for hop in lines.join(",").rsplit(',') {
            // What cannot be read was not written by a proxy of ours; who sent it stands nearer.
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.contains(client) {
                break;
            }
        }
        Some(Origin { client, by_proxy: true })
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|block| block.contains(address))
    }
}

impl Block {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits: u32 = prefix.map_or(Some(width), |prefix| prefix.parse().ok())?;
        if prefix_bits > width {
            return None;
        }
        // IPv4 is compared in its IPv6 form, whose first 96 bits are always the same.
        let block = Self { network: bits(address), prefix_bits: prefix_bits + 128 - width };
        // Bits beyond the prefix would say something else than what is meant.
        (block.network & !block.mask() == 0).then_some(block)
    }

    fn contains(self, address: IpAddr) -> bool {
        bits(address) & self.mask() == self.network
    }

    fn mask(self) -> u128 {
        u128::MAX.checked_shl(128 - self.prefix_bits).unwrap_or(0)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, forwarded_for: &[&str]) -> String {
        let mut request = axum::extract::Request::get("/");
        for value in forwarded_for {
            request = request.header("x-forwarded-for", *value);
        }
        let mut request = request.body(axum::body::Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
        let trusted = TrustedProxies::from_setting(trusted).unwrap();
        trusted.origin(&request.into_parts().0).unwrap().client.to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_what_it_wrote_itself() {
        let trusted = "10.0.0.0/8,fd00::/8";
        assert_eq!(client(trusted, "192.0.2.1", &["203.0.113.7"]), "192.0.2.1");
        assert_eq!(client(trusted, "10.1.1.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(trusted, "::ffff:10.1.1.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(trusted, "fd00::1", &["203.0.113.7, 10.2.2.2"]), "203.0.113.7");
        // The client wrote the first itself, on one line or on two.
        assert_eq!(client(trusted, "10.1.1.1", &["1.2.3.4, 203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(trusted, "10.1.1.1", &["1.2.3.4", "203.0.113.7"]), "203.0.113.7");
        // What is no address ends the search at who sent it.
        assert_eq!(client(trusted, "10.1.1.1", &["1.2.3.4, unknown"]), "10.1.1.1");
        assert_eq!(client(trusted, "10.1.1.1", &["1.2.3.4, bogus, 10.3.3.3"]), "10.3.3.3");
        assert_eq!(client(trusted, "10.1.1.1", &[]), "10.1.1.1");
        assert_eq!(client("10.1.1.1", "10.1.1.2", &["203.0.113.7"]), "10.1.1.2");
    }

    #[test]
    fn networks_are_written_with_their_own_first_address() {
        for good in
            ["10.0.0.0/8", "0.0.0.0/0", "::/0", "192.0.2.1", "::1", "fd00::/8, 10.89.0.0/16", "::1/128"]
        {
            assert!(TrustedProxies::from_setting(good).is_some(), "{good}");
        }
        for bad in ["", "10.0.0.1/8", "10.0.0.0/33", "::/129", "proxy", "10.0.0.0/8,", "10.0.0.0/-1"] {
            assert!(TrustedProxies::from_setting(bad).is_none(), "{bad}");
        }
    }
}
