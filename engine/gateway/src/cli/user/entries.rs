//! Edits of `[[users]]` in a configuration's text, of which every byte that does not matter stays. Writes no file.

use super::{ADDED, entry};
use std::ops::Range;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// A text and what was done to it; or why nothing was.
pub(super) type Edited = Result<(String, &'static str), String>;

/// Where a user's entry has what edits look for.
struct Entry {
    name: Range<usize>,
    verifier: Option<Range<usize>>,
    disabled: Option<Range<usize>>,
}

/// The line of a byte, from 1 on.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.get(..at).unwrap_or(text).matches('\n').count()
}

/// The entry of a user; `None`: there is none.
///
/// # Errors
/// The text is not TOML, or has two.
fn find(text: &str, name: &str) -> Result<Option<Entry>, String> {
    let document = DeTable::parse(text).map_err(|e| match e.span() {
        Some(at) => format!("line {}: {}", line_of(text, at.start), e.message()),
        None => e.message().to_owned(),
    })?;
    let users = document.get_ref().iter().find(|(key, _)| key.get_ref() == "users").map(|(_, value)| value.get_ref());
    let users = match users {
        None => None,
        Some(DeValue::Array(users)) => Some(users),
        Some(_) => return Err("`users` is not a list of tables".to_owned()),
    };
    let named = users.into_iter().flat_map(|users| users.iter()).filter_map(|user| user.get_ref().as_table());
    let mut found = named.filter(|user| {
        user.iter().any(|(key, value)| key.get_ref() == "name" && value.get_ref().as_str() == Some(name))
    });
    let Some(user) = found.next() else { return Ok(None) };
    if let Some(second) = found.next() {
        let line = second.iter().next().map_or(0, |(key, _)| line_of(text, key.span().start));
        return Err(format!("line {line}: \"{name}\" is there a second time; leave one of both"));
    }
    let span = |wanted: &str| user.iter().find(|(key, _)| key.get_ref() == wanted).map(|(_, value)| value.span());
    let name = span("name").ok_or("the user has no name")?;
    Ok(Some(Entry { name, verifier: span("verifier"), disabled: span("disabled") }))
}

fn known(text: &str, name: &str) -> Result<Entry, String> {
    find(text, name)?.ok_or_else(|| format!("there is no user \"{name}\""))
}

fn replaced(text: &str, at: &Range<usize>, by: &str) -> String {
    format!("{}{by}{}", &text[..at.start], &text[at.end..])
}

/// With another line after the one with the name.
fn extended(text: &str, entry: &Entry, line: &str) -> String {
    let after = entry.name.end;
    let line_end = text[after..].find('\n').map_or(text.len(), |i| after + i);
    format!("{}\n{line}{}", &text[..line_end], &text[line_end..])
}

/// Appends the user, or replaces the verifier of one who is there.
pub(super) fn with_verifier(text: &str, name: &str, verifier: &str) -> Edited {
    let Some(found) = find(text, name)? else {
        let gap = if text.is_empty() || text.ends_with("\n\n") {
            ""
        } else if text.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        return Ok((format!("{text}{gap}{}", entry(name, verifier)), ADDED));
    };
    Ok(match &found.verifier {
        Some(old) => (replaced(text, old, &format!("\"{verifier}\"")), "changed the verifier"),
        None => (extended(text, &found, &format!("verifier = \"{verifier}\"")), "added the verifier"),
    })
}

/// Says that nothing lets the user in.
pub(super) fn disable(text: &str, name: &str) -> Edited {
    let found = known(text, name)?;
    let edited = match &found.disabled {
        Some(old) => replaced(text, old, "true"),
        None => extended(text, &found, "disabled = true"),
    };
    checked(text, edited, name, |user| drop(user.insert("disabled".to_owned(), Value::Boolean(true))))
        .map(|edited| (edited, "disabled the user"))
}

/// Takes that back.
pub(super) fn enable(text: &str, name: &str) -> Edited {
    let found = known(text, name)?;
    let Some(old) = &found.disabled else { return Err(format!("\"{name}\" is not disabled")) };
    let edited = replaced(text, old, "false");
    checked(text, edited, name, |user| drop(user.insert("disabled".to_owned(), Value::Boolean(false))))
        .map(|edited| (edited, "enabled the user"))
}

/// Takes the user's entry out.
pub(super) fn remove(text: &str, name: &str) -> Edited {
    let by_hand = || "the entry has no place of its own; take it out by hand".to_owned();
    let found = known(text, name)?;
    let start = header(text, found.name.start).ok_or_else(by_hand)?;
    let end = end_of(text, found.name.end);
    let edited = format!("{}{}", &text[..start], &text[end..]);
    let expected = without(text, name)?;
    match edited.parse::<Table>() {
        Ok(edited_table) if edited_table == expected => Ok((edited, "removed the user")),
        Ok(_) | Err(_) => Err(by_hand()),
    }
}

/// The start of the line `[[users]]` above a place.
fn header(text: &str, at: usize) -> Option<usize> {
    let begins_line = |start: &usize| {
        let before = text[..*start].trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with('\n')
    };
    let headers = text.get(..at)?.rmatch_indices("[[users]]");
    headers.map(|(start, _)| start).find(begins_line)
}

/// The end of the entry: comments above the next table are that one's.
fn end_of(text: &str, at: usize) -> usize {
    let (mut place, mut end) = (at, at);
    for line in text[at..].split_inclusive('\n') {
        let head = line.trim();
        if place > at && head.starts_with('[') && !head.starts_with("[users.") {
            break;
        }
        place += line.len();
        if place == at + line.len() || !(head.is_empty() || head.starts_with('#')) {
            end = place;
        }
    }
    end
}

fn without(text: &str, name: &str) -> Result<Table, String> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let is_own = |user: &Value| user.get("name").and_then(Value::as_str) == Some(name);
    let mut is_empty = false;
    if let Some(Value::Array(users)) = table.get_mut("users") {
        users.retain(|user| !is_own(user));
        is_empty = users.is_empty();
    }
    if is_empty {
        table.remove("users");
    }
    Ok(table)
}

/// An edited text that says what it is meant to, and nothing else.
fn checked(text: &str, edited: String, name: &str, change: impl FnOnce(&mut Table)) -> Result<String, String> {
    let mut expected: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let users = expected.get_mut("users").and_then(Value::as_array_mut);
    let mut users = users.into_iter().flatten().filter_map(Value::as_table_mut);
    if let Some(user) = users.find(|user| user.get("name").and_then(Value::as_str) == Some(name)) {
        change(user);
    }
    match edited.parse::<Table>() {
        Ok(table) if table == expected => Ok(edited),
        Ok(_) | Err(_) => Err("the entry is not one that can be edited here; write `disabled` by hand".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "[log]\nformat = \"json\"\n\n[[users]]\nname = \"a\" # first\nverifier = \"V\"\n[users.attributes]\nx = [\n  1]\n\n# of b\n[[users]]\nname = \"b\"\n";

    #[test]
    fn a_user_is_disabled_enabled_and_removed_in_place() {
        let (off, _) = disable(TWO, "a").unwrap();
        assert_eq!(off, TWO.replace("# first\n", "# first\ndisabled = true\n"));
        assert_eq!(disable(&off, "a").unwrap().0, off);
        assert_eq!(enable(&off, "a").unwrap().0, off.replace("true", "false"));
        assert!(enable(TWO, "a").is_err() && disable(TWO, "c").is_err() && remove(TWO, "c").is_err());
        let (b, _) = remove(TWO, "a").unwrap();
        assert_eq!(b, "[log]\nformat = \"json\"\n\n\n# of b\n[[users]]\nname = \"b\"\n");
        let (rest, _) = remove(TWO, "b").unwrap();
        assert!(rest.ends_with("# of b\n") && rest.contains("[users.attributes]"), "{rest}");
        assert_eq!(remove(&rest, "a").unwrap().0, "[log]\nformat = \"json\"\n\n\n# of b\n");
    }

    #[test]
    fn an_entry_without_a_place_of_its_own_is_left_to_its_author() {
        for text in ["users = [{ name = \"a\" }, { name = \"b\" }]\n", "users = [\n{ name = \"a\" }]\n"] {
            assert!(remove(text, "a").is_err() && disable(text, "a").is_err(), "{text}");
        }
    }

    #[test]
    fn an_edit_keeps_every_other_byte() {
        let text = "# mine\n[[users]]\nname = \"a\" # first\nverifier = \"old\" # keep\n\n[log]\nformat = \"json\"\n";
        let (edited, done) = with_verifier(text, "a", "NEW").unwrap();
        assert_eq!((edited.as_str(), done), (text.replace("\"old\"", "\"NEW\"").as_str(), "changed the verifier"));
        let (edited, done) = with_verifier(text, "b", "V").unwrap();
        assert_eq!(edited, format!("{text}\n{}", entry("b", "V")));
        assert_eq!(done, ADDED);
        let (edited, _) = with_verifier("[[users]]\nname = \"a\"\noperator = true\n", "a", "V").unwrap();
        assert_eq!(edited, "[[users]]\nname = \"a\"\nverifier = \"V\"\noperator = true\n");
        assert!(with_verifier("users = 3\n", "a", "V").is_err());
    }

    #[test]
    fn what_the_user_holds_can_be_said_below() {
        let (added, _) = with_verifier("[log]\nformat = \"json\"\n", "a", "V").unwrap();
        let said = format!("{added}permission_sets = [\"reader\"]\npositions = [\"clerk\"]\n");
        let (again, done) = with_verifier(&said, "a", "W").unwrap();
        assert_eq!((again, done), (said.replace("\"V\"", "\"W\""), "changed the verifier"));
    }

    #[test]
    fn a_file_that_says_something_twice_is_refused_with_the_line() {
        let twice = "[[users]]\nname = \"a\"\npositions = []\npositions = [\"x\"]\n";
        let why = with_verifier(twice, "b", "V").unwrap_err();
        assert!(why.starts_with("line 4: duplicate key"), "{why}");
        let why = with_verifier("[[users]]\nname = \"a\"\n\n[[users]]\nname = \"a\"\n", "a", "V").unwrap_err();
        assert_eq!(why, "line 5: \"a\" is there a second time; leave one of both");
    }
}
