//! What is known of an issuer before it is asked anything. Reads no file.

use crate::algorithm::Algorithm;
use hyper::Uri;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where an issuer's keys are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A document that names the issuer and the address of its keys.
    Discovery(Uri),
    /// The keys themselves.
    Keys(Uri),
}

/// Algorithms by which an issuer may sign. None of them has a secret that both sides know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms(Vec<Algorithm>);

impl Default for Algorithms {
    fn default() -> Self {
        Self(Algorithm::all().collect())
    }
}

impl Algorithms {
    /// Those of these names.
    ///
    /// # Errors
    /// The name that is not one.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let named = names.into_iter().map(|name| Algorithm::named(name).ok_or_else(|| name.to_owned()));
        named.collect::<Result<Vec<_>, _>>().map(Self)
    }

    pub(crate) fn has(&self, algorithm: Algorithm) -> bool {
        self.0.contains(&algorithm)
    }
}

/// Which claims say what. A name is that of a claim, or the path to one with dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// Who it is.
    pub login: String,
    /// `current_user.id`; where it is not said, the login.
    pub user_id: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// The active organization.
    pub organization: Option<String>,
    /// The organizations that the user belongs to.
    pub organizations: Option<String>,
    /// The positions that the user holds.
    pub positions: Option<String>,
    /// What values of the claim of positions stand for; where it is empty, for themselves.
    pub position_names: BTreeMap<String, String>,
    /// The permission sets that the user holds.
    pub permission_sets: Option<String>,
    /// What values of the claim of permission sets stand for; where it is empty, for themselves.
    pub permission_set_names: BTreeMap<String, String>,
    /// Attributes of the user, by their names.
    pub attributes: BTreeMap<String, String>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            login: "sub".to_owned(),
            user_id: None,
            email: Some("email".to_owned()),
            organization: None,
            organizations: None,
            positions: None,
            position_names: BTreeMap::new(),
            permission_sets: None,
            permission_set_names: BTreeMap::new(),
            attributes: BTreeMap::new(),
        }
    }
}

/// An issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    /// What its tokens say in `iss`.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// Audiences, of which a token must name one.
    pub audiences: Vec<String>,
    /// How it may sign.
    pub algorithms: Algorithms,
    /// How far its clock and ours may be apart.
    pub clock_skew: Duration,
    /// What its claims mean.
    pub claims: ClaimNames,
    /// Between two fetches of its keys at least, whatever keys tokens name.
    pub refetch_pause: Duration,
    /// Age at which its keys are fetched again, so that those that it withdrew end.
    pub keys_age: Duration,
    /// How long the last keys hold while it does not answer with any.
    pub keys_kept: Duration,
}

impl IssuerConfig {
    /// Ten seconds: tokens that invent names of keys do not make the issuer be asked more often.
    pub const REFETCH_PAUSE: Duration = Duration::from_secs(10);
    /// A withdrawn key ends within it, whatever tokens say.
    pub const KEYS_AGE: Duration = Duration::from_secs(300);
    /// Room for an outage of the issuer. Who holds back its answers keeps a withdrawn key for no longer.
    pub const KEYS_KEPT: Duration = Duration::from_secs(3_600);
    /// Room for clocks that are a little apart.
    pub const CLOCK_SKEW: Duration = Duration::from_secs(60);
}
