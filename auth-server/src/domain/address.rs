//! Which network addresses belong to the public internet: the only ones that a request goes to when a stranger chose where it
//! goes (RFC 6890; IANA IPv4 and IPv6 Special-Purpose Address Registries).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(first: u16, second: u16, third: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0), length)
}

/// Every network of the registry, the ones that are said to be reachable from everywhere too, and multicast: nobody keeps the
/// document of a client there.
const SPECIAL_V4: [Ipv4Net; 18] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 31, 196, 0, 24),
    v4(192, 52, 193, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(192, 175, 48, 0, 24),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

/// Global unicast. What is outside of it is loopback, link-local, unique local, multicast, mapped or translated IPv4, or not given
/// out yet.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// What is special within global unicast: protocol assignments with Teredo and ORCHID, documentation, 6to4, AS112.
const SPECIAL_V6: [Ipv6Net; 5] = [
    v6(0x2001, 0, 0, 23),
    v6(0x2001, 0xdb8, 0, 32),
    v6(0x2002, 0, 0, 16),
    v6(0x2620, 0x4f, 0x8000, 48),
    v6(0x3fff, 0, 0, 20),
];

/// True for an address of the public internet. An IPv6 address that stands for an IPv4 address (mapped, translated, tunnelled)
/// never is one, whatever it stands for: what is public has an address of its own.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|special| special.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|special| special.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    // CM-05 to CM-07.
    #[test]
    fn no_special_address_is_public_however_it_is_written() {
        for text in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
            "::ffff:8.8.8.8",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "100::1",
            "100:0:0:1::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "::7f00:1",
            "2620:4f:8000::1",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn what_lies_beside_a_special_network_is_public() {
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "2003::1",
            "3ffe::1",
        ] {
            assert!(public(text), "{text}");
        }
    }

    proptest! {
        // CM-33.
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn a_form_of_ipv6_that_stands_for_ipv4_is_never_public(a: u16, b: u16, host: u64) {
            let bits = (u32::from(a) << 16) | u32::from(b);
            for form in [
                Ipv4Addr::from_bits(bits).to_ipv6_mapped(),
                Ipv4Addr::from_bits(bits).to_ipv6_compatible(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, a, b),
                Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
                Ipv6Addr::from_bits((0x2001_u128 << 112) | u128::from(host)),
            ] {
                prop_assert!(!is_public(form.into()), "{form}");
            }
        }

        #[test]
        fn the_standard_library_knows_no_private_address_that_is_public_here(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast()
                || address.is_broadcast() || address.is_documentation() || address.is_unspecified();
            prop_assert!(!(special && is_public(address.into())));
        }

        #[test]
        fn global_addresses_are_public(bits in 0x0100_0000_u32..0xe000_0000) {
            let address = Ipv4Addr::from_bits(bits);
            prop_assume!(!SPECIAL_V4.iter().any(|special| special.contains(&address)));
            prop_assert!(is_public(address.into()));
            let six = Ipv6Addr::from_bits((0x2a00_u128 << 112) | (u128::from(bits) << 80) | 1);
            prop_assert!(is_public(six.into()));
        }
    }
}
