//! A document as HTML: no markup of its own gets through, and links lead to pages that are served.

use super::book::{self, Page};
use crate::pages::html::Html;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

/// Tables are all that the documents have beyond the common syntax.
pub(super) fn events(text: &str) -> Vec<Event<'_>> {
    Parser::new_ext(text, Options::ENABLE_TABLES).collect()
}

pub(super) fn rendered(page: &Page) -> Html {
    let mut events = events(page.text);
    name_headings(&mut events);
    // Whether each open link leads anywhere: one that does not is text.
    let mut open: Vec<bool> = Vec::new();
    let changed = events.into_iter().filter_map(|event| match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let address = target(page, &dest_url);
            open.push(address.is_some());
            Some(Event::Start(Tag::Link { link_type, dest_url: CowStr::from(address?), title, id }))
        }
        Event::End(TagEnd::Link) => open.pop().unwrap_or(false).then_some(Event::End(TagEnd::Link)),
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            let address = book::address(page, &dest_url).unwrap_or_default();
            Some(Event::Start(Tag::Image { link_type, dest_url: CowStr::from(address), title, id }))
        }
        Event::Html(text) | Event::InlineHtml(text) => unfolded(&text).map(|text| Event::Text(CowStr::from(text))),
        other => Some(other),
    });
    Html::of_events(changed)
}

/// What is folded away elsewhere is shown here. Other markup is text.
fn unfolded(text: &str) -> Option<String> {
    let tags = ["<details>", "</details>", "<summary>", "</summary>"];
    let plain = tags.into_iter().fold(text.to_owned(), |text, tag| text.replace(tag, ""));
    (!plain.trim().is_empty() || plain == text).then_some(plain)
}

fn target(page: &Page, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return Some(target.to_owned());
    }
    if target.contains(':') { None } else { book::address(page, target) }
}

/// Gives headings the names by which links know them.
fn name_headings(events: &mut [Event<'_>]) {
    let mut known: Vec<String> = Vec::new();
    for at in 0..events.len() {
        let Some((Event::Start(Tag::Heading { id, .. }), behind)) =
            events.get_mut(at..).and_then(<[_]>::split_first_mut)
        else {
            continue;
        };
        let inside = behind.iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let text: String = inside.filter_map(text_of).collect();
        let name = slug(&text);
        let same = known.iter().filter(|own| **own == name).count();
        *id = Some(CowStr::from(if same == 0 { name.clone() } else { format!("{name}-{same}") }));
        known.push(name);
    }
}

/// The text of an event, if it has any.
pub(super) fn text_of<'e>(event: &'e Event<'_>) -> Option<&'e str> {
    match event {
        Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => Some(text),
        Event::SoftBreak | Event::HardBreak => Some(" "),
        _ => None,
    }
}

/// What a heading is called in links.
pub(super) fn slug(text: &str) -> String {
    let kept = text.trim().chars().filter(|sign| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|sign| if sign == ' ' { '-' } else { sign }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::docs::book::pages;

    #[test]
    fn every_page_is_markup_without_scripts_and_its_links_have_targets() {
        for page in pages() {
            let html = rendered(&page).into_string();
            assert!(html.contains("<h1 id="), "{}", page.place);
            assert!(!html.contains("<script") && !html.contains("javascript:"), "{}", page.place);
            assert!(!html.contains("&lt;details") && !html.contains("&lt;summary"), "{}", page.place);
            for link in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
                let Some(path) = path.strip_prefix("/docs/").or(path.is_empty().then_some("")) else { continue };
                let target = if path.is_empty() { Some(page.clone()) } else { book::at(path) };
                let Some(target) = target else { continue };
                let is_there = || rendered(&target).into_string().contains(&format!("id=\"{anchor}\""));
                assert!(anchor.is_empty() || is_there(), "{} links to {link}", page.place);
            }
        }
    }

    #[test]
    fn markup_of_a_document_is_text() {
        let text = "# A `b`\n\n<script>x</script>\n\nSee [out](javascript:x), [in](limits.md), <b>c</b>.";
        let page = Page { place: "engine/docs/x.md".to_owned(), text };
        let html = rendered(&page).into_string();
        assert!(
            html.contains("<h1 id=\"a-b\">") && html.contains("&lt;script&gt;") && !html.contains("javascript"),
            "{html}"
        );
        assert!(html.contains("<a href=\"/docs/limits\">in</a>"), "{html}");
        assert_eq!(slug("What `x` does, and why?"), "what-x-does-and-why");
    }
}
