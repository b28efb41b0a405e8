//! Diagnostics with a place in a text, rendered the way rustc does. Knows nothing of what the text means.

use crate::output::{Output, Stream};
use std::io;
use std::ops::Range;

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) severity: Severity,
    /// Lower case, no full stop.
    pub(crate) message: String,
    /// Byte range in the text; `None` for the whole file.
    pub(crate) span: Option<Range<usize>>,
    /// Text under the caret.
    pub(crate) label: Option<String>,
    /// A sentence that says what to do.
    pub(crate) help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn error(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), span, label: None, help: None }
    }

    pub(crate) fn warning(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    #[must_use]
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The findings of one file, with the text they point into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// Findings in the order of the text.
    pub(crate) fn sort(&mut self) {
        self.diagnostics.sort_by_key(|d| d.span.as_ref().map_or(usize::MAX, |s| s.start));
    }

    /// Writes every finding.
    pub(crate) fn render(&self, out: &mut Output, to: Stream) -> io::Result<()> {
        for diagnostic in &self.diagnostics {
            let place = diagnostic.span.clone().map(|span| Place::of(&self.text, span));
            render_one(out, to, &self.file, diagnostic, place.as_ref())?;
        }
        Ok(())
    }
}

/// A place in a text, for people: line and column from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// The line's text; `None` where it may hold a secret.
    pub(crate) excerpt: Option<String>,
    /// Characters to underline.
    pub(crate) width: usize,
}

/// A line that names one of these is never printed.
const SECRET_WORDS: &[&str] = &["password", "secret", "verifier", "token", "key ", "key=", "_key"];

impl Place {
    pub(crate) fn of(text: &str, span: Range<usize>) -> Self {
        let start = floor_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let line_text = text[line_start..line_end].trim_end_matches('\r');
        let end = floor_boundary(text, span.end.max(start)).min(line_end);
        let lower = line_text.to_lowercase();
        let secret = SECRET_WORDS.iter().any(|word| lower.contains(word));
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            excerpt: (!secret).then(|| line_text.to_owned()),
            width: text[start..end.max(start)].chars().count().max(1),
        }
    }
}

fn floor_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

fn render_one(out: &mut Output, to: Stream, file: &str, d: &Diagnostic, place: Option<&Place>) -> io::Result<()> {
    let head = match d.severity {
        Severity::Error => out.red("error"),
        Severity::Warning => out.yellow("warning"),
    };
    out.line_to(to, &format!("{head}: {}", d.message))?;
    let gutter = place.map_or(1, |p| p.line.to_string().len());
    let pad = " ".repeat(gutter);
    match place {
        None => out.line_to(to, &format!("{pad}--> {file}"))?,
        Some(p) => {
            out.line_to(to, &format!("{pad}--> {file}:{}:{}", p.line, p.column))?;
            if let Some(excerpt) = &p.excerpt {
                let blank: String =
                    excerpt.chars().take(p.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
                let label = d.label.as_deref().map(|l| format!(" {l}")).unwrap_or_default();
                out.line_to(to, &format!("{pad} |"))?;
                out.line_to(to, &format!("{} | {excerpt}", p.line))?;
                out.line_to(to, &format!("{pad} | {blank}{}{label}", "^".repeat(p.width)))?;
            } else if let Some(label) = &d.label {
                out.line_to(to, &format!("{pad} = note: {label}"))?;
            }
        }
    }
    if let Some(help) = &d.help {
        out.line_to(to, &format!("{pad} = help: {help}"))?;
    }
    Ok(())
}

/// The candidate nearest to `word`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 2.max(candidate.len() / 3) && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_and_hides_secrets() {
        let text = "a = 1\nä = \"ö\" # x\npassword = \"hunter2\"\n";
        let at = text.find("# x").unwrap();
        let place = Place::of(text, at..at + 3);
        assert_eq!((place.line, place.column, place.width), (2, 9, 3));
        let at = text.find("hunter2").unwrap();
        assert_eq!(Place::of(text, at..at + 7).excerpt, None);
        assert_eq!(Place::of(text, 9_999..10_000).line, 4);
    }

    #[test]
    fn nearest_finds_a_slip_and_not_a_stranger() {
        assert_eq!(nearest("adress", ["address", "postgres"]), Some("address"));
        assert_eq!(nearest("zzz", ["address", "http"]), None);
    }
}
