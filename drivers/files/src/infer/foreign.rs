//! Texts that are numbers or days as people of some countries write them. They stay texts: which number or day is meant is not guessed.

/// How a text is written that is a number or a day elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignForm {
    /// A comma before the places, and maybe points between thousands: `1.234,56`.
    DecimalComma,
    /// Commas, points, blanks or apostrophes between thousands: `1,234.56`.
    Thousands,
    /// A comma before three places, which may part thousands as well: `1,000`.
    EitherComma,
    /// A day in another order or with other signs than `2024-12-31`: `31.12.2024`, `12/31/2024`.
    Day,
}

/// A column of texts all of whose values have such forms, or are plain numbers or days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignColumn {
    /// Its name.
    pub column: String,
    /// How the first value that is no plain one is written.
    pub form: ForeignForm,
    /// The file that has it.
    pub file: String,
    /// Its row in that file, from 1, without the header.
    pub row: u64,
}

impl ForeignForm {
    /// The form of a text that is no plain number and no plain day.
    pub(super) fn of(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.len() > LENGTH_MAX {
            return None;
        }
        if is_day(digits) { Some(Self::Day) } else { number(digits) }
    }
}

/// Bytes of the longest text that is looked at.
const LENGTH_MAX: usize = 64;

/// Three numbers with one sign between, and maybe a time behind them.
fn is_day(text: &str) -> bool {
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let is_time =
        time.is_empty() || time.contains(':') && time.bytes().all(|b| b.is_ascii_digit() || b":.".contains(&b));
    let Some(sign) = day.chars().find(|c| !c.is_ascii_digit()).filter(|sign| "./-".contains(*sign)) else {
        return false;
    };
    let parts: Vec<&str> = day.split(sign).collect();
    let [first, second, third] = parts[..] else { return false };
    let within = |part: &str, max: u32| {
        (1..=2).contains(&part.len()) && part.parse::<u32>().is_ok_and(|number| (1..=max).contains(&number))
    };
    let pair = |one: &str, other: &str| within(one, 31) && within(other, 12) || within(one, 12) && within(other, 31);
    let is_year = |part: &str| part.bytes().all(|b| b.is_ascii_digit()) && part.len() == 4;
    let is_short_year = |part: &str| part.bytes().all(|b| b.is_ascii_digit()) && part.len() == 2 && sign != '-';
    let ends_with_year = (is_year(third) || is_short_year(third)) && pair(first, second);
    let begins_with_year = is_year(first) && sign != '-' && within(second, 12) && within(third, 31);
    is_time && (ends_with_year || begins_with_year)
}

/// A number with a decimal comma, or with signs between its thousands.
fn number(text: &str) -> Option<ForeignForm> {
    let (last_comma, last_point) = (text.rfind(','), text.rfind('.'));
    let is_once = |sign: char| text.matches(sign).count() == 1;
    let (whole, places, form) = match (last_comma, last_point) {
        (Some(comma), point) if is_once(',') && point.is_none_or(|point| point < comma) => {
            (text.get(..comma)?, text.get(comma + 1..)?, ForeignForm::DecimalComma)
        }
        (comma, Some(point)) if is_once('.') && comma.is_none_or(|comma| comma < point) => {
            (text.get(..point)?, text.get(point + 1..)?, ForeignForm::Thousands)
        }
        (_, _) => (text, "0", ForeignForm::Thousands),
    };
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let sign = whole.chars().find(|c| !c.is_ascii_digit());
    let groups: Vec<&str> = sign.map_or_else(|| vec![whole], |sign| whole.split(sign).collect());
    let (first, others) = groups.split_first()?;
    let is_grouped = sign.is_none_or(|sign| THOUSANDS.contains(&sign) && (1..=3).contains(&first.len()));
    let is_whole = is_grouped && is_digits(first) && others.iter().all(|group| group.len() == 3 && is_digits(group));
    // Without a comma and a sign between thousands it is a code, such as one with leading zeros.
    let is_foreign = form == ForeignForm::DecimalComma || sign.is_some();
    let is_either = form == ForeignForm::DecimalComma && groups.len() == 1 && first.len() <= 3 && places.len() == 3;
    let form = if is_either { ForeignForm::EitherComma } else { form };
    (is_whole && is_foreign && is_digits(places)).then_some(form)
}

/// Signs between thousands: the last two are a blank that does not break, and a narrow one.
const THOUSANDS: [char; 6] = [',', '.', ' ', '\'', '\u{a0}', '\u{202f}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_days_of_other_countries_are_told_from_codes() {
        use ForeignForm::{Day, DecimalComma, EitherComma, Thousands};
        for (text, expected) in [
            ("1.234,56", Some(DecimalComma)),
            ("2,5", Some(DecimalComma)),
            ("-0,5", Some(DecimalComma)),
            ("1 234 567,8", Some(DecimalComma)),
            ("1,000", Some(EitherComma)),
            ("1.000,000", Some(DecimalComma)),
            ("1234,567", Some(DecimalComma)),
            ("1\u{a0}234,5", Some(DecimalComma)),
            ("1,234.56", Some(Thousands)),
            ("1,234,567", Some(Thousands)),
            ("1.234.567", Some(Thousands)),
            ("1'234'567.89", Some(Thousands)),
            ("31.12.2024", Some(Day)),
            ("1.2.2024", Some(Day)),
            ("31.12.24", Some(Day)),
            ("12/31/2024", Some(Day)),
            ("2024/12/31", Some(Day)),
            ("31-12-2024", Some(Day)),
            ("31.12.2024 10:15:00", Some(Day)),
            ("32.13.2024", None),
            ("2024-13-01", None),
            ("00501", None),
            ("030 12345", None),
            ("1.2.3", None),
            ("10.0.0.1", None),
            ("1,2,3", None),
            ("1,5 kg", None),
            ("12,", None),
            (",5", None),
            ("", None),
            ("abc", None),
            ("10:15", None),
            ("1,", None),
            ("é1,5", None),
        ] {
            assert_eq!(ForeignForm::of(text), expected, "{text}");
        }
        assert_eq!(ForeignForm::of(&"1,".repeat(100_000)), None);
    }
}
