//! Organizations that people share, and the nodes of their data trees.

use async_trait::async_trait;
use doorward_shared::{allowance::Allowance, node::NodePath, time::Timestamp};
use sqlx::Transaction;

use super::{
    Database, Db, audit,
    entitlements::rules_among,
    retry,
    rows::{self, Row},
};
use crate::{
    domain::{
        api_key::ApiKey,
        audit::Event,
        entitlement::Rule,
        ids::{GrantId, OrganizationId},
        organization::{Node, Organization},
    },
    store::{Applied, Organizations, Result},
};

#[async_trait]
impl Organizations for Database {
    async fn insert_organization(&self, organization: &Organization, event: &Event) -> Result<Applied> {
        retry(|| self.try_insert_organization(organization, event)).await
    }

    async fn organization(&self, id: &OrganizationId) -> Result<Option<Organization>> {
        let sql = r#"select id as "organizations.id", name as "organizations.name",
            created_at as "organizations.created_at" from organizations where id = $1"#;
        let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(organization).transpose()
    }

    async fn organizations(&self) -> Result<Vec<Organization>> {
        let sql = r#"select id as "organizations.id", name as "organizations.name",
            created_at as "organizations.created_at" from organizations"#;
        let rows = sqlx::query(sql).fetch_all(&self.reader).await?;
        let mut all: Vec<_> = rows.iter().map(organization).collect::<Result<_>>()?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn insert_node(&self, node: &Node, event: &Event) -> Result<Applied> {
        retry(|| self.try_insert_node(node, event)).await
    }

    async fn nodes(&self, organization: &OrganizationId) -> Result<Vec<Node>> {
        let sql = r#"select organization as "nodes.organization", path as "nodes.path", title as "nodes.title",
            created_at as "nodes.created_at" from nodes where organization = $1"#;
        let rows = sqlx::query(sql).bind(organization.as_str()).fetch_all(&self.reader).await?;
        let mut all: Vec<_> = rows.iter().map(node).collect::<Result<_>>()?;
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }

    async fn remove_node(
        &self,
        organization: &OrganizationId,
        path: &NodePath,
        event: &Event,
    ) -> Result<Applied> {
        retry(|| self.try_remove_node(organization, path, event)).await
    }

    async fn grants_naming(&self, organization: &OrganizationId, path: &NodePath) -> Result<Vec<GrantId>> {
        // Only an allowance with nodes has this word in it.
        let sql = r#"select id as "grants.id", allowance as "grants.allowance" from grants
            where organization = $1 and ended_at is null and allowance like '%"nodes"%'"#;
        let rows = sqlx::query(sql).bind(organization.as_str()).fetch_all(&self.reader).await?;
        let mut naming = Vec::new();
        for row in &rows {
            let allowance: Allowance =
                rows::read(row, "grants.allowance", |text| serde_json::from_str(text).ok())?;
            if allowance.nodes().keys().any(|node| path.covers(node)) {
                naming.push(rows::read(row, "grants.id", GrantId::parse)?);
            }
        }
        Ok(naming)
    }

    async fn api_keys_naming(&self, organization: &OrganizationId, path: &NodePath) -> Result<Vec<ApiKey>> {
        let mut keys = self.api_keys_within(organization).await?;
        keys.retain(|key| key.powers.name(path));
        Ok(keys)
    }
}

fn organization(row: &Row) -> Result<Organization> {
    Ok(Organization {
        id: rows::read(row, "organizations.id", OrganizationId::parse)?,
        name: rows::cell(row, "organizations.name")?,
        created_at: rows::time(row, "organizations.created_at")?,
    })
}

fn node(row: &Row) -> Result<Node> {
    Ok(Node {
        organization: rows::read(row, "nodes.organization", OrganizationId::parse)?,
        path: rows::read(row, "nodes.path", |text| NodePath::parse(text).ok())?,
        title: rows::cell(row, "nodes.title")?,
        created_at: rows::time(row, "nodes.created_at")?,
    })
}

impl Database {
    async fn try_insert_organization(&self, organization: &Organization, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let sql =
            "insert into organizations (id, name, created_at) values ($1, $2, $3) on conflict do nothing";
        let inserted = sqlx::query(sql)
            .bind(organization.id.as_str())
            .bind(organization.name.as_str())
            .bind(organization.created_at.seconds())
            .execute(&mut *tx)
            .await?;
        done(inserted.rows_affected(), event, tx).await
    }

    async fn try_insert_node(&self, node: &Node, event: &Event) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let above = node.path.parent();
        let there = match &above {
            Some(above) => {
                let sql = "select 1 from nodes where organization = $1 and path = $2";
                sqlx::query(sql).bind(node.organization.as_str()).bind(above.as_str())
            }
            None => sqlx::query("select 1 from organizations where id = $1").bind(node.organization.as_str()),
        };
        if there.fetch_optional(&mut *tx).await?.is_none() {
            tx.rollback().await?;
            return Ok(Applied::Lost);
        }
        let sql = "insert into nodes (organization, path, title, created_at) values ($1, $2, $3, $4)
            on conflict do nothing";
        let inserted = sqlx::query(sql)
            .bind(node.organization.as_str())
            .bind(node.path.as_str())
            .bind(node.title.as_deref())
            .bind(Timestamp::seconds(node.created_at))
            .execute(&mut *tx)
            .await?;
        done(inserted.rows_affected(), event, tx).await
    }

    /// A rule that is being made for the node right now makes the deletion fail on its foreign key; the retry removes it too.
    async fn try_remove_node(
        &self,
        organization: &OrganizationId,
        path: &NodePath,
        event: &Event,
    ) -> Result<Applied> {
        let mut tx = self.begin().await?;
        let below = format!("{path}/");
        let naming = |rule: &Rule| {
            let place = &rule.says.place;
            place.realm.shared() == Some(organization)
                && place.node.as_ref().is_some_and(|node| path.covers(node))
        };
        let rules = rules_among(naming, &mut tx).await?;
        for sql in [
            "delete from entitlements where organization = $1 and (node = $2 or substr(node, 1, length($3)) = $3)",
            "delete from nodes where organization = $1 and substr(path, 1, length($3)) = $3 and path <> $2",
        ] {
            let query = sqlx::query(sql).bind(organization.as_str()).bind(path.as_str());
            query.bind(below.as_str()).execute(&mut *tx).await?;
        }
        let sql = "delete from nodes where organization = $1 and path = $2";
        let gone = sqlx::query(sql).bind(organization.as_str()).bind(path.as_str()).execute(&mut *tx).await?;
        done(gone.rows_affected(), &event.clone().about_rules("removed", &rules), tx).await
    }
}

/// Holds nodes until the transaction is over: who removes one of them waits, and then finds what names it. False: one of them
/// is not there. A person's own organization has none, and needs none.
pub(super) async fn hold_nodes(
    organization: &OrganizationId,
    nodes: &[&NodePath],
    tx: &mut Transaction<'_, Db>,
) -> Result<bool> {
    if nodes.is_empty() {
        return Ok(true);
    }
    let sql = "select 1 from organizations where id = $1";
    if sqlx::query(sql).bind(organization.as_str()).fetch_optional(&mut **tx).await?.is_none() {
        return Ok(true);
    }
    for node in nodes {
        let sql = "update nodes set title = title where organization = $1 and path = $2";
        let held =
            sqlx::query(sql).bind(organization.as_str()).bind(node.as_str()).execute(&mut **tx).await?;
        if held.rows_affected() == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Ends a transaction whose one write tells whether it happened.
pub(super) async fn done(rows: u64, event: &Event, mut tx: Transaction<'static, Db>) -> Result<Applied> {
    if rows == 0 {
        tx.rollback().await?;
        return Ok(Applied::Lost);
    }
    audit::record(event, &mut tx).await?;
    tx.commit().await?;
    Ok(Applied::Done)
}
