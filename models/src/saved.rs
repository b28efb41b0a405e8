//! Bytes of a saved model: kind, version, checksum, contents. Refuses what it does not know; writes no file.
//!
//! Layout: magic `QGMD` | frame version u16 | kind length u8 | kind | model version u16 | payload length u64 | payload
//! (postcard) | SHA-256 of everything before. Integers are little-endian.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

const MAGIC: [u8; 4] = *b"QGMD";
const FRAME_VERSION: u16 = 1;
const CHECKSUM_LEN: usize = 32;

/// Largest saved model that is read: 64 MiB. Ours have kilobytes to a few megabytes.
pub const BYTES_MAX: usize = 64 << 20;

/// Why saved bytes are not a model that this version can use. None of them is the caller's fault: the file is set aside and
/// learning starts anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Shorter than its own header, or with bytes behind its end.
    #[error("the saved model is cut off or too long")]
    Length,
    /// Some other file.
    #[error("the bytes are not a saved model")]
    NotAModel,
    /// A frame or model that a later version wrote.
    #[error("the saved model has version {found}, this program knows up to {known}")]
    FutureVersion {
        /// What the file says.
        found: u16,
        /// The latest that is understood.
        known: u16,
    },
    /// A model version that is no longer understood.
    #[error("the saved model has version {found}, which is no longer read")]
    OldVersion {
        /// What the file says.
        found: u16,
    },
    /// A model of another kind.
    #[error("the saved model is of another kind than {expected}")]
    Kind {
        /// What was asked for.
        expected: &'static str,
    },
    /// Bits changed since it was written.
    #[error("the checksum of the saved model does not match")]
    Checksum,
    /// The checksum is right and the contents still make no model.
    #[error("the contents of the saved model are invalid: {0}")]
    Contents(&'static str),
}

/// A model that can be saved. Bump `VERSION` whenever the serialized shape or its meaning changes.
pub trait Saved: Serialize + DeserializeOwned {
    /// Name in the file, at most 255 bytes.
    const KIND: &'static str;
    /// Version of the contents; the only one that is read.
    const VERSION: u16;

    /// Whether the contents hold together (indices in range, numbers finite): postcard checks types only.
    ///
    /// # Errors
    /// [`LoadError::Contents`] with the reason.
    fn check(&self) -> Result<(), LoadError>;
}

/// The bytes of `model`.
///
/// # Errors
/// [`LoadError::Contents`] when the model cannot be serialized or is larger than [`BYTES_MAX`].
pub fn save<M: Saved>(model: &M) -> Result<Vec<u8>, LoadError> {
    let payload = postcard::to_allocvec(model).map_err(|_| LoadError::Contents("not serializable"))?;
    let kind_len = u8::try_from(M::KIND.len()).map_err(|_| LoadError::Contents("the kind's name is too long"))?;
    let mut bytes = Vec::with_capacity(payload.len() + 64 + M::KIND.len());
    bytes.extend(MAGIC);
    bytes.extend(FRAME_VERSION.to_le_bytes());
    bytes.push(kind_len);
    bytes.extend(M::KIND.as_bytes());
    bytes.extend(M::VERSION.to_le_bytes());
    bytes.extend((payload.len() as u64).to_le_bytes());
    bytes.extend(payload);
    let checksum = Sha256::digest(&bytes);
    bytes.extend(checksum);
    if bytes.len() > BYTES_MAX {
        return Err(LoadError::Contents("the model is too large"));
    }
    Ok(bytes)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], LoadError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(LoadError::Length)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        self.take(N)?.try_into().map_err(|_| LoadError::Length)
    }
}

/// The model in `bytes`, or why there is none. The checksum comes before the versions: a flipped bit in the version field is
/// damage, not the future.
///
/// # Errors
/// Every variant of [`LoadError`].
pub fn load<M: Saved>(bytes: &[u8]) -> Result<M, LoadError> {
    if bytes.len() > BYTES_MAX {
        return Err(LoadError::Length);
    }
    if !bytes.starts_with(&MAGIC) {
        return Err(if bytes.len() < MAGIC.len() { LoadError::Length } else { LoadError::NotAModel });
    }
    let content_len = bytes.len().checked_sub(CHECKSUM_LEN).ok_or(LoadError::Length)?;
    let (content, checksum) = bytes.split_at_checked(content_len).ok_or(LoadError::Length)?;
    if Sha256::digest(content).as_slice() != checksum {
        return Err(LoadError::Checksum);
    }
    let mut reader = Reader(content);
    reader.take(MAGIC.len())?;
    let frame = u16::from_le_bytes(reader.array()?);
    if frame > FRAME_VERSION {
        return Err(LoadError::FutureVersion { found: frame, known: FRAME_VERSION });
    }
    let [kind_len] = reader.array()?;
    if reader.take(usize::from(kind_len))? != M::KIND.as_bytes() {
        return Err(LoadError::Kind { expected: M::KIND });
    }
    let found = u16::from_le_bytes(reader.array()?);
    if found > M::VERSION {
        return Err(LoadError::FutureVersion { found, known: M::VERSION });
    }
    if found < M::VERSION {
        return Err(LoadError::OldVersion { found });
    }
    let payload_len = u64::from_le_bytes(reader.array()?);
    if payload_len != reader.0.len() as u64 {
        return Err(LoadError::Length);
    }
    let (model, rest) =
        postcard::take_from_bytes::<M>(reader.0).map_err(|_| LoadError::Contents("not what the version promises"))?;
    if !rest.is_empty() {
        return Err(LoadError::Length);
    }
    model.check()?;
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Line {
        slope: f64,
        names: Vec<String>,
    }

    impl Saved for Line {
        const KIND: &'static str = "line";
        const VERSION: u16 = 3;
        fn check(&self) -> Result<(), LoadError> {
            if self.slope.is_finite() { Ok(()) } else { Err(LoadError::Contents("slope")) }
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Later(Line);

    impl Saved for Later {
        const KIND: &'static str = "line";
        const VERSION: u16 = 4;
        fn check(&self) -> Result<(), LoadError> {
            Ok(())
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Other(u8);

    impl Saved for Other {
        const KIND: &'static str = "other";
        const VERSION: u16 = 3;
        fn check(&self) -> Result<(), LoadError> {
            Ok(())
        }
    }

    fn line() -> Line {
        Line { slope: 0.1 + 0.2, names: vec!["a".into(), "ß".into()] }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        assert_eq!(load::<Line>(&save(&line()).unwrap()), Ok(line()));
    }

    #[test]
    fn every_cut_and_every_changed_bit_is_an_error() {
        let bytes = save(&line()).unwrap();
        for len in 0..bytes.len() {
            assert!(load::<Line>(&bytes[..len]).is_err(), "cut at {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(load::<Line>(&changed).is_err(), "bit {bit}");
        }
        assert!(load::<Line>(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn other_kinds_versions_and_contents_are_told_apart() {
        let bytes = save(&line()).unwrap();
        assert_eq!(load::<Other>(&bytes), Err(LoadError::Kind { expected: "other" }));
        assert_eq!(load::<Later>(&bytes), Err(LoadError::OldVersion { found: 3 }));
        let later = save(&Later(line())).unwrap();
        assert_eq!(load::<Line>(&later), Err(LoadError::FutureVersion { found: 4, known: 3 }));
        let broken = save(&Line { slope: f64::NAN, names: Vec::new() }).unwrap();
        assert_eq!(load::<Line>(&broken), Err(LoadError::Contents("slope")));
        assert_eq!(load::<Line>(b"GIF89a"), Err(LoadError::NotAModel));
    }

    proptest! {
        #[test]
        fn arbitrary_contents_under_a_right_checksum_never_panic(payload: Vec<u8>) {
            let mut bytes = Vec::from(MAGIC);
            bytes.extend(FRAME_VERSION.to_le_bytes());
            bytes.push(4);
            bytes.extend(b"line");
            bytes.extend(3u16.to_le_bytes());
            bytes.extend((payload.len() as u64).to_le_bytes());
            bytes.extend(&payload);
            let checksum = Sha256::digest(&bytes);
            bytes.extend(checksum);
            let _ = load::<Line>(&bytes);
        }
    }
}
