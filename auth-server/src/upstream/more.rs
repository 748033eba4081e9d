//! What an ID token leaves out and others can say: userinfo, and Microsoft Graph.

use openidconnect::{AccessToken, OAuth2TokenResponse, SubjectIdentifier};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    Answer, UpstreamError,
    claims::{self, Said},
    oidc::Client,
    types::{Metadata, Tokens},
};
use crate::domain::upstream::{Asserted, Dialect, GroupsHeard, read_groups};

impl Client {
    /// Adds what the ID token left out and others can say.
    pub(super) async fn complete(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        said: Option<Said>,
        subject: Option<&str>,
    ) -> Result<Answer, UpstreamError> {
        let provider = &self.settings.provider;
        let refresh_token = tokens.refresh_token().map(|token| Zeroizing::new(token.secret().clone()));
        let wanted = said.as_ref().map(|said| said.subject.clone()).or_else(|| subject.map(str::to_owned));
        let more = match (&wanted, metadata.userinfo_endpoint()) {
            (Some(subject), Some(_))
                if said.as_ref().is_none_or(|said| leaves_out(provider.dialect, said)) =>
            {
                Some(self.userinfo(metadata, tokens.access_token(), subject).await?)
            }
            _ => None,
        };
        let auth_time = said.as_ref().and_then(|said| said.auth_time);
        let heard = said.is_some() || more.is_some();
        let joined = match (said, more) {
            (Some(first), Some(second)) => first.and(second),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Said::nothing_about(&wanted.unwrap_or_default()),
        };
        let asserted = joined.read_by(provider);
        let groups = match (&asserted.groups, &self.settings.graph_url) {
            (GroupsHeard::Overage, Some(graph)) => self.ask_graph(graph, tokens.access_token()).await,
            (groups, _) => groups.clone(),
        };
        Ok(Answer { asserted: Asserted { groups, ..asserted }, refresh_token, heard, auth_time })
    }

    async fn userinfo(
        &self,
        metadata: &Metadata,
        token: &AccessToken,
        subject: &str,
    ) -> Result<Said, UpstreamError> {
        let client = self.client(metadata);
        let request = client
            .user_info(token.clone(), Some(SubjectIdentifier::new(subject.to_owned())))
            .map_err(|_| UpstreamError::Invalid("the provider has no userinfo endpoint".to_owned()))?;
        let found = request.request_async(&self.http).await.map_err(|error| match error {
            openidconnect::UserInfoError::Request(error) => UpstreamError::Away(error.to_string()),
            openidconnect::UserInfoError::ClaimsVerification(_) => {
                UpstreamError::Invalid("userinfo is about somebody else".to_owned())
            }
            _ => UpstreamError::Away("userinfo cannot be read".to_owned()),
        })?;
        Ok(claims::of_userinfo(&self.settings.provider, &found))
    }

    /// Asks Microsoft Graph for groups that did not fit into the token. What cannot be had stays an overage.
    async fn ask_graph(&self, graph: &str, token: &AccessToken) -> GroupsHeard {
        let id = &self.settings.provider.id;
        let asked = openidconnect::http::Request::post(format!("{graph}/me/getMemberObjects"))
            .header("authorization", format!("Bearer {}", token.secret()))
            .header("content-type", "application/json")
            .body(br#"{"securityEnabledOnly":false}"#.to_vec());
        let Ok(request) = asked else { return GroupsHeard::Overage };
        let answer = match self.http.send(request).await {
            Ok(answer) if answer.status().as_u16() == 200 => answer,
            Ok(answer) => {
                tracing::warn!(provider = %id, status = answer.status().as_u16(), "Microsoft Graph does not tell the groups");
                return GroupsHeard::Overage;
            }
            Err(error) => {
                tracing::warn!(provider = %id, %error, "Microsoft Graph does not tell the groups");
                return GroupsHeard::Overage;
            }
        };
        let listed = serde_json::from_slice::<Value>(answer.body()).ok();
        let listed = listed.and_then(|mut body| body.get_mut("value").map(Value::take));
        listed.map_or(GroupsHeard::Overage, |names| {
            let claims =
                [(self.settings.provider.groups_claim.as_str().to_owned(), names)].into_iter().collect();
            read_groups(Dialect::Entra, &self.settings.provider.groups_claim, &claims)
        })
    }
}

/// Whether userinfo may know what an ID token left out. At Entra ID userinfo is Microsoft Graph's, and knows no groups and not
/// what was verified; at Cognito what the ID token leaves out is not there.
fn leaves_out(dialect: Dialect, said: &Said) -> bool {
    let no_groups = said.groups == GroupsHeard::Absent;
    match dialect {
        Dialect::Entra => !said.has_address(),
        Dialect::Cognito => !said.settles_address(),
        Dialect::Keycloak | Dialect::Okta | Dialect::Generic => !said.settles_address() || no_groups,
    }
}
