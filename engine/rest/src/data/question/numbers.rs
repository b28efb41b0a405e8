//! Parameters that are numbers of rows. Since ObjectStack 17.5 one that is no number is refused; before, it says nothing.

use crate::refusal::Refusal;
use crate::site::Site;

/// What becomes of a text that should be a number of rows and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    Refused,
    Unread,
}

impl Numbers {
    /// A number as JavaScript reads a text: blank is 0, what is none is no number.
    ///
    /// # Errors
    /// It is no number, and is not left unread.
    pub(super) fn rows(self, name: &str, text: &str) -> Result<f64, Refusal> {
        let text = text.trim();
        let number: f64 = text.parse().unwrap_or(f64::NAN);
        match self {
            Self::Refused if !number.is_finite() => Err(none(name, "a number")),
            Self::Refused | Self::Unread => Ok(if text.is_empty() { 0.0 } else { number }),
        }
    }

    /// A whole number. `None`: it is none, and is left unread.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub(crate) fn whole(self, name: &str, text: &str) -> Result<Option<u64>, Refusal> {
        match (text.trim().parse().ok(), self) {
            (None, Self::Refused) => Err(none(name, "a whole number")),
            (number, _) => Ok(number),
        }
    }
}

impl Site {
    /// By the release that the gate follows.
    pub(in crate::data) fn numbers(&self) -> Numbers {
        if self.platform.refuses_wrong_numbers() { Numbers::Refused } else { Numbers::Unread }
    }
}

fn none(name: &str, what: &str) -> Refusal {
    let message = format!("'{name}' must be {what} of rows. It was not applied: give one, or leave '{name}' out.");
    Refusal::invalid(name, "invalid_type", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_refused_or_unread() {
        for (text, number) in [("5", 5.0_f64), (" 5 ", 5.0), ("1.5", 1.5), ("-1", -1.0), ("1e3", 1000.0)] {
            for numbers in [Numbers::Refused, Numbers::Unread] {
                assert_eq!(numbers.rows("top", text).unwrap().to_bits(), number.to_bits(), "{text}");
            }
        }
        for text in ["x", "5x", "abc", "NaN", "inf", "1,5", "1e999"] {
            assert!(Numbers::Refused.rows("top", text).is_err(), "{text}");
            assert!(Numbers::Refused.whole("limit", text).is_err(), "{text}");
            assert!(!Numbers::Unread.rows("top", text).unwrap().is_finite(), "{text}");
            assert_eq!(Numbers::Unread.whole("limit", text).unwrap(), None, "{text}");
        }
        assert!(Numbers::Refused.rows("top", "").is_err());
        assert_eq!(Numbers::Unread.rows("top", " ").unwrap().to_bits(), 0.0_f64.to_bits());
        assert_eq!(Numbers::Refused.whole("page", "2").unwrap(), Some(2));
    }
}
