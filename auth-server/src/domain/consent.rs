//! Consent: what is shown, and what an answer to exactly that is worth.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_shared::{
    permission::Tier,
    scope::Scope,
    time::{Seconds, Timestamp},
};
use sha2::{Digest, Sha256};

use super::{client::Client, policy::RefreshPolicy, resource::Resource, user::User};

/// Everything that the answer is bound to. Two offers with the same digest were the same page.
#[derive(Debug)]
pub struct Offer<'a> {
    /// Who is asked.
    pub user: &'a User,
    /// Who asks.
    pub client: &'a Client,
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// For which resource.
    pub resource: &'a Resource,
    /// Which OpenID Connect scopes.
    pub oidc: &'a Scope,
    /// What may be ticked.
    pub tiers: Vec<&'a Tier>,
    /// How long it may last, longest last.
    pub lifetimes: Vec<Lifetime>,
}

/// What came back from the page, untrusted.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The digest of the offer that was shown.
    pub digest: String,
    /// What the person pressed.
    pub decision: Decision,
}

/// What the person pressed.
#[derive(Clone, Debug)]
pub enum Decision {
    /// No.
    Deny,
    /// Yes, to these tiers, for this long.
    Authorize {
        /// Ids of the ticked tiers.
        tiers: Vec<String>,
        /// The id of the chosen lifetime.
        expires: Option<String>,
    },
}

/// A choice of lifetime on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The value of the option.
    pub id: &'static str,
    /// In words.
    pub words: &'static str,
    /// How long.
    pub length: Seconds,
}

/// What was agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The permissions of the ticked tiers.
    pub permissions: Scope,
    /// When the grant ends.
    pub expires_at: Timestamp,
}

/// An answer that the page could not have given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Tampered {
    /// A tier that was not offered.
    #[error("the answer ticks a permission that was not offered")]
    Tier,
    /// A lifetime that was not offered.
    #[error("the answer chooses a lifetime that was not offered")]
    Lifetime,
}

const LIFETIMES: [Lifetime; 4] = [
    Lifetime { id: "1d", words: "Tomorrow", length: Seconds::days(1) },
    Lifetime { id: "7d", words: "7 days from now", length: Seconds::days(7) },
    Lifetime { id: "30d", words: "30 days from now", length: Seconds::days(30) },
    Lifetime { id: "90d", words: "90 days from now", length: Seconds::days(90) },
];

/// The lifetimes that may be offered: none beyond the operator's bound, longest last. Under a bound of less than a day
/// only the bound itself is left.
pub fn lifetimes(policy: &RefreshPolicy) -> Vec<Lifetime> {
    let mut offered: Vec<_> =
        LIFETIMES.into_iter().filter(|choice| choice.length <= policy.absolute).collect();
    if offered.last().is_none_or(|longest| longest.length < policy.absolute) {
        offered.push(Lifetime { id: "max", words: "As long as this server allows", length: policy.absolute });
    }
    offered
}

impl Offer<'_> {
    /// A digest of what is shown: person, client, address, resource, scopes, the tiers with what each of them means and the
    /// tools that it opens, and the lifetimes.
    pub fn digest(&self) -> String {
        let tiers: Vec<_> = self
            .tiers
            .iter()
            .map(|tier| (tier, self.resource.model.tools_of(tier).collect::<Vec<_>>()))
            .collect();
        let lifetimes: Vec<_> = self.lifetimes.iter().map(|choice| (choice.id, choice.length)).collect();
        let shown = serde_json::json!([
            self.user.id.as_str(),
            self.client.id.as_str(),
            self.client.name,
            self.client.label().as_str(),
            self.redirect_uri,
            self.resource.uri,
            self.resource.name,
            self.oidc,
            tiers,
            lifetimes,
        ]);
        URL_SAFE_NO_PAD.encode(Sha256::digest(shown.to_string()))
    }

    /// What a yes to these tiers means. The server expands the nesting, whatever the browser sent.
    pub fn agree(
        &self,
        tiers: &[String],
        expires: Option<&str>,
        now: Timestamp,
    ) -> Result<Agreement, Tampered> {
        if tiers.iter().any(|ticked| !self.tiers.iter().any(|tier| &tier.id == ticked)) {
            return Err(Tampered::Tier);
        }
        let permissions =
            self.resource.model.expand(tiers.iter().map(String::as_str)).ok_or(Tampered::Tier)?;
        let mut choices = self.lifetimes.iter();
        let chosen = match expires {
            None => choices.next_back(),
            Some(id) => choices.find(|choice| choice.id == id),
        };
        let length = chosen.ok_or(Tampered::Lifetime)?.length;
        Ok(Agreement { permissions, expires_at: now.plus(length) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        entitlement,
        fixture::{self, NOW},
    };

    fn offer<'a>(user: &'a User, client: &'a Client, resource: &'a Resource, oidc: &'a Scope) -> Offer<'a> {
        let tiers = entitlement::offered(user, client, resource);
        let lifetimes = lifetimes(&fixture::policy().refresh);
        Offer { user, client, redirect_uri: "https://a.test", resource, oidc, tiers, lifetimes }
    }

    fn agree(client: &Client, tiers: &[&str], expires: Option<&str>) -> Result<Agreement, Tampered> {
        let tiers: Vec<_> = tiers.iter().copied().map(String::from).collect();
        offer(&fixture::user(), client, &fixture::resource(), &Scope::default()).agree(&tiers, expires, NOW)
    }

    #[test]
    fn the_server_expands_the_nesting() {
        let agreed = agree(&fixture::client(), &["destroy"], Some("7d")).unwrap();
        assert_eq!(agreed.permissions, fixture::resource().model.all());
        assert_eq!(agreed.expires_at, NOW.plus(Seconds::days(7)));
    }

    #[test]
    fn no_tick_means_no_permission() {
        assert!(agree(&fixture::client(), &[], None).unwrap().permissions.is_empty());
    }

    #[test]
    fn what_was_not_offered_cannot_be_ticked() {
        let bounded = Client { ceiling: Some("read".to_owned()), ..fixture::client() };
        assert!(agree(&bounded, &["read"], None).is_ok());
        assert_eq!(agree(&bounded, &["write"], None), Err(Tampered::Tier));
        assert_eq!(agree(&fixture::client(), &["admin"], None), Err(Tampered::Tier));
        assert_eq!(agree(&fixture::client(), &["read"], Some("10y")), Err(Tampered::Lifetime));
    }

    #[test]
    fn another_page_has_another_digest() {
        let client = fixture::client();
        let renamed = Client { name: Some("Other".to_owned()), ..fixture::client() };
        let (alice, bob, resource) = (fixture::user(), fixture::user(), fixture::resource());
        let (one, two) = (Scope::parse("openid").unwrap(), Scope::parse("openid email").unwrap());
        let first = offer(&alice, &client, &resource, &one).digest();
        assert_eq!(offer(&alice, &client, &resource, &one).digest(), first);
        assert_ne!(offer(&bob, &client, &resource, &one).digest(), first);
        assert_ne!(offer(&alice, &renamed, &resource, &one).digest(), first);
        assert_ne!(offer(&alice, &client, &resource, &two).digest(), first);
        let elsewhere = Offer { redirect_uri: "https://b.test", ..offer(&alice, &client, &resource, &one) };
        assert_ne!(elsewhere.digest(), first);
        let shorter = Offer { lifetimes: vec![], ..offer(&alice, &client, &resource, &one) };
        assert_ne!(shorter.digest(), first);
    }

    #[test]
    fn no_lifetime_is_offered_beyond_the_operators_bound() {
        let mut policy = fixture::policy().refresh;
        let ids =
            |policy: &RefreshPolicy| lifetimes(policy).iter().map(|choice| choice.id).collect::<Vec<_>>();
        assert_eq!(ids(&policy), ["1d", "7d", "30d", "90d"]);
        policy.absolute = Seconds::days(10);
        assert_eq!(ids(&policy), ["1d", "7d", "max"]);
        policy.absolute = Seconds::hours(1);
        assert_eq!(ids(&policy), ["max"]);
    }
}
