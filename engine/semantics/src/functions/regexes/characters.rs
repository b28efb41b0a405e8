//! Reads escapes and bracket expressions of PostgreSQL's advanced regular expressions.

use super::syntax::{Reader, Result, escaped};
use super::tree::{Node, Place, Reason, Unread};

/// PostgreSQL's names of classes.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Blanks of the C library: those that keep words together are none.
macro_rules! spaces {
    () => {
        r"\t-\r \x{1680}\x{2000}-\x{2006}\x{2008}-\x{200a}\x{2028}\x{2029}\x{205f}\x{3000}"
    };
}

/// What is printed, blanks among it.
macro_rules! printed {
    () => {
        r"[^\p{Cc}\p{Cn}\p{Zl}\p{Zp}]"
    };
}

/// The characters of a class as the C library has them in `C.UTF-8`, in the spelling of the engine: digits are those of ASCII, others
/// count among letters. In the library's own classes of these names there is ASCII only.
fn class(name: &str, insensitive: bool) -> Option<&'static str> {
    const LETTERS: &str = r"[[\p{Alphabetic}\p{Nd}]--[0-9]]";
    Some(match name {
        "alnum" => r"[\p{Alphabetic}\p{Nd}]",
        "alpha" => LETTERS,
        // Where case does not count, all letters are of both, even those that have none.
        "lower" | "upper" if insensitive => LETTERS,
        // Digraphs of which one letter is large are of both.
        "lower" => r"[\p{Lowercase}\x{1c5}\x{1c8}\x{1cb}\x{1f2}]",
        "upper" => r"[\p{Uppercase}\p{Lt}]",
        "ascii" => r"[\x{0}-\x{7f}]",
        "blank" => r"[ \t]",
        "cntrl" => r"\p{Cc}",
        "digit" => "[0-9]",
        "graph" => concat!("[", printed!(), "--[", spaces!(), "]]"),
        "print" => printed!(),
        "punct" => concat!("[", printed!(), r"--[\p{Alphabetic}\p{Nd}", spaces!(), "]]"),
        "space" => concat!("[", spaces!(), "]"),
        "word" => r"[\p{Alphabetic}\p{Nd}_]",
        "xdigit" => "[0-9A-Fa-f]",
        _ => return None,
    })
}

/// What a letter behind a backslash stands for that is a class.
const fn escaped_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => concat!("[", spaces!(), "]"),
        'S' => concat!("[^", spaces!(), "]"),
        'w' => r"[\p{Alphabetic}\p{Nd}_]",
        'W' => r"[^\p{Alphabetic}\p{Nd}_]",
        _ => return None,
    })
}

/// What stands in brackets.
enum Item {
    Character(char),
    /// A class, in the spelling of the engine.
    Class(&'static str),
}

impl Reader {
    pub(super) fn escape(&mut self) -> Result<Node> {
        let place = match self.peek().ok_or(Unread::Because(Reason::Escape))? {
            'A' => Place::TextStart,
            'Z' => Place::TextEnd,
            'm' => Place::WordStart,
            'M' => Place::WordEnd,
            'y' => Place::WordEdge,
            'Y' => Place::NoWordEdge,
            '1'..='9' => return self.reference(),
            c => {
                if let Some(class) = escaped_class(c) {
                    self.at += 1;
                    return self.one(class);
                }
                let c = self.character()?;
                return self.literal(c);
            }
        };
        self.at += 1;
        Ok(Node::At(place))
    }

    /// One digit refers back, and so do several where there are that many groups; else they are an octal number.
    fn reference(&mut self) -> Result<Node> {
        let begin = self.at;
        let number = self.digits(10, 1, 255)?;
        let number = usize::try_from(number).map_err(|_| Unread::Invalid)?;
        if self.at == begin + 1 || number <= self.groups() {
            return self.again(number);
        }
        self.at = begin;
        let c = self.octal()?;
        self.literal(c)
    }

    /// The character that an escape stands for.
    fn character(&mut self) -> Result<char> {
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return self.octal();
        }
        let c = self.next().ok_or(Unread::Because(Reason::Escape))?;
        Ok(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'c' => {
                let control = u32::from(self.next().ok_or(Unread::Invalid)?) & 0x1f;
                char::from_u32(control).ok_or(Unread::Invalid)?
            }
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'B' => '\\',
            'x' => self.hexadecimal(1, 255)?,
            'u' => self.hexadecimal(4, 4)?,
            'U' => self.hexadecimal(8, 8)?,
            c if c.is_alphanumeric() => return Err(Unread::Because(Reason::Escape)),
            c => c,
        })
    }

    /// Up to three digits, whose value has a byte.
    fn octal(&mut self) -> Result<char> {
        let mut value = self.digits(8, 1, 3)?;
        if value > 0xff {
            self.at -= 1;
            value >>= 3;
        }
        char::from_u32(value).ok_or(Unread::Invalid)
    }

    fn hexadecimal(&mut self, least: usize, most: usize) -> Result<char> {
        char::from_u32(self.digits(16, least, most)?).ok_or(Unread::Invalid)
    }

    fn digits(&mut self, radix: u32, least: usize, most: usize) -> Result<u32> {
        let (mut value, mut digits) = (0_u32, 0);
        while digits < most
            && let Some(digit) = self.peek().and_then(|c| c.to_digit(radix))
        {
            self.at += 1;
            digits += 1;
            value = value.saturating_mul(radix).saturating_add(digit);
        }
        if digits < least { Err(Unread::Because(Reason::Escape)) } else { Ok(value) }
    }

    /// A bracket expression, in the spelling of the library: what is a character here may be a sign there.
    pub(super) fn bracket(&mut self) -> Result<Node> {
        let mut out = String::from("[");
        if self.takes("^") {
            out.push('^');
            if !self.options.dot_takes_lines {
                out.push_str(r"\n");
            }
        }
        let begin = self.at;
        while self.at == begin || !self.takes("]") {
            let is_sign = self.peek() == Some('-') && self.at > begin;
            let item = self.item()?;
            if is_sign && self.peek() != Some(']') {
                return Err(Unread::Because(Reason::Range));
            }
            let is_range = self.peek() == Some('-') && !self.follows(1, ']');
            match item {
                Item::Class(_) if is_range => return Err(Unread::Because(Reason::Range)),
                Item::Class(class) => out.push_str(class),
                Item::Character(from) if is_range => {
                    self.at += 1;
                    let Item::Character(to) = self.item()? else { return Err(Unread::Because(Reason::Range)) };
                    if to < from {
                        return Err(Unread::Because(Reason::Range));
                    }
                    out.push_str(&format!("{}-{}", escaped(from), escaped(to)));
                }
                Item::Character(c) => out.push_str(&escaped(c)),
            }
        }
        out.push(']');
        self.one(&out)
    }

    fn item(&mut self) -> Result<Item> {
        match self.next().ok_or(Unread::Because(Reason::Brackets))? {
            '[' if self.takes(":") => {
                let is_it = |class: &&str| self.takes(&format!("{class}:]"));
                let name = CLASSES.into_iter().find(is_it).ok_or(Unread::Because(Reason::Class))?;
                class(name, self.options.insensitive).map(Item::Class).ok_or(Unread::Invalid)
            }
            '[' if matches!(self.peek(), Some('.' | '=')) => {
                // One character; those with names are not known here.
                let (sign, c) = (self.next().ok_or(Unread::Invalid)?, self.next().ok_or(Unread::Invalid)?);
                if self.takes(&format!("{sign}]")) { Ok(Item::Character(c)) } else { Err(Unread::Invalid) }
            }
            '\\' => match self.peek().and_then(escaped_class) {
                Some(class) => {
                    self.at += 1;
                    Ok(Item::Class(class))
                }
                None => self.character().map(Item::Character),
            },
            c => Ok(Item::Character(c)),
        }
    }
}
