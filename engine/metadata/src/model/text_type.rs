//! How a column of texts is declared, where `text` does not say it. Its values are texts all the same.

use querygate_types::PgType;
use serde::{Deserialize, Serialize};

/// A declared type whose values are read and compared as texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TextType {
    /// `varchar(n)`, or `varchar` of any length.
    Varchar(Option<u32>),
    /// `char(n)`; values come without the blanks behind them.
    Char(u32),
}

/// PostgreSQL's own limit of both lengths.
const LENGTH_MAX: u32 = 10_485_760;

impl TextType {
    /// The type that SQL calls so: `varchar(45)`, `character varying`, `char(3)`.
    #[must_use]
    pub fn from_sql(name: &str) -> Option<Self> {
        let lower = name.trim().to_ascii_lowercase();
        let (word, length) = match lower.split_once('(') {
            Some((word, rest)) => {
                let length = rest.strip_suffix(')')?.trim().parse::<u32>().ok()?;
                (word.trim(), Some(length).filter(|length| (1..=LENGTH_MAX).contains(length))?)
            }
            None => {
                let any = matches!(lower.as_str(), "varchar" | "character varying");
                return any.then_some(Self::Varchar(None));
            }
        };
        match word {
            "varchar" | "character varying" => Some(Self::Varchar(Some(length))),
            "char" | "character" => Some(Self::Char(length)),
            _ => None,
        }
    }

    /// The type's name, as [`Self::from_sql`] reads it.
    #[must_use]
    pub fn sql_name(&self) -> String {
        match self {
            Self::Varchar(Some(length)) => format!("varchar({length})"),
            Self::Varchar(None) => "varchar".to_owned(),
            Self::Char(length) => format!("char({length})"),
        }
    }

    /// What clients are told of it.
    #[must_use]
    pub const fn pg_type(&self) -> PgType {
        match self {
            Self::Varchar(_) => PgType::Varchar,
            Self::Char(_) => PgType::Bpchar,
        }
    }

    /// `atttypmod`: the length and PostgreSQL's four bytes; −1 for none.
    #[must_use]
    pub fn modifier(&self) -> i32 {
        match self {
            Self::Varchar(Some(length)) | Self::Char(length) => i32::try_from(*length).map_or(-1, |length| length + 4),
            Self::Varchar(None) => -1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sources_are_read() {
        for (name, expected) in [
            ("character varying(45)", Some(("varchar(45)", 49))),
            ("VARCHAR(45)", Some(("varchar(45)", 49))),
            ("varchar", Some(("varchar", -1))),
            ("character varying", Some(("varchar", -1))),
            ("character(20)", Some(("char(20)", 24))),
            ("char( 3 )", Some(("char(3)", 7))),
            ("char", None),
            ("\"char\"", None),
            ("text", None),
            ("varchar(0)", None),
            ("varchar(10485761)", None),
            ("varchar(45)[]", None),
            ("varchar(-1)", None),
        ] {
            let read = TextType::from_sql(name);
            let found = read.as_ref().map(|read| (read.sql_name(), read.modifier()));
            assert_eq!(found, expected.map(|(name, modifier)| (name.to_owned(), modifier)), "{name}");
            assert_eq!(read.as_ref().and_then(|read| TextType::from_sql(&read.sql_name())), read, "{name}");
        }
    }
}
