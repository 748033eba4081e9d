//! Consent: what is shown, and what an answer to exactly that is worth.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_shared::{
    allowance::{Allowance, MAX_NODES},
    node::NodePath,
    permission::Tier,
    scope::Scope,
    time::{Seconds, Timestamp},
};
use sha2::{Digest, Sha256};

use super::{
    client::{Bounded, Client},
    entitlement::{self, Rule, Seat},
    ids::OrganizationId,
    organization::{Node, Organization},
    policy::RefreshPolicy,
    resource::Resource,
    user::User,
};

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
    /// Whose data it may be; one at least, and the first is chosen unless another one is.
    pub choices: Vec<Choice<'a>>,
    /// What may be ticked: the tiers that are possible in full somewhere.
    pub tiers: Vec<&'a Tier>,
    /// Whether the person may do anything at the resource. If not, what is ticked counts from when they may.
    pub entitled: bool,
    /// How long it may last, longest last.
    pub lifetimes: Vec<Lifetime>,
}

/// An organization whose data may be chosen.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    /// Which.
    pub organization: &'a OrganizationId,
    /// What it is called; `None`: the person's own.
    pub name: Option<&'a str>,
    /// The nodes to which it may be narrowed.
    pub nodes: Vec<&'a Node>,
}

/// What is known of what a person could allow at a resource server.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The rules that may concern the person there.
    pub rules: Vec<Rule>,
    /// The shared organizations that rules about the person name, by name, each with its nodes, by path; and the one that is
    /// [`expected`], if one is.
    pub shared: Vec<(Organization, Vec<Node>)>,
}

/// Most nodes that are shown to tick, of one organization.
pub const MOST_SHOWN: usize = 200;

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
    /// Yes, to these tiers, for this data, for this long.
    Authorize(Ticked),
}

/// What was ticked and chosen.
#[derive(Clone, Debug, Default)]
pub struct Ticked {
    /// Ids of the tiers.
    pub tiers: Vec<String>,
    /// The identifier of the organization.
    pub organization: Option<String>,
    /// The nodes: paths in the chosen organization, or organization, colon and path.
    pub nodes: Vec<String>,
    /// The id of the lifetime.
    pub expires: Option<String>,
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
    /// Whose data.
    pub organization: OrganizationId,
    /// The permissions of the ticked tiers, at the ticked nodes.
    pub allowance: Allowance,
    /// When the grant ends.
    pub expires_at: Timestamp,
}

/// Why nothing is agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAgreed {
    /// The person can put it right: they are shown the page again.
    Mistaken(Mistake),
    /// The page could not have given this answer.
    Tampered(Tampered),
}

/// An answer that the page can give, and that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Nodes of another organization than the chosen one.
    OtherOrganization,
    /// More than [`MAX_NODES`] nodes.
    TooManyNodes,
}

/// An answer that the page could not have given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Tampered {
    /// A tier that was not offered.
    #[error("the answer ticks a permission that was not offered")]
    Tier,
    /// An organization that was not offered.
    #[error("the answer chooses an organization that was not offered")]
    Organization,
    /// A node that was not offered.
    #[error("the answer ticks a folder that was not offered")]
    Node,
    /// A lifetime that was not offered.
    #[error("the answer chooses a lifetime that was not offered")]
    Lifetime,
}

impl From<Mistake> for NotAgreed {
    fn from(mistake: Mistake) -> Self {
        Self::Mistaken(mistake)
    }
}

impl From<Tampered> for NotAgreed {
    fn from(tampered: Tampered) -> Self {
        Self::Tampered(tampered)
    }
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

/// What a person may choose and tick.
#[derive(Clone, Debug)]
pub struct Possible<'a> {
    /// Whose data.
    pub choices: Vec<Choice<'a>>,
    /// Which tiers.
    pub tiers: Vec<&'a Tier>,
    /// Whether the person may do anything at the resource.
    pub entitled: bool,
}

/// What may be chosen and ticked: the organizations in which this person could allow this client anything, shared ones
/// first, and the tiers that are possible in full somewhere in one of them. Without any it is the person's own organization
/// and no tier.
///
/// Somebody who may do nothing at the resource yet is asked all the same, for what the client may have: what is effective is
/// worked out anew at every refresh, so what they tick counts as soon as an administrator lets them, and not before.
pub fn possible<'a>(
    user: &'a User,
    client: Bounded<'_>,
    resource: &'a Resource,
    reach: &'a Reach,
) -> Possible<'a> {
    let seat = |organization| Seat { user, resource, organization, rules: &reach.rules };
    if !entitlement::is_entitled(user, resource, &reach.rules) {
        let expected = expected(user, client, resource, &reach.rules);
        let named = expected.and_then(|id| reach.shared.iter().find(|(shared, _)| &shared.id == id));
        let (organization, name) = match named {
            Some((shared, _)) => (&shared.id, Some(shared.name.as_str())),
            None => (&user.organization, None),
        };
        let tiers = entitlement::offered(&entitlement::ceiling(client, seat(organization)), resource);
        let choices = vec![Choice { organization, name, nodes: Vec::new() }];
        return Possible { choices, tiers, entitled: false };
    }
    let mut choices = Vec::new();
    let mut tiers = BTreeSet::new();
    for (organization, nodes) in &reach.shared {
        let most = entitlement::most(client, seat(&organization.id));
        if most.is_empty() {
            continue;
        }
        let may = |node: &&Node| !most.held_at(&node.path).is_empty();
        let nodes = nodes.iter().filter(may).take(MOST_SHOWN).collect();
        choices.push(Choice { organization: &organization.id, name: Some(&organization.name), nodes });
        tiers.extend(entitlement::offered(&most, resource).into_iter().map(|tier| &tier.id));
    }
    let own = entitlement::most(client, seat(&user.organization));
    if !own.is_empty() || choices.is_empty() {
        choices.push(Choice { organization: &user.organization, name: None, nodes: Vec::new() });
        tiers.extend(entitlement::offered(&own, resource).into_iter().map(|tier| &tier.id));
    }
    let tiers = resource.model.tiers().iter().filter(|tier| tiers.contains(&tier.id)).collect();
    Possible { choices, tiers, entitled: true }
}

/// Whose data it will be for somebody who may do nothing yet: that of the shared organization in which rules give anybody
/// something that this client may have, if there is exactly one. `None`: their own, or there is nothing to expect, since
/// the person may do something.
pub fn expected<'a>(
    user: &User,
    client: Bounded<'_>,
    resource: &Resource,
    rules: &'a [Rule],
) -> Option<&'a OrganizationId> {
    if entitlement::is_entitled(user, resource, rules) {
        return None;
    }
    let left = |rule: &'a Rule| {
        let organization = rule.says.place.realm.shared()?;
        let ceiling = entitlement::ceiling(client, Seat { user, resource, organization, rules });
        let left = entitlement::given(rule, resource).intersection(&ceiling);
        (!left.is_empty()).then_some(organization)
    };
    let mut left = rules.iter().filter_map(left).collect::<BTreeSet<_>>().into_iter();
    left.next().filter(|_| left.next().is_none())
}

impl Offer<'_> {
    /// A digest of what is shown: person, client, address, resource, scopes, organizations with their nodes, the tiers with
    /// what each of them means and the tools that it opens, and the lifetimes.
    pub fn digest(&self) -> String {
        let tiers: Vec<_> = self
            .tiers
            .iter()
            .map(|tier| (tier, self.resource.model.tools_of(tier).collect::<Vec<_>>()))
            .collect();
        let choice = |choice: &Choice<'_>| {
            let nodes: Vec<_> = choice.nodes.iter().map(|node| (&node.path, &node.title)).collect();
            serde_json::json!([choice.organization.as_str(), choice.name, nodes])
        };
        let choices: Vec<_> = self.choices.iter().map(choice).collect();
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
            choices,
            tiers,
            self.entitled,
            lifetimes,
        ]);
        URL_SAFE_NO_PAD.encode(Sha256::digest(shown.to_string()))
    }

    /// What a yes to this means. The server expands the nesting, whatever the browser sent.
    pub fn agree(&self, ticked: &Ticked, now: Timestamp) -> Result<Agreement, NotAgreed> {
        if ticked.tiers.iter().any(|ticked| !self.tiers.iter().any(|tier| &tier.id == ticked)) {
            return Err(Tampered::Tier.into());
        }
        let atoms =
            self.resource.model.expand(ticked.tiers.iter().map(String::as_str)).ok_or(Tampered::Tier)?;
        let choice = self.chosen(ticked).ok_or(Tampered::Organization)?;
        let mut lifetimes = self.lifetimes.iter();
        let chosen = match ticked.expires.as_deref() {
            None => lifetimes.next_back(),
            Some(id) => lifetimes.find(|choice| choice.id == id),
        };
        let length = chosen.ok_or(Tampered::Lifetime)?.length;
        let nodes = self.nodes(choice, ticked)?;
        Ok(Agreement {
            organization: choice.organization.clone(),
            allowance: Allowance::at(&nodes, &atoms),
            expires_at: now.plus(length),
        })
    }

    /// The chosen organization, if it was offered: the first, unless another one is named.
    pub fn chosen(&self, ticked: &Ticked) -> Option<&Choice<'_>> {
        let mut choices = self.choices.iter();
        match ticked.organization.as_deref() {
            None => choices.next(),
            Some(id) => choices.find(|choice| choice.organization.as_str() == id),
        }
    }

    /// The ticked nodes, which have to be of the chosen organization. What was offered nowhere is no mistake.
    fn nodes(&self, choice: &Choice<'_>, ticked: &Ticked) -> Result<Vec<NodePath>, NotAgreed> {
        let offered = |text: &String| {
            let own = choice.node(text);
            let elsewhere =
                || self.choices.iter().any(|other| text.contains(':') && other.node(text).is_some());
            if own.is_some() || elsewhere() { Ok(own) } else { Err(Tampered::Node) }
        };
        let nodes: Vec<Option<NodePath>> = ticked.nodes.iter().map(offered).collect::<Result<_, _>>()?;
        let nodes: Vec<NodePath> =
            nodes.into_iter().collect::<Option<_>>().ok_or(Mistake::OtherOrganization)?;
        if nodes.len() > MAX_NODES { Err(Mistake::TooManyNodes.into()) } else { Ok(nodes) }
    }
}

impl Choice<'_> {
    /// The ticked node, if it was offered here.
    pub fn node(&self, text: &str) -> Option<NodePath> {
        let path = match text.split_once(':') {
            None => text,
            Some((organization, path)) => {
                Some(path).filter(|_| organization == self.organization.as_str())?
            }
        };
        self.nodes.iter().find(|node| node.path.as_str() == path).map(|node| node.path.clone())
    }
}

#[cfg(test)]
mod tests;
