//! What people prove themselves with: passkeys and the second factor, and the steps of a sign-in that ask for them.

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;
use qrcode::{Color, QrCode};

use super::{
    Frame,
    account::{Link, Shell, links, sign_out},
    frame, html,
    words::Moment,
};
use crate::{
    domain::{
        passkey::{ALGORITHMS, Passkey, rp_id},
        totp::RECOVERY_CODES,
        user::User,
    },
    flows::account::second_factor,
    http::{
        Site,
        browser::account::sign_in_again,
        endpoints::{Name, PASSKEY_SCRIPT, path},
    },
};

/// Where the second factor stands.
pub(in crate::http) enum State {
    /// There is none.
    Off,
    /// There is none, and this is one to set up.
    Offer(Picture),
    /// There is one, and so many recovery codes are left.
    On(u64),
    /// These are the recovery codes.
    Codes(Vec<String>),
}

/// A seed as an app reads it.
pub(in crate::http) struct Picture {
    size: usize,
    path: String,
    text: String,
    sealed: String,
}

impl State {
    /// A seed to set up.
    pub(in crate::http) fn offer(site: &Site, user: &User, offer: &second_factor::Offer) -> Self {
        let host = site.context.policy.issuer.as_str();
        let host = host.split_once("://").map_or(host, |(_, host)| host);
        let (size, path) = picture(&offer.seed.uri(host, user.email.as_str()));
        let groups: Vec<_> =
            offer.seed.text().as_bytes().chunks(4).map(String::from_utf8_lossy).map(String::from).collect();
        Self::Offer(Picture { size, path, text: groups.join(" "), sealed: offer.sealed.clone() })
    }
}

/// The squares of a QR code as one path, and how wide it is with the quiet zone around it.
fn picture(text: &str) -> (usize, String) {
    const QUIET: usize = 4;
    // An address and a seed are far below the most that a code can hold; an empty picture would still have the text below.
    let Ok(code) = QrCode::new(text) else { return (1, String::new()) };
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let path = dark.fold(String::new(), |path, (i, _)| {
        path + &format!("M{} {}h1v1h-1z", i % width + QUIET, i / width + QUIET)
    });
    (width + 2 * QUIET, path)
}

/// The form of the second step.
#[derive(Debug)]
pub(in crate::http) struct CodePage<'a> {
    pub(in crate::http) request: &'a str,
    pub(in crate::http) then: Option<&'a str>,
    pub(in crate::http) half: &'a str,
    pub(in crate::http) problem: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "login_code.html")]
struct LoginCodeTemplate<'a> {
    frame: Frame,
    action: String,
    csrf: &'a str,
    page: &'a CodePage<'a>,
}

#[derive(Template)]
#[template(path = "account_code.html")]
struct CodeTemplate<'a> {
    frame: Frame,
    links: Vec<Link>,
    sign_out: String,
    shell: &'a Shell<'a>,
    action: String,
    again: String,
    state: State,
    total: usize,
}

#[derive(Template)]
#[template(path = "account_passkeys.html")]
struct PasskeysTemplate<'a> {
    frame: Frame,
    links: Vec<Link>,
    sign_out: String,
    shell: &'a Shell<'a>,
    action: String,
    again: String,
    script: String,
    rows: Vec<PasskeyRow<'a>>,
    challenge: Option<&'a str>,
    rp: &'a str,
    known: String,
    algorithms: String,
}

struct PasskeyRow<'a> {
    id: &'a str,
    name: &'a str,
    added: Moment,
    used: Option<Moment>,
}

/// The address of the script, which changes with its content.
pub(in crate::http) fn script(site: &Site) -> String {
    let version = super::version_of(super::PASSKEY);
    format!("{}{PASSKEY_SCRIPT}?v={version}", site.context.policy.issuer.path())
}

pub(in crate::http) fn login_code(
    site: &Site,
    page: &CodePage<'_>,
    csrf: &str,
    status: StatusCode,
) -> HttpResponse {
    let action = path(&site.context.policy, Name::LoginCode);
    html(status, &LoginCodeTemplate { frame: frame(site), action, csrf, page })
}

pub(in crate::http) fn code(
    site: &Site,
    shell: &Shell<'_>,
    state: State,
    status: StatusCode,
) -> HttpResponse {
    let template = CodeTemplate {
        frame: frame(site),
        links: links(site, shell.section),
        sign_out: sign_out(site),
        shell,
        action: path(&site.context.policy, shell.section.name()),
        again: sign_in_again(site, shell.section),
        state,
        total: RECOVERY_CODES,
    };
    html(status, &template)
}

pub(in crate::http) fn passkeys(
    site: &Site,
    shell: &Shell<'_>,
    all: &[Passkey],
    challenge: Option<&str>,
    status: StatusCode,
) -> HttpResponse {
    let policy = &site.context.policy;
    let row = |passkey| PasskeyRow::of(passkey, shell);
    let template = PasskeysTemplate {
        frame: frame(site),
        links: links(site, shell.section),
        sign_out: sign_out(site),
        shell,
        action: path(policy, shell.section.name()),
        again: sign_in_again(site, shell.section),
        script: script(site),
        rows: all.iter().map(row).collect(),
        challenge,
        rp: rp_id(&policy.issuer).unwrap_or_default(),
        known: all.iter().map(|passkey| passkey.id.as_str()).collect::<Vec<_>>().join(" "),
        algorithms: ALGORITHMS.map(|alg| alg.to_string()).join(" "),
    };
    html(status, &template)
}

impl<'a> PasskeyRow<'a> {
    fn of(passkey: &'a Passkey, shell: &Shell<'_>) -> Self {
        Self {
            id: &passkey.id,
            name: &passkey.name,
            added: Moment::of(passkey.created_at, shell.now),
            used: passkey.last_used_at.map(|at| Moment::of(at, shell.now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_quiet_zone_and_its_three_corners() {
        let (size, path) =
            picture("otpauth://totp/as.test:a%40x.test?secret=GEZDGNBVGY3TQOJQ&issuer=as.test");
        assert!(size > 29 && path.starts_with("M4 4h1v1h-1z"), "{size} {path}");
        let last = size - 5;
        assert!(path.contains(&format!("M{last} 4h1")) && path.contains(&format!("M4 {last}h1")));
        assert!(!path.contains(&format!("M{} ", size - 4)));
    }
}
