//! The closed list of scalar functions, each with its written semantics. A source may run one only if it does exactly this.
//!
//! Unless a function says otherwise: any NULL argument gives NULL; text is counted, cut and searched by code point;
//! results outside the declared type raise 22003.

/// A scalar function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScalarFunction {
    /// `char_length(text) → integer`: number of code points.
    CharLength,
    /// `octet_length(text) → integer`: number of UTF-8 bytes.
    OctetLength,
    /// `upper(text)`: full Unicode upper case (`ß` → `SS`), no locale.
    Upper,
    /// `lower(text)`: full Unicode lower case, no locale.
    Lower,
    /// `substr(text, start [, count])`: start counts from 1; a start below 1 eats into `count`; a negative count raises 22011.
    Substr,
    /// `left(text, n)`: first n; negative n: all but the last −n.
    Left,
    /// `right(text, n)`: last n; negative n: all but the first −n.
    Right,
    /// `btrim(text [, characters])`: removes blanks (U+0020 only), or any of the characters, from both ends.
    Trim,
    /// `ltrim(text [, characters])`.
    LTrim,
    /// `rtrim(text [, characters])`.
    RTrim,
    /// `replace(text, from, to)`: every occurrence, left to right; an empty `from` gives the text unchanged.
    Replace,
    /// `strpos(text, part) → integer`: position of the first occurrence from 1, 0 for none, 1 for an empty part.
    StrPos,
    /// `starts_with(text, prefix) → boolean`.
    StartsWith,
    /// `ends_with(text, suffix) → boolean`.
    EndsWith,
    /// `contains(text, part) → boolean`; true for an empty part.
    Contains,
    /// `text || text …`: NULL if any is NULL.
    Concat,
    /// `concat(text …)`: NULL counts as empty; never NULL.
    ConcatSkipNull,
    /// `coalesce(value …)`: first that is not NULL; later arguments are not evaluated.
    Coalesce,
    /// `nullif(a, b)`: NULL if a = b, else a.
    NullIf,
    /// `greatest(value …)`: ignores NULLs; NULL if all are. Text by code point.
    Greatest,
    /// `least(value …)`: as greatest.
    Least,
    /// `abs(number)`: least integer raises 22003.
    Abs,
    /// `floor(number)`.
    Floor,
    /// `ceil(number)`.
    Ceil,
    /// `trunc(number)`: towards zero.
    Trunc,
    /// `round(number)`: half away from zero, to a whole number.
    Round,
    /// `sign(number)`: −1, 0 or 1 in the argument's type.
    Sign,
    /// `sqrt(double)`: negative raises 2201F.
    Sqrt,
    /// `extract(part from date or timestamp) → integer`; see [`DatePart`].
    DatePart(DatePart),
    /// `date_trunc(unit, timestamp)`; keeps the argument's type.
    DateTrunc(DateUnit),
    /// `a & b` on integers of one type.
    BitAnd,
    /// `a | b` on integers of one type.
    BitOr,
    /// `a # b`, exclusive or, on integers of one type.
    BitXor,
    /// `order_key(jsonb or list) → binary`: what the value is compared, sorted and grouped by, as PostgreSQL does with its own type:
    /// texts in it by code point, and of lists a NULL member behind all others and a list behind those that it begins with. A source
    /// takes its own value for it: a key stands beside keys of values of the same type, and is never delivered.
    OrderKey,
}

/// What `extract` reads. Instants are read in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the fields of `extract`")]
pub enum DatePart {
    Year,
    /// 1–4.
    Quarter,
    Month,
    /// ISO 8601 week, 1–53.
    Week,
    Day,
    /// Sunday is 0.
    DayOfWeek,
    /// Monday is 1, Sunday 7.
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    /// Whole seconds, without the fraction.
    Second,
}

/// What `date_trunc` cuts to. A week begins on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the fields of `date_trunc`")]
pub enum DateUnit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
}

impl ScalarFunction {
    /// Name in refusals and receipts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CharLength => "char_length",
            Self::OctetLength => "octet_length",
            Self::Upper => "upper",
            Self::Lower => "lower",
            Self::Substr => "substr",
            Self::Left => "left",
            Self::Right => "right",
            Self::Trim => "btrim",
            Self::LTrim => "ltrim",
            Self::RTrim => "rtrim",
            Self::Replace => "replace",
            Self::StrPos => "strpos",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::Contains => "contains",
            Self::Concat => "||",
            Self::ConcatSkipNull => "concat",
            Self::Coalesce => "coalesce",
            Self::NullIf => "nullif",
            Self::Greatest => "greatest",
            Self::Least => "least",
            Self::Abs => "abs",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
            Self::Trunc => "trunc",
            Self::Round => "round",
            Self::Sign => "sign",
            Self::Sqrt => "sqrt",
            Self::DatePart(_) => "extract",
            Self::DateTrunc(_) => "date_trunc",
            Self::BitAnd => "&",
            Self::BitOr => "|",
            Self::BitXor => "#",
            Self::OrderKey => "order_key",
        }
    }

    /// Fewest and most arguments.
    #[must_use]
    pub const fn arity(self) -> (usize, usize) {
        match self {
            Self::CharLength
            | Self::OctetLength
            | Self::Upper
            | Self::Lower
            | Self::Abs
            | Self::Floor
            | Self::Ceil
            | Self::Trunc
            | Self::Round
            | Self::Sign
            | Self::Sqrt
            | Self::DatePart(_)
            | Self::DateTrunc(_)
            | Self::OrderKey => (1, 1),
            Self::Trim | Self::LTrim | Self::RTrim => (1, 2),
            Self::Left
            | Self::Right
            | Self::StrPos
            | Self::StartsWith
            | Self::EndsWith
            | Self::Contains
            | Self::NullIf
            | Self::BitAnd
            | Self::BitOr
            | Self::BitXor => (2, 2),
            Self::Substr => (2, 3),
            Self::Replace => (3, 3),
            Self::Concat | Self::ConcatSkipNull | Self::Coalesce | Self::Greatest | Self::Least => (1, 1_000),
        }
    }

    /// Whether some argument makes it raise.
    #[must_use]
    pub const fn can_fail(self) -> bool {
        match self {
            Self::Abs
            | Self::Floor
            | Self::Ceil
            | Self::Trunc
            | Self::Round
            | Self::Sqrt
            | Self::Substr
            | Self::DateTrunc(_) => true,
            // Results that grow with their arguments can exceed a source's or our own limits.
            Self::Replace | Self::Concat | Self::ConcatSkipNull => true,
            Self::CharLength
            | Self::OctetLength
            | Self::Upper
            | Self::Lower
            | Self::Left
            | Self::Right
            | Self::Trim
            | Self::LTrim
            | Self::RTrim
            | Self::StrPos
            | Self::StartsWith
            | Self::EndsWith
            | Self::Contains
            | Self::Coalesce
            | Self::NullIf
            | Self::Greatest
            | Self::Least
            | Self::Sign
            | Self::DatePart(_)
            | Self::BitAnd
            | Self::BitOr
            | Self::BitXor
            | Self::OrderKey => false,
        }
    }
}
