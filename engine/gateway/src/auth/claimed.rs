//! From what a token says to whom it lets in. Checks no signature.

use crate::config::{Issuer, TokenUsers};
use crate::users::{Directory, Issued, Tenure};
use querygate_issuers::Claimed;
use querygate_query_api::tokens::TOKEN_USER;
use querygate_types::principal::Principal;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Permission sets and positions whose holders administer. Claims give them only where the configuration names them.
const ADMINISTER: [&str; 3] = ["admin_full_access", "platform_admin", "organization_admin"];

/// Whom a token lets in, and how long they are who the configuration says. `None`: it says nothing of them.
pub(crate) type Made = (Arc<Principal>, Option<Arc<Tenure>>);

/// Whom a token lets in.
pub(crate) fn made_by(directory: &Directory, issued: &Issued, claimed: Claimed) -> Result<Made, &'static str> {
    let issuer = issued.issuer(&claimed.issuer).ok_or("its issuer is not known")?;
    match issuer.users {
        TokenUsers::Configured => {
            let known = directory.user(&claimed.login).ok_or("it names no configured user")?;
            if !known.is_enabled() {
                return Err("it names a user who is disabled");
            }
            Ok((Arc::clone(known.principal()), Some(Arc::clone(&known.tenure))))
        }
        TokenUsers::Claims => {
            let login = format!("{}{}", issuer.login_prefix, claimed.login);
            // Such a user would see the statements of the configured one, and could cancel them.
            if directory.user(&login).is_some() || login == TOKEN_USER {
                return Err("it names a configured user, and its issuer may not");
            }
            Ok((Arc::new(principal(issuer, &login, claimed)), None))
        }
    }
}

fn principal(issuer: &Issuer, login: &str, claimed: Claimed) -> Principal {
    let names = &issuer.oidc.claims;
    let user_id = claimed.user_id.unwrap_or_else(|| login.to_owned());
    let mut principal = Principal::builder(login).user_id(&user_id).posture(issuer.posture).build();
    principal.email = claimed.email;
    principal.organization_ids = claimed.organizations;
    principal.organization_ids.extend(claimed.organization.clone());
    principal.organization_id = claimed.organization;
    principal.positions = held(claimed.positions, !names.position_names.is_empty());
    principal.permission_sets = held(claimed.permission_sets, !names.permission_set_names.is_empty());
    principal.attributes = claimed.attributes;
    principal
}

/// `named`: each value is one that the configuration wrote down.
fn held(claimed: BTreeSet<String>, named: bool) -> BTreeSet<String> {
    claimed.into_iter().filter(|name| named || !ADMINISTER.contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::Users;
    use querygate_types::principal::Posture;

    /// Who is let in by a token that says this.
    fn made(directory: &Directory, claimed: Claimed) -> Result<Arc<Principal>, &'static str> {
        made_by(directory, directory.issued.as_ref().unwrap(), claimed).map(|(principal, _)| principal)
    }

    fn makers(issuer: &str) -> Arc<Directory> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.toml");
        let text = format!(
            "[metadata]\npath = \"m\"\n[[users]]\nname = \"ada\"\nuser_id = \"u1\"\npositions = [\"chief\"]\n\
             [[issuers]]\nissuer = \"https://i.example\"\naudience = \"querygate\"\n{issuer}\n"
        );
        std::fs::write(&file, text).unwrap();
        let (config, report) = crate::config::load(&file);
        Users::new(&config.unwrap_or_else(|| panic!("{report:?}"))).unwrap().now()
    }

    fn claimed(login: &str, positions: &[&str], sets: &[&str]) -> Claimed {
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Claimed {
            issuer: "https://i.example".to_owned(),
            login: login.to_owned(),
            user_id: None,
            email: Some("a@i.example".to_owned()),
            organization: Some("o1".to_owned()),
            organizations: BTreeSet::new(),
            positions: all(positions),
            permission_sets: all(sets),
            attributes: std::collections::BTreeMap::new(),
            ends: 1,
        }
    }

    #[test]
    fn a_configured_user_has_what_the_configuration_says_and_nothing_of_the_token() {
        let makers = makers("");
        let ada = made(&makers, claimed("ada", &["admin"], &["all"])).unwrap();
        assert_eq!((ada.user_id.as_str(), ada.organization_id.as_deref()), ("u1", None));
        assert_eq!(ada.positions, BTreeSet::from(["chief".to_owned()]));
        assert!(made(&makers, claimed("eve", &[], &[])).is_err());
    }

    #[test]
    fn a_user_of_claims_has_what_they_say_and_administers_only_by_name() {
        let makers = makers("users = \"claims\"\nlogin_prefix = \"i:\"\npositions = \"p\"\nposture = \"external\"");
        let eve = made(&makers, claimed("eve", &["rep", "platform_admin"], &["admin_full_access", "s"])).unwrap();
        assert_eq!((eve.login.as_str(), eve.organization_id.as_deref()), ("i:eve", Some("o1")));
        assert_eq!((eve.posture, eve.operator), (Posture::External, false));
        assert_eq!(eve.positions, BTreeSet::from(["rep".to_owned()]));
        assert_eq!(eve.permission_sets, BTreeSet::from(["s".to_owned()]));
        let named = self::makers("users = \"claims\"\npermission_set_names = { boss = \"admin_full_access\" }");
        assert!(made(&named, claimed("eve", &[], &["admin_full_access"])).unwrap().permission_sets.len() == 1);
        assert!(made(&named, claimed("ada", &[], &[])).is_err(), "the name of a configured user");
        assert!(made(&named, claimed("__token__", &[], &[])).is_err());
    }
}
