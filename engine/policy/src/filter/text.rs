//! Text matching by code point, as the filter language defines it. Knows no locale.

use super::TextKind;

/// Whether `text` matches.
pub(super) fn matches(kind: TextKind, text: &str, pattern: &str) -> bool {
    match kind {
        TextKind::Contains => text.contains(pattern),
        TextKind::StartsWith => text.starts_with(pattern),
        TextKind::EndsWith => text.ends_with(pattern),
        TextKind::IContains => text.to_ascii_lowercase().contains(&pattern.to_ascii_lowercase()),
        TextKind::Like => like(text, pattern),
        TextKind::ILike => like(&text.to_ascii_lowercase(), &pattern.to_ascii_lowercase()),
    }
}

#[derive(Clone, Copy)]
enum Token {
    Any,
    One,
    Exactly(char),
}

/// SQL `LIKE` over the whole text with `\` as escape; a trailing `\` stands for itself. Linear backtracking: only the
/// last `%` is retried.
fn like(text: &str, pattern: &str) -> bool {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '%' => Token::Any,
            '_' => Token::One,
            '\\' => Token::Exactly(chars.next().unwrap_or('\\')),
            c => Token::Exactly(c),
        });
    }
    let text: Vec<char> = text.chars().collect();
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match tokens.get(p) {
            Some(Token::Any) => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(Token::One) => true,
            Some(Token::Exactly(c)) => text.get(t) == Some(c),
            None => false,
        };
        if step {
            t += 1;
            p += 1;
        } else if let Some((after, from)) = retry {
            retry = Some((after, from + 1));
            p = after;
            t = from + 1;
        } else {
            return false;
        }
    }
    tokens.get(p..).unwrap_or_default().iter().all(|token| matches!(token, Token::Any))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_text_by_code_point() {
        for (kind, text, pattern, expected) in [
            (TextKind::Like, "100% match", "100\\% %", true),
            (TextKind::Like, "100X match", "100\\% %", false),
            (TextKind::Like, "é", "_", true),
            (TextKind::Like, "aab", "%ab", true),
            (TextKind::Like, "aab", "%a", false),
            (TextKind::Like, "", "%", true),
            (TextKind::Like, "", "_", false),
            (TextKind::Like, "a\\", "a\\", true),
            (TextKind::Like, "mississippi", "%is%ip%", true),
            (TextKind::Like, "mississippi", "%ix%", false),
            (TextKind::ILike, "ACME", "ac%", true),
            (TextKind::ILike, "CAFÉ", "café", false),
            (TextKind::IContains, "CAFÉ", "caf", true),
            (TextKind::IContains, "CAFÉ", "café", false),
            (TextKind::Contains, "a_b", "_", true),
            (TextKind::Contains, "axb", "_", false),
            (TextKind::StartsWith, "Acme", "acme", false),
            (TextKind::EndsWith, "Acme", "me", true),
        ] {
            assert_eq!(matches(kind, text, pattern), expected, "{kind:?} {text} {pattern}");
        }
    }
}
