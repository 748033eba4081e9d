//! The pages on which people look after their own accounts.

pub(in crate::http) mod api_keys;
pub(in crate::http) mod apps;
pub(in crate::http) mod passkeys;
pub(in crate::http) mod password;
pub(in crate::http) mod providers;
pub(in crate::http) mod second_factor;
pub(in crate::http) mod sessions;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use doorward_shared::form::Form;

use super::{Posted, see_other, store_trouble};
use crate::{
    domain::{api_key::State, session::SignedIn},
    flows::{account, login::signed_in},
    http::{
        Data, Site,
        cookies::{self, Browser, Which},
        csrf::{self, Purpose},
        endpoints::{Name, path},
        extract::PageForm,
        pages::account::{Overview, Shell, overview},
    },
    store::StoreError,
};

/// One of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Section {
    Overview,
    Apps,
    Password,
    Passkeys,
    SecondFactor,
    Sessions,
    Keys,
    /// Only where there are upstream providers.
    Providers,
    /// No page of the menu: what a sign-in upstream goes on with once the account here is proved.
    Link,
}

impl Section {
    /// Every page, in the order of the menu.
    pub(in crate::http) const ALL: [Self; 8] = [
        Self::Overview,
        Self::Apps,
        Self::Keys,
        Self::Password,
        Self::Passkeys,
        Self::SecondFactor,
        Self::Providers,
        Self::Sessions,
    ];

    /// The word for it where a sign-in says what comes after.
    pub(in crate::http) const fn word(self) -> &'static str {
        match self {
            Self::Overview => "account",
            Self::Apps => "apps",
            Self::Password => "password",
            Self::Passkeys => "passkeys",
            Self::SecondFactor => "code",
            Self::Sessions => "sessions",
            Self::Keys => "keys",
            Self::Providers => "providers",
            Self::Link => "link",
        }
    }

    /// Reads the word.
    pub(in crate::http) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Link]).find(|section| section.word() == word)
    }

    /// The heading of the menu.
    pub(in crate::http) const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Account",
            Self::Apps => "Connected apps",
            Self::Password => "Password",
            Self::Passkeys => "Passkeys",
            Self::SecondFactor => "Second factor",
            Self::Sessions => "Sessions",
            Self::Keys => "API keys",
            Self::Providers => "Linked accounts",
            Self::Link => "Link",
        }
    }

    /// Its endpoint.
    pub(in crate::http) const fn name(self) -> Name {
        match self {
            Self::Overview => Name::Account,
            Self::Apps => Name::AccountApps,
            Self::Password => Name::AccountPassword,
            Self::Passkeys => Name::AccountPasskeys,
            Self::SecondFactor => Name::AccountCode,
            Self::Sessions => Name::AccountSessions,
            Self::Keys => Name::AccountKeys,
            Self::Providers => Name::AccountProviders,
            Self::Link => Name::LoginLink,
        }
    }
}

/// Somebody who is signed in, at one of the pages.
struct Visit {
    person: SignedIn,
    browser: Browser,
    section: Section,
    tag: String,
    sign_out: String,
    note: Option<String>,
}

impl Visit {
    /// Finds who is there. The error is the way to the sign-in page.
    async fn find(site: &Site, request: &HttpRequest, section: Section) -> Result<Self, Box<HttpResponse>> {
        let issuer = &site.context.policy.issuer;
        let browser = cookies::browser(request, issuer, site.context.entropy.as_ref());
        let session = cookies::read(request, issuer, Which::Session);
        let person = person(site, session.as_deref(), section).await?;
        let query = Form::parse(request.query_string()).unwrap_or_default();
        let note = query.one("done").ok().flatten().and_then(done).map(String::from);
        Ok(Self::of(site, person, browser, session.as_deref(), section, note))
    }

    fn of(
        site: &Site,
        person: SignedIn,
        browser: Browser,
        session: Option<&str>,
        section: Section,
        note: Option<String>,
    ) -> Self {
        let tag = csrf::tag(&site.forms, &browser.secret, &Purpose::Account(session));
        let sign_out = csrf::tag(&site.forms, &browser.secret, &Purpose::SignOut);
        Self { person, browser, section, tag, sign_out, note }
    }

    /// What every page needs.
    fn shell<'a>(&'a self, site: &Site, problem: Option<&'a str>) -> Shell<'a> {
        let now = site.context.now();
        Shell {
            section: self.section,
            user: &self.person.user,
            csrf: &self.tag,
            sign_out_csrf: &self.sign_out,
            note: self.note.as_deref(),
            problem,
            fresh: self.person.session.is_fresh(now),
            now,
        }
    }

    /// Adds what the browser has to remember.
    fn dress(&self, mut response: HttpResponse) -> HttpResponse {
        if let Some(cookie) = &self.browser.fresh {
            let _added = response.add_cookie(cookie);
        }
        response
    }
}

/// A form of one of the pages, and who sent it.
struct Sent {
    posted: Posted,
    person: SignedIn,
    device: Option<String>,
    section: Section,
}

impl Sent {
    /// Reads a form and finds who sent it. The error is the page that says why it is not taken.
    async fn read(
        site: &Site,
        request: &HttpRequest,
        form: PageForm,
        section: Section,
    ) -> Result<Self, Box<HttpResponse>> {
        let posted = Posted::read(site, request, form, |_, session| Purpose::Account(session))?;
        let person = person(site, posted.session.as_deref(), section).await?;
        let device = cookies::read(request, &site.context.policy.issuer, Which::Device);
        Ok(Self { posted, person, device, section })
    }

    /// Back to the page, which says what was done.
    fn done(&self, site: &Site, word: &str) -> HttpResponse {
        see_other(&format!("{}?done={word}", path(&site.context.policy, self.section.name())))
    }

    /// The page once more, without having done anything.
    fn again(self, site: &Site) -> Visit {
        let Self { posted, person, section, .. } = self;
        Visit::of(site, person, posted.browser, posted.session.as_deref(), section, None)
    }
}

async fn person(site: &Site, session: Option<&str>, section: Section) -> Result<SignedIn, Box<HttpResponse>> {
    let found = signed_in(&site.context, session, site.context.now()).await;
    match found.map_err(|error| Box::new(store_trouble(site, &error)))? {
        Some(person) => Ok(person),
        None => Err(Box::new(see_other(&sign_in_again(site, section)))),
    }
}

/// Where somebody proves anew who they are, to come back to a page.
pub(in crate::http) fn sign_in_again(site: &Site, section: Section) -> String {
    format!("{}?then={}", path(&site.context.policy, Name::Login), section.word())
}

/// What a page says was done. Words that are not in the list say nothing.
fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "password" => "The password is changed. Your other sessions are ended.",
        "session" => "That session is ended.",
        "session_gone" => "That session was over already.",
        "key" => "That key is revoked.",
        "key_gone" => "That key was revoked already.",
        "others" => "All your other sessions are ended.",
        "passkey" => "The passkey is added. You can sign in with it from now on.",
        "passkey_renamed" => "The passkey has its new name.",
        "passkey_removed" => {
            "The passkey is removed: nobody signs in with it any more. Remove it on your device too."
        }
        "unlinked" => "That account is not linked any more. What you allowed while signed in there is ended.",
        "code_off" => "The second factor is off. Remove it from your app too.",
        "narrowed" => {
            "It may do less from now on. Resource servers that listen refuse what it may not do any more."
        }
        "extended" => "The access goes on for longer.",
        "revoked" => "The access is ended, everywhere: resource servers that listen refuse it from now on.",
        "stale" => "Nothing was changed: the page was too old. Here is a fresh one.",
        _ => return None,
    })
}

/// Shows the overview.
pub(in crate::http) async fn get(site: Data, request: HttpRequest) -> HttpResponse {
    let visit = match Visit::find(&site, &request, Section::Overview).await {
        Ok(visit) => visit,
        Err(page) => return *page,
    };
    match look(&site, &visit.person).await {
        Ok(all) => visit.dress(overview(&site, &visit.shell(&site, None), &all, StatusCode::OK)),
        Err(error) => store_trouble(&site, &error),
    }
}

async fn look(site: &Site, person: &SignedIn) -> Result<Overview, StoreError> {
    let (ctx, now) = (&site.context, site.context.now());
    let keys = account::api_keys::list(ctx, person).await?;
    Ok(Overview {
        providers: account::providers::list(ctx, person).await?.len(),
        keys: keys.iter().filter(|key| key.state(now) == State::Active).count(),
        apps: account::apps::list(ctx, person).await?.len(),
        sessions: account::sessions::list(ctx, person).await?.len(),
        passkeys: ctx.store.passkeys_of(&person.user.id).await?.len(),
        second_factor: account::second_factor::state(ctx, person).await?,
    })
}
