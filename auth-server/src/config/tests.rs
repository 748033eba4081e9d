use std::{ffi::OsString, path::Path};

use doorward_shared::{jose::Algorithm, time::Seconds};

use super::{
    settings::{Form, SETTINGS, UPSTREAM},
    *,
};
use crate::{domain::policy::ReplayError, store::Location};

const FILE: &str = "doorward.toml";

pub(super) fn read(file: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::read(Some((Path::new(FILE), file)), variables).map_err(|error| error.problems().to_vec())
}

pub(super) fn refused(file: &str, variables: &[(&str, &str)]) -> String {
    read(file, variables).expect_err("it should be refused").join("\n")
}

pub(super) fn effective(config: &Config, key: &str) -> (String, String) {
    let found = config.effective.iter().find(|effective| effective.key == key).expect("the key exists");
    (found.value().unwrap_or_default(), found.source.to_string())
}

#[test]
fn nothing_written_is_a_whole_and_safe_configuration() {
    let config = Config::read(None, []).unwrap();
    assert_eq!(config.policy.issuer.as_str(), "http://localhost:9000");
    assert_eq!(config.server.listen.len(), 2);
    assert!(config.server.listen.iter().all(|address| address.ip().is_loopback()));
    assert_eq!(config.server.trusted_proxies, []);
    assert_eq!(config.store, Location::Sqlite("./data/doorward.db".into()));
    assert_eq!(config.ephemeral, ephemeral::Location::Memory);
    assert_eq!(config.keys, KeySettings { kek_file: "./data/doorward.kek".into(), make_if_missing: true });
    assert_eq!(config.policy.token.access_ttl, Seconds::minutes(15));
    assert_eq!(config.policy.refresh.replay_error, ReplayError::RefreshReplayed);
    assert_eq!(config.policy.registration.app_schemes, ["cursor", "vscode", "vscode-insiders"]);
    let fixed = config.policy.fixed_client.unwrap();
    assert_eq!(fixed.client_id.as_str(), "d685c6a7-5cb9-4612-ba2b-cab12e38d9e0");
    assert_eq!(fixed.redirect_uris[0].as_str(), "http://localhost:8080/callback");
    assert!(config.warnings.is_empty());
    assert_eq!(config.effective.len(), SETTINGS.len());
    assert!(config.effective.iter().all(|setting| setting.source == Source::Default));
}

#[test]
fn every_default_has_the_form_that_the_table_says() {
    for setting in &SETTINGS {
        let Some(text) = setting.default else { continue };
        if text.is_empty() {
            assert_eq!(setting.form, Form::List, "{}", setting.key);
        } else {
            read("", &[(&setting.variable(), text)]).unwrap_or_else(|problems| panic!("{problems:?}"));
        }
    }
}

#[test]
fn the_environment_wins_over_the_file_and_each_value_knows_its_source() {
    let file = "[token]\naccess_ttl = \"20m\"\ncode_ttl = \"30s\"\n\n[registration]\nenabled = false\nper_address = 7\n";
    let config = read(file, &[("DOORWARD__TOKEN__ACCESS_TTL", "10m"), ("PATH", "/bin")]).unwrap();
    assert_eq!(config.policy.token.access_ttl, Seconds::minutes(10));
    assert_eq!(config.policy.token.code_ttl, Seconds::new(30));
    assert!(!config.policy.registration.enabled);
    assert_eq!(config.policy.registration.per_address, 7);
    let shown = |key| effective(&config, key);
    assert_eq!(shown("token.access_ttl"), ("10m".into(), "variable DOORWARD__TOKEN__ACCESS_TTL".into()));
    assert_eq!(shown("token.code_ttl"), ("30s".into(), "doorward.toml line 3".into()));
    assert_eq!(shown("session.idle"), ("30m".into(), "default".into()));
}

#[test]
fn an_unknown_name_stops_the_start_and_names_its_place_and_the_nearest_known_one() {
    for (file, variable, expected) in [
        (
            "[token]\n\nacess_ttl = \"15m\"",
            None,
            "doorward.toml line 3: unknown key \"token.acess_ttl\"; did you mean token.access_ttl?",
        ),
        (
            "[tokn]\naccess_ttl = \"15m\"",
            None,
            "doorward.toml line 1: unknown section \"tokn\"; did you mean token?",
        ),
        ("issuer = \"http://localhost:9000\"", None, "unknown section \"issuer\""),
        ("token = 3", None, "write [token] on a line of its own"),
        (
            "[token.access_ttl]\nminutes = 15",
            None,
            "token.access_ttl (doorward.toml line 1): write a duration",
        ),
        (
            "",
            Some("DOORWARD__TOKEN__ACESS_TTL"),
            "unknown variable DOORWARD__TOKEN__ACESS_TTL; did you mean DOORWARD__TOKEN__ACCESS_TTL?",
        ),
        ("", Some("DOORWARD__token__access_ttl"), "unknown variable DOORWARD__token__access_ttl"),
        ("", Some("DOORWARD__WEATHER__FORECAST_FOR_TOMORROW"), "look the name up in docs/configuration.md"),
    ] {
        let variables: Vec<_> = variable.map(|name| (name, "15m")).into_iter().collect();
        let problems = refused(file, &variables);
        assert!(problems.contains(expected), "{problems}");
    }
}

#[test]
fn a_broken_file_is_named_by_its_line_and_never_quoted() {
    let problems = refused("[store]\nurl = \"postgres://dw:hunter2@db\n", &[]);
    assert!(problems.starts_with("doorward.toml line 2: "), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
    assert!(refused("[token]\naccess_ttl = \"1m\"\naccess_ttl = \"2m\"", &[]).contains("line 3"));
}

#[test]
fn one_start_shows_everything_that_is_wrong() {
    let problems =
        read("[log]\nlevel = \"loud\"\n[limits]\ntoken_failures = 0", &[("DOORWARD__LISTEN", "x")]);
    assert_eq!(problems.unwrap_err().len(), 3);
}

#[test]
fn every_value_that_makes_no_sense_is_refused_with_what_to_write_instead() {
    for (section, line, expected) in [
        ("server", "issuer = \"http://localhost:9000/\"", "without a slash at its end"),
        ("server", "issuer = \"\"", "server.issuer (doorward.toml line 2): write a text in quotes"),
        ("server", "issuer = 9000", "write a text in quotes"),
        ("server", "listen = []", "name at least one address"),
        ("server", "listen = [\"localhost:9000\"]", "\"localhost:9000\": write an IP address and a port"),
        ("server", "listen = [9000]", "write a list of texts"),
        ("server", "trusted_proxies = [\"10.0.0.0/33\"]", "write an IP address or a network"),
        ("server", "allow_insecure_http = \"yes\"", "write true or false"),
        ("store", "url = \"mysql://db\"", "write sqlite:PATH or postgres://"),
        ("store", "url = \"sqlite::memory:\"", "a database in memory would forget"),
        ("store", "url = \"sqlite:\"", "the path of a file"),
        ("store", "url = \"postgres:///doorward\"", "cannot be read"),
        ("store", "url_file = \"/nonexistent/url\"", "name a file that holds the URL"),
        ("ephemeral", "url = \"memcached://localhost\"", "write memory:, redis://HOST or rediss://HOST"),
        ("ephemeral", "url = \"redis:\"", "the Redis URL cannot be read; write redis://"),
        ("ephemeral", "url = \"redis://localhost/first\"", "the Redis URL cannot be read"),
        ("ephemeral", "url = \"rediss://localhost/#insecure\"", "certificates are always verified"),
        ("ephemeral", "url_file = \"/nonexistent/url\"", "name a file that holds the URL"),
        ("token", "access_ttl = 900", "write a duration such as"),
        ("token", "access_ttl = \"0s\"", "write a duration from 1s to 1d"),
        ("token", "access_ttl = \"900\"", "\"900\" is no duration"),
        ("token", "code_ttl = \"11m\"", "from 1s to 10m"),
        ("refresh", "absolute = \"1d\"", "refresh.idle (default): it is longer than refresh.absolute = 1d"),
        ("refresh", "replay_error = \"invalid_grand\"", "did you mean invalid_grant?"),
        ("refresh", "retry_window = \"61s\"", "1m"),
        ("session", "idle = \"13h\"", "longer than session.absolute = 12h"),
        ("registration", "app_schemes = [\"javascript\"]", "remove it"),
        ("registration", "app_schemes = [\"Cursor:\"]", "without a colon"),
        ("registration", "overall = 0", "write a whole number from 1"),
        ("limits", "token_failures = -1", "write a whole number from 1"),
        ("limits", "sign_in_failures = 4294967296", "write a whole number from 1"),
        ("fixed_client", "client_id = \"a b\"", "printable ASCII without space"),
        ("fixed_client", "client_id = \"https://app.test/client.json\"", "means a metadata document"),
        ("fixed_client", "redirect_uris = [\"http://app.test/cb\"]", "use https"),
        ("fixed_client", "redirect_uris = []", "fixed_client.enabled = false"),
        ("log", "format = \"xml\"", "write one of pretty, json"),
    ] {
        let problems = refused(&format!("[{section}]\n{line}"), &[]);
        assert!(problems.contains(expected), "{line}: {problems}");
    }
}

#[test]
fn plain_http_never_leaves_this_machine_by_accident() {
    assert!(refused("[server]\nissuer = \"http://auth.test\"", &[]).contains("in the clear"));
    assert!(refused("[server]\nlisten = \"0.0.0.0:9000\"", &[]).contains("open to other machines"));
    assert!(refused("[server]\nlisten = \"[::]:9000\"", &[]).contains("open to other machines"));
    let allowed =
        "[server]\nissuer = \"http://auth.test\"\nlisten = \"0.0.0.0:9000\"\nallow_insecure_http = true";
    assert!(read(allowed, &[]).is_ok());
    assert!(read("[server]\nissuer = \"https://auth.test\"\nlisten = \"0.0.0.0:9000\"", &[]).is_ok());
}

#[test]
fn a_trusted_proxy_is_an_address_or_a_network() {
    let config = read("", &[("DOORWARD__SERVER__TRUSTED_PROXIES", "10.0.0.7, 10.0.0.0/8,::1")]).unwrap();
    let expected = [("10.0.0.7", 32), ("10.0.0.0", 8), ("::1", 128)];
    assert_eq!(
        config.server.trusted_proxies,
        expected.map(|(address, length)| (address.parse().unwrap(), length))
    );
}

#[test]
fn a_short_access_token_is_allowed_with_a_warning() {
    let config = read("[token]\naccess_ttl = \"5m\"", &[]).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("write 6m or more"), "{:?}", config.warnings);
}

#[test]
fn signing_keys_are_published_before_they_sign_and_live_longer_than_their_tokens() {
    let keys = read("", &[]).unwrap().policy.keys;
    assert_eq!(
        (keys.algorithm, keys.rotate_every, keys.publish_lead),
        (Algorithm::Rs256, Seconds::days(30), Seconds::hours(4))
    );
    assert_eq!(keys.verify_for, Seconds::minutes(70));
    let long = read("[token]\naccess_ttl = \"1d\"\nsigning_algorithm = \"EdDSA\"", &[]).unwrap().policy.keys;
    assert_eq!((long.algorithm, long.verify_for), (Algorithm::EdDsa, Seconds::minutes(24 * 60 + 10)));

    assert!(refused("[token]\nsigning_algorithm = \"rs256\"", &[]).contains("did you mean RS256?"));
    assert!(refused("[keys]\nrotate_every = \"1h\"", &[]).contains("longer than keys.rotate_every = 1h"));
    let hasty = read("[keys]\nrotate_every = \"1m\"\npublish_lead = \"9m\"", &[]);
    assert!(hasty.is_err());
    let hasty = read("[keys]\nrotate_every = \"1m\"\npublish_lead = \"1m\"", &[]).unwrap();
    assert!(hasty.warnings[0].contains("write 10m or more"), "{:?}", hasty.warnings);
    assert!(hasty.warnings[1].contains("rotation will wait"), "{:?}", hasty.warnings);
}

#[test]
fn a_database_password_is_never_shown_nor_repeated_in_an_error() {
    let config = read("", &[("DOORWARD__STORE__URL", "postgres://dw:hunter2@db/doorward")]).unwrap();
    assert_eq!(config.store, Location::Postgres("postgres://dw:hunter2@db/doorward".into()));
    assert_eq!(config.keys.kek_file, Path::new("./data/doorward.kek"));
    assert_eq!(effective(&config, "store.url").0, "postgres://dw:***@db/doorward");
    assert!(!refused("", &[("DOORWARD__STORE__URL", "postgres://dw:hunter2@db:port/x")]).contains("hunter2"));
}

#[test]
fn a_redis_password_is_never_shown_nor_repeated_in_an_error() {
    let url = "rediss://dw:hunter2@redis/3";
    let config = read("", &[("DOORWARD__EPHEMERAL__URL", url)]).unwrap();
    assert_eq!(config.ephemeral, ephemeral::Location::Redis(url.into()));
    assert_eq!(effective(&config, "ephemeral.url").0, "rediss://dw:***@redis/3");
    assert!(!format!("{config:?}").contains("hunter2"));
    for wrong in
        ["redis://dw:hunter2@redis:port", "redis://dw:hunter2@redis/#insecure", "reddis://dw:hunter2@redis"]
    {
        assert!(!refused("", &[("DOORWARD__EPHEMERAL__URL", wrong)]).contains("hunter2"));
    }
}

#[test]
fn the_redis_url_can_come_from_a_file_of_its_own() {
    let path = std::env::temp_dir().join(format!("doorward-config-{}.redis", std::process::id()));
    std::fs::write(&path, "redis://:hunter2@redis\n").unwrap();
    let name = path.display().to_string();
    let config = read("", &[("DOORWARD__EPHEMERAL__URL_FILE", &name)]).unwrap();
    let both = refused("[ephemeral]\nurl = \"memory:\"", &[("DOORWARD__EPHEMERAL__URL_FILE", &name)]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(config.ephemeral, ephemeral::Location::Redis("redis://:hunter2@redis".into()));
    assert_eq!(effective(&config, "ephemeral.url"), ("redis://:***@redis".into(), name));
    assert!(both.contains("keep one of them"), "{both}");
}

#[test]
fn the_database_url_can_come_from_a_file_of_its_own() {
    let path = std::env::temp_dir().join(format!("doorward-config-{}.url", std::process::id()));
    std::fs::write(&path, "postgres://dw:hunter2@db/doorward\n").unwrap();
    let name = path.display().to_string();
    let config = read("", &[("DOORWARD__STORE__URL_FILE", &name)]).unwrap();
    assert_eq!(config.store, Location::Postgres("postgres://dw:hunter2@db/doorward".into()));
    assert_eq!(effective(&config, "store.url"), ("postgres://dw:***@db/doorward".into(), name.clone()));
    let both = refused("[store]\nurl = \"sqlite:x.db\"", &[("DOORWARD__STORE__URL_FILE", &name)]);
    std::fs::remove_file(&path).unwrap();
    assert!(both.contains("keep one of them"), "{both}");
}

#[test]
fn the_key_file_lies_beside_the_database_unless_it_is_named() {
    let config = read("[store]\nurl = \"sqlite:/var/lib/doorward/main.db\"", &[]).unwrap();
    assert_eq!(
        config.keys,
        KeySettings { kek_file: "/var/lib/doorward/main.kek".into(), make_if_missing: true }
    );
    assert_eq!(effective(&config, "keys.kek_file"), ("/var/lib/doorward/main.kek".into(), "default".into()));
    let config = read("[store]\nurl = \"sqlite:odd.kek\"", &[]).unwrap();
    assert_ne!(config.keys.kek_file, Path::new("odd.kek"));
    let config = read("[keys]\nkek_file = \"/etc/doorward/kek\"", &[]).unwrap();
    assert_eq!(config.keys, KeySettings { kek_file: "/etc/doorward/kek".into(), make_if_missing: false });
}

#[test]
fn the_documented_aliases_set_what_they_are_documented_for() {
    let config = read("[registration]\nmax_tier = \"write\"", &[("DCR_MAX_TIER", "read")]).unwrap();
    assert_eq!(effective(&config, "registration.max_tier").1, "variable DCR_MAX_TIER");
    assert_eq!(config.policy.registration.max_tier.as_deref(), Some("read"));
    assert_eq!(read("", &[("DCR_MAX_TIER", "")]).unwrap().policy.registration.max_tier, None);
    let variables = [("IDE_OAUTH_CLIENT_ID", "ide-client"), ("IDE_OAUTH_CALLBACK_PORT", "33418")];
    let config = read("[fixed_client]\nclient_id = \"from-file\"", &variables).unwrap();
    assert_eq!(effective(&config, "fixed_client.client_id").1, "variable IDE_OAUTH_CLIENT_ID");
    let fixed = config.policy.fixed_client.unwrap();
    assert_eq!(fixed.client_id.as_str(), "ide-client");
    assert_eq!(fixed.redirect_uris[0].as_str(), "http://localhost:33418/callback");

    let unset = read("", &[("IDE_OAUTH_CLIENT_ID", ""), ("IDE_OAUTH_CALLBACK_PORT", "0")]).unwrap();
    assert!(unset.effective.iter().all(|setting| setting.source == Source::Default));
    assert!(refused("", &[("IDE_OAUTH_CALLBACK_PORT", "http")]).contains("a port number"));
    for order in [[0, 1], [1, 0]] {
        let both = [("IDE_OAUTH_CLIENT_ID", "a"), ("DOORWARD__FIXED_CLIENT__CLIENT_ID", "a")];
        assert!(refused("", &order.map(|i| both[i])).contains("keep one of them"));
    }
}

#[test]
fn the_fixed_client_can_be_switched_off() {
    assert!(read("[fixed_client]\nenabled = false", &[]).unwrap().policy.fixed_client.is_none());
}

#[test]
fn the_example_file_is_the_default_configuration() {
    let example = include_str!("../../../deploy/doorward.toml");
    let mut values: Vec<_> =
        read(example, &[]).unwrap().effective.iter().map(|e| (e.key.clone(), e.value())).collect();
    let mut defaults: Vec<_> =
        Config::read(None, []).unwrap().effective.iter().map(|e| (e.key.clone(), e.value())).collect();
    values.sort();
    defaults.sort();
    assert_eq!(values, defaults);
    // What is only commented there has to exist too.
    for setting in SETTINGS.iter().chain(&UPSTREAM) {
        let (section, name) = setting.key.split_once('.').unwrap();
        let head =
            if section == "upstream" { "\n# [[upstream]]\n".to_owned() } else { format!("\n[{section}]\n") };
        let text = example.split(&head).nth(1).unwrap_or_else(|| panic!("no section {section}"));
        let text = text.split("\n[").next().unwrap();
        let written =
            text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} =")));
        assert!(written, "{} is not in the example", setting.key);
    }
}

#[test]
fn the_document_of_the_configuration_lists_exactly_the_keys_with_their_defaults() {
    let document = include_str!("../../../docs/configuration.md");
    let rows = document.lines().filter(|line| line.starts_with("| `") && line.contains("`DOORWARD__"));
    let documented: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            (cells[1].to_owned(), cells[4].to_owned(), cells[5].to_owned())
        })
        .collect();
    let of_provider = |variable: String| variable.replace("UPSTREAM__", "UPSTREAM__<ID>__");
    let known: Vec<_> = SETTINGS
        .iter()
        .chain(&UPSTREAM)
        .map(|setting| {
            let default = match setting.default {
                None => "not set",
                Some("") => "none",
                Some(text) => text,
            };
            (setting.key.to_owned(), default.to_owned(), of_provider(setting.variable()))
        })
        .collect();
    assert_eq!(documented, known);
}
