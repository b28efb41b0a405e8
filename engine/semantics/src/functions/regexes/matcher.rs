//! An expression that one call of a function looks for: all its searches together take a bounded number of steps, and a statement that is
//! over goes on to no further match.

use super::steps::Steps;
use super::{Expression, Groups, next_character};
use datafusion::common::Result;
use querygate_resources::proceed;
use std::ops::Range;
use std::rc::Rc;

#[derive(Debug)]
pub(in crate::functions) struct Matcher {
    expression: Rc<Expression>,
    steps: Steps,
}

impl Matcher {
    /// Of an expression that is looked for in a text.
    pub(in crate::functions) fn new(expression: Rc<Expression>, text: &str) -> Self {
        Self { expression, steps: Steps::over(text) }
    }

    #[cfg(test)]
    pub(in crate::functions) fn expression(&self) -> &Rc<Expression> {
        &self.expression
    }

    pub(in crate::functions) fn is_match(&self, text: &str) -> Result<bool> {
        self.expression.is_match(text, &self.steps)
    }

    /// The first match that begins at a place or behind it.
    pub(in crate::functions) fn find_at(&self, text: &str, from: usize) -> Result<Option<Range<usize>>> {
        proceed()?;
        self.expression.find_at(text, from, &self.steps)
    }

    /// The first match from a place on, with its groups.
    pub(in crate::functions) fn groups_at<'t>(&self, text: &'t str, from: usize) -> Result<Option<Groups<'t>>> {
        proceed()?;
        self.expression.groups_at(text, from, &self.steps)
    }

    /// One match after another, from a place on.
    pub(in crate::functions) fn finds<'a>(
        &'a self,
        text: &'a str,
        from: usize,
    ) -> impl Iterator<Item = Result<Range<usize>>> + 'a {
        one_after_another(text, from, |from| self.find_at(text, from), Range::clone)
    }

    /// Matches one after another, with their groups.
    pub(in crate::functions) fn all_groups<'a>(
        &'a self,
        text: &'a str,
        from: usize,
    ) -> impl Iterator<Item = Result<Groups<'a>>> + 'a {
        one_after_another(text, from, |from| self.groups_at(text, from), |found| found.get(0).unwrap_or_default())
    }
}

/// An empty match is followed by one behind the next character, any other by one where it ends, which may be empty.
fn one_after_another<'a, T: 'a>(
    text: &'a str,
    from: usize,
    find: impl Fn(usize) -> Result<Option<T>> + 'a,
    range: impl Fn(&T) -> Range<usize> + 'a,
) -> impl Iterator<Item = Result<T>> + 'a {
    let mut from = Some(from);
    std::iter::from_fn(move || {
        let found = find(from?).transpose()?;
        from = match &found {
            Ok(found) => {
                let range = range(found);
                if range.is_empty() { next_character(text, range.end) } else { Some(range.end) }
            }
            Err(_) => None,
        };
        Some(found)
    })
}
