//! `/status`.

use super::{
    problem::Problem,
    route::{Call, NoBody, NoQuery, Shown},
};
use crate::flows::admin::{status, view};

pub(super) async fn get(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::Status>, Problem> {
    Ok(Shown(status::status(call.context()).await?))
}
