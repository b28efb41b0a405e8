//! What a reader's error says of a source's failure: which source it was, and what to do. Drivers speak of "source"; only the leaf
//! knows its name.

use querygate_types::{Error, ErrorCode};

/// What helps against a value that its column's type does not hold.
const VALUE: &str =
    "Correct the value in the source, or have such values read as NULL or as text: `bad_values` of the source.";
const RETRY: &str = "Other sources answer; try again later.";

/// The failure with the column that it is about and its row's key, for those who may know them, or else the tables, as the statement
/// names them.
pub(crate) fn placed(column: Option<&str>, key: Option<&str>, tables: &[String], error: Error) -> Error {
    if error.detail().is_some() || error.code() == ErrorCode::Internal {
        return error;
    }
    let quoted = tables.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let detail = match (column, tables) {
        (Some(column), [_]) => format!("It is in column \"{column}\" of table {quoted}."),
        (Some(column), []) => format!("It is in column \"{column}\"."),
        (Some(column), _) => format!("It is in column \"{column}\"; the statement reads tables {quoted} there."),
        (None, []) => return error,
        (None, [_]) => format!("The statement reads table {quoted} there."),
        (None, _) => format!("The statement reads tables {quoted} there."),
    };
    let error = error.with_detail(match key {
        Some(key) => format!("{detail} Its row has the key {key}."),
        None => detail,
    });
    match column.filter(|_| error.hint().is_none()) {
        Some(_) => error.with_hint(VALUE),
        None => error,
    }
}

/// The failure with the source's name in it, and a hint where there is none and the source may come back.
pub(crate) fn named(source: &str, error: Error) -> Error {
    let returns = matches!(error.code(), ErrorCode::SourceUnavailable | ErrorCode::SourceLost);
    let hint = error.hint().or_else(|| returns.then_some(RETRY)).map(str::to_owned);
    let message = match error.message().strip_prefix("source ") {
        Some(rest) if !rest.starts_with('"') => format!("source \"{source}\" {rest}"),
        Some(_) | None if error.hint() == hint.as_deref() => return error,
        Some(_) | None => error.message().to_owned(),
    };
    let mut named = Error::new(error.code(), message);
    if let Some(detail) = error.detail() {
        named = named.with_detail(detail);
    }
    if let Some(hint) = hint {
        named = named.with_hint(hint);
    }
    if let Some(position) = error.position() {
        named = named.with_position(position);
    }
    if let Some(column) = error.column() {
        named = named.with_column(column);
    }
    match error.cause() {
        Some(cause) => named.with_cause(cause),
        None => named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_once_and_nothing_else_changes() {
        let check = |error: Error, message: &str, hint: Option<&str>| {
            let told = named("shop", error.clone());
            assert_eq!((told.message(), told.hint()), (message, hint));
            assert_eq!(
                (told.code(), told.detail(), told.cause(), told.position()),
                (error.code(), error.detail(), error.cause(), error.position())
            );
        };
        let lost = Error::new(ErrorCode::SourceLost, "source broke the connection").with_cause("reset by peer");
        check(lost, "source \"shop\" broke the connection", Some(RETRY));
        let refused = Error::new(ErrorCode::SourceUnavailable, "source refuses the login").with_hint("Ask.");
        check(refused, "source \"shop\" refuses the login", Some("Ask."));
        let named = Error::new(ErrorCode::SourceUnavailable, "source \"shop\" cannot be reached");
        check(named, "source \"shop\" cannot be reached", Some(RETRY));
        let own = Error::new(ErrorCode::DivisionByZero, "division by zero").with_position(3);
        check(own, "division by zero", None);
        let value = Error::new(ErrorCode::DataException, "source holds none").with_column(2);
        assert_eq!(super::named("shop", value.clone()).column(), Some(2));
    }

    #[test]
    fn columns_and_tables_are_named_as_the_statement_names_them() {
        let told = |column: Option<&str>, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            placed(column, None, &names, Error::new(ErrorCode::SourceError, "source failed"))
        };
        for (column, names, expected) in [
            (None, &[][..], None),
            (None, &["q"], Some("The statement reads table \"q\" there.")),
            (None, &["q", "r"], Some("The statement reads tables \"q\", \"r\" there.")),
            (Some("n"), &[], Some("It is in column \"n\".")),
            (Some("n"), &["q"], Some("It is in column \"n\" of table \"q\".")),
            (Some("n"), &["q", "r"], Some("It is in column \"n\"; the statement reads tables \"q\", \"r\" there.")),
        ] {
            let told = told(column, names);
            assert_eq!((told.detail(), told.hint().is_some()), (expected, column.is_some()), "{column:?} {names:?}");
        }
        let known = Error::new(ErrorCode::DataException, "source holds none").with_detail("It is there.");
        assert_eq!(placed(Some("n"), None, &["q".to_owned()], known.clone()).detail(), known.detail());
        assert_eq!(placed(Some("n"), None, &[], Error::internal("?")).detail(), None);
        let failed = Error::new(ErrorCode::DataException, "source holds none");
        let told = placed(Some("n"), Some("(id)=(7)"), &["q".to_owned()], failed);
        assert_eq!(told.detail(), Some("It is in column \"n\" of table \"q\". Its row has the key (id)=(7)."));
    }
}
