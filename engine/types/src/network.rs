//! Addresses of networks and hosts: `inet`, `cidr`, `macaddr` and `macaddr8` as PostgreSQL reads, orders and prints them.

use std::fmt::{self, Display, Formatter};
use std::net::Ipv6Addr;

/// An address of IPv4 or IPv6 and the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inet {
    /// Which bytes of the address count.
    pub family: Family,
    /// The first four bytes of an IPv4 address, the rest 0.
    pub address: [u8; 16],
    /// Bits of the prefix, at most those of the family.
    pub bits: u8,
}

/// A version of the Internet Protocol. IPv4 sorts first, as in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Addresses of 32 bits.
    V4,
    /// Addresses of 128 bits.
    V6,
}

impl Family {
    /// Bits of an address.
    #[must_use]
    pub const fn width(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// Bytes of an address.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::from(self.width() / 8)
    }

    /// The number by which PostgreSQL's function `family` names it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }
}

impl Inet {
    /// Bytes of a key.
    pub const KEY_BYTES: u8 = 34;

    /// Bytes that order as PostgreSQL orders `inet` and `cidr`: by family, by the network, by the prefix's length, by the address.
    #[must_use]
    pub fn key(self) -> [u8; Self::KEY_BYTES as usize] {
        let mut key = [0; Self::KEY_BYTES as usize];
        key[0] = self.family.number();
        key[1..17].copy_from_slice(&self.masked(true));
        key[17] = self.bits;
        key[18..].copy_from_slice(&self.address);
        key
    }

    /// `None`: bytes that are no key.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Option<Self> {
        let family = match key.first()? {
            4 => Family::V4,
            6 => Family::V6,
            _ => return None,
        };
        let address = key.get(18..)?.try_into().ok()?;
        let read = Self { family, address, bits: *key.get(17)? };
        // Behind an address of IPv4 there is nothing.
        let is_whole = read.address.iter().skip(family.bytes()).all(|byte| *byte == 0);
        (is_whole && read.bits <= family.width() && read.key() == key).then_some(read)
    }

    /// An `inet` as people and PostgreSQL write it: `10.1.2.3`, `10.1.2.3/8`, `10.1/16`, `2001:db8::1/64`. `None`: none.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        read(text, |_| None)
    }

    /// A `cidr`, whose prefix may be left out: then it is that of the address's class, or as long as what is written.
    ///
    /// # Errors
    /// [`NoNetwork`]: no address, or one with bits behind its prefix.
    pub fn read_network(text: &str) -> Result<Self, NoNetwork> {
        let read = read(text, |octets: &[u8]| {
            let class = match octets.first()? {
                240.. => 32,
                // A multicast address is one host's; its range, a network.
                224.. => 8,
                192.. => 24,
                128.. => 16,
                0.. => 8,
            };
            let written = u8::try_from(octets.len() * 8).ok()?;
            Some(if octets == [224] { 4 } else { written.max(class) })
        });
        let read = read.ok_or(NoNetwork::Spelling)?;
        if read.address == read.masked(true) { Ok(read) } else { Err(NoNetwork::HostBits) }
    }

    /// The address with what lies behind the prefix set to 0, or what lies in it.
    #[must_use]
    pub fn masked(self, keeps_network: bool) -> [u8; 16] {
        let mask = self.mask();
        let mut address = self.address;
        for (byte, mask) in address.iter_mut().zip(mask) {
            *byte &= if keeps_network { mask } else { !mask };
        }
        address
    }

    /// Ones as long as the prefix.
    #[must_use]
    pub fn mask(self) -> [u8; 16] {
        let mut mask = [0; 16];
        for (at, byte) in (0_u8..).zip(mask.iter_mut()) {
            let ones = self.bits.saturating_sub(at * 8).min(8);
            *byte = u8::try_from(0xff00_u16 >> ones & 0xff).unwrap_or(0);
        }
        mask
    }

    /// Another address of the same family; what lies beyond an address is left out.
    #[must_use]
    pub fn with_address(self, mut address: [u8; 16], bits: u8) -> Self {
        address[self.family.bytes()..].fill(0);
        Self { address, bits, ..self }
    }

    /// The network that it is in.
    #[must_use]
    pub fn network(self) -> Self {
        self.with_address(self.masked(true), self.bits)
    }

    /// Whether its network holds all of another one's.
    #[must_use]
    pub fn contains_or_equals(self, other: Self) -> bool {
        self.family == other.family
            && self.bits <= other.bits
            && Self { bits: self.bits, ..other }.masked(true) == self.masked(true)
    }

    /// The address without its prefix.
    #[must_use]
    pub fn host(self) -> String {
        let [a, b, c, d, ..] = self.address;
        match self.family {
            Family::V4 => format!("{a}.{b}.{c}.{d}"),
            Family::V6 => {
                let own = Ipv6Addr::from(self.address);
                match own.segments() {
                    // Addresses of IPv4 in those of IPv6 are printed as such.
                    [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
                        let [.., a, b, c, d] = self.address;
                        format!("::{a}.{b}.{c}.{d}")
                    }
                    _ => own.to_string(),
                }
            }
        }
    }

    /// As a `cidr` prints: always with its prefix.
    #[must_use]
    pub fn with_prefix(self) -> String {
        format!("{}/{}", self.host(), self.bits)
    }
}

/// As an `inet` prints: with its prefix where that is not all of it.
impl Display for Inet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host())?;
        if self.bits < self.family.width() { write!(f, "/{}", self.bits) } else { Ok(()) }
    }
}

/// Why a text is no `cidr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoNetwork {
    /// It is no address with or without a prefix.
    Spelling,
    /// Bits are set behind the prefix.
    HostBits,
}

/// `assumed`: the prefix of fewer octets than an address has, or of one without a prefix.
fn read(text: &str, assumed: impl Fn(&[u8]) -> Option<u8>) -> Option<Inet> {
    let (host, prefix) = match text.split_once('/') {
        Some((host, prefix)) => (host, Some(decimal(prefix, 3)?)),
        None => (text, None),
    };
    if host.contains(':') {
        let address: Ipv6Addr = host.parse().ok()?;
        let bits = prefix.unwrap_or(128);
        return (bits <= 128).then_some(Inet { family: Family::V6, address: address.octets(), bits });
    }
    let octets = host.split('.').map(|octet| decimal(octet, 3)).collect::<Option<Vec<u8>>>()?;
    let bits = match (prefix, octets.len()) {
        (Some(bits), 1..=4) => bits,
        (None, 4) => assumed(&octets).map_or(32, |_| 32),
        (None, 1..=3) => assumed(&octets)?,
        _ => return None,
    };
    let mut address = [0; 16];
    address.get_mut(..octets.len())?.copy_from_slice(&octets);
    (bits <= 32).then_some(Inet { family: Family::V4, address, bits })
}

fn decimal(digits: &str, most: usize) -> Option<u8> {
    let plain = (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// A `macaddr` (six bytes) as PostgreSQL prints it, of any form in which it reads one. `None`: none.
#[must_use]
pub fn macaddr(text: &str) -> Option<String> {
    let text = text.trim();
    let parts: Vec<&str> = text.split([':', '-', '.']).collect();
    let separators: Vec<char> = text.chars().filter(|c| matches!(c, ':' | '-' | '.')).collect();
    let alike = separators.windows(2).all(|pair| pair.first() == pair.last());
    let by_point = separators.first() == Some(&'.');
    let bytes = match (parts.as_slice(), by_point) {
        ([whole], _) if whole.len() == 12 => octets(whole)?,
        ([left, right], false) if left.len() == 6 && right.len() == 6 => octets(&format!("{left}{right}"))?,
        ([a, b, c], _) if [a, b, c].iter().all(|part| part.len() == 4) && separators.first() != Some(&':') => {
            octets(&format!("{a}{b}{c}"))?
        }
        (six, false) if six.len() == 6 => {
            let octet = |part: &&str| {
                (1..=2).contains(&part.len()).then(|| octets(&format!("{part:0>2}"))?.first().copied())?
            };
            six.iter().map(octet).collect::<Option<Vec<u8>>>()?
        }
        _ => return None,
    };
    alike.then(|| colons(&bytes))
}

/// A `macaddr8` (eight bytes); the six of a `macaddr` get `ff:fe` in their middle. `None`: none.
#[must_use]
pub fn macaddr8(text: &str) -> Option<String> {
    let text = text.trim();
    let separators: Vec<char> = text.chars().filter(|c| matches!(c, ':' | '-' | '.')).collect();
    if separators.windows(2).any(|pair| pair.first() != pair.last()) {
        return None;
    }
    let parts: Vec<&str> = text.split([':', '-', '.']).collect();
    if parts.iter().any(|part| part.is_empty() || part.len() % 2 != 0) {
        return None;
    }
    let mut bytes = octets(&parts.concat())?;
    if bytes.len() == 6 {
        bytes.splice(3..3, [0xff, 0xfe]);
    }
    (bytes.len() == 8).then(|| colons(&bytes))
}

/// Bytes of hexadecimal digits, two each.
fn octets(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// Bytes as PostgreSQL prints a hardware address.
#[must_use]
pub fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// The bytes of a hardware address as [`colons`] writes it. `None`: none.
#[must_use]
pub fn of_colons(text: &str) -> Option<Vec<u8>> {
    text.split(':').map(|part| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok())?).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_are_read() {
        for (text, inet, cidr) in [
            ("10.1.2.3", Some("10.1.2.3"), Some("10.1.2.3/32")),
            ("10.1.2.3/8", Some("10.1.2.3/8"), None),
            ("10/8", Some("10.0.0.0/8"), Some("10.0.0.0/8")),
            ("10", None, Some("10.0.0.0/8")),
            ("192.168", None, Some("192.168.0.0/24")),
            ("128.1", None, Some("128.1.0.0/16")),
            ("2001:db8::1/64", Some("2001:db8::1/64"), None),
            ("::ffff:1.2.3.4", Some("::ffff:1.2.3.4"), Some("::ffff:1.2.3.4/128")),
            ("::1.2.3.4", Some("::1.2.3.4"), Some("::1.2.3.4/128")),
            ("::1", Some("::1"), Some("::1/128")),
            ("::/0", Some("::/0"), Some("::/0")),
            ("1.2.3.256", None, None),
            ("1.2.3.4/33", None, None),
            ("1.2.3.4.5", None, None),
            ("::1/129", None, None),
            ("", None, None),
            ("a", None, None),
        ] {
            assert_eq!(Inet::read(text).map(|read| read.to_string()).as_deref(), inet, "{text}");
            assert_eq!(Inet::read_network(text).ok().map(Inet::with_prefix).as_deref(), cidr, "{text}");
        }
        assert_eq!(Inet::read_network("10.1.2.3/8"), Err(NoNetwork::HostBits));
    }

    #[test]
    fn keys_order_as_postgresql_does() {
        let ordered = [
            "0.0.0.0/0",
            "9.1.2.3/8",
            "10.0.0.0/8",
            "10.1.2.3/8",
            "10.1.2.4/8",
            "10.0.0.0/9",
            "10.1.2.3/32",
            "11.0.0.0",
            "::/0",
            "::1",
        ];
        let read: Vec<Inet> = ordered.iter().map(|text| Inet::read(text).unwrap()).collect();
        assert!(read.windows(2).all(|pair| pair[0].key() < pair[1].key()));
        for inet in read {
            assert_eq!(Inet::of_key(&inet.key()), Some(inet));
        }
        assert_eq!(Inet::of_key(&[4; 34]), None);
        assert_eq!(Inet::of_key(&[]), None);
    }

    #[test]
    fn networks_hold_networks() {
        let inet = |text| Inet::read(text).unwrap();
        assert!(inet("10.0.0.0/8").contains_or_equals(inet("10.1.2.3")));
        assert!(inet("10.0.0.0/8").contains_or_equals(inet("10.9.9.9/8")));
        assert!(!inet("10.0.0.0/8").contains_or_equals(inet("11.1.2.3")));
        assert!(!inet("10.0.0.0/16").contains_or_equals(inet("10.0.0.0/8")));
        assert!(!inet("::/0").contains_or_equals(inet("10.0.0.0/8")));
    }

    #[test]
    fn hardware_addresses_are_read_in_their_forms() {
        for text in [
            "08:00:2b:01:02:03",
            "08-00-2B-01-02-03",
            "8:0:2b:1:2:3",
            "08002b:010203",
            "08002b-010203",
            "0800.2b01.0203",
            "0800-2b01-0203",
            " 08002b010203 ",
        ] {
            assert_eq!(macaddr(text).as_deref(), Some("08:00:2b:01:02:03"), "{text}");
        }
        for text in
            ["", "08:00:2b:01:02", "08:00-2b:01:02:03", "08002b.010203", "not", "0800:2b01:0203", "08002b01020g"]
        {
            assert_eq!(macaddr(text), None, "{text}");
        }
        assert_eq!(macaddr8("08002b0102030405").as_deref(), Some("08:00:2b:01:02:03:04:05"));
        assert_eq!(macaddr8("08:00:2b:01:02:03").as_deref(), Some("08:00:2b:ff:fe:01:02:03"));
        assert_eq!(macaddr8("08:00:2b:01:02:03:04"), None);
        assert_eq!(of_colons("08:00:2b"), Some(vec![8, 0, 0x2b]));
    }
}
