//! Lists of grants. Each starts from the index of the narrowest thing that is asked for, in the order of the identifiers,
//! which begin with the time: text of one length, digits and capitals only, so that every database sorts it alike.

use doorward_shared::time::Timestamp;

use super::{
    Database,
    rows::{self, grant_columns, user_columns},
};
use crate::{
    domain::{
        grant::{Grant, Method, State},
        ids::{GrantId, OrganizationId, UserId},
        user::User,
    },
    store::{GrantFilter, Result},
};

macro_rules! grants_where {
    ($narrowest:literal) => {
        concat!(
            "select ",
            grant_columns!(),
            ", ",
            user_columns!(),
            " from grants join users on users.id = grants.user_id where ",
            $narrowest,
            " and ($2 is null or grants.id < $2) and ($3 is null or grants.user_id = $3)
            and ($4 is null or grants.client_id = $4) and ($5 is null or grants.resource_row = $5)
            and ($6 is null or grants.organization = $6) and ($7 is null or grants.method = $7)
            and ($8 is null or case when grants.ended_at is not null then 'ended'
                when grants.expires_at <= $9 then 'expired' when grants.last_used_at is null then 'pending'
                else 'active' end = $8)
            and ($10 is null or coalesce(grants.last_used_at, grants.created_at) < $10)
            order by grants.id desc limit $11"
        )
    };
}

impl Database {
    pub(super) async fn list_grants(
        &self,
        filter: &GrantFilter,
        before: Option<&GrantId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<(Grant, User)>> {
        let user = filter.user.as_ref().map(UserId::as_str);
        let client = filter.client.as_ref().map(doorward_shared::client_id::ClientId::as_str);
        let resource = filter.resource.as_ref().map(doorward_shared::resource::ResourceUri::folded);
        let (sql, narrowest) = match (user, client, resource) {
            (Some(user), _, _) => (grants_where!("grants.user_id = $1"), user),
            (None, Some(client), _) => (grants_where!("grants.client_row = $1"), client),
            (None, None, Some(resource)) => (grants_where!("grants.resource_row = $1"), resource),
            (None, None, None) => (grants_where!("$1 = ''"), ""),
        };
        let rows = sqlx::query(sql)
            .bind(narrowest)
            .bind(before.map(GrantId::as_str))
            .bind(user)
            .bind(client)
            .bind(resource)
            .bind(filter.organization.as_ref().map(OrganizationId::as_str))
            .bind(filter.method.map(Method::as_str))
            .bind(filter.state.map(State::as_str))
            .bind(now.seconds())
            .bind(filter.unused_since.map(Timestamp::seconds))
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok((rows::grant(row)?, rows::user(row)?))).collect()
    }
}
