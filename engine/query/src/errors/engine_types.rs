//! The engine's names of types as they stand in its texts, and PostgreSQL's for them.

/// At commas outside of parentheses.
pub(super) fn split_types(text: &str) -> Vec<&str> {
    split(text, |c| c == ',')
}

pub(super) fn split_words(text: &str) -> Vec<&str> {
    split(text, |c| c == ' ')
}

fn split(text: &str, separates: impl Fn(char) -> bool) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0_i32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            c if depth == 0 && separates(c) => {
                parts.push(&text[from..at]);
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// PostgreSQL's name of a type that the engine names its way.
pub(super) fn type_name(engine: &str) -> String {
    let head = engine.split(['(', '<']).next().unwrap_or_default();
    match head {
        "Boolean" => "boolean",
        "Int8" | "Int16" | "UInt8" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" => "bigint",
        "Float16" | "Float32" => "real",
        "Float64" => "double precision",
        "UInt64" | "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256" => "numeric",
        "Utf8" | "LargeUtf8" | "Utf8View" | "String" => "text",
        "LargeBinary" => "numeric",
        "FixedSizeBinary" if engine == "FixedSizeBinary(12)" => "time with time zone",
        "FixedSizeBinary" if engine == "FixedSizeBinary(34)" => "inet",
        "Binary" | "BinaryView" | "FixedSizeBinary" => "bytea",
        "Date32" | "Date64" => "date",
        "Time32" | "Time64" => "time without time zone",
        "Timestamp" if engine.contains('"') || engine.contains("Some") => "timestamp with time zone",
        "Timestamp" => "timestamp without time zone",
        "Interval" | "Duration" => "interval",
        "Null" => "unknown",
        "List" | "LargeList" | "FixedSizeList" => return format!("{}[]", list_item(engine)),
        _ => "record",
    }
    .to_owned()
}

fn list_item(engine: &str) -> String {
    let inner = engine.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or_default();
    let word = inner.rsplit([' ', ':']).find(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
    word.map_or_else(|| "anyelement".to_owned(), type_name)
}

/// How many fields a row has.
pub(super) fn fields(engine: &str) -> Option<usize> {
    engine.strip_prefix("Struct(")?.strip_suffix(')').map(|fields| split_types(fields).len())
}
