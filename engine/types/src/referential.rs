//! What a foreign key does with rows whose key goes away or changes.

/// As `ON DELETE` and `ON UPDATE` say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the actions of SQL")]
pub enum ReferentialAction {
    #[default]
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

impl ReferentialAction {
    const ALL: [Self; 5] = [Self::NoAction, Self::Restrict, Self::Cascade, Self::SetNull, Self::SetDefault];

    /// SQL's words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoAction => "NO ACTION",
            Self::Restrict => "RESTRICT",
            Self::Cascade => "CASCADE",
            Self::SetNull => "SET NULL",
            Self::SetDefault => "SET DEFAULT",
        }
    }

    /// The letter of `confdeltype` and `confupdtype`.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::NoAction => 'a',
            Self::Restrict => 'r',
            Self::Cascade => 'c',
            Self::SetNull => 'n',
            Self::SetDefault => 'd',
        }
    }

    /// The action of SQL's words, in any case.
    #[must_use]
    pub fn from_words(words: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.words().eq_ignore_ascii_case(words))
    }

    /// The action of a letter of PostgreSQL's catalog.
    #[must_use]
    pub fn from_letter(letter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| letter.chars().eq([action.letter()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_letters_are_read_as_they_are_written() {
        for action in ReferentialAction::ALL {
            assert_eq!(ReferentialAction::from_words(&action.words().to_lowercase()), Some(action));
            assert_eq!(ReferentialAction::from_letter(&action.letter().to_string()), Some(action));
        }
        assert_eq!(ReferentialAction::from_words("FORGET"), None);
        assert_eq!(ReferentialAction::from_letter("ar"), None);
    }
}
