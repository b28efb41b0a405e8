//! Random bytes from the operating system for nonces, secrets and incident numbers. Knows no use of them.

use ring::rand::{SecureRandom, SystemRandom};

/// `None` when the operating system has no randomness to give.
pub(crate) fn bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

/// Compares in a time that depends on the lengths only.
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0_u8, |differ, (a, b)| differ | (a ^ b)) == 0
}
