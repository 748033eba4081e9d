//! Rules about who may do what where.

use doorward_shared::resource::{ResourceSyntax, ResourceUri};

use super::{
    Desk, NameError, Standing, clean_name,
    places::{self, PlaceError},
    users::{self, UserError},
};
use crate::{
    domain::{
        audit::Action,
        entitlement::{Change, Entitlement, Holder, Rule},
        ids::EntitlementId,
        organization::Realm,
        resource::Resource,
    },
    store::{Applied, StoreError},
};

/// Whom a rule is about, in the words of the command line and the API.
#[derive(Clone, Debug)]
pub enum Whom {
    /// A person: the e-mail address, or the identifier of the account.
    Person(String),
    /// A group: the name.
    Group(String),
    /// Everybody.
    Everyone,
}

/// What a rule is made from.
#[derive(Clone, Debug)]
pub struct NewRule {
    /// Who.
    pub whom: Whom,
    /// May do what: the identifier of a tier.
    pub tier: String,
    /// At which resource server; without one, at each.
    pub resource: Option<String>,
    /// With whose data: the identifier or the name of an organization; without one, each with their own.
    pub organization: Option<String>,
    /// With which node of it; without one, all of it.
    pub node: Option<String>,
}

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum EntitlementError {
    /// The text is no identifier of a rule.
    #[error("{0:?} is no identifier of a rule; `entitlement list` shows them, each begins with ent_")]
    Id(String),
    /// There is none.
    #[error("there is no rule {0}; `entitlement list` shows all")]
    Unknown(EntitlementId),
    /// There is no such person.
    #[error(transparent)]
    User(#[from] UserError),
    /// The name of the group.
    #[error("the name of a group: {0}")]
    Group(#[from] NameError),
    /// The address of the resource server.
    #[error("{0}")]
    Resource(#[from] ResourceSyntax),
    /// There is no such resource server.
    #[error("there is no resource {0}; `resource list` shows all")]
    UnknownResource(ResourceUri),
    /// The tier does not exist there.
    #[error("there is no tier {0:?} there; known tiers: {1}")]
    Tier(String, String),
    /// There is no such organization or node.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// There is one that says the same.
    #[error("there is a rule that says the same already; `entitlement list` shows all")]
    Same,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A rule that was just made, enabled or disabled.
#[derive(Clone, Debug)]
pub struct MadeRule {
    /// The rule.
    pub rule: Rule,
    /// Addresses of the resource servers that are for listed people only from now on, since it is the first about them.
    pub listed: Vec<String>,
}

/// Adds a rule.
pub async fn add(desk: Desk<'_>, new: &NewRule) -> Result<MadeRule, EntitlementError> {
    let now = desk.clock.now();
    let says = read(desk, new).await?;
    let rule =
        Rule { id: EntitlementId::generate(now, desk.entropy), says, created_at: now, disabled_at: None };
    let event = desk.event(Action::EntitlementsChanged, &rule.id, now).about_rules("added", [&rule]);
    let change = Change { add: vec![rule.clone()], ..Change::default() };
    let done = desk.store.change_rules(&change, &event).await?;
    match done.applied {
        Applied::Done => Ok(MadeRule { rule, listed: done.listed }),
        Applied::Lost => Err(EntitlementError::Same),
    }
}

async fn read(desk: Desk<'_>, new: &NewRule) -> Result<Entitlement, EntitlementError> {
    let (holder, own) = match &new.whom {
        Whom::Person(who) => {
            let user = users::show(desk, who).await?;
            (Holder::Person(user.id), Some(user.organization))
        }
        Whom::Group(name) => (Holder::Group(clean_name(name)?), None),
        Whom::Everyone => (Holder::Everyone, None),
    };
    let all = desk.store.resources().await?;
    let resource = match new.resource.as_deref().map(ResourceUri::parse).transpose()? {
        None => None,
        Some(uri) => {
            let found = all.iter().find(|resource| resource.uri.same_as(&uri));
            Some(found.ok_or(EntitlementError::UnknownResource(uri))?)
        }
    };
    let there: Vec<&Resource> = resource.map_or_else(|| all.iter().collect(), |resource| vec![resource]);
    check_tier(&there, &new.tier)?;
    // Tokens name a person's own organization like any other.
    let is_own = |text: &&str| own.as_ref().is_some_and(|own| own.as_str() == *text);
    let realm = new.organization.as_deref().filter(|text| !is_own(text)).unwrap_or(Realm::OWN);
    let place = places::at(desk, realm, new.node.as_deref()).await?;
    Ok(Entitlement { holder, tier: new.tier.clone(), resource: resource.map(|r| r.uri.clone()), place })
}

/// A tier that no resource server has would allow nothing, which nobody means.
pub(super) fn check_tier(there: &[&Resource], tier: &str) -> Result<(), EntitlementError> {
    let mut known: Vec<_> =
        there.iter().flat_map(|resource| resource.model.tiers()).map(|tier| tier.id.as_str()).collect();
    if known.contains(&tier) {
        return Ok(());
    }
    known.sort_unstable();
    known.dedup();
    Err(EntitlementError::Tier(tier.to_owned(), known.join(", ")))
}

/// All rules, oldest first.
pub async fn list(desk: Desk<'_>) -> Result<Vec<Rule>, EntitlementError> {
    Ok(desk.store.rules().await?)
}

/// One rule.
pub async fn show(desk: Desk<'_>, id: &str) -> Result<Rule, EntitlementError> {
    let id = EntitlementId::parse(id).ok_or_else(|| EntitlementError::Id(id.to_owned()))?;
    let all = desk.store.rules().await?;
    all.into_iter().find(|rule| rule.id == id).ok_or(EntitlementError::Unknown(id))
}

/// Removes a rule. What it allowed is gone from the next refresh and introspection on.
pub async fn remove(desk: Desk<'_>, id: &str) -> Result<Rule, EntitlementError> {
    let rule = show(desk, id).await?;
    let event =
        desk.event(Action::EntitlementsChanged, &rule.id, desk.clock.now()).about_rules("removed", [&rule]);
    let change = Change { remove: vec![rule.id.clone()], ..Change::default() };
    match desk.store.change_rules(&change, &event).await?.applied {
        Applied::Done => Ok(rule),
        Applied::Lost => Err(EntitlementError::Unknown(rule.id)),
    }
}

/// Disables or enables a rule.
pub async fn set_standing(
    desk: Desk<'_>,
    id: &str,
    standing: Standing,
) -> Result<MadeRule, EntitlementError> {
    let rule = show(desk, id).await?;
    let enabled = standing == Standing::Enabled;
    let (action, word) = if enabled {
        (Action::EntitlementEnabled, "enabled")
    } else {
        (Action::EntitlementDisabled, "disabled")
    };
    let event = desk.event(action, &rule.id, desk.clock.now()).about_rules(word, [&rule]);
    let done = desk.store.set_rule(&rule.id, enabled, &event).await?;
    match done.applied {
        Applied::Done => Ok(MadeRule { rule: show(desk, id).await?, listed: done.listed }),
        Applied::Lost => Err(EntitlementError::Unknown(rule.id)),
    }
}
