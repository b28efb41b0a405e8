//! Markup built as a tree of strings. The one place where text becomes HTML; knows no page.

use pulldown_cmark::Event;

/// Finished markup. Only this module makes it, and every text in it went through [`escape`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Html(String);

impl Html {
    #[cfg(test)]
    pub(crate) fn into_string(self) -> String {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A document of the project. Its texts are escaped by the writer; there are no events of markup among them.
    pub(crate) fn of_events<'e>(events: impl Iterator<Item = Event<'e>>) -> Self {
        let plain = events.filter(|event| !matches!(event, Event::Html(_) | Event::InlineHtml(_)));
        let mut out = String::new();
        pulldown_cmark::html::push_html(&mut out, plain);
        Self(out)
    }

    pub(crate) fn push(&mut self, other: impl Into<Self>) {
        self.0.push_str(&other.into().0);
    }
}

impl From<&str> for Html {
    fn from(text: &str) -> Self {
        Self(escape(text))
    }
}

impl From<String> for Html {
    fn from(text: String) -> Self {
        Self(escape(&text))
    }
}

impl From<Vec<Self>> for Html {
    fn from(parts: Vec<Self>) -> Self {
        parts.into_iter().collect()
    }
}

impl<const N: usize> From<[Self; N]> for Html {
    fn from(parts: [Self; N]) -> Self {
        parts.into_iter().collect()
    }
}

impl FromIterator<Self> for Html {
    fn from_iter<T: IntoIterator<Item = Self>>(parts: T) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }
}

/// Text as it may stand in an element or in a quoted attribute. Control characters that XML forbids become U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(c),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

type Attributes<'a> = &'a [(&'static str, &'a str)];

fn opening(tag: &'static str, attributes: Attributes<'_>) -> String {
    let mut out = format!("<{tag}");
    for (name, value) in attributes {
        out.push(' ');
        out.push_str(name);
        out.push_str("=\"");
        out.push_str(&escape(value));
        out.push('"');
    }
    out.push('>');
    out
}

/// An element with what is inside.
pub(crate) fn element(tag: &'static str, attributes: Attributes<'_>, inside: impl Into<Html>) -> Html {
    let mut out = opening(tag, attributes);
    out.push_str(&inside.into().0);
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
    Html(out)
}

/// An element that has no end tag (`input`, `meta`, `link`).
pub(crate) fn void(tag: &'static str, attributes: Attributes<'_>) -> Html {
    Html(opening(tag, attributes))
}

/// An element with a class.
pub(crate) fn classed(tag: &'static str, class: &str, inside: impl Into<Html>) -> Html {
    element(tag, &[("class", class)], inside)
}

/// A link within the pages.
pub(crate) fn link(href: &str, inside: impl Into<Html>) -> Html {
    element("a", &[("href", href)], inside)
}

/// A whole document around its root element.
pub(crate) fn document(root: Html) -> String {
    format!("<!DOCTYPE html>\n{}\n", root.0)
}

/// A value as it may stand in a query string or a path segment.
pub(crate) fn percent(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_text_becomes_markup() {
        for (text, expected) in [
            ("plain", "plain"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("a & b", "a &amp; b"),
            ("\" onload='x'", "&quot; onload=&#39;x&#39;"),
            ("a\u{0}b\u{1b}c", "a\u{fffd}b\u{fffd}c"),
            ("&amp;", "&amp;amp;"),
        ] {
            assert_eq!(escape(text), expected);
            assert_eq!(Html::from(text).into_string(), expected);
        }
        let made = element("a", &[("title", "\"><script>")], "</a><b>").into_string();
        assert_eq!(made, "<a title=\"&quot;&gt;&lt;script&gt;\">&lt;/a&gt;&lt;b&gt;</a>");
    }

    #[test]
    fn markup_nests() {
        let list: Html = ["x", "y"].into_iter().map(|text| element("li", &[], text)).collect();
        assert_eq!(classed("ul", "plain", list).into_string(), "<ul class=\"plain\"><li>x</li><li>y</li></ul>");
        assert_eq!(void("br", &[]).into_string(), "<br>");
    }

    #[test]
    fn values_in_addresses_are_encoded() {
        assert_eq!(percent("a b/ü?&\"<"), "a%20b%2F%C3%BC%3F%26%22%3C");
    }
}
