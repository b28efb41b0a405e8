//! Compiled regular expressions and pictures of one call. A pattern that comes again is not compiled again, and one that would take too much
//! memory or time is refused: within an expression nothing asks whether the statement is over.

use crate::functions::regexes::{Expression, Matcher};
use crate::numbers::number_format::{Picture, picture};
use crate::times::datetime::pattern::{Piece, pieces};
use datafusion::common::Result;
use querygate_resources::proceed;
use std::cell::RefCell;
use std::rc::Rc;

/// Expressions that are kept: the ones used last.
const KEPT: usize = 8;
/// Memory that a compiled expression may take.
const COMPILED_BYTES_MAX: usize = 4 << 20;
/// A text is long from here on: at worst a search takes the product of both lengths.
const LONG_TEXT: usize = 1 << 20;
/// Memory that an expression may take that is looked for in a long text.
const COMPILED_BYTES_LONG: usize = 1 << 20;

struct Entry {
    pattern: String,
    flags: String,
    bytes_max: usize,
    expression: Rc<Expression>,
}

/// The ones used last, the very last first.
#[derive(Default)]
pub(in crate::functions) struct Patterns {
    expressions: RefCell<Vec<Entry>>,
    moments: Last<Vec<Piece>>,
    numbers: Last<Picture>,
    lower: Last<String>,
}

/// What was read of the last text: most rows have the same.
struct Last<T>(RefCell<Option<(String, Rc<T>)>>);

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Last<T> {
    fn known(&self, text: &str, read: impl FnOnce(&str) -> T) -> Rc<T> {
        let kept = &mut *self.0.borrow_mut();
        if let Some((_, value)) = kept.as_ref().filter(|(known, _)| known == text) {
            return Rc::clone(value);
        }
        let value = Rc::new(read(text));
        *kept = Some((text.to_owned(), Rc::clone(&value)));
        value
    }

    fn of(&self, text: &str, read: impl FnOnce(&str) -> Result<T>) -> Result<Rc<T>> {
        let kept = &mut *self.0.borrow_mut();
        if let Some((_, value)) = kept.as_ref().filter(|(known, _)| known == text) {
            return Ok(Rc::clone(value));
        }
        let value = Rc::new(read(text)?);
        *kept = Some((text.to_owned(), Rc::clone(&value)));
        Ok(value)
    }
}

impl Patterns {
    /// A picture of moments, taken apart.
    pub(in crate::functions) fn moments(&self, text: &str) -> Result<Rc<Vec<Piece>>> {
        self.moments.of(text, |text| Ok(pieces(picture(text)?)))
    }

    /// A word in lower case.
    pub(in crate::functions) fn lower(&self, text: &str) -> Rc<String> {
        self.lower.known(text, |text| text.to_ascii_lowercase())
    }

    /// A picture of numbers, taken apart.
    pub(in crate::functions) fn numbers(&self, text: &str) -> Result<Rc<Picture>> {
        self.numbers.of(text, Picture::read)
    }

    /// The expression of a pattern, to be looked for in a text.
    pub(in crate::functions) fn compiled(&self, pattern: &str, flags: &str, text: &str) -> Result<Matcher> {
        let bytes_max = if text.len() < LONG_TEXT { COMPILED_BYTES_MAX } else { COMPILED_BYTES_LONG };
        let kept = &mut *self.expressions.borrow_mut();
        let is_it = |entry: &Entry| entry.bytes_max == bytes_max && entry.pattern == pattern && entry.flags == flags;
        if let Some(at) = kept.iter().position(is_it) {
            kept[..=at].rotate_right(1);
            return Ok(Matcher::new(Rc::clone(&kept[0].expression), text));
        }
        proceed()?;
        let expression = Rc::new(Expression::new(pattern, flags, bytes_max)?);
        kept.truncate(KEPT - 1);
        let (pattern, flags) = (pattern.to_owned(), flags.to_owned());
        kept.insert(0, Entry { pattern, flags, bytes_max, expression: Rc::clone(&expression) });
        Ok(Matcher::new(expression, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::stepwise::PATTERN_BYTES_MAX;

    #[test]
    fn a_pattern_is_compiled_once_while_it_is_among_the_last() {
        let patterns = Patterns::default();
        let compiled = |flags: &str| Rc::clone(patterns.compiled("a+", flags, "x").unwrap().expression());
        let first = compiled("");
        for number in 0..KEPT - 1 {
            patterns.compiled(&format!("b{number}"), "", "x").unwrap();
        }
        assert!(Rc::ptr_eq(&first, &compiled("")));
        assert!(!Rc::ptr_eq(&first, &compiled("i")));
        for number in 0..KEPT {
            patterns.compiled(&format!("c{number}"), "", "x").unwrap();
        }
        assert!(!Rc::ptr_eq(&first, &compiled("")));
        assert_eq!(patterns.expressions.borrow().len(), KEPT);
    }

    #[test]
    fn what_would_take_too_much_is_refused() {
        let patterns = Patterns::default();
        let refused = |pattern: &str, text: &str| patterns.compiled(pattern, "", text).unwrap_err().to_string();
        assert!(refused(&"a".repeat(PATTERN_BYTES_MAX + 1), "").contains("too long"));
        assert!(refused(r"(?:\w{100}){10}", "").contains("too complex"));
        let long = "a".repeat(LONG_TEXT);
        assert!(patterns.compiled(r"\w{60}", "", "a").is_ok());
        assert!(refused(r"\w{60}", &long).contains("too complex"));
        assert!(patterns.compiled(r"\w+@\w+\.com", "", &long).is_ok());
        assert!(refused("(", "").contains("invalid regular expression"));
    }
}
