//! The table of settings: every key there is, its form and its default. The file, the environment, `check-config` and
//! the document of the configuration are all held against this one table.

/// How the value of a setting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count,
    /// A number with a unit: `0s`, `15m`, `12h`, `30d`.
    Duration,
    /// A list of texts; one text with commas in the environment.
    List,
}

impl Form {
    /// What a person should write.
    pub(super) fn words(self) -> String {
        match self {
            Self::Text => "a text in quotes".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Flag => "true or false".to_owned(),
            Self::Count => "a whole number".to_owned(),
            Self::Duration => "a duration such as 30s, 15m, 12h or 30d, in quotes".to_owned(),
            Self::List => "a list of texts such as [\"a\", \"b\"]".to_owned(),
        }
    }
}

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    /// Section and name.
    pub(super) key: &'static str,
    /// How its value is written.
    pub(super) form: Form,
    /// The value nobody has to write, as an environment variable would hold it. `None`: it follows from other settings.
    pub(super) default: Option<&'static str>,
}

impl Setting {
    const fn new(key: &'static str, form: Form, default: &'static str) -> Self {
        Self { key, form, default: Some(default) }
    }

    const fn derived(key: &'static str) -> Self {
        Self { key, form: Form::Text, default: None }
    }

    /// The name of its environment variable.
    pub(super) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key.to_uppercase().replace('.', "__"))
    }
}

/// What the name of every variable begins with.
pub(super) const PREFIX: &str = "DOORWARD__";

/// Names under which the systems that Doorward follows document a setting, and the setting that is meant.
pub(super) const CLIENT_ID_ALIAS: (&str, &str) = ("IDE_OAUTH_CLIENT_ID", "fixed_client.client_id");
/// A port number; it stands for the redirect URI on that port.
pub(super) const CALLBACK_PORT_ALIAS: (&str, &str) =
    ("IDE_OAUTH_CALLBACK_PORT", "fixed_client.redirect_uris");
/// The identifier of a tier.
pub(super) const MAX_TIER_ALIAS: (&str, &str) = ("DCR_MAX_TIER", "registration.max_tier");

/// Every setting, section by section.
pub(super) const SETTINGS: [Setting; 50] = [
    Setting::new("server.issuer", Form::Text, "http://localhost:9000"),
    Setting::new("server.listen", Form::List, "127.0.0.1:9000,[::1]:9000"),
    Setting::new("server.allow_insecure_http", Form::Flag, "false"),
    Setting::new("server.trusted_proxies", Form::List, ""),
    Setting::new("store.url", Form::Text, "sqlite:./data/doorward.db"),
    Setting::derived("store.url_file"),
    Setting::new("ephemeral.url", Form::Text, "memory:"),
    Setting::derived("ephemeral.url_file"),
    Setting::derived("keys.kek_file"),
    Setting::new("keys.rotate_every", Form::Duration, "30d"),
    Setting::new("keys.publish_lead", Form::Duration, "4h"),
    Setting::new("token.code_ttl", Form::Duration, "60s"),
    Setting::new("token.access_ttl", Form::Duration, "15m"),
    Setting::new("token.signing_algorithm", Form::Choice(&["RS256", "ES256", "EdDSA"]), "RS256"),
    Setting::new("refresh.idle", Form::Duration, "30d"),
    Setting::new("refresh.absolute", Form::Duration, "90d"),
    Setting::new(
        "refresh.replay_error",
        Form::Choice(&["refresh_replayed", "invalid_grant"]),
        "refresh_replayed",
    ),
    Setting::new("refresh.retry_window", Form::Duration, "0s"),
    Setting::new("session.idle", Form::Duration, "30m"),
    Setting::new("session.absolute", Form::Duration, "12h"),
    Setting::new("session.pending_request", Form::Duration, "10m"),
    Setting::new("registration.enabled", Form::Flag, "true"),
    Setting::new("registration.app_schemes", Form::List, "cursor,vscode,vscode-insiders"),
    Setting::new("registration.per_address", Form::Count, "300"),
    Setting::new("registration.overall", Form::Count, "3000"),
    Setting::derived("registration.max_tier"),
    Setting::new("registration.unused_ttl", Form::Duration, "24h"),
    Setting::new("client_documents.enabled", Form::Flag, "true"),
    Setting::new("client_documents.allowed_hosts", Form::List, ""),
    Setting::new("client_documents.denied_hosts", Form::List, ""),
    Setting::new("client_documents.ports", Form::List, "443"),
    Setting::new("client_documents.per_address", Form::Count, "60"),
    Setting::new("limits.token_failures", Form::Count, "500"),
    Setting::new("limits.sign_in_failures", Form::Count, "100"),
    Setting::new("limits.pending_requests", Form::Count, "2000"),
    Setting::new("limits.api_key_requests", Form::Count, "6000"),
    Setting::derived("mail.host"),
    Setting { key: "mail.port", form: Form::Count, default: None },
    Setting::new("mail.tls", Form::Choice(&["starttls", "implicit", "none"]), "starttls"),
    Setting::derived("mail.user"),
    Setting::derived("mail.password"),
    Setting::derived("mail.password_file"),
    Setting::derived("mail.from"),
    Setting::new("mail.timeout", Form::Duration, "30s"),
    Setting::new("fixed_client.enabled", Form::Flag, "true"),
    Setting::new("fixed_client.client_id", Form::Text, "d685c6a7-5cb9-4612-ba2b-cab12e38d9e0"),
    Setting::new("fixed_client.name", Form::Text, "Fixed public client"),
    Setting::new("fixed_client.redirect_uris", Form::List, "http://localhost:8080/callback"),
    Setting::new("log.format", Form::Choice(&["pretty", "json"]), "pretty"),
    Setting::new("log.level", Form::Choice(&["error", "warn", "info", "debug", "trace"]), "info"),
];

/// Every setting of one upstream provider: of one `[[upstream]]` table, or of the variables with its name.
pub(super) const UPSTREAM: [Setting; 16] = [
    Setting::derived("upstream.title"),
    Setting::derived("upstream.issuer"),
    Setting::derived("upstream.client_id"),
    Setting::derived("upstream.client_secret"),
    Setting::derived("upstream.client_secret_file"),
    Setting::new(
        "upstream.dialect",
        Form::Choice(&["keycloak", "cognito", "okta", "entra", "generic"]),
        "generic",
    ),
    Setting { key: "upstream.scopes", form: Form::List, default: None },
    Setting::derived("upstream.groups_claim"),
    Setting::derived("upstream.group_prefix"),
    Setting::new("upstream.allowed_groups", Form::List, ""),
    Setting::new("upstream.trust_email", Form::Flag, "true"),
    Setting::new("upstream.email_verified", Form::Choice(&["claim", "assumed"]), "claim"),
    Setting::new("upstream.email_from_username", Form::Flag, "false"),
    Setting::new("upstream.create_accounts", Form::Flag, "true"),
    Setting::new("upstream.max_stale", Form::Duration, "24h"),
    Setting::derived("upstream.graph_url"),
];

/// The section of upstream providers: the one that is a list of tables.
pub(super) const UPSTREAM_SECTION: &str = "upstream";

/// The setting with this key, of the server or of a provider.
pub(super) fn any(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().chain(&UPSTREAM).find(|setting| setting.key == key)
}

/// The setting with this key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// The names of the sections, each once.
pub(super) fn sections() -> Vec<&'static str> {
    let mut names: Vec<_> =
        SETTINGS.iter().filter_map(|setting| setting.key.split_once('.')).map(|(s, _)| s).collect();
    names.dedup();
    names
}

/// The known name that looks most like `name`, if one looks alike at all.
pub(super) fn nearest(name: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let distance = |other: &String| strsim::damerau_levenshtein(name, other);
    let best = known.into_iter().min_by_key(distance)?;
    (distance(&best) <= (name.chars().count() / 3).max(2)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_key_that_was_meant() {
        let keys = || SETTINGS.iter().map(|setting| setting.key.to_owned());
        assert_eq!(nearest("token.acess_ttl", keys()).as_deref(), Some("token.access_ttl"));
        assert_eq!(nearest("refresh.retrywindow", keys()).as_deref(), Some("refresh.retry_window"));
        assert_eq!(nearest("weather.temperature_tomorrow", keys()), None);
    }

    #[test]
    fn a_section_is_named_once() {
        assert_eq!(sections().len(), 13);
    }
}
