//! What stands between the fences of a document: commands behind a prompt, each with its answer, files, and changes of files. `…` stands
//! for what differs from run to run: for a part of a line, or alone for any number of lines.

/// A piece of a document: prose, or what stands between two fences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Prose(&'a str),
    /// `kind`: the words behind the opening fence.
    Listing {
        kind: &'a str,
        text: &'a str,
    },
}

/// The pieces of a document, in their order. Fences stand at the beginnings of lines.
pub(crate) fn pieces(document: &str) -> Vec<Piece<'_>> {
    let parts = document.split("\n```").enumerate();
    parts
        .map(|(at, part)| {
            if at % 2 == 0 {
                return Piece::Prose(part);
            }
            let (kind, text) = part.split_once('\n').unwrap_or((part, ""));
            Piece::Listing { kind, text }
        })
        .collect()
}

/// What stands between the fences of a text.
pub(crate) fn listings(document: &str) -> Vec<&str> {
    let texts = pieces(document).into_iter().filter_map(|piece| match piece {
        Piece::Listing { text, .. } => Some(text),
        Piece::Prose(_) => None,
    });
    texts.collect()
}

/// A listing's lines behind a prompt, each with the lines that follow it.
pub(crate) fn asked(listing: &str, prompt: &str) -> Vec<(String, String)> {
    let mut all = Vec::<(String, String)>::new();
    for line in listing.lines() {
        if let Some(command) = line.strip_prefix(prompt) {
            all.push((command.to_owned(), String::new()));
        } else if let Some((_, answer)) = all.last_mut() {
            answer.push_str(line);
            answer.push('\n');
        }
    }
    all
}

/// Whether a listing is what was printed, but for blanks at the ends of lines.
pub(crate) fn shows(listing: &str, printed: &str) -> bool {
    let lines = |text: &str| {
        let text = text.trim_start_matches('\n').trim_end();
        text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
    };
    lines_fit(&lines(listing), &lines(printed))
}

fn lines_fit(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((any, rest)) if any == "…" => (0..=printed.len()).any(|from| lines_fit(rest, &printed[from..])),
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, more)| fits(line, first) && lines_fit(rest, more))
        }
    }
}

/// Whether a line is the expected one, in which `…` stands for any part.
pub(crate) fn fits(expected: &str, line: &str) -> bool {
    let Some((before, after)) = expected.split_once('…') else { return expected == line };
    let Some(rest) = line.strip_prefix(before) else { return false };
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.any(|at| fits(after, &rest[at..]))
}

/// Applies a change to a text: lines that begin with `-` are removed, those with `+` added, and others stay. Lines that stay or go are looked
/// for, and must be there once.
///
/// # Panics
/// When they are not.
pub(crate) fn changed(text: &str, change: &str) -> String {
    let steps: Vec<(char, &str)> = change
        .lines()
        .map(|line| line.chars().next().map_or((' ', ""), |first| (first, &line[first.len_utf8()..])))
        .collect();
    let old: Vec<&str> = steps.iter().filter(|(sign, _)| *sign != '+').map(|(_, line)| *line).collect();
    let lines: Vec<&str> = text.lines().collect();
    let is_at = |at: &usize| old.iter().zip(&lines[*at..]).all(|(old, line)| fits(old, line));
    let places: Vec<usize> = (0..=lines.len().saturating_sub(old.len())).filter(is_at).collect();
    let [at] = places[..] else { panic!("{} places of this change:\n{change}\nin\n{text}", places.len()) };
    let mut kept = lines[at..].iter();
    let mut made: Vec<&str> = lines[..at].to_vec();
    for (sign, line) in steps {
        match sign {
            '+' => made.push(line),
            '-' => drop(kept.next()),
            _ => made.extend(kept.next()),
        }
    }
    made.extend(kept);
    made.join("\n") + "\n"
}

#[test]
fn what_differs_from_run_to_run_is_left_open_and_nothing_else() {
    assert!(shows("a …s\n…\nz\n", "a 12 s\nb\nc\nz  \n"));
    assert!(shows("…\nz", "z") && shows("", "\n"));
    for (expected, printed) in
        [("a", " a"), ("a …s", "a 12 m"), ("a\n…\nz", "a\nb"), ("a", "a\nb"), ("a\nb", "a"), ("", "a")]
    {
        assert!(!shows(expected, printed), "{expected} {printed}");
    }
}

#[test]
fn a_change_finds_its_place() {
    assert_eq!(changed("a\nb 7\nc\nb\n", " a\n-b …\n+d\n+e\n c"), "a\nd\ne\nc\nb\n");
    let twice = std::panic::catch_unwind(|| changed("a\na\n", " a\n+b"));
    let gone = std::panic::catch_unwind(|| changed("a\n", " b\n+c"));
    assert!(twice.is_err() && gone.is_err());
}

#[test]
fn a_document_is_its_pieces() {
    let document = "# A\n\n```sql x.sql\nSELECT 1;\n```\nb\n```\n$ c\nd\n```\n";
    let found = pieces(document);
    let expected = [
        Piece::Prose("# A\n"),
        Piece::Listing { kind: "sql x.sql", text: "SELECT 1;" },
        Piece::Prose("\nb"),
        Piece::Listing { kind: "", text: "$ c\nd" },
        Piece::Prose("\n"),
    ];
    assert_eq!(found, expected);
}
