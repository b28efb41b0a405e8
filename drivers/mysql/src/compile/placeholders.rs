//! Numbered placeholders → the server's unnumbered ones, each occurrence with a value of its own. Reads quotes only to skip them.

use querygate_driver_api::capability::{Refusal, RefusalReason};
use querygate_driver_api::execution::Binding;

/// Most placeholders of one statement (the protocol's own bound).
const PLACEHOLDERS_MAX: usize = 65_535;

/// What the printer writes for the native parameter with this number, from 1.
pub(crate) fn numbered(number: usize) -> String {
    format!("?{number}")
}

/// A key as it is; a bare parameter as something computed of it, which is as constant: the source takes a whole number, even a
/// bound one, for the position of a column.
pub(crate) fn no_position(text: &str) -> String {
    let bare = text.strip_prefix('?').is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    if bare { format!("({text} IS NULL)") } else { text.to_owned() }
}

/// The text with every `?n` as `?`, and what to bind to each, in order.
///
/// # Errors
/// Too many placeholders, or one without a binding.
pub(crate) fn positional(text: &str, bindings: &[Binding]) -> Result<(String, Vec<Binding>), Refusal> {
    let mut out = String::with_capacity(text.len());
    let mut bound = Vec::new();
    // Inside a quoted name or constant: the character that ends it. A doubled one ends it and begins the next.
    let mut quoted = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        out.push(character);
        match quoted {
            Some(end) if character == end => quoted = None,
            Some(_) => {}
            None if matches!(character, '`' | '\'') => quoted = Some(character),
            None if character == '?' => {
                let mut number = 0_usize;
                while let Some(digit) = characters.peek().and_then(|next| next.to_digit(10)) {
                    characters.next();
                    number = number.saturating_mul(10).saturating_add(usize::try_from(digit).unwrap_or(0));
                }
                let binding = number.checked_sub(1).and_then(|index| bindings.get(index));
                bound.push(
                    *binding.ok_or_else(|| Refusal::new(RefusalReason::Invalid, "placeholder without a parameter"))?,
                );
                if bound.len() > PLACEHOLDERS_MAX {
                    return Err(Refusal::new(RefusalReason::Size, "more parameters than the source accepts"));
                }
            }
            None => {}
        }
    }
    Ok((out, bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::execution::BindingForm;

    #[test]
    fn each_occurrence_is_bound_and_quoted_text_is_left_alone() {
        let binding = |parameter| Binding { parameter, form: BindingForm::Value };
        let bindings = [binding(7), binding(8)];
        let (text, bound) = positional("?2 = `a``?1` AND `?1` IN (?1, ?2) LIKE ?1 ESCAPE '?|'", &bindings).unwrap();
        assert_eq!(text, "? = `a``?1` AND `?1` IN (?, ?) LIKE ? ESCAPE '?|'");
        assert_eq!(bound.iter().map(|b| b.parameter).collect::<Vec<_>>(), [8, 7, 8, 7]);
        assert!(positional("?3", &bindings).is_err() && positional("?", &bindings).is_err());
    }
}
