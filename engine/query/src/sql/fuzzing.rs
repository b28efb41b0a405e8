//! What the fuzz target and the corpus replay of the SQL front call, with the properties that must hold. Knows no
//! catalog.

use crate::sql::parse::parse;

/// Cuts a text into statements. Gives how many, or the refusal's SQLSTATE.
///
/// # Errors
/// What is wrong with the front: a statement that does not stand alone as it stood in the text, a template that changes
/// when read again, or a position outside the text.
pub fn statements(sql: &str) -> Result<Result<usize, &'static str>, String> {
    let parsed = match parse(sql) {
        Ok(parsed) => parsed,
        Err(error) => {
            let characters = u32::try_from(sql.chars().count()).unwrap_or(u32::MAX);
            return match error.position() {
                Some(at) if at == 0 || at > characters.saturating_add(1) => {
                    Err(format!("position {at} of {characters}"))
                }
                Some(_) | None => Ok(Err(error.code().sqlstate())),
            };
        }
    };
    for statement in &parsed {
        let alone = parse(statement.shared_text()).map_err(|error| format!("not alone: {error}"))?;
        match alone.as_slice() {
            [one] if one.template() == statement.template() => {}
            [_] => return Err(format!("another template: {}", statement.shared_text())),
            several => return Err(format!("{} statements in {}", several.len(), statement.shared_text())),
        }
    }
    Ok(Ok(parsed.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn corpus() -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/statements");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
            .collect();
        files.sort();
        files
    }

    #[test]
    fn texts_are_cut_or_refused_with_a_place() {
        let (mut cut, mut refused) = (0, 0);
        for (name, bytes) in corpus() {
            let Ok(text) = String::from_utf8(bytes) else { continue };
            match statements(&text).unwrap_or_else(|broken| panic!("{name}: {broken}")) {
                Ok(_) => cut += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(cut >= 20 && refused >= 10, "{cut} cut, {refused} refused");
    }

    /// Each text of the corpus with a piece left out, doubled, or of another text put in.
    #[test]
    fn damaged_texts_are_cut_or_refused_with_a_place() {
        let texts: Vec<String> = corpus()
            .into_iter()
            .filter_map(|(_, bytes)| String::from_utf8(bytes).ok())
            .filter(|text| text.len() < 600)
            .collect();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |end: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % u64::try_from(end.max(1)).unwrap()).unwrap()
        };
        let (mut cut, mut refused) = (0, 0);
        for round in 0..4_000 {
            let text: Vec<char> = texts[round % texts.len()].chars().collect();
            let other: Vec<char> = texts[below(texts.len())].chars().collect();
            let (from, to) = (below(text.len() + 1), below(text.len() + 1));
            let (from, to) = (from.min(to), from.max(to));
            let piece: &[char] = match below(4) {
                0 => &[],
                1 => &text[from..to],
                2 => &other[below(other.len())..],
                _ => &['\'', '"', '$', '(', ';', '-', '/', 'é', '\u{0}'][below(9)..][..1],
            };
            let twice = if below(2) == 0 { to } else { from };
            let damaged: String = text[..to].iter().chain(piece).chain(&text[twice..]).collect();
            match statements(&damaged).unwrap_or_else(|broken| panic!("{broken}: {damaged}")) {
                Ok(_) => cut += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(cut > 400 && refused > 400, "{cut} cut, {refused} refused");
    }
}
