//! Which addresses may be connected to.
//!
//! ```
//! use harvestman_engine::address::AddressGuard;
//!
//! let guard = AddressGuard::new().with_allowed("127.0.0.1:8000".parse()?);
//! assert!(guard.check("93.184.215.14".parse()?, 443).is_ok());
//! assert!(guard.check("127.0.0.1".parse()?, 8000).is_ok());
//! let refused = guard.check("127.0.0.1".parse()?, 22).unwrap_err();
//! assert!(refused.to_string().contains("--allow-address 127.0.0.1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Judges addresses after resolution: public ones pass, and those that the operator has allowed.
///
/// "Public" goes by an explicit table, since the usual "is it global?" lets through addresses that
/// embed a private one. Ask it for every address that is to be connected to: each answer of the
/// resolver, each literal in an URL, each redirect, each proxy.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    allowed: Vec<AddressRule>,
}

impl AddressGuard {
    /// A guard that lets public addresses pass only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets addresses pass that the rule covers.
    pub fn with_allowed(mut self, rule: AddressRule) -> Self {
        self.allowed.push(rule);
        self
    }

    /// The rules that were added.
    pub fn allowed(&self) -> &[AddressRule] {
        &self.allowed
    }

    /// Judges one address; an IPv4-mapped one by the IPv4 address in it.
    ///
    /// A caller that can't know the port asks with 0, which only rules without a port cover.
    pub fn check(&self, ip: IpAddr, port: u16) -> Result<(), ForbiddenAddress> {
        let canonical = ip.to_canonical();
        let Some(class) = AddressClass::of(canonical) else { return Ok(()) };
        if self.allowed.iter().any(|rule| rule.covers(canonical, port)) {
            return Ok(());
        }
        Err(ForbiddenAddress { ip, class })
    }
}

/// An address or a network that may be connected to, on one port or on all.
///
/// Written as `127.0.0.1`, `127.0.0.1:8000`, `10.0.0.0/8`, `10.0.0.0/8:443`, `::1`, `[::1]:80`,
/// `fd00::/8` or `[fd00::/8]:443`. A rule for an IPv4 address covers its IPv4-mapped form too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressRule {
    net: IpNet,
    port: Option<u16>,
}

impl AddressRule {
    /// The addresses that the rule covers.
    pub fn network(&self) -> IpNet {
        self.net
    }

    /// The only port that the rule covers, or `None` for all of them; never 0.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    fn covers(&self, canonical: IpAddr, port: u16) -> bool {
        self.net.contains(&canonical) && self.port.is_none_or(|own| own == port)
    }
}

impl FromStr for AddressRule {
    type Err = InvalidAddressRule;

    fn from_str(text: &str) -> Result<Self, InvalidAddressRule> {
        let invalid = || InvalidAddressRule(text.escape_debug().take(MAX_QUOTED_CHARS).collect());
        let (net, port) = split_port(text).ok_or_else(invalid)?;
        let net = parse_net(net).ok_or_else(invalid)?;
        let port = port.map(|port| parse_port(port).ok_or_else(invalid)).transpose()?;
        Ok(Self { net, port })
    }
}

impl fmt::Display for AddressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_single = self.net.prefix_len() == self.net.max_prefix_len();
        let net = if is_single { self.net.addr().to_string() } else { self.net.to_string() };
        match (self.port, self.net) {
            (None, _) => f.write_str(&net),
            (Some(port), IpNet::V4(_)) => write!(f, "{net}:{port}"),
            (Some(port), IpNet::V6(_)) => write!(f, "[{net}]:{port}"),
        }
    }
}

/// How much of a text that is no rule its error quotes.
const MAX_QUOTED_CHARS: usize = 100;

/// The text is no [`AddressRule`].
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no address; write an IP address or a network, each with an optional port: \
     127.0.0.1:8000, 10.0.0.0/8, [::1]:80"
)]
pub struct InvalidAddressRule(String);

/// Takes the text apart without judging the address.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (net, rest) = bracketed.split_once(']')?;
        return match rest {
            "" => Some((net, None)),
            rest => rest.strip_prefix(':').map(|port| (net, Some(port))),
        };
    }
    match text.split_once(':') {
        Some((net, port)) if !port.contains(':') => Some((net, Some(port))),
        // No colon at all, or an IPv6 address.
        _ => Some((text, None)),
    }
}

fn parse_net(text: &str) -> Option<IpNet> {
    let net = match text.parse::<IpAddr>() {
        Ok(ip) => IpNet::from(ip),
        Err(_) => text.parse::<IpNet>().ok()?.trunc(),
    };
    Some(canonical_net(net))
}

/// Addresses are compared in their canonical form, so a network of IPv4-mapped ones is an IPv4 network.
fn canonical_net(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (IpAddr::V4(ip), Some(prefix)) if net.addr().is_ipv6() => {
            Ipv4Net::new(ip, prefix).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_plain && *port != 0)
}

/// An address that is not public and that no rule allows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForbiddenAddress {
    /// The address as it was met.
    pub ip: IpAddr,
    /// Why it is refused.
    pub class: AddressClass,
}

impl std::error::Error for ForbiddenAddress {}

impl fmt::Display for ForbiddenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, class } = self;
        let canonical = ip.to_canonical();
        write!(f, "{ip} is a {class} address")?;
        if canonical != *ip {
            f.write_str(" (IPv4-mapped)")?;
        }
        write!(f, "; if it is meant to be fetched, allow it with --allow-address {canonical}")
    }
}

macro_rules! classes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal;)+) => {
        /// What an address that is not public is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum AddressClass { $($(#[doc = $doc])+ $variant,)+ }

        impl fmt::Display for AddressClass {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)+ })
            }
        }
    };
}

classes! {
    /// No address yet, or this network; Linux connects it to itself.
    Unspecified = "unspecified";
    /// This machine.
    Loopback = "loopback";
    /// A private network.
    Private = "private";
    /// The network segment.
    LinkLocal = "link-local";
    /// A metadata service of a cloud, which gives away credentials.
    Metadata = "cloud metadata";
    /// Behind a provider's address translation.
    Cgnat = "carrier-grade NAT";
    /// Many machines at once.
    Multicast = "multicast";
    /// Every machine of the segment.
    Broadcast = "broadcast";
    /// Examples in texts.
    Documentation = "documentation";
    /// Measurements between networks.
    Benchmarking = "benchmarking";
    /// IPv4 in the last 32 bits, an old transition form.
    Ipv4Compatible = "IPv4-compatible";
    /// IPv4 behind a translator.
    Nat64 = "NAT64";
    /// IPv4 behind a 6to4 relay.
    SixToFour = "6to4";
    /// IPv4 behind a Teredo relay.
    Teredo = "Teredo";
    /// Thrown away by routers.
    Discard = "discard-only";
    /// The former private network of IPv6.
    SiteLocal = "site-local";
    /// Set aside for protocols, or not given out to anybody.
    Reserved = "reserved";
}

impl AddressClass {
    /// What the address is for; `None` for a public one. IPv4-mapped ones are public or not as the
    /// IPv4 address in them.
    pub fn of(ip: IpAddr) -> Option<Self> {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let found = V4_CLASSES.iter().find(|(net, _)| net.contains(&ip));
                found.map(|(_, class)| *class)
            }
            IpAddr::V6(ip) => {
                let found = V6_CLASSES.iter().find(|(net, _)| net.contains(&ip));
                let is_given_out = V6_GLOBAL_UNICAST.contains(&ip);
                found.map(|(_, class)| *class).or((!is_given_out).then_some(Self::Reserved))
            }
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// A network by the first three groups of its address.
const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// All that is given out to networks of the Internet.
const V6_GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 3);

/// The first match names the class.
const V4_CLASSES: &[(Ipv4Net, AddressClass)] = &[
    (v4(169, 254, 169, 254, 32), AddressClass::Metadata),
    (v4(169, 254, 170, 2, 32), AddressClass::Metadata),
    (v4(100, 100, 100, 200, 32), AddressClass::Metadata),
    (v4(192, 0, 0, 192, 32), AddressClass::Metadata),
    // Public by its number, but inside Azure it is the host's own agent.
    (v4(168, 63, 129, 16, 32), AddressClass::Metadata),
    (v4(0, 0, 0, 0, 8), AddressClass::Unspecified),
    (v4(10, 0, 0, 0, 8), AddressClass::Private),
    (v4(100, 64, 0, 0, 10), AddressClass::Cgnat),
    (v4(127, 0, 0, 0, 8), AddressClass::Loopback),
    (v4(169, 254, 0, 0, 16), AddressClass::LinkLocal),
    (v4(172, 16, 0, 0, 12), AddressClass::Private),
    (v4(192, 0, 0, 0, 24), AddressClass::Reserved),
    (v4(192, 0, 2, 0, 24), AddressClass::Documentation),
    (v4(192, 88, 99, 0, 24), AddressClass::SixToFour),
    (v4(192, 168, 0, 0, 16), AddressClass::Private),
    (v4(198, 18, 0, 0, 15), AddressClass::Benchmarking),
    (v4(198, 51, 100, 0, 24), AddressClass::Documentation),
    (v4(203, 0, 113, 0, 24), AddressClass::Documentation),
    (v4(224, 0, 0, 0, 4), AddressClass::Multicast),
    (v4(255, 255, 255, 255, 32), AddressClass::Broadcast),
    (v4(240, 0, 0, 0, 4), AddressClass::Reserved),
];

/// The first match names the class; what lies outside of [`V6_GLOBAL_UNICAST`] is refused anyway.
const V6_CLASSES: &[(Ipv6Net, AddressClass)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), AddressClass::Unspecified),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), AddressClass::Loopback),
    (AWS_METADATA, AddressClass::Metadata),
    (v6(0, 0, 0, 96), AddressClass::Ipv4Compatible),
    (v6(0x64, 0xff9b, 0, 96), AddressClass::Nat64),
    (v6(0x64, 0xff9b, 1, 48), AddressClass::Nat64),
    (v6(0x100, 0, 0, 64), AddressClass::Discard),
    (v6(0x2001, 0, 0, 32), AddressClass::Teredo),
    (v6(0x2001, 2, 0, 48), AddressClass::Benchmarking),
    (v6(0x2001, 0, 0, 23), AddressClass::Reserved),
    (v6(0x2001, 0xdb8, 0, 32), AddressClass::Documentation),
    (v6(0x2002, 0, 0, 16), AddressClass::SixToFour),
    (v6(0x3fff, 0, 0, 20), AddressClass::Documentation),
    (v6(0x5f00, 0, 0, 16), AddressClass::Reserved),
    (v6(0xfc00, 0, 0, 7), AddressClass::Private),
    (v6(0xfe80, 0, 0, 10), AddressClass::LinkLocal),
    (v6(0xfec0, 0, 0, 10), AddressClass::SiteLocal),
    (v6(0xff00, 0, 0, 8), AddressClass::Multicast),
];

const AWS_METADATA: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn rule(text: &str) -> AddressRule {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_and_last_address_of_every_class_is_refused_and_its_neighbours_are_not() {
        use AddressClass as C;
        let table = [
            (None, "0.0.0.0", "0.255.255.255", "1.0.0.0", C::Unspecified),
            (Some("9.255.255.255"), "10.0.0.0", "10.255.255.255", "11.0.0.0", C::Private),
            (Some("100.63.255.255"), "100.64.0.0", "100.127.255.255", "100.128.0.0", C::Cgnat),
            (Some("126.255.255.255"), "127.0.0.0", "127.255.255.255", "128.0.0.0", C::Loopback),
            (
                Some("169.253.255.255"),
                "169.254.0.0",
                "169.254.255.255",
                "169.255.0.0",
                C::LinkLocal,
            ),
            (Some("172.15.255.255"), "172.16.0.0", "172.31.255.255", "172.32.0.0", C::Private),
            (Some("191.255.255.255"), "192.0.0.0", "192.0.0.255", "192.0.1.0", C::Reserved),
            (Some("192.0.1.255"), "192.0.2.0", "192.0.2.255", "192.0.3.0", C::Documentation),
            (Some("192.88.98.255"), "192.88.99.0", "192.88.99.255", "192.88.100.0", C::SixToFour),
            (Some("192.167.255.255"), "192.168.0.0", "192.168.255.255", "192.169.0.0", C::Private),
            (Some("198.17.255.255"), "198.18.0.0", "198.19.255.255", "198.20.0.0", C::Benchmarking),
            (
                Some("198.51.99.255"),
                "198.51.100.0",
                "198.51.100.255",
                "198.51.101.0",
                C::Documentation,
            ),
            (
                Some("203.0.112.255"),
                "203.0.113.0",
                "203.0.113.255",
                "203.0.114.0",
                C::Documentation,
            ),
            (Some("2000::"), "2001::", "2001:0:ffff::", "2001:200::", C::Teredo),
            (Some("2001:db7::"), "2001:db8::", "2001:db8:ffff::", "2001:db9::", C::Documentation),
            (Some("2001:ffff::"), "2002::", "2002:ffff::", "2003::", C::SixToFour),
            (Some("3ffe::"), "3fff::", "3fff:fff:ffff::", "3fff:1000::", C::Documentation),
        ];
        for (before, first, last, after, class) in table {
            assert_eq!(AddressClass::of(ip(first)), Some(class), "{first}");
            assert_eq!(AddressClass::of(ip(last)), Some(class), "{last}");
            for public in before.into_iter().chain([after]) {
                assert_eq!(AddressClass::of(ip(public)), None, "{public}");
            }
        }
    }

    #[test]
    fn addresses_of_special_use_are_named() {
        use AddressClass as C;
        let table = [
            ("169.254.169.254", C::Metadata),
            ("169.254.170.2", C::Metadata),
            ("100.100.100.200", C::Metadata),
            ("192.0.0.192", C::Metadata),
            ("168.63.129.16", C::Metadata),
            ("fd00:ec2::254", C::Metadata),
            ("224.0.0.1", C::Multicast),
            ("239.255.255.255", C::Multicast),
            ("240.0.0.1", C::Reserved),
            ("255.255.255.255", C::Broadcast),
            ("::", C::Unspecified),
            ("::1", C::Loopback),
            ("::7f00:1", C::Ipv4Compatible),
            ("::ffff:127.0.0.1", C::Loopback),
            ("::ffff:169.254.169.254", C::Metadata),
            ("64:ff9b::a00:1", C::Nat64),
            ("64:ff9b:1:ffff::1", C::Nat64),
            ("100::1", C::Discard),
            ("2001:2::1", C::Benchmarking),
            ("2001:1ff::1", C::Reserved),
            ("5f00::1", C::Reserved),
            ("4000::1", C::Reserved),
            ("::ffff:0:7f00:1", C::Reserved),
            ("fc00::1", C::Private),
            ("fdff::1", C::Private),
            ("fe80::1", C::LinkLocal),
            ("febf::1", C::LinkLocal),
            ("fec0::1", C::SiteLocal),
            ("feff::1", C::SiteLocal),
            ("ff02::1", C::Multicast),
        ];
        for (text, class) in table {
            assert_eq!(AddressClass::of(ip(text)), Some(class), "{text}");
        }
        for public in ["8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450:4001::1"] {
            assert_eq!(AddressGuard::new().check(ip(public), 443), Ok(()), "{public}");
        }
    }

    #[test]
    fn whole_blocks_of_ipv4_are_judged_by_their_first_octet() {
        for first in 0..=u8::MAX {
            let refused = AddressClass::of(IpAddr::from([first, 1, 1, 1])).is_some();
            assert_eq!(refused, matches!(first, 0 | 10 | 127 | 224..), "{first}.1.1.1");
        }
    }

    #[test]
    fn rules_are_read_and_written_in_one_form() {
        for (text, written) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1/32", "127.0.0.1"),
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.0.0.0/8:443", "10.0.0.0/8:443"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[::1]:80", "[::1]:80"),
            ("fd00::/8", "fd00::/8"),
            ("[fd00::/8]:443", "[fd00::/8]:443"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(rule(text).to_string(), written, "{text}");
            assert_eq!(rule(written), rule(text));
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_with_an_example() {
        for text in [
            "",
            "localhost",
            "localhost:80",
            "127.1",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:+80",
            "127.0.0.1:65536",
            "10.0.0.0/33",
            "[::1",
            "[::1]80",
            "[::1]:",
            "::1/129",
            ":80",
            "1:2",
        ] {
            let error = text.parse::<AddressRule>().unwrap_err().to_string();
            assert!(error.contains("127.0.0.1:8000"), "{text}: {error}");
        }
    }

    #[test]
    fn a_rule_opens_its_addresses_and_its_port_only() {
        let guard = AddressGuard::new()
            .with_allowed(rule("127.0.0.1:8000"))
            .with_allowed(rule("10.0.0.0/8"))
            .with_allowed(rule("[fd00::/8]:443"));
        for (text, port, passes) in [
            ("127.0.0.1", 8000, true),
            ("::ffff:127.0.0.1", 8000, true),
            ("127.0.0.1", 8001, false),
            ("127.0.0.1", 0, false),
            ("127.0.0.2", 8000, false),
            ("::1", 8000, false),
            ("10.9.9.9", 1, true),
            ("10.9.9.9", 0, true),
            ("11.0.0.1", 0, true),
            ("fd12::1", 443, true),
            ("fd12::1", 80, false),
            ("64:ff9b::a09:909", 80, false),
        ] {
            assert_eq!(guard.check(ip(text), port).is_ok(), passes, "{text} {port}");
        }
    }

    #[test]
    fn a_refusal_names_address_class_and_remedy() {
        let error = AddressGuard::new().check(ip("::ffff:10.0.0.1"), 80).unwrap_err();
        assert_eq!(
            error.to_string(),
            "::ffff:10.0.0.1 is a private address (IPv4-mapped); if it is meant to be fetched, \
             allow it with --allow-address 10.0.0.1"
        );
    }

    fn private_v4() -> impl Strategy<Value = Ipv4Addr> {
        any::<u32>().prop_flat_map(|bits| {
            prop_oneof![
                Just(0x0a00_0000 | (bits & 0x00ff_ffff)),
                Just(0x7f00_0000 | (bits & 0x00ff_ffff)),
                Just(0xc0a8_0000 | (bits & 0xffff)),
                Just(0xa9fe_0000 | (bits & 0xffff)),
                Just(0xac10_0000 | (bits & 0x000f_ffff)),
            ]
            .prop_map(Ipv4Addr::from)
        })
    }

    proptest! {
        #[test]
        fn every_embedding_of_a_private_address_is_refused(v4 in private_v4(), low: u64) {
            let bits = u128::from(u32::from(v4));
            let embeddings = [
                u128::from(v4.to_ipv6_mapped()),
                u128::from(v4.to_ipv6_compatible()),
                0xffff_0000_0000_0000 | bits,
                (0x0064_ff9b << 96) | bits,
                (0x0064_ff9b_0001 << 80) | bits,
                (0x2002 << 112) | (bits << 80) | u128::from(low),
                (0x2001 << 112) | u128::from(low & 0xffff_ffff_0000_0000) | (!bits & 0xffff_ffff),
            ];
            for embedding in embeddings {
                let ip = IpAddr::from(Ipv6Addr::from(embedding));
                prop_assert!(AddressGuard::new().check(ip, 80).is_err(), "{}", ip);
            }
        }

        #[test]
        fn any_text_is_read_or_refused_and_rules_survive_writing(text in "[0-9a-f:./\\[\\]]{0,24}") {
            if let Ok(rule) = text.parse::<AddressRule>() {
                prop_assert_eq!(rule.to_string().parse::<AddressRule>().unwrap(), rule);
            }
        }

        #[test]
        fn what_the_standard_library_calls_private_is_refused(bits: u32) {
            let ip = Ipv4Addr::from(bits);
            let special = ip.is_private() || ip.is_loopback() || ip.is_link_local()
                || ip.is_multicast() || ip.is_broadcast() || ip.is_documentation();
            prop_assert!(!special || AddressClass::of(ip.into()).is_some(), "{}", ip);
        }
    }
}
