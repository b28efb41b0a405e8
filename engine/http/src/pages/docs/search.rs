//! Finds the parts of documents that have all words of a question. Ranks words of headings before words of texts, and pages by whom they
//! are for.

use super::book::{self, Page};
use super::render::{events, slug, text_of};
use pulldown_cmark::{Event, Tag, TagEnd};
use querygate_web::excerpt;
use std::cmp::Reverse;
use std::sync::OnceLock;

/// Words of a question; further ones are not looked for.
const WORDS_MAX: usize = 8;
/// Letters of a question.
const QUESTION_MAX: usize = 200;
const HITS_MAX: usize = 30;
/// Characters of an excerpt before the word that it is made around, and from it on.
const EXCERPT: (usize, usize) = (60, 140);

/// Where pages lie in the repository, and whom they are for. The first place that a page's begins with counts.
const SHELVES: [(&str, Shelf); 12] = [
    ("README.md", Shelf::First),
    ("engine/docs/README.md", Shelf::First),
    ("engine/docs/guide.md", Shelf::First),
    ("engine/docs/paths/", Shelf::First),
    ("engine/docs/first-data.md", Shelf::First),
    ("engine/docs/problems.md", Shelf::First),
    ("ARCHITECTURE.md", Shelf::Makers),
    ("CHANGELOG.md", Shelf::Makers),
    ("engine/docs/design/", Shelf::Makers),
    ("engine/docs/decisions/", Shelf::Makers),
    ("engine/docs/style.md", Shelf::Makers),
    ("engine/docs/regression-inputs.md", Shelf::Makers),
];

/// Whom a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shelf {
    /// Who begins, or has a problem.
    First,
    /// Who looks something up.
    Reference,
    /// Who changes the program. Found behind all others.
    Makers,
}

impl Shelf {
    fn of(place: &str) -> Self {
        SHELVES.iter().find(|(begin, _)| place.starts_with(begin)).map_or(Self::Reference, |(_, shelf)| *shelf)
    }

    /// What a part's score gains by its shelf: about as much as a word in its heading.
    const fn gain(self) -> usize {
        match self {
            Self::First => 25,
            Self::Reference | Self::Makers => 0,
        }
    }
}

/// What stands under one heading.
struct Part {
    shelf: Shelf,
    title: String,
    heading: String,
    address: String,
    text: String,
    /// `text` in small letters.
    folded: String,
}

/// A part that was found.
pub(super) struct Hit {
    pub(super) title: String,
    pub(super) heading: String,
    pub(super) address: String,
    pub(super) excerpt: String,
}

/// The best parts first.
pub(super) fn search(question: &str) -> Vec<Hit> {
    let question: String = question.chars().take(QUESTION_MAX).flat_map(char::to_lowercase).collect();
    let words: Vec<&str> = question.split_whitespace().take(WORDS_MAX).collect();
    let mut found: Vec<(usize, &Part)> = parts().iter().filter_map(|part| Some((score(part, &words)?, part))).collect();
    found.sort_by_key(|(score, part)| (part.shelf == Shelf::Makers, Reverse(score + part.shelf.gain())));
    found.into_iter().take(HITS_MAX).map(|(_, part)| hit(part, &words)).collect()
}

/// `None`: a word is missing.
fn score(part: &Part, words: &[&str]) -> Option<usize> {
    let (title, heading) = (part.title.to_lowercase(), part.heading.to_lowercase());
    let of_word = |word: &&str| {
        let often = part.folded.matches(word).take(5).count();
        let (in_heading, in_title) = (heading.contains(word), title.contains(word));
        let is_there = often > 0 || in_heading || in_title;
        is_there.then_some(often + 20 * usize::from(in_heading) + 10 * usize::from(in_title))
    };
    let sum = words.iter().map(of_word).sum::<Option<usize>>()?;
    let whole = words.join(" ");
    Some(sum + 15 * usize::from(words.len() > 1 && part.folded.contains(&whole)))
}

fn hit(part: &Part, words: &[&str]) -> Hit {
    // Where the words are in headings alone, the text from its beginning.
    let excerpt = excerpt(&part.text, &words.join(" "), EXCERPT);
    Hit {
        title: part.title.clone(),
        heading: part.heading.clone(),
        address: part.address.clone(),
        excerpt: excerpt.unwrap_or_else(|| part.text.chars().take(EXCERPT.1).collect()),
    }
}

fn parts() -> &'static [Part] {
    static PARTS: OnceLock<Vec<Part>> = OnceLock::new();
    PARTS.get_or_init(|| book::pages().iter().flat_map(parts_of).collect())
}

fn parts_of(page: &Page) -> Vec<Part> {
    let (title, own, shelf) = (page.title(), book::own_address(page), Shelf::of(&page.place));
    let (mut parts, mut heading, mut text, mut is_heading) = (Vec::new(), String::new(), String::new(), false);
    let mut end = |heading: &mut String, text: &mut String| {
        let (heading, text) = (std::mem::take(heading), std::mem::take(text));
        if heading.is_empty() && text.trim().is_empty() {
            return;
        }
        let address = if heading == title { own.clone() } else { format!("{own}#{}", slug(&heading)) };
        let folded = text.to_lowercase();
        parts.push(Part { shelf, title: title.clone(), heading, address, text, folded });
    };
    for event in events(page.text) {
        match &event {
            Event::Start(Tag::Heading { .. }) => {
                end(&mut heading, &mut text);
                is_heading = true;
            }
            Event::End(TagEnd::Heading(_)) => is_heading = false,
            Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::TableCell | TagEnd::CodeBlock) => text.push(' '),
            event => {
                let target = if is_heading { &mut heading } else { &mut text };
                target.push_str(text_of(event).unwrap_or_default());
            }
        }
    }
    end(&mut heading, &mut text);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whom the page at an address is for.
    fn shelf_at(address: &str) -> Shelf {
        let path = address.strip_prefix("/docs/").unwrap().split('#').next().unwrap();
        Shelf::of(&book::at(path).unwrap().place)
    }

    #[test]
    fn each_shelf_has_pages() {
        let pages = book::pages();
        for (begin, shelf) in SHELVES {
            let page = pages.iter().find(|page| page.place.starts_with(begin));
            assert_eq!(page.map(|page| Shelf::of(&page.place)), Some(shelf), "{begin}");
        }
        assert_eq!(shelf_at("/docs/rest#bodies"), Shelf::Reference);
    }

    #[test]
    fn what_is_asked_for_is_found_first() {
        for (question, address) in
            [("reload", "/docs/guide#reload"), ("Full-Text NOTHING-LIKE-IT", ""), ("row policy push", "/docs/")]
        {
            let hits = search(question);
            let first = hits.first().map_or("", |hit| hit.address.as_str());
            assert!(first.starts_with(address) && first.is_empty() == address.is_empty(), "{question}: {first}");
            assert!(hits.len() <= HITS_MAX);
        }
        for question in ["policy", "sources", "transactions", "plan", "write"] {
            let hits = search(question);
            let shelves: Vec<Shelf> = hits.iter().map(|hit| shelf_at(&hit.address)).collect();
            let makers = shelves.iter().position(|shelf| *shelf == Shelf::Makers).unwrap_or(shelves.len());
            assert!(shelves.iter().skip(makers).all(|shelf| *shelf == Shelf::Makers), "{question}: {shelves:?}");
            assert!(makers > 0, "{question}");
        }
        let found = search("querygate introspect");
        assert!(found.iter().any(|hit| hit.address.starts_with("/docs/commands")));
        let long = "a".repeat(1_000_000);
        assert!(search(&long).is_empty());
        let hits = search("İstanbul ß limits");
        assert!(hits.is_empty(), "letters that change their length do no harm");
    }
}
