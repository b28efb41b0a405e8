//! Text of others (statements, names of sources) as people may be shown it. Knows no markup.

/// The character, or what stands for it where it would be a command to a terminal or turn the text around it.
#[must_use]
pub fn harmless(c: char) -> char {
    match c {
        '\n' | '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_turns_are_replaced_and_text_stays() {
        let shown: String = "Zoë\t\u{1b}[2J\u{202e}x\u{9b}y\r\n漢".chars().map(harmless).collect();
        assert_eq!(shown, "Zoë \u{fffd}[2J\u{fffd}x\u{fffd}y\u{fffd} 漢");
    }
}
