//! `/admin-keys`: the keys for this API.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    problem::{Code, Problem},
    query::{OnePage, Word},
    route::{Call, Created, Gone, NoBody, NoQuery, Page, Shown},
};
use crate::{
    domain::{admin_key::AdminPermission, key_life::KeyLife},
    flows::admin::{
        admin_keys::{self, AdminKeyError, NewAdminKey},
        view,
    },
};

/// What a key is made from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CreateAdminKey")]
pub(super) struct Create {
    /// What it is for.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// What it may do: `grants:read` and so on, `*:read`, `*:write`, `*`. A key makes none that may do more than itself.
    #[schemars(length(min = 1))]
    permissions: Vec<Word<AdminPermission>>,
    /// How long it lives.
    expires: Word<KeyLife>,
}

pub(super) async fn list(
    call: Call,
    query: OnePage,
    _: NoBody,
) -> Result<Shown<Page<view::AdminKey>>, Problem> {
    let after = call.position(query.cursor.as_deref())?;
    let mut keys = admin_keys::list(call.desk()).await?;
    // There are few of them: the page is cut out of all.
    if let Some(after) = after {
        keys.retain(|key| key.id < after);
    }
    keys.truncate(query.limit.and_one() as usize);
    Ok(call.page(keys, query.limit, |key| key.id.clone(), Clone::clone))
}

pub(super) async fn create(
    call: Call,
    _: NoQuery,
    new: Create,
) -> Result<Created<view::NewAdminKey>, Problem> {
    let Create { name, permissions, expires } = new;
    let permissions = permissions.iter().map(|word| word.0.to_string()).collect();
    let new = NewAdminKey { name, permissions, life: expires.0 };
    let (admin_key, secret) = admin_keys::create(call.desk(), call.key.as_ref(), &new).await?;
    Ok(Created(view::NewAdminKey { admin_key, secret: secret.expose().to_owned() }))
}

pub(super) async fn revoke(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    admin_keys::revoke(call.desk(), call.id()).await?;
    Ok(Gone)
}

impl From<AdminKeyError> for Problem {
    fn from(error: AdminKeyError) -> Self {
        match error {
            AdminKeyError::Store(error) => error.into(),
            AdminKeyError::NotMade(_) => Self::new(Code::PermissionMissing, error.to_string()),
            AdminKeyError::Unknown(_) => Self::not_found(&error),
            AdminKeyError::Name(_) | AdminKeyError::Permissions(_) | AdminKeyError::Nobody => {
                Self::invalid(&error)
            }
        }
    }
}
