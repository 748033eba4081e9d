//! Providers in the file and in the environment.

use super::*;
use crate::config::tests::{read, refused};

const CORP: &str = "[[upstream]]\nid = \"corp\"\nissuer = \"https://idp.test/realms/a\"\nclient_id = \"doorward\"\nclient_secret = \"s3cret\"\n";

#[test]
fn a_provider_is_a_table_with_an_id_and_the_rest_has_defaults_by_dialect() {
    let config = read(&format!("{CORP}dialect = \"cognito\"\n"), &[]).unwrap();
    let [corp] = &config.upstream[..] else { panic!("one provider") };
    assert_eq!(corp.provider.title, "corp");
    assert_eq!(corp.provider.groups_claim.as_str(), "cognito:groups");
    assert_eq!(corp.scopes, ["openid", "email", "profile"]);
    assert!(corp.provider.trust_email && corp.provider.create_accounts);
    assert_eq!(corp.provider.email_verified, EmailVerified::Claim);
    assert!(!corp.provider.email_from_username);
    assert_eq!(corp.provider.max_stale, Seconds::hours(24));
    assert_eq!(config.policy.upstream.len(), 1);
    assert!(config.warnings.is_empty());
}

#[test]
fn variables_alone_make_a_provider_and_win_over_the_file() {
    let variables = [
        ("DOORWARD__UPSTREAM__MY_CORP__ISSUER", "https://idp.test"),
        ("DOORWARD__UPSTREAM__MY_CORP__CLIENT_ID", "dw"),
        ("DOORWARD__UPSTREAM__MY_CORP__CLIENT_SECRET", "s3cret"),
        ("DOORWARD__UPSTREAM__MY_CORP__DIALECT", "okta"),
        ("DOORWARD__UPSTREAM__CORP__TITLE", "Corporation"),
    ];
    let config = read(CORP, &variables).unwrap();
    let titles: Vec<_> = config.upstream.iter().map(|one| one.provider.title.as_str()).collect();
    assert_eq!(titles, ["Corporation", "my-corp"]);
    assert!(config.upstream[1].scopes.contains(&"offline_access".to_owned()));
}

#[test]
fn the_report_names_every_setting_of_a_provider_and_no_secret() {
    let config = read(CORP, &[]).unwrap();
    let shown = |key: &str| config.effective.iter().find(|one| one.key == key).and_then(Effective::value);
    assert_eq!(shown("upstream.corp.issuer").as_deref(), Some("https://idp.test/realms/a"));
    assert_eq!(shown("upstream.corp.client_secret").as_deref(), Some("***"));
    assert_eq!(shown("upstream.corp.scopes").as_deref(), Some("openid,email,profile,offline_access"));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn what_is_wrong_with_a_provider_is_said_with_what_to_write_instead() {
    for (file, expected) in [
        (format!("{CORP}isuer = \"x\"\n"), "unknown key \"upstream.isuer\"; did you mean upstream.issuer?"),
        (CORP.replace("\"corp\"", "\"Corp\""), "give the provider an id"),
        (CORP.replace("id = \"corp\"\n", ""), "give the provider an id"),
        (format!("{CORP}{CORP}"), "there are two providers \"corp\""),
        (CORP.replace("https:", "http:"), "write an https issuer"),
        (CORP.replace("issuer = \"https://idp.test/realms/a\"\n", ""), "upstream corp: issuer is missing"),
        (CORP.replace("client_secret = \"s3cret\"\n", ""), "DOORWARD__UPSTREAM__CORP__CLIENT_SECRET"),
        (format!("{CORP}client_secret_file = \"/nowhere\"\n"), "keep one of them"),
        (format!("{CORP}dialect = \"keycloack\"\n"), "did you mean keycloak?"),
        (format!("{CORP}scopes = [\"email\"]\n"), "without openid"),
        (format!("{CORP}groups_claim = \"a..b\"\n"), "is no path of a claim"),
        (
            format!("{CORP}email_from_username = true\nemail_verified = \"assumed\"\n"),
            "only with dialect = \"entra\"",
        ),
        (format!("{CORP}email_from_username = true\ndialect = \"entra\"\n"), "only with dialect = \"entra\""),
        (format!("{CORP}max_stale = \"soon\"\n"), "\"soon\" is no duration"),
        ("[upstream]\nid = \"corp\"\n".to_owned(), "write [[upstream]]"),
    ] {
        let problems = refused(&file, &[]);
        assert!(problems.contains(expected), "{file}: {problems}");
        assert!(!problems.contains("s3cret"), "{problems}");
    }
    for (variable, expected) in [
        ("DOORWARD__UPSTREAM__CORP__ISUER", "did you mean DOORWARD__UPSTREAM__CORP__ISSUER?"),
        ("DOORWARD__UPSTREAM__ISSUER", "unknown variable DOORWARD__UPSTREAM__ISSUER"),
    ] {
        let problems = refused(CORP, &[(variable, "https://idp.test")]);
        assert!(problems.contains(expected), "{problems}");
    }
}

#[test]
fn what_a_dialect_needs_or_refuses_is_warned_of() {
    let warned = |more: &str| read(&format!("{CORP}{more}"), &[]).unwrap().warnings.join("\n");
    assert!(warned("dialect = \"okta\"\nscopes = [\"openid\"]\n").contains("there is no refresh token"));
    let cognito = "dialect = \"cognito\"\nscopes = [\"openid\", \"offline_access\"]\n";
    assert!(warned(cognito).contains("Cognito refuses offline_access"));
    assert_eq!(warned("dialect = \"entra\"\n"), "");
}

#[test]
fn several_providers_whose_groups_could_be_taken_for_each_others_are_named() {
    let of = |id: &str, prefix: &str| {
        let line = if prefix.is_empty() { String::new() } else { format!("group_prefix = \"{prefix}\"\n") };
        format!("{}{line}", CORP.replace("\"corp\"", &format!("\"{id}\"")))
    };
    let warnings = |file: &str| read(file, &[]).unwrap().warnings;
    assert!(warnings(&of("corp", "")).is_empty(), "one provider alone");
    assert!(warnings(&(of("corp", "corp:") + &of("partner", "partner:"))).is_empty());
    for (first, second, named) in [
        ("", "partner:", "groups of corp may"),
        ("corp:", "", "groups of partner may"),
        ("", "", "groups of corp, partner may"),
        ("c", "corp:", "groups of corp may"),
        ("x:", "x:", "groups of corp, partner may"),
    ] {
        let warnings = warnings(&(of("corp", first) + &of("partner", second)));
        assert!(warnings.len() == 1 && warnings[0].contains(named), "{first:?} {second:?}: {warnings:?}");
    }
    assert!(refused(&of("corp", &"x".repeat(65)), &[]).contains("write at most 64 characters"));
}
