//! Upstream providers: `[[upstream]]` tables with an `id` each, overlaid by variables `DOORWARD__UPSTREAM__<ID>__KEY`, in which
//! the identifier is in upper case and has `_` for `-`.

use std::collections::BTreeMap;

use doorward_shared::{issuer::Issuer, scope::ScopeToken, time::Seconds};
use toml::de::DeValue;
use url::Url;

use super::{
    reader::Reader,
    report::{self, Effective},
    settings::{self, PREFIX, UPSTREAM, UPSTREAM_SECTION},
    sources::{Given, Source, Sources, from_text, from_toml, hint},
};
use crate::{
    domain::upstream::{ClaimPath, Dialect, EmailVerified, Provider},
    upstream::{ClientSecret, Settings},
};

/// What was written about each provider, in the order in which they were named.
#[derive(Debug, Default)]
pub(super) struct Providers(Vec<(String, BTreeMap<&'static str, Given>)>);

impl Providers {
    /// Reads the value of `upstream` in a file.
    pub(super) fn read_file(
        &mut self,
        value: &DeValue<'_>,
        place: &Source,
        at: impl Fn(usize) -> Source,
        problems: &mut Vec<String>,
    ) {
        let DeValue::Array(tables) = value else {
            problems.push(format!(
                "{place}: {UPSTREAM_SECTION:?} is a list of tables; write [[{UPSTREAM_SECTION}]]"
            ));
            return;
        };
        for table in tables {
            let place = at(table.span().start);
            let DeValue::Table(entries) = table.get_ref() else {
                problems.push(format!("{place}: write [[{UPSTREAM_SECTION}]] on a line of its own"));
                continue;
            };
            let id = entries.get("id").and_then(|id| id.get_ref().as_str().map(str::to_owned));
            let Some(id) = id.filter(|id| is_slug(id)) else {
                problems.push(format!("{place}: {SLUG}"));
                continue;
            };
            if self.0.iter().any(|(known, _)| *known == id) {
                problems
                    .push(format!("{place}: there are two providers {id:?}; keep one of them, or rename it"));
                continue;
            }
            let given = self.of(id);
            for (name, value) in entries.iter().filter(|(name, _)| name.get_ref() != "id") {
                let source = at(name.span().start);
                let key = format!("{UPSTREAM_SECTION}.{}", name.get_ref());
                let Some(setting) = UPSTREAM.iter().find(|setting| setting.key == key) else {
                    let near = settings::nearest(&key, UPSTREAM.iter().map(|setting| setting.key.to_owned()));
                    problems.push(format!("{source}: unknown key {key:?}; {}", hint(near)));
                    continue;
                };
                match from_toml(setting.form, value.get_ref()) {
                    Some(written) => drop(given.insert(setting.key, Given { written, source })),
                    None => problems.push(format!("{key} ({source}): write {}", setting.form.words())),
                }
            }
        }
    }

    /// Reads a variable. `false`: it is not about a provider.
    pub(super) fn read_variable(&mut self, name: &str, value: &str, problems: &mut Vec<String>) -> bool {
        let Some((id, key)) = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix("UPSTREAM__"))
            .and_then(|rest| rest.split_once("__"))
        else {
            return false;
        };
        let id = id.to_lowercase().replace('_', "-");
        let key = format!("{UPSTREAM_SECTION}.{}", key.to_lowercase());
        let setting = UPSTREAM.iter().find(|setting| setting.key == key).filter(|_| is_slug(&id));
        let Some(setting) = setting else {
            let variable = |setting: &settings::Setting| of_provider(setting.key, &id);
            let near = settings::nearest(name, UPSTREAM.iter().map(variable));
            problems.push(format!("unknown variable {name}; {}", hint(near)));
            return true;
        };
        let source = Source::Variable { name: name.to_owned() };
        match from_text(setting.form, value) {
            Some(written) => drop(self.of(id).insert(setting.key, Given { written, source })),
            None => problems.push(format!("{key} ({source}): write {}", setting.form.words())),
        }
        true
    }

    fn of(&mut self, id: String) -> &mut BTreeMap<&'static str, Given> {
        let at = self.0.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
            self.0.push((id, BTreeMap::new()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

/// Longest beginning for the names of groups, in bytes.
const MAX_PREFIX: usize = 64;
const SLUG: &str =
    "give the provider an id of lower-case letters, digits and hyphens, at most 32, such as id = \"corp\"";

fn is_slug(id: &str) -> bool {
    (1..=32).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !id.starts_with('-')
        && !id.ends_with('-')
        && !id.contains("--")
}

/// The variable of a provider's setting.
fn of_provider(key: &str, id: &str) -> String {
    let name = key.split_once('.').map_or(key, |(_, name)| name);
    format!("{PREFIX}UPSTREAM__{}__{}", id.to_uppercase().replace('-', "_"), name.to_uppercase())
}

/// Reads every provider. What cannot be used is put down in the reader.
pub(super) fn read(
    reader: &mut Reader,
    effective: &mut Vec<Effective>,
    warnings: &mut Vec<String>,
) -> Vec<Settings> {
    let mut all = Vec::new();
    for (id, given) in reader.providers().0 {
        let mut own = Reader::new(Sources { given, ..Sources::default() });
        let settings = one(&mut own, &id);
        effective.extend(report::effective_at(&own, &id));
        let problems = own.into_problems();
        let sound = problems.is_empty();
        reader.put_down(problems);
        let Some(settings) = settings.filter(|_| sound) else { continue };
        let provider = &settings.provider;
        let offline = settings.scopes.iter().any(|scope| scope == "offline_access");
        if provider.dialect == Dialect::Cognito && offline {
            warnings.push(format!(
                "upstream.{id}.scopes: Amazon Cognito refuses offline_access and gives a refresh token without it; leave it out"
            ));
        }
        if matches!(provider.dialect, Dialect::Okta | Dialect::Entra) && !offline {
            warnings.push(format!(
                "upstream.{id}.scopes: without offline_access there is no refresh token, so groups are known from the last \
                 sign-in only and count for max_stale; add it"
            ));
        }
        all.push(settings);
    }
    warnings.extend(mistaken_groups(&all));
    all
}

/// All groups have one kind of name, so what one provider calls a group must not be what another one calls one.
fn mistaken_groups(all: &[Settings]) -> Option<String> {
    let prefix = |at: usize| all[at].provider.group_prefix.as_str();
    let mistaken =
        |&at: &usize| (0..all.len()).any(|other| other != at && prefix(other).starts_with(prefix(at)));
    let ids: Vec<_> = (0..all.len()).filter(mistaken).map(|at| all[at].provider.id.as_str()).collect();
    (!ids.is_empty()).then(|| {
        format!(
            "upstream.group_prefix: groups of {} may have the names of another provider's groups, and would count in rules that \
             mean those; give each provider a group_prefix that is the beginning of no other one, such as \"{}:\"",
            ids.join(", "),
            ids[0]
        )
    })
}

fn one(reader: &mut Reader, id: &str) -> Option<Settings> {
    for key in ["upstream.issuer", "upstream.client_id"] {
        if !reader.is_given(key) {
            let name = key.split_once('.').map_or(key, |(_, name)| name);
            reader.put_down(vec![format!(
                "upstream {id}: {name} is missing; write it in its [[upstream]] table or set {}",
                of_provider(key, id)
            )]);
        }
    }
    let issuer = issuer(reader);
    let client_secret = client_secret(reader, id);
    let words = Dialect::ALL.map(|dialect| (dialect.as_str(), dialect));
    let dialect = reader.choice("upstream.dialect", &words)?;
    let scopes = scopes(reader, dialect);
    let path = reader.optional("upstream.groups_claim").unwrap_or_else(|| dialect.groups_claim().to_owned());
    let groups_claim = ClaimPath::parse(&path);
    if groups_claim.is_none() {
        reader.refuse(
            "upstream.groups_claim",
            format_args!("{path:?} is no path of a claim; write groups, or realm_access.roles"),
        );
    }
    let group_prefix = reader.optional("upstream.group_prefix").unwrap_or_default();
    if group_prefix.len() > MAX_PREFIX || group_prefix.contains(char::is_control) {
        reader.refuse(
            "upstream.group_prefix",
            format_args!("write at most {MAX_PREFIX} characters without control characters, such as corp:"),
        );
    }
    let graph_url = reader.optional("upstream.graph_url");
    if let Some(url) = &graph_url {
        let sound = Url::parse(url).is_ok_and(|parsed| {
            matches!(parsed.scheme(), "https" | "http") && parsed.query().is_none() && !url.ends_with('/')
        });
        if !sound {
            reader.refuse(
                "upstream.graph_url",
                "write https://graph.microsoft.com/v1.0, without a slash at the end",
            );
        }
    }
    let words = EmailVerified::ALL.map(|word| (word.as_str(), word));
    let email_verified = reader.choice("upstream.email_verified", &words)?;
    let email_from_username = reader.flag("upstream.email_from_username");
    // Elsewhere people choose their user names; at Entra ID a domain in one has to be the tenant's.
    if email_from_username && !(dialect == Dialect::Entra && email_verified == EmailVerified::Assumed) {
        reader.refuse(
            "upstream.email_from_username",
            "a user name is an address only with dialect = \"entra\" and email_verified = \"assumed\"; leave it out, or set both",
        );
    }
    let provider = Provider {
        id: id.to_owned(),
        title: reader.optional("upstream.title").unwrap_or_else(|| id.to_owned()),
        dialect,
        groups_claim: groups_claim?,
        group_prefix,
        allowed_groups: reader.list("upstream.allowed_groups"),
        trust_email: reader.flag("upstream.trust_email"),
        email_verified,
        email_from_username,
        create_accounts: reader.flag("upstream.create_accounts"),
        max_stale: reader.duration("upstream.max_stale", Seconds::new(0)..=Seconds::days(365)),
    };
    let client_id = reader.optional("upstream.client_id")?;
    Some(Settings { provider, issuer: issuer?, client_id, client_secret: client_secret?, scopes, graph_url })
}

/// Only https, or this machine: whoever is on the way could be anybody.
fn issuer(reader: &mut Reader) -> Option<Issuer> {
    let text = reader.optional("upstream.issuer")?;
    match Issuer::parse(&text) {
        Ok(issuer) if issuer.is_https() || issuer.is_loopback() => Some(issuer),
        Ok(_) => {
            reader.refuse(
                "upstream.issuer",
                format_args!("{text:?} can be changed on the way; write an https issuer"),
            );
            None
        }
        Err(error) => {
            let remedy =
                "write it exactly as the provider's discovery document has it, without a slash at the end";
            reader.refuse("upstream.issuer", format_args!("{text:?}: {error}; {remedy}"));
            None
        }
    }
}

fn client_secret(reader: &mut Reader, id: &str) -> Option<ClientSecret> {
    let (text_key, file_key) = ("upstream.client_secret", "upstream.client_secret_file");
    match (reader.optional(text_key), reader.optional(file_key)) {
        (Some(_), Some(_)) => {
            reader.refuse(file_key, "client_secret is set too; keep one of them");
            None
        }
        (Some(text), None) => Some(ClientSecret::new(text)),
        (None, Some(path)) => match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Some(ClientSecret::new(text.trim().to_owned())),
            Ok(_) => {
                reader.refuse(file_key, format_args!("{path} is empty; put the client secret there"));
                None
            }
            Err(error) => {
                reader.refuse(
                    file_key,
                    format_args!("{path}: {error}; name a file that holds the client secret"),
                );
                None
            }
        },
        (None, None) => {
            reader.put_down(vec![format!(
                "upstream {id}: client_secret_file is missing; name a file that holds the client secret, or set {}",
                of_provider(text_key, id)
            )]);
            None
        }
    }
}

fn scopes(reader: &mut Reader, dialect: Dialect) -> Vec<String> {
    if !reader.is_given("upstream.scopes") {
        let scopes: Vec<_> = dialect.scopes().iter().map(|scope| (*scope).to_owned()).collect();
        reader.replace_list("upstream.scopes", scopes.clone());
        return scopes;
    }
    let scopes = reader.items("upstream.scopes", |scope| {
        ScopeToken::parse(scope).map(|token| token.as_str().to_owned()).map_err(|_| "write a scope")
    });
    if !scopes.iter().any(|scope| scope == "openid") {
        reader.refuse("upstream.scopes", "without openid the provider sends no ID token; add it");
    }
    scopes
}

#[cfg(test)]
mod tests;
