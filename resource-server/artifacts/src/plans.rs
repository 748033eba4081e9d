//! Plans: what an organization may use.

use std::collections::BTreeMap;

use doorward_shared::time::Seconds;

/// The limits of one plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name, as `whoami` shows it.
    pub name: String,
    /// Bytes that may be held at one time, those of notes included.
    pub storage_bytes: i64,
    /// Tool calls and resource reads in one calendar month (UTC).
    pub requests_per_month: i64,
    /// Largest file that may come through an upload address; 0 switches upload addresses off.
    pub upload_bytes: i64,
    /// Public links that may be open at one time.
    pub links: i64,
    /// Longest life of a public link, in days; never more than 90.
    pub link_days: i64,
    /// Longest life of an artifact, in days; `None` keeps artifacts until they are deleted.
    pub retention_days: Option<i64>,
}

/// No plan may let a public link live longer.
pub const MAX_LINK_DAYS: i64 = 90;

impl Plan {
    /// The small plan.
    pub fn free() -> Self {
        Self {
            name: "free".to_owned(),
            storage_bytes: 1 << 30,
            requests_per_month: 10_000,
            upload_bytes: 100 << 20,
            links: 50,
            link_days: 30,
            retention_days: None,
        }
    }

    /// The large plan, which an organization has unless the configuration says otherwise.
    pub fn pro() -> Self {
        Self {
            name: "pro".to_owned(),
            storage_bytes: 100 << 30,
            requests_per_month: 1_000_000,
            upload_bytes: 5 << 30,
            links: 500,
            link_days: MAX_LINK_DAYS,
            retention_days: None,
        }
    }

    /// Longest life of a public link.
    pub const fn longest_link(&self) -> Seconds {
        Seconds::days(self.link_days)
    }

    /// Longest life of an artifact.
    pub fn longest_life(&self) -> Option<Seconds> {
        self.retention_days.map(Seconds::days)
    }
}

/// Which organization has which plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plans {
    defined: BTreeMap<String, Plan>,
    default: String,
    organizations: BTreeMap<String, String>,
}

/// A plan is named that is not defined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no plan {0:?}; defined are: {1}")]
pub struct UnknownPlan(String, String);

impl Plans {
    /// Checks that every plan that is named exists.
    pub fn new(
        plans: impl IntoIterator<Item = Plan>,
        default: &str,
        organizations: BTreeMap<String, String>,
    ) -> Result<Self, UnknownPlan> {
        let defined: BTreeMap<_, _> = plans.into_iter().map(|plan| (plan.name.clone(), plan)).collect();
        let used = organizations.values().map(String::as_str).chain([default]);
        if let Some(unknown) = used.into_iter().find(|name| !defined.contains_key(*name)) {
            let names = defined.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(UnknownPlan(unknown.to_owned(), names));
        }
        Ok(Self { default: default.to_owned(), defined, organizations })
    }

    /// The plan of an organization.
    pub fn of(&self, organization: &str) -> &Plan {
        // `new` has proven that the name exists.
        &self.defined[self.organizations.get(organization).unwrap_or(&self.default)]
    }

    /// All plans, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Plan> {
        self.defined.values()
    }

    /// The name of the plan that an organization has unless it is named.
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// The organizations with a plan of their own.
    pub const fn organizations(&self) -> &BTreeMap<String, String> {
        &self.organizations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_has_its_own_plan_or_the_default() {
        let own = BTreeMap::from([("small".to_owned(), "free".to_owned())]);
        let plans = Plans::new([Plan::free(), Plan::pro()], "pro", own).unwrap();
        assert_eq!(plans.of("small").name, "free");
        assert_eq!(plans.of("any").name, "pro");
    }

    #[test]
    fn a_plan_that_is_not_defined_is_named() {
        let error = Plans::new([Plan::free()], "gold", BTreeMap::new()).unwrap_err();
        assert_eq!(error.to_string(), "there is no plan \"gold\"; defined are: free");
    }
}
