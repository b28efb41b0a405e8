//! Roman numerals, as `to_char` has them.

use crate::numbers::numeric::rescaled;

pub(super) fn roman(value: Option<(i128, i8)>, upper: bool, fill: bool) -> String {
    const PARTS: &[(i64, &str)] = &[
        (1_000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let value = value.and_then(|(d, s)| rescaled(d, s, 0)).and_then(|d| i64::try_from(d).ok());
    let mut text = String::new();
    match value {
        Some(mut value @ 1..=3_999) => {
            for (part, letters) in PARTS {
                while value >= *part {
                    text.push_str(letters);
                    value -= part;
                }
            }
        }
        _ => text = "#".repeat(15),
    }
    let text = if upper { text } else { text.to_lowercase() };
    if fill { text } else { format!("{text:>15}") }
}
