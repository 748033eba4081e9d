//! Rules, and whom a resource server is for.

use async_trait::async_trait;
use doorward_shared::{node::NodePath, resource::ResourceUri, time::Timestamp};
use sqlx::Transaction;

use super::{
    Database, Db, audit,
    organizations::done,
    retry,
    rows::{self, Row, resource_columns},
};
use crate::{
    domain::{
        audit::Event,
        entitlement::{Change, Entitlement, Holder, Rule, closes},
        ids::{EntitlementId, OrganizationId, UserId},
        organization::{Place, Realm},
        resource::{Access, Resource},
    },
    store::{Applied, Changed, Entitlements, Result},
};

macro_rules! rules {
    ($which:literal) => {
        concat!(
            r#"select entitlements.id as "entitlements.id", entitlements.holder as "entitlements.holder",
            entitlements.user_id as "entitlements.user_id", entitlements.group_name as "entitlements.group_name",
            entitlements.tier as "entitlements.tier", resources.uri as "entitlements.resource",
            entitlements.organization as "entitlements.organization", entitlements.node as "entitlements.node",
            entitlements.created_at as "entitlements.created_at", entitlements.disabled_at as "entitlements.disabled_at"
            from entitlements left join resources on resources.folded = entitlements.resource "#,
            $which
        )
    };
}

#[async_trait]
impl Entitlements for Database {
    async fn rules(&self) -> Result<Vec<Rule>> {
        let rows = sqlx::query(rules!("")).fetch_all(&self.reader).await?;
        let mut all: Vec<_> = rows.iter().map(rule).collect::<Result<_>>()?;
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    async fn rules_for(&self, user: &UserId, resource: &ResourceUri) -> Result<Vec<Rule>> {
        let sql = rules!(
            "where (entitlements.resource = $1 or entitlements.resource is null)
            and (entitlements.user_id = $2 or entitlements.user_id is null) and entitlements.disabled_at is null"
        );
        let rows =
            sqlx::query(sql).bind(resource.folded()).bind(user.as_str()).fetch_all(&self.reader).await?;
        rows.iter().map(rule).collect()
    }

    async fn change_rules(&self, change: &Change, event: &Event) -> Result<Changed> {
        retry(|| self.try_change_rules(change, event)).await
    }

    async fn set_rule(&self, id: &EntitlementId, enabled: bool, event: &Event) -> Result<Changed> {
        retry(|| self.try_set_rule(id, enabled, event)).await
    }

    async fn set_access(&self, uri: &ResourceUri, access: Access, event: &Event) -> Result<Applied> {
        retry(|| self.try_set_access(uri, access, event)).await
    }
}

fn rule(row: &Row) -> Result<Rule> {
    let holder = match rows::cell::<String>(row, "entitlements.holder")?.as_str() {
        "person" => Holder::Person(rows::read(row, "entitlements.user_id", UserId::parse)?),
        "group" => Holder::Group(rows::cell(row, "entitlements.group_name")?),
        "everyone" => Holder::Everyone,
        _ => return Err(rows::senseless("entitlements.holder")),
    };
    let organization: Option<String> = rows::cell(row, "entitlements.organization")?;
    let realm = match organization {
        None => Realm::Own,
        Some(id) => Realm::Shared(
            OrganizationId::parse(&id).ok_or_else(|| rows::senseless("entitlements.organization"))?,
        ),
    };
    let node: Option<String> = rows::cell(row, "entitlements.node")?;
    let node = node.map(|path| NodePath::parse(&path)).transpose();
    let resource: Option<String> = rows::cell(row, "entitlements.resource")?;
    let resource = resource.map(|uri| ResourceUri::parse(&uri)).transpose();
    Ok(Rule {
        id: rows::read(row, "entitlements.id", EntitlementId::parse)?,
        says: Entitlement {
            holder,
            tier: rows::cell(row, "entitlements.tier")?,
            resource: resource.map_err(|_| rows::senseless("entitlements.resource"))?,
            place: Place { realm, node: node.map_err(|_| rows::senseless("entitlements.node"))? },
        },
        created_at: rows::time(row, "entitlements.created_at")?,
        disabled_at: rows::maybe_time(row, "entitlements.disabled_at")?,
    })
}

impl Database {
    async fn try_change_rules(&self, change: &Change, event: &Event) -> Result<Changed> {
        let mut tx = self.begin().await?;
        let enabled = rules_among(|rule| change.enable.contains(&rule.id), &mut tx).await?;
        let coming: Vec<_> = change.add.iter().cloned().chain(enabled).collect();
        let mut closed = closed_by(coming, &mut tx).await?;
        closed.extend(change.list.iter().map(|uri| uri.folded().to_owned()));
        for id in &change.remove {
            let sql = "delete from entitlements where id = $1";
            if sqlx::query(sql).bind(id.as_str()).execute(&mut *tx).await?.rows_affected() == 0 {
                return lost(tx).await;
            }
        }
        for id in &change.enable {
            let sql = "update entitlements set disabled_at = null where id = $1 and disabled_at is not null";
            if sqlx::query(sql).bind(id.as_str()).execute(&mut *tx).await?.rows_affected() == 0 {
                return lost(tx).await;
            }
        }
        for rule in &change.add {
            if !names_what_is_there(rule, &mut tx).await? || !insert(rule, &mut tx).await? {
                return lost(tx).await;
            }
        }
        let listed = list(closed, &mut tx).await?;
        audit::record(&event.clone().with("listed", listed.clone()), &mut tx).await?;
        tx.commit().await?;
        Ok(Changed { applied: Applied::Done, listed })
    }

    async fn try_set_rule(&self, id: &EntitlementId, enabled: bool, event: &Event) -> Result<Changed> {
        let mut tx = self.begin().await?;
        let comes = |rule: &Rule| enabled && rule.disabled_at.is_some() && &rule.id == id;
        let first = closed_by(rules_among(comes, &mut tx).await?, &mut tx).await?;
        let set = sqlx::query("update entitlements set disabled_at = $1 where id = $2")
            .bind((!enabled).then_some(event.at.seconds()))
            .bind(id.as_str())
            .execute(&mut *tx)
            .await?;
        let listed = list(first, &mut tx).await?;
        let event = if enabled { event.clone().with("listed", listed.clone()) } else { event.clone() };
        let applied = done(set.rows_affected(), &event, tx).await?;
        Ok(Changed { applied, listed })
    }

    async fn try_set_access(&self, uri: &ResourceUri, access: Access, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let set = sqlx::query("update resources set access = $1 where folded = $2")
            .bind(access.as_str())
            .bind(uri.folded())
            .execute(&mut *tx)
            .await?;
        done(set.rows_affected(), event, tx).await
    }
}

async fn lost(tx: Transaction<'static, Db>) -> Result<Changed> {
    tx.rollback().await?;
    Ok(Changed { applied: Applied::Lost, listed: Vec::new() })
}

/// The resource servers that these rules close when they come into force.
async fn closed_by(mut coming: Vec<Rule>, tx: &mut Transaction<'_, Db>) -> Result<Vec<String>> {
    if coming.is_empty() {
        return Ok(Vec::new());
    }
    for rule in &mut coming {
        rule.disabled_at = None;
    }
    let sql = concat!("select ", resource_columns!(), " from resources where access = 'everyone'");
    let rows = sqlx::query(sql).fetch_all(&mut **tx).await?;
    let open: Vec<Resource> = rows.iter().map(rows::resource).collect::<Result<_>>()?;
    let in_force = rules_among(|rule| rule.disabled_at.is_none(), tx).await?;
    let closed = open.iter().filter(|open| closes(open, &in_force, &coming));
    Ok(closed.map(|open| open.uri.folded().to_owned()).collect())
}

/// Makes resource servers be for listed people only. Answers which of them were not.
async fn list(folded: Vec<String>, tx: &mut Transaction<'_, Db>) -> Result<Vec<String>> {
    let mut listed = Vec::new();
    for folded in folded {
        let sql = "update resources set access = 'listed' where folded = $1 and access = 'everyone'";
        if sqlx::query(sql).bind(folded.as_str()).execute(&mut **tx).await?.rows_affected() > 0 {
            listed.push(folded);
        }
    }
    Ok(listed)
}

/// Rules among all of them, as this transaction sees them.
pub(super) async fn rules_among(
    which: impl Fn(&Rule) -> bool,
    tx: &mut Transaction<'_, Db>,
) -> Result<Vec<Rule>> {
    let rows = sqlx::query(rules!("")).fetch_all(&mut **tx).await?;
    let mut all: Vec<_> = rows.iter().map(rule).collect::<Result<_>>()?;
    all.retain(which);
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(all)
}

/// True when person, resource server, organization and node are there. Asked before, since a foreign key that does not hold
/// is taken for a race.
async fn names_what_is_there(rule: &Rule, tx: &mut Transaction<'_, Db>) -> Result<bool> {
    let Entitlement { holder, resource, place, .. } = &rule.says;
    let mut questions = Vec::new();
    if let Holder::Person(id) = holder {
        questions.push(sqlx::query("select 1 from users where id = $1").bind(id.as_str()));
    }
    if let Some(resource) = resource {
        questions.push(sqlx::query("select 1 from resources where folded = $1").bind(resource.folded()));
    }
    match (&place.realm, &place.node) {
        (Realm::Own, _) => {}
        (Realm::Shared(id), None) => {
            questions.push(sqlx::query("select 1 from organizations where id = $1").bind(id.as_str()));
        }
        (Realm::Shared(id), Some(node)) => {
            let sql = "select 1 from nodes where organization = $1 and path = $2";
            questions.push(sqlx::query(sql).bind(id.as_str()).bind(node.as_str()));
        }
    }
    for question in questions {
        if question.fetch_optional(&mut **tx).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Stores a rule. False: one says the same.
async fn insert(rule: &Rule, tx: &mut Transaction<'_, Db>) -> Result<bool> {
    let Entitlement { holder, tier, resource, place } = &rule.says;
    let (word, person, group) = match holder {
        Holder::Person(id) => ("person", Some(id.as_str()), None),
        Holder::Group(name) => ("group", None, Some(name.as_str())),
        Holder::Everyone => ("everyone", None, None),
    };
    let sql = "insert into entitlements (id, holder, user_id, group_name, tier, resource, organization, node, created_at,
        disabled_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing";
    let inserted = sqlx::query(sql)
        .bind(rule.id.as_str())
        .bind(word)
        .bind(person)
        .bind(group)
        .bind(tier.as_str())
        .bind(resource.as_ref().map(ResourceUri::folded))
        .bind(place.realm.shared().map(OrganizationId::as_str))
        .bind(place.node.as_ref().map(NodePath::as_str))
        .bind(rule.created_at.seconds())
        .bind(rule.disabled_at.map(Timestamp::seconds))
        .execute(&mut **tx)
        .await?;
    Ok(inserted.rows_affected() > 0)
}
