//! What a reader's error says of a source's failure: which source it was, and what to do. Drivers speak of "source"; only the leaf
//! knows its name.

use querygate_types::{Error, ErrorCode};

const RETRY: &str = "Other sources answer; try again later.";

/// The failure with the name of the column that it is about, for those who may know it.
pub(crate) fn of_column(name: Option<&str>, error: Error) -> Error {
    match name {
        Some(name) if error.detail().is_none() && error.code() != ErrorCode::Internal => {
            error.with_detail(format!("It is in column \"{name}\"."))
        }
        Some(_) | None => error,
    }
}

/// The failure with the tables that it is about, as the statement names them.
pub(crate) fn of_tables(names: &[String], error: Error) -> Error {
    let quoted = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    match names {
        _ if error.detail().is_some() || error.code() == ErrorCode::Internal => error,
        [] => error,
        [_] => error.with_detail(format!("The statement reads table {quoted} there.")),
        _ => error.with_detail(format!("The statement reads tables {quoted} there.")),
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
        assert_eq!(of_column(Some("tags"), value.clone()).detail(), Some("It is in column \"tags\"."));
        assert_eq!(of_column(None, value).detail(), None);
        assert_eq!(of_column(Some("tags"), Error::internal("?")).detail(), None);
    }

    #[test]
    fn tables_are_named_as_the_statement_names_them() {
        let told = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let told = of_tables(&names, Error::new(ErrorCode::SourceError, "source failed"));
            told.detail().map(str::to_owned)
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["q"]).as_deref(), Some("The statement reads table \"q\" there."));
        assert_eq!(told(&["q", "r"]).as_deref(), Some("The statement reads tables \"q\", \"r\" there."));
        let known = Error::new(ErrorCode::DataException, "source holds none").with_detail("It is in column \"n\".");
        assert_eq!(of_tables(&["q".to_owned()], known.clone()).detail(), known.detail());
    }
}
