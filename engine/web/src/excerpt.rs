//! What is shown of a text that a search found.

/// Words that are looked for.
const WORDS_MAX: usize = 8;
/// Characters of a text that are looked through.
const SEARCHED_MAX: usize = 64 << 10;

/// The text around the first of some words that is in it, whatever their case: `before` characters before the word, `behind` from it on. `None`:
/// no word is in it.
#[must_use]
pub fn excerpt(text: &str, words: &str, (before, behind): (usize, usize)) -> Option<String> {
    let is_whole = text.chars().nth(SEARCHED_MAX).is_none();
    let signs: Vec<char> = text.chars().take(SEARCHED_MAX).collect();
    let lower = |sign: char| sign.to_lowercase().next().unwrap_or(sign);
    let folded: String = signs.iter().copied().map(lower).collect();
    // Each sign of the folded text is one of the text.
    let place = |word: &str| {
        let word: String = word.chars().map(lower).collect();
        let at = folded.find(&word)?;
        Some(folded.get(..at)?.chars().count())
    };
    let at = words.split_whitespace().take(WORDS_MAX).find_map(place)?;
    let (from, to) = (at.saturating_sub(before), at.saturating_add(behind).min(signs.len()));
    let part: String = signs.get(from..to)?.iter().collect();
    let (cut_before, cut_behind) =
        (if from > 0 { "…" } else { "" }, if to < signs.len() || !is_whole { "…" } else { "" });
    Some(format!("{cut_before}{part}{cut_behind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_text_around_the_first_word_that_is_in_it() {
        assert_eq!(excerpt("Acme Northwind", "north", (30, 90)).as_deref(), Some("Acme Northwind"));
        assert_eq!(excerpt("Acme", "north", (30, 90)), None);
        let long = format!("{}word{}", "a".repeat(40), "b".repeat(100));
        let expected = format!("…{}word{}…", "a".repeat(30), "b".repeat(86));
        assert_eq!(excerpt(&long, "none WORD", (30, 90)), Some(expected));
        assert_eq!(excerpt("größer als", "GRÖ", (30, 90)).as_deref(), Some("größer als"));
    }
}
