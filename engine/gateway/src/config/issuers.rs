//! `[[issuers]]`: whose tokens let users in, and what their claims say. Asks no issuer.

use super::syntax::diagnostic::Diagnostic;
use super::syntax::table::{At, Table, a_type};
use super::users::OWN_KEYS;
use querygate_issuers::{Algorithms, ClaimNames, IssuerConfig, KeySource, checked_address};
use querygate_types::principal::Posture;
use std::collections::BTreeMap;
use std::time::Duration;

/// Whom tokens of an issuer let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenUsers {
    /// The configured user that a claim names, with what the configuration says of it.
    Configured,
    /// Who the claims say, with what they say.
    Claims,
}

/// One `[[issuers]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issuer {
    pub(crate) oidc: IssuerConfig,
    pub(crate) users: TokenUsers,
    /// Before each login name that claims say, so that issuers do not share names.
    pub(crate) login_prefix: String,
    /// Of users whom claims make.
    pub(crate) posture: Posture,
}

const USERS: &[(&str, TokenUsers)] = &[("configured", TokenUsers::Configured), ("claims", TokenUsers::Claims)];
/// Claims administer nothing by a posture: an administrator's permission set does, where it is named.
const POSTURES: &[(&str, Posture)] = &[("member", Posture::Member), ("external", Posture::External)];
const SKEW_MAX: Duration = Duration::from_secs(600);
const AGE_MAX: Duration = Duration::from_secs(3_600);
const KEPT_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Reads one issuer. `None` after a mistake, which has been reported.
pub(super) fn resolve(table: Table<'_>) -> Option<(At<String>, Issuer)> {
    let issuer = table.required("issuer");
    let keys = issuer.as_ref().and_then(|issuer| key_source(&table, issuer));
    let audiences = audiences(&table);
    let algorithms = algorithms(&table);
    let clock_skew = match table.duration("clock_skew") {
        None => Some(IssuerConfig::CLOCK_SKEW),
        Some(skew) if skew.value <= SKEW_MAX => Some(skew.value),
        Some(skew) => {
            table.error(skew.span, "`clock_skew` must be at most \"10m\"");
            None
        }
    };
    let times = key_times(&table);
    let users = table.choice("users", USERS).map_or(TokenUsers::Configured, |users| users.value);
    let claims = claims(&table, users);
    let only = |key: &'static str, span| {
        if users == TokenUsers::Configured {
            let message = format!("`{key}` has a meaning only with `users = \"claims\"`");
            table.push(Diagnostic::error(Some(span), message).help("the configuration says it of its own users"));
        }
    };
    let login_prefix = table.text("login_prefix").map(|prefix| {
        only("login_prefix", prefix.span);
        prefix.value
    });
    let posture = table.choice("posture", POSTURES).map(|posture| {
        only("posture", posture.span);
        posture.value
    });
    table.finish();
    let (issuer, keys, audiences) = (issuer?, keys?, audiences?);
    let (keys_age, keys_kept) = times?;
    let oidc = IssuerConfig {
        issuer: issuer.value.clone(),
        keys,
        audiences,
        algorithms: algorithms?,
        clock_skew: clock_skew?,
        claims: claims?,
        refetch_pause: IssuerConfig::REFETCH_PAUSE,
        keys_age,
        keys_kept,
    };
    let login_prefix = login_prefix.unwrap_or_default();
    Some((issuer, Issuer { oidc, users, login_prefix, posture: posture.unwrap_or(Posture::Member) }))
}

/// When keys are fetched again, and for how long the last ones hold while none are to be had.
fn key_times(table: &Table<'_>) -> Option<(Duration, Duration)> {
    let age = match table.duration("keys_age") {
        None => Some(IssuerConfig::KEYS_AGE),
        Some(age) if age.value >= IssuerConfig::REFETCH_PAUSE && age.value <= AGE_MAX => Some(age.value),
        Some(age) => {
            table.error(age.span, "`keys_age` must be from \"10s\" to \"1h\"");
            None
        }
    };
    let kept = table.duration("keys_kept");
    let age = age?;
    match kept {
        None => Some((age, IssuerConfig::KEYS_KEPT.max(age))),
        Some(kept) if kept.value >= age && kept.value <= KEPT_MAX => Some((age, kept.value)),
        Some(kept) => {
            table.error(kept.span, "`keys_kept` must be at least `keys_age` and at most \"24h\"");
            None
        }
    }
}

/// Where the keys are: as the configuration says, or where OpenID Connect looks for them.
fn key_source(table: &Table<'_>, issuer: &At<String>) -> Option<KeySource> {
    let address = |text: &At<String>, key: &str| match checked_address(&text.value) {
        Ok(address) => Some(address),
        Err(why) => {
            table.error(text.span.clone(), format!("`{key}` is no address that keys may come from: {why}"));
            None
        }
    };
    match (table.text("keys"), table.text("discovery")) {
        (Some(keys), None) => address(&keys, "keys").map(KeySource::Keys),
        (None, Some(discovery)) => address(&discovery, "discovery").map(KeySource::Discovery),
        (Some(keys), Some(_)) => {
            table.error(keys.span, "`keys` and `discovery` are two ways to one thing: keep one");
            None
        }
        (None, None) => {
            let base = issuer.value.trim_end_matches('/');
            let found = At { value: format!("{base}/.well-known/openid-configuration"), span: issuer.span.clone() };
            address(&found, "issuer").map(KeySource::Discovery)
        }
    }
}

fn audiences(table: &Table<'_>) -> Option<Vec<String>> {
    let one = table.text("audience");
    let many = table.texts("audiences");
    let all: Vec<String> = one.into_iter().chain(many).map(|audience| audience.value).collect();
    if all.is_empty() || all.iter().any(String::is_empty) {
        let message = "an issuer needs `audience`: without it, tokens that it made for others would let them in here";
        table.error(table.span.clone(), message);
        return None;
    }
    Some(all)
}

fn algorithms(table: &Table<'_>) -> Option<Algorithms> {
    let named = table.texts("algorithms");
    if named.is_empty() {
        return Some(Algorithms::default());
    }
    let mut sound = true;
    for name in &named {
        if Algorithms::named([name.value.as_str()]).is_err() {
            let message = format!("\"{}\" is no algorithm that issuers may sign by here", name.value);
            let help = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, Ed25519 and EdDSA are; those with a shared secret are not";
            table.push(Diagnostic::error(Some(name.span.clone()), message).help(help));
            sound = false;
        }
    }
    if !sound {
        return None;
    }
    Algorithms::named(named.iter().map(|name| name.value.as_str())).ok()
}

fn claims(table: &Table<'_>, users: TokenUsers) -> Option<ClaimNames> {
    let mut sound = true;
    let mut claim = |key: &'static str, of_claims: bool| {
        let text = table.text(key)?;
        if of_claims && users == TokenUsers::Configured {
            let message = format!("`{key}` has a meaning only with `users = \"claims\"`");
            table.push(
                Diagnostic::error(Some(text.span.clone()), message).help("the configuration says it of its own users"),
            );
            sound = false;
        }
        Some(text.value)
    };
    let default = ClaimNames::default();
    let mut names = ClaimNames {
        login: claim("login", false).unwrap_or(default.login),
        user_id: claim("user_id", true),
        email: claim("email", true).or(default.email),
        organization: claim("organization", true),
        organizations: claim("organizations", true),
        positions: claim("positions", true),
        permission_sets: claim("permission_sets", true),
        ..ClaimNames::default()
    };
    names.position_names = mapping(table, "position_names")?;
    names.permission_set_names = mapping(table, "permission_set_names")?;
    names.attributes = mapping(table, "attributes")?;
    if let Some(own) = names.attributes.keys().find(|name| OWN_KEYS.contains(&name.as_str())) {
        table.error(table.span.clone(), format!("attribute `{own}` would hide current_user.{own}"));
        return None;
    }
    sound.then_some(names)
}

/// A table of texts.
fn mapping(table: &Table<'_>, key: &'static str) -> Option<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut sound = true;
    for (name, value) in table.free(key) {
        match value.get_ref().as_str() {
            Some(text) => drop(all.insert(name.value, text.to_owned())),
            None => {
                let message = format!("`{}` of `{key}` must be a string, not {}", name.value, a_type(value.get_ref()));
                table.error(value.span(), message);
                sound = false;
            }
        }
    }
    sound.then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::syntax::secret::Environment;
    use std::path::Path;

    fn parsed(issuer: &str) -> Result<Vec<Issuer>, String> {
        let text = format!("[metadata]\npath = \"m\"\n[[issuers]]\n{issuer}\n");
        let environment = Environment::fixed(Path::new("/etc"), &[]);
        let (config, report) = crate::config::resolve::parse(Path::new("q.toml"), &text, &environment);
        config.map(|config| config.issuers).ok_or_else(|| format!("{:?}", report.diagnostics))
    }

    #[test]
    fn an_issuer_needs_little_and_has_safe_defaults() {
        let all = parsed("issuer = \"https://i.example/realm/\"\naudience = \"querygate\"").unwrap();
        let [one] = all.as_slice() else { panic!("{all:?}") };
        let found = "https://i.example/realm/.well-known/openid-configuration".parse().unwrap();
        assert_eq!(one.oidc.keys, KeySource::Discovery(found));
        assert_eq!((one.users, one.oidc.claims.login.as_str()), (TokenUsers::Configured, "sub"));
        assert_eq!((one.oidc.clock_skew, one.posture), (Duration::from_secs(60), Posture::Member));
        assert_eq!((one.oidc.keys_age, one.oidc.keys_kept), (Duration::from_secs(300), Duration::from_secs(3_600)));
        let all = parsed("issuer = \"https://i.example\"\naudience = \"a\"\nkeys_age = \"30s\"\nkeys_kept = \"30s\"")
            .unwrap();
        assert_eq!((all[0].oidc.keys_age, all[0].oidc.keys_kept), (Duration::from_secs(30), Duration::from_secs(30)));
    }

    #[test]
    fn what_would_let_in_more_than_was_meant_is_a_mistake() {
        let sound = "issuer = \"https://i.example\"\naudience = \"querygate\"\n";
        for (more, expected) in [
            ("algorithms = [\"HS256\"]", "no algorithm"),
            ("algorithms = [\"none\"]", "no algorithm"),
            ("clock_skew = \"1h\"", "at most"),
            ("keys_age = \"1s\"", "from"),
            ("keys_age = \"2h\"", "from"),
            ("keys_kept = \"1m\"", "at least"),
            ("keys_kept = \"8d\"", "at most"),
            ("positions = \"roles\"", "users = \\\"claims\\\""),
            ("login_prefix = \"x:\"", "users = \\\"claims\\\""),
            ("posture = \"platform_admin\"\nusers = \"claims\"", "posture"),
            ("keys = \"http://keys.example/keys\"", "https://"),
            ("discovery = \"ftp://i.example\"", "https://"),
            ("keys = \"https://i.example/k\"\ndiscovery = \"https://i.example/d\"", "two ways"),
            ("users = \"claims\"\nattributes = { id = \"sub\" }", "would hide"),
            ("users = \"claims\"\nposition_names = { a = 1 }", "must be a string"),
            ("colour = \"red\"", "colour"),
        ] {
            let why = parsed(&format!("{sound}{more}")).unwrap_err();
            assert!(why.contains(expected), "{more}: {why}");
        }
        for (text, expected) in [
            ("issuer = \"https://i.example\"", "audience"),
            ("issuer = \"https://i.example\"\naudience = \"\"", "audience"),
            ("issuer = \"http://i.example\"\naudience = \"a\"", "https://"),
            ("audience = \"a\"", "issuer"),
        ] {
            let why = parsed(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
