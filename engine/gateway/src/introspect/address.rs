//! Addresses of database servers on the command line: `SCHEME://USER@HOST:PORT/DATABASE`. They have no place for a password, which comes
//! from the environment or a file.

use querygate_types::{Error, ErrorCode, Result};

/// What addresses of one kind of server look like.
pub(super) struct Form {
    /// What they begin with; left out, they are whole.
    pub(super) schemes: &'static [&'static str],
    pub(super) port: u16,
    /// The kind's word for a database.
    pub(super) database: &'static str,
    /// What stands in no name of a database.
    pub(super) ends: &'static [char],
    /// What is wrong where a part is missing, or the database's name goes on.
    pub(super) incomplete: &'static str,
    /// How to write one.
    pub(super) hint: &'static str,
}

/// Where a server is, and who logs in to which database.
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) database: String,
}

impl Form {
    /// # Errors
    /// 22023: it is no such address, or holds a password.
    pub(super) fn parse(&self, address: &str) -> Result<Address> {
        let rest = self.schemes.iter().find_map(|scheme| address.strip_prefix(scheme)).unwrap_or(address);
        let Some((login, database)) = rest.split_once('/') else {
            return Err(self.wrong(&format!("names no {}", self.database)));
        };
        let Some((user, place)) = login.rsplit_once('@') else { return Err(self.wrong("names no user")) };
        if user.contains(':') {
            return Err(self.wrong("holds a password"));
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => match port.parse::<u16>() {
                Ok(port) => (host, port),
                Err(_) => return Err(self.wrong("has no valid port")),
            },
            _ => (place, self.port),
        };
        if user.is_empty() || host.is_empty() || database.is_empty() || database.contains(self.ends) {
            return Err(self.wrong(self.incomplete));
        }
        Ok(Address { host: host.to_owned(), port, user: user.to_owned(), database: database.to_owned() })
    }

    fn wrong(&self, what: &str) -> Error {
        Error::new(ErrorCode::InvalidParameterValue, format!("the address {what}")).with_hint(self.hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form {
        schemes: &["kind://"],
        port: 9,
        database: "schema",
        ends: &['/', '?'],
        incomplete: "is incomplete",
        hint: "Write kind://USER@HOST:PORT/SCHEMA.",
    };

    #[test]
    fn an_address_has_its_parts_or_says_what_is_wrong() {
        let parts = |address: &str| FORM.parse(address).map(|at| (at.user, at.host, at.port, at.database));
        let found = |user: &str, host: &str, port, database: &str| {
            (user.to_owned(), host.to_owned(), port, database.to_owned())
        };
        assert_eq!(parts("kind://u@h:7/d").unwrap(), found("u", "h", 7, "d"));
        assert_eq!(parts("u@h/d").unwrap(), found("u", "h", 9, "d"));
        assert_eq!(parts("u@v@h/d").unwrap(), found("u@v", "h", 9, "d"));
        for (address, wrong) in [
            ("kind://u@h", "the address names no schema"),
            ("kind://h/d", "the address names no user"),
            ("kind://u:secret@h/d", "the address holds a password"),
            ("kind://u@h:x/d", "the address has no valid port"),
            ("kind://@h/d", "the address is incomplete"),
            ("kind://u@h/", "the address is incomplete"),
            ("kind://u@h/d?ssl=1", "the address is incomplete"),
        ] {
            let error = parts(address).unwrap_err();
            assert_eq!(error.message(), wrong, "{address}");
            assert!(!error.message().contains("secret") && error.hint() == Some(FORM.hint), "{address}");
        }
    }
}
