//! Type ids and names: PostgreSQL's own and those of the image, and `format_type`.
//! Knows no relation.

use super::cell::Cell;
use super::layout::fixed_rows;
use super::quote::quote_ident;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What is known of a type.
#[derive(Debug, Clone)]
pub(crate) struct TypeEntry {
    pub(crate) name: String,
    pub(crate) schema: String,
    /// Element type of a true array, else 0.
    pub(crate) element: u32,
    pub(crate) array: u32,
}

/// Types by id. Those of PostgreSQL are shared, those of an image its own.
#[derive(Debug, Clone)]
pub(crate) struct TypeTable {
    own: HashMap<u32, TypeEntry>,
    own_names: HashMap<(String, String), u32>,
}

static BUILTIN: LazyLock<HashMap<u32, TypeEntry>> = LazyLock::new(|| {
    let rows = fixed_rows("pg_type").iter().filter_map(|row| {
        let number = |i: usize| match row.get(i) {
            Some(Cell::Int(v)) => u32::try_from(*v).ok(),
            _ => None,
        };
        let (Some(oid), Some(Cell::Text(name)), Some(namespace)) = (number(0), row.get(1), number(2)) else {
            return None;
        };
        let schema = if namespace == super::names::PG_CATALOG { "pg_catalog" } else { "information_schema" };
        let is_array = matches!(row.get(7), Some(Cell::Text(category)) if category == "A") && name.starts_with('_');
        let element = if is_array { number(13).unwrap_or(0) } else { 0 };
        Some((
            oid,
            TypeEntry { name: name.clone(), schema: schema.to_owned(), element, array: number(14).unwrap_or(0) },
        ))
    });
    rows.collect()
});

static BUILTIN_NAMES: LazyLock<HashMap<String, u32>> =
    LazyLock::new(|| BUILTIN.iter().map(|(oid, entry)| (entry.name.clone(), *oid)).collect());

impl TypeTable {
    pub(crate) fn builtin() -> Self {
        Self { own: HashMap::new(), own_names: HashMap::new() }
    }

    pub(crate) fn builtin_names() -> &'static HashMap<String, u32> {
        &BUILTIN_NAMES
    }

    pub(crate) fn add(&mut self, oid: u32, name: &str, schema: &str, element: u32, array: u32) {
        self.own_names.insert((schema.to_owned(), name.to_owned()), oid);
        self.own.insert(oid, TypeEntry { name: name.to_owned(), schema: schema.to_owned(), element, array });
    }

    pub(crate) fn entry(&self, oid: u32) -> Option<&TypeEntry> {
        BUILTIN.get(&oid).or_else(|| self.own.get(&oid))
    }

    /// Id of a type by schema and `typname`.
    pub(crate) fn find(&self, schema: &str, name: &str) -> Option<u32> {
        let builtin =
            BUILTIN_NAMES.get(name).copied().filter(|oid| BUILTIN.get(oid).is_some_and(|e| e.schema == schema));
        builtin.or_else(|| self.own_names.get(&(schema.to_owned(), name.to_owned())).copied())
    }

    /// `format_type`: SQL's name of a type with its modifier; schema-qualified when not on the path.
    pub(crate) fn format(&self, oid: u32, typmod: Option<i64>, path: &[&str]) -> String {
        if oid == 0 {
            return "-".to_owned();
        }
        let Some(entry) = self.entry(oid) else { return "???".to_owned() };
        if entry.element != 0 {
            return format!("{}[]", self.format(entry.element, typmod, path));
        }
        // A pseudo-type, whose members have no one type.
        if entry.name == "_record" {
            return "record[]".to_owned();
        }
        let modifier = typmod.filter(|m| *m >= 0);
        if entry.schema == "pg_catalog"
            && let Some(name) = sql_name(&entry.name, modifier, typmod.is_some())
        {
            return name;
        }
        let name = quote_ident(&entry.name);
        if path.contains(&entry.schema.as_str()) { name } else { format!("{}.{name}", quote_ident(&entry.schema)) }
    }

    /// `to_regtype`: the id for a type's SQL or internal name.
    pub(crate) fn parse(&self, text: &str, path: &[&str]) -> Option<u32> {
        let text = text.trim();
        if let Some(element) = text.strip_suffix("[]") {
            return self.parse(element, path).and_then(|oid| self.entry(oid)).map(|e| e.array).filter(|oid| *oid != 0);
        }
        let bare = text.split('(').next().unwrap_or(text).trim();
        let suffix = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let spelled = format!("{bare}{suffix}").to_ascii_lowercase();
        let internal = match spelled.as_str() {
            "boolean" => "bool",
            "bigint" => "int8",
            "smallint" => "int2",
            "integer" | "int" => "int4",
            "real" => "float4",
            "double precision" | "float" => "float8",
            "character" => "bpchar",
            "character varying" => "varchar",
            "decimal" => "numeric",
            "time without time zone" => "time",
            "time with time zone" => "timetz",
            "timestamp without time zone" => "timestamp",
            "timestamp with time zone" => "timestamptz",
            "bit varying" => "varbit",
            "\"char\"" => "char",
            "char" => "bpchar",
            _ => "",
        };
        if !internal.is_empty() {
            return BUILTIN_NAMES.get(internal).copied();
        }
        let parts = super::quote::split_name(bare)?;
        match parts.as_slice() {
            [name] => path.iter().find_map(|schema| self.find(schema, name)),
            [schema, name] => self.find(schema, name),
            _ => None,
        }
    }
}

/// The name that SQL has for one of PostgreSQL's types, with its modifier.
fn sql_name(name: &str, modifier: Option<i64>, with_modifier: bool) -> Option<String> {
    let length = modifier.map(|m| m - 4);
    let sized = |base: &str| match length {
        Some(n) => format!("{base}({n})"),
        None => base.to_owned(),
    };
    let precise = |base: &str, zone: &str| match modifier {
        Some(p) => format!("{base}({p}){zone}"),
        None => format!("{base}{zone}"),
    };
    Some(match name {
        "bool" => "boolean".to_owned(),
        "int2" => "smallint".to_owned(),
        "int4" => "integer".to_owned(),
        "int8" => "bigint".to_owned(),
        "float4" => "real".to_owned(),
        "float8" => "double precision".to_owned(),
        "char" => "\"char\"".to_owned(),
        "bpchar" if modifier.is_none() && with_modifier => "bpchar".to_owned(),
        "bpchar" => sized("character"),
        "varchar" => sized("character varying"),
        "numeric" => match length {
            Some(m) => format!("numeric({},{})", (m >> 16) & 0xffff, scale_of(m)),
            None => "numeric".to_owned(),
        },
        "time" => precise("time", " without time zone"),
        "timetz" => precise("time", " with time zone"),
        "timestamp" => precise("timestamp", " without time zone"),
        "timestamptz" => precise("timestamp", " with time zone"),
        "interval" => "interval".to_owned(),
        "bit" if modifier.is_some() || !with_modifier => match modifier {
            Some(n) => format!("bit({n})"),
            None => "bit".to_owned(),
        },
        "varbit" => precise("bit varying", ""),
        _ => return None,
    })
}

/// The scale in a modifier of numeric without its four bytes: eleven bits, of which the first is a sign.
pub(crate) const fn scale_of(modifier: i64) -> i64 {
    ((modifier & 0x7ff) ^ 0x400) - 0x400
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_type_prints_sql_names() {
        let types = TypeTable::builtin();
        let check = |oid, typmod, expected: &str| assert_eq!(types.format(oid, typmod, &["pg_catalog"]), expected);
        check(23, None, "integer");
        check(1043, Some(84), "character varying(80)");
        check(1042, Some(12), "character(8)");
        check(1700, Some(786_438), "numeric(12,2)");
        check(1009, Some(-1), "text[]");
        check(2287, Some(-1), "record[]");
        check(1184, Some(-1), "timestamp with time zone");
        check(1184, Some(3), "timestamp(3) with time zone");
        check(18, None, "\"char\"");
        check(22, None, "int2vector");
        check(1560, None, "bit");
        check(1560, Some(-1), "\"bit\"");
        check(1186, Some(-1), "interval");
        check(0, None, "-");
        check(999_999, None, "???");
    }

    #[test]
    fn names_of_types_are_found_again() {
        let types = TypeTable::builtin();
        let check = |text, expected| assert_eq!(types.parse(text, &["pg_catalog"]), expected, "{text}");
        check("integer", Some(23));
        check("int4", Some(23));
        check("pg_catalog.int4", Some(23));
        check("character varying(80)", Some(1043));
        check("timestamp(3) with time zone", Some(1184));
        check("text[]", Some(1009));
        check("\"char\"", Some(18));
        check("nothing", None);
    }
}
