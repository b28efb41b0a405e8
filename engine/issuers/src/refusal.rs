//! Why a token is refused.

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// What is wrong with it, for the log.
    Wrong(&'static str),
    /// Its issuer's keys are not known: the issuer never answered, or has not for too long.
    Unavailable,
}
