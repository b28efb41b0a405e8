//! Which table each alias of a printed statement stands for. Reads only what this driver printed: quoted names, `AS`, quoted
//! aliases.

use std::collections::HashMap;

enum Token {
    Name(String),
    As,
    Other,
}

/// Tables by alias. `"orders" AS "t1"` tells one, with or without a schema; `(…) AS "t2"` does not. Columns have aliases
/// of their own, which no table has.
pub(crate) fn aliases(text: &str) -> HashMap<String, String> {
    let tokens = tokens(text);
    let mut found = HashMap::new();
    for window in tokens.windows(3) {
        if let [Token::Name(table), Token::As, Token::Name(alias)] = window {
            found.insert(alias.clone(), table.clone());
        }
    }
    found
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            '"' | '\'' => {
                let mut name = String::new();
                while let Some(next) = rest.next() {
                    if next != first {
                        name.push(next);
                    } else if rest.next_if_eq(&first).is_some() {
                        name.push(first);
                    } else {
                        break;
                    }
                }
                tokens.push(if first == '"' { Token::Name(name) } else { Token::Other });
            }
            letter if letter.is_ascii_alphanumeric() || letter == '_' => {
                let mut word = String::from(letter);
                while let Some(next) = rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
                    word.push(next);
                }
                tokens.push(if word == "AS" { Token::As } else { Token::Other });
            }
            space if space.is_whitespace() => {}
            _ => tokens.push(Token::Other),
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_of_tables_are_found_and_no_others() {
        let text = r#"SELECT "t1"."a" AS "c1" FROM "main"."or""ders AS x" AS "t1" JOIN (SELECT 1) AS "t2" JOIN "plain" AS "t3" ON '"main"."no" AS "t9"'"#;
        let found = aliases(text);
        assert_eq!((found["t1"].as_str(), found["t3"].as_str()), ("or\"ders AS x", "plain"));
        assert!(!found.contains_key("t2") && !found.contains_key("t9"));
    }
}
