//! The `tls-server-end-point` channel binding of RFC 5929, section 4.1: a hash of the server's certificate. Knows no TLS library.

use ring::digest;

/// OIDs (DER content) of certificate signatures made with SHA-384.
const SHA384_SIGNATURES: [&[u8]; 2] =
    [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03]];
/// The same for SHA-512.
const SHA512_SIGNATURES: [&[u8]; 2] =
    [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04]];
/// The same for SHA-224, for which no hash is at hand: channel binding is not offered then.
const SHA224_SIGNATURES: [&[u8]; 2] =
    [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0e], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x01]];
/// Ed25519 names no hash of its own: RFC 5929 leaves the binding undefined.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// RSASSA-PSS names its hash in parameters that are not read here.
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];

/// The binding data for a DER certificate; `None` when its signature names no hash that both sides would agree on.
pub(crate) fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let signature = signature_oid(certificate)?;
    let is_one_of = |list: &[&[u8]]| list.contains(&signature);
    if signature == ED25519 || signature == RSA_PSS || is_one_of(&SHA224_SIGNATURES) {
        return None;
    }
    // RFC 5929: MD5 and SHA-1 are replaced by SHA-256, every other hash is the signature's own.
    let algorithm = if is_one_of(&SHA384_SIGNATURES) {
        &digest::SHA384
    } else if is_one_of(&SHA512_SIGNATURES) {
        &digest::SHA512
    } else {
        &digest::SHA256
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, … }, … }
fn signature_oid(certificate: &[u8]) -> Option<&[u8]> {
    let (body, _) = element(certificate, 0x30)?;
    let (_, after_tbs) = element(body, 0x30)?;
    let (algorithm, _) = element(after_tbs, 0x30)?;
    element(algorithm, 0x06).map(|(oid, _)| oid)
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

    fn certificate(oid: &[u8]) -> Vec<u8> {
        let mut algorithm = vec![0x06, u8::try_from(oid.len()).unwrap()];
        algorithm.extend_from_slice(oid);
        let mut body = vec![0x30, 0x01, 0x00, 0x30, u8::try_from(algorithm.len()).unwrap()];
        body.extend(algorithm);
        let mut der = vec![0x30, 0x81, u8::try_from(body.len()).unwrap()];
        der.extend(body);
        der
    }

    #[test]
    fn the_hash_follows_the_certificates_signature() {
        let length = |oid: &[u8]| tls_server_end_point(&certificate(oid)).map(|hash| hash.len());
        assert_eq!(length(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]), Some(32));
        assert_eq!(length(SHA384_SIGNATURES[1]), Some(48));
        assert_eq!(length(SHA512_SIGNATURES[0]), Some(64));
        assert_eq!(length(ED25519), None);
        assert_eq!(tls_server_end_point(b"no certificate"), None);
    }
}
