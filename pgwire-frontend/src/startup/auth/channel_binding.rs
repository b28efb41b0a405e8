//! The `tls-server-end-point` channel binding of RFC 5929, section 4.1: a hash of the server's certificate. Knows no TLS library.

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

/// Signatures by RSA, DER content of OIDs but for the last number: 1.2.840.113549.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// The last number of RSASSA-PSS, which names its hash in its parameters.
const RSA_PSS: u8 = 0x0a;
/// Signatures by ECDSA: 1.2.840.10045.4.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
/// Signatures by DSA with SHA-1: 1.2.840.10040.4.3.
const DSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03];
/// Further signatures: 2.16.840.1.101.3.4.3.
const NIST_SIGNATURES: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03];
/// Hashes: 2.16.840.1.101.3.4.2.
const NIST_HASHES: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const MD5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05];

type Hash = fn(&[u8]) -> Vec<u8>;

fn hash<D: Digest>(bytes: &[u8]) -> Vec<u8> {
    D::digest(bytes).to_vec()
}

/// RFC 5929: MD5 and SHA-1 are replaced by SHA-256, every other hash is the signature's own.
const REPLACED: Hash = hash::<Sha256>;

/// The binding data for a DER certificate; `None` when its signature names no hash that both sides would agree on, as Ed25519 does.
pub(crate) fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let hash = signature(certificate).and_then(|(oid, parameters)| of_signature(oid, parameters));
    if hash.is_none() {
        tracing::warn!("channel binding is not offered: the signature of the certificate names no hash that is known");
    }
    hash.map(|hash| hash(certificate))
}

/// Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, parameters }, … }
fn signature(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = element(certificate, 0x30)?;
    let (_, after_tbs) = element(body, 0x30)?;
    let (algorithm, _) = element(after_tbs, 0x30)?;
    element(algorithm, 0x06)
}

/// SHA-512/224, SHA-512/256, and SHA-3 by DSA and ECDSA are left out: libpq finds no hash in such a signature, and gives up where a
/// binding is offered.
fn of_signature(oid: &[u8], parameters: &[u8]) -> Option<Hash> {
    if oid == DSA_SHA1 {
        return Some(REPLACED);
    }
    match (oid.strip_prefix(RSA), oid.strip_prefix(ECDSA), oid.strip_prefix(NIST_SIGNATURES)) {
        (Some([RSA_PSS]), _, _) => of_pss(parameters),
        (Some([0x04 | 0x05]), _, _) | (_, Some([0x01]), _) => Some(REPLACED),
        (Some([0x0b]), _, _) | (_, Some([0x03, 0x02]), _) | (_, _, Some([2])) => Some(hash::<Sha256>),
        (Some([0x0c]), _, _) | (_, Some([0x03, 0x03]), _) | (_, _, Some([3])) => Some(hash::<Sha384>),
        (Some([0x0d]), _, _) | (_, Some([0x03, 0x04]), _) | (_, _, Some([4])) => Some(hash::<Sha512>),
        (Some([0x0e]), _, _) | (_, Some([0x03, 0x01]), _) | (_, _, Some([1])) => Some(hash::<Sha224>),
        (_, _, Some([13])) => Some(hash::<Sha3_224>),
        (_, _, Some([14])) => Some(hash::<Sha3_256>),
        (_, _, Some([15])) => Some(hash::<Sha3_384>),
        (_, _, Some([16])) => Some(hash::<Sha3_512>),
        _ => None,
    }
}

/// RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] SEQUENCE { OID, … } DEFAULT SHA-1, … }
fn of_pss(parameters: &[u8]) -> Option<Hash> {
    let (parameters, _) = element(parameters, 0x30)?;
    if parameters.first() != Some(&0xa0) {
        return Some(REPLACED);
    }
    let (tagged, _) = element(parameters, 0xa0)?;
    let (algorithm, _) = element(tagged, 0x30)?;
    let (oid, _) = element(algorithm, 0x06)?;
    if oid == SHA1 || oid == MD5 {
        return Some(REPLACED);
    }
    match oid.strip_prefix(NIST_HASHES)? {
        [1] => Some(hash::<Sha256>),
        [2] => Some(hash::<Sha384>),
        [3] => Some(hash::<Sha512>),
        [4] => Some(hash::<Sha224>),
        [7] => Some(hash::<Sha3_224>),
        [8] => Some(hash::<Sha3_256>),
        [9] => Some(hash::<Sha3_384>),
        [10] => Some(hash::<Sha3_512>),
        _ => None,
    }
}

/// Content of the DER element at the front, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first != tag {
        return None;
    }
    let (short, rest) = rest.split_first()?;
    let (length, rest) = if *short < 0x80 {
        (usize::from(*short), rest)
    } else {
        let count = usize::from(short & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        (bytes.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte)), rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A certificate with this key and signature, and its hash by this digest; `None`: by none.
    const MAKE: &str = r#"
set -e
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
openssl genpkey $KEY -out key.pem 2>err || { cat err >&2; exit 1; }
openssl req -x509 -new -key key.pem -days 2 -subj /CN=localhost $SIGN -outform DER -out certificate.der 2>err || { cat err >&2; exit 1; }
od -An -v -tx1 certificate.der | tr -d ' \n'
if [ -n "$HASH" ]; then echo; openssl dgst -"$HASH" -r certificate.der | cut -d' ' -f1; fi
"#;

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    fn made(key: &str, sign: &str, hash: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut shell = Command::new("/bin/sh");
        let ran = shell.arg("-c").arg(MAKE).env("KEY", key).env("SIGN", sign).env("HASH", hash).output().unwrap();
        assert!(ran.status.success(), "{key} {sign}: {}", String::from_utf8_lossy(&ran.stderr));
        let printed = String::from_utf8(ran.stdout).unwrap();
        let mut lines = printed.lines();
        (bytes(lines.next().unwrap()), lines.next().map(bytes))
    }

    const RSA_KEY: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
    const EC_KEY: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

    #[test]
    fn the_hash_is_that_of_the_certificates_signature() {
        let pss = |digest: &str| format!("-{digest} -sigopt rsa_padding_mode:pss");
        for (digest, hash) in [
            ("sha1", "sha256"),
            ("sha224", "sha224"),
            ("sha256", "sha256"),
            ("sha384", "sha384"),
            ("sha512", "sha512"),
            ("sha3-224", "sha3-224"),
            ("sha3-256", "sha3-256"),
            ("sha3-384", "sha3-384"),
            ("sha3-512", "sha3-512"),
        ] {
            let mut kinds = vec![(RSA_KEY, format!("-{digest}"))];
            if !digest.starts_with("sha3-") {
                // OpenSSL 3.0 does not pad by these.
                kinds.push((RSA_KEY, pss(digest)));
                kinds.push((EC_KEY, format!("-{digest}")));
            }
            for (key, sign) in kinds {
                let (certificate, expected) = made(key, &sign, hash);
                assert_eq!(tls_server_end_point(&certificate), expected, "{key} {sign}");
            }
        }
        let (certificate, expected) = made(RSA_KEY, "-md5", "sha256");
        assert_eq!(tls_server_end_point(&certificate), expected, "md5");
    }

    #[test]
    fn a_signature_without_a_known_hash_has_no_binding() {
        for algorithm in ["ED25519", "ED448"] {
            let (certificate, _) = made(&format!("-algorithm {algorithm}"), "", "");
            assert_eq!(tls_server_end_point(&certificate), None, "{algorithm}");
        }
        for (key, sign) in [
            (RSA_KEY, "-sha512-224"),
            (RSA_KEY, "-sha512-256 -sigopt rsa_padding_mode:pss"),
            (EC_KEY, "-sha3-224"),
            (EC_KEY, "-sha3-512"),
        ] {
            let (certificate, _) = made(key, sign, "");
            assert_eq!(tls_server_end_point(&certificate), None, "{key} {sign}");
        }
        assert_eq!(tls_server_end_point(b"no certificate"), None);
        let (certificate, _) = made(EC_KEY, "-sha256", "");
        for length in 0..certificate.len() {
            assert_eq!(tls_server_end_point(&certificate[..length]), None, "cut at {length}");
        }
    }
}
