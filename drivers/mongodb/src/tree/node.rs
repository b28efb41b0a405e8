//! A pipeline while it is built and as it is written: JSON with places for parameters. Has no place for a value.

/// A part of a pipeline. Texts are operators, paths and generated names; a user's value is always a [`Node::Parameter`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    NotANumber,
    Infinity,
    Text(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
    /// `$1`: a native parameter, from 0, and the form in which it is bound.
    Parameter(usize, Form),
    /// `known($1, $2, {…})`: a condition that no row meets when one of the parameters is NULL.
    Known(Vec<usize>, Box<Node>),
    /// `present[…]`: a list without those parameters that are NULL or have no form here.
    Present(Vec<Node>),
}

/// How a parameter's value becomes BSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The value itself, exactly.
    Value,
    /// The latest instant in whole milliseconds that is not after it.
    Floor,
    /// The earliest instant in whole milliseconds that is not before it.
    Ceil,
    /// The ObjectId that its text is; no value for any other text.
    ObjectId,
    /// A number that is not NaN, which the source puts below all others and we above.
    Ordered,
    /// The regular expression of a LIKE pattern.
    Pattern,
    /// A regular expression for texts that begin with its text.
    Prefix,
    /// A regular expression for texts that end with its text.
    Suffix,
    /// A regular expression for texts that contain its text.
    Part,
}

impl Form {
    /// All that are written with a word.
    pub(crate) const WORDS: [Self; 8] =
        [Self::Floor, Self::Ceil, Self::ObjectId, Self::Ordered, Self::Pattern, Self::Prefix, Self::Suffix, Self::Part];

    /// The word before the parameter, as it is written.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Value => "",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
            Self::ObjectId => "objectid",
            Self::Ordered => "ordered",
            Self::Pattern => "pattern",
            Self::Prefix => "prefix",
            Self::Suffix => "suffix",
            Self::Part => "part",
        }
    }
}

pub(crate) fn text(text: impl Into<String>) -> Node {
    Node::Text(text.into())
}

/// `{"name": node}`.
pub(crate) fn one(name: impl Into<String>, node: Node) -> Node {
    Node::Object(vec![(name.into(), node)])
}

/// `{"$operator": [a, b]}`.
pub(crate) fn call<const N: usize>(operator: &str, arguments: [Node; N]) -> Node {
    one(operator, Node::Array(arguments.into()))
}

/// `{"$operator": argument}`.
pub(crate) fn unary(operator: &str, argument: Node) -> Node {
    one(operator, argument)
}

/// A condition that every document meets.
pub(crate) const fn always() -> Node {
    Node::Object(Vec::new())
}

/// A condition that no document meets.
pub(crate) fn never() -> Node {
    one("$expr", Node::Bool(false))
}

impl Node {
    /// The node as text.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::NotANumber => out.push_str("NaN"),
            Self::Infinity => out.push_str("Infinity"),
            Self::Text(value) => quoted(value, out),
            Self::Array(items) => list(items, out),
            Self::Object(fields) => {
                out.push('{');
                for (i, (name, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    quoted(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
            Self::Parameter(index, Form::Value) => out.push_str(&format!("${}", index + 1)),
            Self::Parameter(index, form) => out.push_str(&format!("{}(${})", form.word(), index + 1)),
            Self::Known(parameters, inner) => {
                out.push_str("known(");
                for parameter in parameters {
                    out.push_str(&format!("${},", parameter + 1));
                }
                inner.write(out);
                out.push(')');
            }
            Self::Present(items) => {
                out.push_str("present");
                list(items, out);
            }
        }
    }
}

fn list(items: &[Node], out: &mut String) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        item.write(out);
    }
    out.push(']');
}

/// A JSON string. Names may hold anything.
pub(crate) fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if u32::from(control) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}
