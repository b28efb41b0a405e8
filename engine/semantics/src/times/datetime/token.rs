//! The pieces of a date or time text. Knows what characters go together, not what they mean.

/// A piece; texts are slices of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Digits, maybe with a fraction.
    Number(&'a str),
    /// Digits with colons: a time.
    Clock(&'a str),
    /// Parts with `-`, `/` or `.` between them.
    Date(&'a str),
    /// Letters; a zone's name with its slashes and signs.
    Word(&'a str),
    /// A sign and digits: an offset from Greenwich.
    Offset(&'a str),
}

/// Splits a text. `None`: a character that no date has.
pub(super) fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let bytes = text.as_bytes();
    let run = |from: usize, wanted: &dyn Fn(u8) -> bool| {
        bytes[from..].iter().position(|b| !wanted(*b)).map_or(bytes.len(), |n| from + n)
    };
    let is_digit = |b: u8| b.is_ascii_digit();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let end = match byte {
            b if b.is_ascii_whitespace() || b == b',' || b == b'\x0b' => {
                at += 1;
                continue;
            }
            b'0'..=b'9' => {
                let end = number_end(bytes, at);
                let piece = &text[at..end];
                found.push(if piece.contains(':') {
                    Token::Clock(piece)
                } else if piece.bytes().any(|b| !b.is_ascii_digit()) && !is_fraction(piece) {
                    Token::Date(piece)
                } else {
                    Token::Number(piece)
                });
                end
            }
            b if b.is_ascii_alphabetic() => {
                let mut end = run(at, &|b| b.is_ascii_alphabetic());
                let goes_on = bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric);
                if matches!(bytes.get(end), Some(b'/' | b'-' | b'+')) && goes_on {
                    end = run(at, &|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+' | b':'));
                }
                // `PST8PDT`: a zone by its two names and its distance.
                let distance = run(end, &|b| is_digit(b));
                let names = run(distance, &|b| b.is_ascii_alphabetic());
                if end - at >= 3 && distance > end && names - distance >= 3 {
                    end = names;
                }
                let piece = &text[at..end];
                // `Jan-08-1999` begins with a month, what else has signs in it names a zone.
                let begins = piece.split(['-', '/']).next().unwrap_or_default();
                let is_date = begins.len() < piece.len() && super::names::month(begins).is_some();
                found.push(if is_date { Token::Date(piece) } else { Token::Word(piece) });
                end
            }
            b'+' | b'-' => {
                let end = run(at + 1, &|b| is_digit(b) || b == b':');
                if end == at + 1 {
                    return None;
                }
                found.push(Token::Offset(&text[at..end]));
                end
            }
            b'.' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                let end = run(at + 1, &is_digit);
                found.push(Token::Number(&text[at..end]));
                end
            }
            b'.' | b'@' => at + 1,
            _ => return None,
        };
        at = end;
    }
    Some(found)
}

/// Digits and one point between more than a day's digits: seconds since 1970, or a clock's fraction.
fn is_fraction(piece: &str) -> bool {
    let mut parts = piece.split('.');
    let (whole, fraction, rest) = (parts.next(), parts.next(), parts.next());
    let digits = |part: Option<&str>| part.is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    // `2024.060` is a year and a day.
    digits(whole)
        && digits(fraction)
        && rest.is_none()
        && !(whole.is_some_and(|w| w.len() == 4) && fraction.is_some_and(|f| f.len() == 3))
}

/// Where a piece that begins with a digit ends.
fn number_end(bytes: &[u8], from: usize) -> usize {
    let digits = |at: usize| bytes[at..].iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |n| at + n);
    let letters = |at: usize| bytes[at..].iter().position(|b| !b.is_ascii_alphabetic()).map_or(bytes.len(), |n| at + n);
    let mut end = digits(from);
    match bytes.get(end) {
        Some(b':') => {
            bytes[end..].iter().position(|b| !matches!(b, b'0'..=b'9' | b':' | b'.')).map_or(bytes.len(), |n| end + n)
        }
        Some(&delimiter @ (b'-' | b'/' | b'.')) => {
            // At most two more parts, each all digits or all letters.
            let mut word = true;
            for _ in 0..2 {
                if bytes.get(end) != Some(&delimiter) {
                    break;
                }
                let next = match bytes.get(end + 1) {
                    Some(b) if b.is_ascii_digit() => digits(end + 1),
                    // A month's name is the second part.
                    Some(b) if b.is_ascii_alphabetic() && delimiter != b'.' && word => letters(end + 1),
                    _ => break,
                };
                end = next;
                word = false;
            }
            end
        }
        _ => end,
    }
}
