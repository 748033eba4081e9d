//! What is allowed where: permission atoms for a whole organization, and atoms for nodes of its data tree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    node::NodePath,
    scope::{Scope, ScopeToken},
};

/// Permission atoms by place. What is allowed at a node is allowed at everything below it, and what is allowed for the
/// organization is allowed everywhere in it.
///
/// Always in its shortest form: no node is named that adds nothing to what holds above it. So two of them are equal exactly
/// when they allow the same everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Allowance {
    everywhere: Scope,
    nodes: BTreeMap<NodePath, Scope>,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    everywhere: Scope,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    nodes: BTreeMap<NodePath, Scope>,
}

/// The `type` of our entries in `authorization_details` (RFC 9396 §2).
pub const DETAIL_TYPE: &str = "node";

/// Most nodes of one allowance: a token has to fit into a header.
pub const MAX_NODES: usize = 64;

/// Most bytes of the `authorization_details` of a token, as JSON: in base64, with everything else, it stays below the
/// [longest token](crate::jose::jws::MAX_TOKEN) that a resource server reads.
pub const MAX_DETAILS: usize = 10 * 1024;

impl Allowance {
    /// These atoms in the whole organization.
    pub const fn everywhere(atoms: Scope) -> Self {
        Self { everywhere: atoms, nodes: BTreeMap::new() }
    }

    /// These atoms at this node and below it.
    pub fn at_node(node: NodePath, atoms: Scope) -> Self {
        Self::shortest(Scope::default(), BTreeMap::from([(node, atoms)]))
    }

    /// The same atoms at each of these nodes; without a node, in the whole organization.
    pub fn at(nodes: &[NodePath], atoms: &Scope) -> Self {
        if nodes.is_empty() {
            return Self::everywhere(atoms.clone());
        }
        Self::shortest(Scope::default(), nodes.iter().map(|node| (node.clone(), atoms.clone())).collect())
    }

    fn shortest(everywhere: Scope, mut nodes: BTreeMap<NodePath, Scope>) -> Self {
        let all = Self { everywhere, nodes: nodes.clone() };
        nodes.retain(|node, atoms| {
            let above = node.parent().map_or_else(|| all.everywhere.clone(), |parent| all.held_at(&parent));
            *atoms = atoms.minus(&above);
            !atoms.is_empty()
        });
        Self { everywhere: all.everywhere, nodes }
    }

    /// What each of these allows, together.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut everywhere = Scope::default();
        let mut nodes = BTreeMap::<NodePath, Scope>::new();
        for part in parts {
            everywhere = everywhere.union(&part.everywhere);
            for (node, atoms) in part.nodes {
                let held = nodes.entry(node).or_default();
                *held = held.union(&atoms);
            }
        }
        Self::shortest(everywhere, nodes)
    }

    /// The entries for this node and those above it. There are few, however many nodes are named.
    fn covering(&self, node: &NodePath) -> impl Iterator<Item = &Scope> {
        std::iter::successors(Some(node.clone()), NodePath::parent).filter_map(|above| self.nodes.get(&above))
    }

    /// The atoms that hold at this node.
    pub fn held_at(&self, node: &NodePath) -> Scope {
        self.covering(node).fold(self.everywhere.clone(), |held, atoms| held.union(atoms))
    }

    /// The atoms that hold in the whole organization.
    pub const fn held_everywhere(&self) -> &Scope {
        &self.everywhere
    }

    /// The nodes that add something, each with what it adds to what holds above it.
    pub const fn nodes(&self) -> &BTreeMap<NodePath, Scope> {
        &self.nodes
    }

    /// True when `atom` is allowed at `node`; without a node, in the organization itself.
    pub fn allows(&self, atom: &str, node: Option<&NodePath>) -> bool {
        self.everywhere.contains(atom)
            || node.is_some_and(|node| self.covering(node).any(|atoms| atoms.contains(atom)))
    }

    /// True when anything is allowed at this node, below it, or above it.
    pub fn concerns(&self, node: &NodePath) -> bool {
        !self.held_at(node).is_empty() || self.nodes.keys().any(|below| node.covers(below))
    }

    /// True when nothing is allowed anywhere.
    pub fn is_empty(&self) -> bool {
        self.everywhere.is_empty() && self.nodes.is_empty()
    }

    /// Every atom that is allowed somewhere.
    pub fn atoms(&self) -> Scope {
        self.nodes.values().fold(self.everywhere.clone(), |all, atoms| all.union(atoms))
    }

    /// What both allow.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        // Between two named nodes nothing changes, so it is enough to look at those that either names.
        let named = self.nodes.keys().chain(other.nodes.keys());
        let nodes =
            named.map(|node| (node.clone(), self.held_at(node).intersection(&other.held_at(node)))).collect();
        Self::shortest(self.everywhere.intersection(&other.everywhere), nodes)
    }

    /// What either allows.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::all([self.clone(), other.clone()])
    }

    /// The same places, with only these atoms left.
    #[must_use]
    pub fn only(&self, atoms: &Scope) -> Self {
        self.intersection(&Self::everywhere(atoms.clone()))
    }

    /// What of it a token can carry: the first nodes, at most [`MAX_NODES`] of them, within [`MAX_DETAILS`]. What is left out is
    /// allowed no more.
    #[must_use]
    pub fn fitting(&self) -> Self {
        // A comma each, and the brackets around all.
        let size =
            |node: Option<&NodePath>, atoms: &Scope| Value::Object(detail(node, atoms)).to_string().len() + 1;
        let mut left = MAX_DETAILS.saturating_sub(size(None, &self.everywhere) + 1);
        let fits = |(node, atoms): &(&NodePath, &Scope)| {
            let left_after = left.checked_sub(size(Some(node), atoms));
            left_after.inspect(|after| left = *after).is_some()
        };
        // A node comes after those above it, so what is left still adds to what holds above.
        let nodes = self.nodes.iter().take(MAX_NODES).take_while(fits);
        Self {
            everywhere: self.everywhere.clone(),
            nodes: nodes.map(|(node, atoms)| (node.clone(), atoms.clone())).collect(),
        }
    }

    /// True when `other` allows all of this.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.intersection(other) == *self
    }

    /// The `authorization_details` of a token (RFC 9396): `None` when nothing is narrowed to nodes, since `scope` says it all
    /// then.
    pub fn to_details(&self) -> Option<Vec<Map<String, Value>>> {
        if self.nodes.is_empty() {
            return None;
        }
        let whole = Some(&self.everywhere).filter(|atoms| !atoms.is_empty()).map(|atoms| detail(None, atoms));
        let nodes = self.nodes.iter().map(|(node, atoms)| detail(Some(node), atoms));
        Some(whole.into_iter().chain(nodes).collect())
    }

    /// What a token allows: its `scope` where its `authorization_details` say so, and everywhere when it has none.
    ///
    /// Entries of another type, and entries that cannot be read, allow nothing: what is not understood must not widen
    /// (RFC 9396 §5).
    pub fn of_token(scope: &Scope, details: Option<&[Map<String, Value>]>) -> Self {
        let Some(details) = details else { return Self::everywhere(scope.clone()) };
        let entries = details.iter().take(MAX_NODES + 1).filter_map(read_detail);
        let parts = entries.map(|(node, atoms)| match node {
            None => Self::everywhere(atoms),
            Some(node) => Self::at_node(node, atoms),
        });
        Self::all(parts).only(scope)
    }
}

/// An entry of `authorization_details`.
fn detail(node: Option<&NodePath>, atoms: &Scope) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("type".to_owned(), json!(DETAIL_TYPE));
    if let Some(node) = node {
        entry.insert("identifier".to_owned(), json!(node));
    }
    entry.insert("actions".to_owned(), atoms.iter().map(|atom| json!(atom.as_str())).collect());
    entry
}

/// An entry with exactly the members that we write.
fn read_detail(entry: &Map<String, Value>) -> Option<(Option<NodePath>, Scope)> {
    let known = |name: &String| matches!(name.as_str(), "type" | "identifier" | "actions");
    if entry.get("type")?.as_str()? != DETAIL_TYPE || !entry.keys().all(known) {
        return None;
    }
    let node = match entry.get("identifier") {
        None => None,
        Some(identifier) => Some(NodePath::parse(identifier.as_str()?).ok()?),
    };
    let actions = entry.get("actions")?.as_array()?;
    let atoms =
        actions.iter().map(|action| ScopeToken::parse(action.as_str()?).ok()).collect::<Option<Scope>>()?;
    Some((node, atoms))
}

impl From<Written> for Allowance {
    fn from(written: Written) -> Self {
        Self::shortest(written.everywhere, written.nodes)
    }
}

impl From<Allowance> for Written {
    fn from(allowance: Allowance) -> Self {
        Self { everywhere: allowance.everywhere, nodes: allowance.nodes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ATOMS: [&str; 3] = ["a:read", "a:write", "a:delete"];
    const PLACES: [&str; 7] = ["x", "x/p", "x/p/f", "x/p/f/g", "x/q", "xy", "y/p"];

    fn node(text: &str) -> NodePath {
        NodePath::parse(text).unwrap()
    }

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    fn atoms() -> impl Strategy<Value = Scope> {
        proptest::sample::subsequence(ATOMS.to_vec(), 0..=3).prop_map(|atoms| scope(&atoms.join(" ")))
    }

    fn allowance() -> impl Strategy<Value = Allowance> {
        let nodes = proptest::collection::vec((proptest::sample::select(PLACES.to_vec()), atoms()), 0..5);
        (atoms(), nodes).prop_map(|(everywhere, nodes)| {
            nodes.into_iter().fold(Allowance::everywhere(everywhere), |all, (place, atoms)| {
                all.union(&Allowance::at_node(node(place), atoms))
            })
        })
    }

    /// Every place that could make a difference: all named ones, one below each, and the organization itself.
    fn places() -> Vec<Option<NodePath>> {
        let below = PLACES.iter().map(|place| Some(node(&format!("{place}/below"))));
        PLACES
            .iter()
            .map(|place| Some(node(place)))
            .chain(below)
            .chain([None, Some(node("elsewhere"))])
            .collect()
    }

    fn table(of: impl Fn(&str, Option<&NodePath>) -> bool) -> Vec<bool> {
        places().iter().flat_map(|place| ATOMS.map(|atom| of(atom, place.as_ref()))).collect()
    }

    proptest! {
        #[test]
        fn intersection_and_union_are_exact_at_every_place(a in allowance(), b in allowance()) {
            let (both, either) = (a.intersection(&b), a.union(&b));
            prop_assert_eq!(
                table(|atom, place| both.allows(atom, place)),
                table(|atom, place| a.allows(atom, place) && b.allows(atom, place))
            );
            prop_assert_eq!(
                table(|atom, place| either.allows(atom, place)),
                table(|atom, place| a.allows(atom, place) || b.allows(atom, place))
            );
            prop_assert_eq!(both.intersection(&a), both.clone());
            prop_assert!(both.is_subset(&a) && both.is_subset(&b) && a.is_subset(&either) && b.is_subset(&either));
        }

        #[test]
        fn equal_means_allowing_the_same_everywhere(a in allowance(), b in allowance()) {
            let same = table(|atom, place| a.allows(atom, place)) == table(|atom, place| b.allows(atom, place));
            prop_assert_eq!(a == b, same);
            prop_assert_eq!(a.is_empty(), table(|atom, place| a.allows(atom, place)).iter().all(|allowed| !allowed));
        }

        #[test]
        fn what_holds_at_a_node_holds_below_it(a in allowance(), place in proptest::sample::select(PLACES.to_vec())) {
            let below = node(&format!("{place}/deeper/still"));
            prop_assert!(a.held_at(&node(place)).is_subset(&a.held_at(&below)));
            prop_assert!(a.held_everywhere().is_subset(&a.held_at(&node(place))));
        }

        #[test]
        fn a_token_and_a_row_say_what_was_allowed(a in allowance(), other in atoms()) {
            prop_assert_eq!(&Allowance::of_token(&a.atoms(), a.to_details().as_deref()), &a);
            let text = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Allowance>(&text).unwrap(), &a);
            // A token whose scope was narrowed allows no more than that, whatever its details say.
            let narrowed = Allowance::of_token(&other, a.to_details().as_deref());
            prop_assert!(narrowed.atoms().is_subset(&other));
        }
    }

    #[test]
    fn workspace_read_and_folder_delete_is_not_delete_elsewhere() {
        let granular = Allowance::at_node(node("alpha"), scope("a:read"))
            .union(&Allowance::at_node(node("alpha/site/specs"), scope("a:read a:delete")));
        for (place, deletes) in
            [("alpha/site/specs/old", true), ("alpha/site", false), ("alpha/site/specs-2", false)]
        {
            assert!(granular.allows("a:read", Some(&node(place))), "{place}");
            assert_eq!(granular.allows("a:delete", Some(&node(place))), deletes, "{place}");
        }
        assert!(!granular.allows("a:read", Some(&node("beta"))) && !granular.allows("a:read", None));
        assert_eq!(granular.atoms(), scope("a:read a:delete"));
    }

    #[test]
    fn what_is_not_understood_allows_nothing() {
        let read = scope("a:read");
        let details = |value: Value| -> Vec<Map<String, Value>> { serde_json::from_value(value).unwrap() };
        for strange in [
            json!([]),
            json!([{"type": "payment", "actions": ["a:read"]}]),
            json!([{"type": "node", "identifier": "../x", "actions": ["a:read"]}]),
            json!([{"type": "node", "identifier": "", "actions": ["a:read"]}]),
            json!([{"type": "node", "identifier": null, "actions": ["a:read"]}]),
            json!([{"type": "node", "identifier": "x"}]),
            json!([{"type": "node", "identifier": "x", "actions": "a:read"}]),
            json!([{"type": "node", "identifier": "x", "actions": ["a:read", 1]}]),
            json!([{"type": "node", "identifier": "x", "actions": ["a:read"], "until": "noon"}]),
        ] {
            let found = Allowance::of_token(&read, Some(&details(strange.clone())));
            assert!(found.is_empty(), "{strange}");
        }
        let good = json!([{"type": "node", "identifier": "x", "actions": ["a:read", "a:delete"]}, {"type": "other"}]);
        let found = Allowance::of_token(&read, Some(&details(good)));
        assert_eq!(found, Allowance::at_node(node("x"), read));
    }

    /// A token with these details, with room for all its other claims and its signature.
    const _: () = assert!(MAX_DETAILS * 4 / 3 + 2 * 1024 < crate::jose::jws::MAX_TOKEN);

    #[test]
    fn what_does_not_fit_into_a_token_is_left_out_from_the_end() {
        let long = |i: usize| node(&format!("{i:03}{}/{}", "a".repeat(61), "b".repeat(64)));
        let short = |i: usize| node(&format!("n{i:03}"));
        let size = |all: &Allowance| serde_json::to_string(&all.to_details().unwrap()).unwrap().len();
        let every = scope("a:read a:write a:delete");
        for (name, fewest) in [(long as fn(usize) -> NodePath, 40), (short, MAX_NODES)] {
            let all = Allowance::all((0..200).map(|i| Allowance::at_node(name(i), every.clone())));
            let fits = all.fitting();
            assert!((fewest..=MAX_NODES).contains(&fits.nodes().len()), "{}", fits.nodes().len());
            assert!(size(&fits) <= MAX_DETAILS, "{}", size(&fits));
            assert!(fits.is_subset(&all) && fits.allows("a:read", Some(&name(0))));
            assert!(!fits.allows("a:read", Some(&name(199))));
        }
        let little = Allowance::at_node(node("x"), every);
        assert_eq!(little.fitting(), little);
    }

    #[test]
    fn a_node_is_concerned_by_what_holds_above_and_below_it() {
        let all = Allowance::at_node(node("x/p"), scope("a:read"));
        for (there, concerned) in [("x", true), ("x/p", true), ("x/p/f", true), ("x/q", false), ("xy", false)]
        {
            assert_eq!(all.concerns(&node(there)), concerned, "{there}");
        }
    }
}
