//! Pages are read once: sentences, paragraphs and lines have at most the lengths that the style page promises.

use super::{files_of, root};

const MEAN_MAX: f64 = 18.0;
const LONG: usize = 30;
/// Long sentences of a hundred. A page of few sentences may have one.
const LONG_MAX: f64 = 5.0;
const PARAGRAPH_MAX: usize = 120;
const LINE_MAX: usize = 140;

/// Paragraphs and list items. Left out is what is no prose: listings, tables, headings, markup, references.
fn paragraphs(text: &str) -> Vec<String> {
    let (mut all, mut open, mut fenced) = (Vec::new(), String::new(), false);
    let mut close = |open: &mut String| {
        if !open.is_empty() {
            all.push(std::mem::take(open));
        }
    };
    for line in text.lines().map(str::trim) {
        let is_fence = line.starts_with("```");
        fenced ^= is_fence;
        let reference = line.starts_with('[') && line.contains("]: ");
        if is_fence
            || fenced
            || line.is_empty()
            || line.starts_with(['|', '#', '<'])
            || line.starts_with("![")
            || reference
        {
            close(&mut open);
            continue;
        }
        let numbered = line.split_once(". ").filter(|(number, _)| number.parse::<u32>().is_ok()).map(|(_, item)| item);
        let item = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")).or(numbered);
        if item.is_some() {
            close(&mut open);
        }
        open.push(' ');
        open.push_str(item.unwrap_or(line));
    }
    close(&mut open);
    all
}

/// Marked words count as one, and addresses of links as none.
fn plain(paragraph: &str) -> String {
    let marked = |(at, part): (usize, &str)| if at % 2 == 0 { part.to_owned() } else { "code".to_owned() };
    let words: String = paragraph.split('`').enumerate().map(marked).collect();
    let mut links = words.split("](");
    let first = links.next().unwrap_or_default().to_owned();
    links.fold(first, |text, rest| text + rest.split_once(')').map_or("", |(_, after)| after))
}

fn words(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count()
}

/// Sentences end with a sign that a capital letter, a mark or a digit follows.
fn sentences(paragraph: &str) -> Vec<String> {
    let text = plain(paragraph);
    let (mut all, mut open) = (Vec::new(), String::new());
    let mut tokens = text.split_whitespace().peekable();
    while let Some(token) = tokens.next() {
        open.push_str(token);
        open.push(' ');
        let ends = token.trim_end_matches(['"', '\'', ')', '*']).ends_with(['.', '!', '?']);
        let next = tokens.peek().and_then(|next| next.trim_start_matches(['"', '(', '*', '[']).chars().next());
        let marked = tokens.peek().is_some_and(|next| next.starts_with("code"));
        if ends && (marked || next.is_none_or(|first| !first.is_lowercase())) {
            all.push(std::mem::take(&mut open));
        }
    }
    all.push(open);
    all.retain(|sentence| words(sentence) > 0);
    all
}

/// By which a paragraph or line is found.
fn beginning(text: &str) -> String {
    text.chars().take(60).collect()
}

/// What of a page is too long.
#[allow(clippy::cast_precision_loss, reason = "a page has few words")]
fn faults(text: &str) -> Vec<String> {
    let paragraphs = paragraphs(text);
    let lengths: Vec<usize> =
        paragraphs.iter().flat_map(|paragraph| sentences(paragraph)).map(|sentence| words(&sentence)).collect();
    let mean = lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64;
    let long = lengths.iter().filter(|length| **length > LONG).count();
    let mut faults = Vec::new();
    if mean > MEAN_MAX {
        faults.push(format!("sentences have {mean:.1} words"));
    }
    if long > 1 && long as f64 * 100.0 > LONG_MAX * lengths.len() as f64 {
        faults.push(format!("{long} of {} sentences have more than {LONG} words", lengths.len()));
    }
    let heavy = paragraphs.iter().filter(|paragraph| words(&plain(paragraph)) > PARAGRAPH_MAX);
    faults.extend(heavy.map(|paragraph| format!("a paragraph is long: {}", beginning(paragraph))));
    let mut fenced = false;
    let wide = text.lines().filter(|line| {
        fenced ^= line.starts_with("```");
        !fenced && !line.starts_with(['|', '#']) && line.chars().count() > LINE_MAX && line.contains(' ')
    });
    faults.extend(wide.map(|line| format!("a line is long: {}", beginning(line))));
    faults
}

#[test]
fn pages_are_read_once() {
    let root = root();
    let mut pages = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    files_of("md", &root.join("engine/docs"), &mut pages);
    assert!(pages.len() > 30);
    let wrong = pages.iter().flat_map(|page| {
        let name = page.strip_prefix(&root).unwrap().display();
        faults(&std::fs::read_to_string(page).unwrap()).into_iter().map(move |fault| format!("{name}: {fault}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_too_long_is_found() {
    let long = format!("A{} b.", " word".repeat(40));
    assert_eq!(faults(&format!("{long} {long}\n")).len(), 3, "mean, share, and a line");
    assert_eq!(faults(&format!("- {}.\n", ["word"; 130].join("\n"))).len(), 2, "mean, and a paragraph");
    assert!(faults(&format!("```\n{long}\n```\n| {long} |\n# {long}\n")).is_empty());
    assert_eq!(sentences("One `a. B` two. Three [four](five. Six) e.g. seven? (Eight)").len(), 3);
}
