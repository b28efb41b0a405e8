//! Distributed traces: the span that a statement belongs to, as its client names it (W3C Trace Context). Knows no collector.

/// A client's span, the parent of a statement's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The whole trace; not all zeros.
    pub trace_id: [u8; 16],
    /// The client's span; not all zeros.
    pub span_id: [u8; 8],
    /// Whether the client records its trace.
    pub sampled: bool,
}

/// Characters of a `traceparent` of version 0.
const LENGTH: usize = 55;

impl TraceContext {
    /// Reads the value of a `traceparent`: `00-{trace id}-{span id}-{flags}`, lower-case hexadecimal. `None`: it is not one, or of a
    /// version that does not begin as version 0 does.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let bytes = value.trim().as_bytes();
        let fields = bytes.get(..LENGTH)?;
        let [version] = hex::<1>(fields.get(..2)?)?;
        let rest = bytes.get(LENGTH..)?;
        let follows = if version == 0 { rest.is_empty() } else { rest.first().is_none_or(|next| *next == b'-') };
        let dashes = [2, 35, 52].into_iter().all(|at| fields.get(at) == Some(&b'-'));
        if version == u8::MAX || !follows || !dashes {
            return None;
        }
        let trace_id = hex::<16>(fields.get(3..35)?)?;
        let span_id = hex::<8>(fields.get(36..52)?)?;
        let [flags] = hex::<1>(fields.get(53..55)?)?;
        let valid = trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_says() {
        let context = TraceContext::parse(PARENT).unwrap();
        assert_eq!((context.trace_id[0], context.trace_id[15], context.sampled), (0x0a, 0x9c, true));
        assert_eq!(context.span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
        let unsampled = TraceContext::parse(&PARENT.replace("-01", "-00")).unwrap();
        assert!(!unsampled.sampled);
        assert!(TraceContext::parse(&PARENT.replace("-01", "-03")).unwrap().sampled, "further flags are allowed");
        // A later version may say more.
        for later in [PARENT.replacen("00", "01", 1), format!("{}-more", PARENT.replacen("00", "cc", 1))] {
            assert_eq!(TraceContext::parse(&later), Some(context), "{later}");
        }
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for wrong in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
            "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }
}
