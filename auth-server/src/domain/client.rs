//! Clients: who may ask, and how much anybody knows about them.

use doorward_shared::{
    client_id::ClientId,
    client_metadata::About,
    redirect_uri::RedirectUri,
    secret::{ClientSecret, RegistrationToken, SecretHash},
    time::Timestamp,
    token::{AuthMethod, GrantType},
};
use unicode_segmentation::UnicodeSegmentation;

use super::{backchannel_logout::BackchannelLogout, organization::Place, policy::RegistrationPolicy};

/// A client as it is stored.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its identifier.
    pub id: ClientId,
    /// The name it gave itself, or the administrator gave it; clean it with [`display_name`] before showing it.
    pub name: Option<String>,
    /// How it came here.
    pub origin: Origin,
    /// Where answers may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// Where people may be sent after they signed out, compared exactly.
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// What it may ask the token endpoint for.
    pub grant_types: Vec<GrantType>,
    /// How it proves itself.
    pub credentials: Credentials,
    /// Of a client that registered itself: the hash of what it manages its registration with (RFC 7592).
    pub registration_token: Option<SecretHash<RegistrationToken>>,
    /// The highest tier it can be given, by the administrator's word; `None` sets no bound.
    pub ceiling: Option<String>,
    /// The data it can be given anything for, by the administrator's word; none of them sets no bound.
    pub ceiling_places: Vec<Place>,
    /// Where it is told that a session ended, by the administrator's word.
    pub backchannel_logout: Option<BackchannelLogout>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When an administrator disabled it.
    pub disabled_at: Option<Timestamp>,
    /// Access tokens of it that were issued up to this moment are revoked.
    pub revoked_until: Option<Timestamp>,
    /// What else it says about itself.
    pub about: About,
}

/// How a client came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It registered itself (RFC 7591).
    Dynamic,
    /// Its identifier is the URL of a document in which it describes itself; when that was last read.
    Document(Timestamp),
    /// An administrator registered it.
    Administrator,
    /// The configuration describes it.
    Fixed,
}

impl Origin {
    /// The word in the store and in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Document(_) => "document",
            Self::Administrator => "administrator",
            Self::Fixed => "fixed",
        }
    }
}

/// How a client proves itself.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A public client.
    Public,
    /// A confidential client.
    Confidential {
        /// Where it must send its secret.
        method: ConfidentialMethod,
        /// The hash of its secret.
        secret: SecretHash<ClientSecret>,
        /// The hash of the secret before, while the client is being taught the new one.
        former: Option<SecretHash<ClientSecret>>,
    },
}

/// Where a confidential client sends its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfidentialMethod {
    /// In the body.
    Post,
    /// In a Basic header.
    Basic,
}

/// What the consent page says about the client; decided here, never by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustLabel {
    /// Nobody checked who this is.
    Unverified,
    /// An administrator registered it.
    Registered,
}

/// A client, and what the operator lets clients have that registered themselves.
#[derive(Clone, Copy, Debug)]
pub struct Bounded<'a> {
    /// The client.
    pub client: &'a Client,
    /// The rules about clients that registered themselves.
    pub registration: &'a RegistrationPolicy,
}

impl<'a> Bounded<'a> {
    /// The tiers of which it can be given none beyond any.
    pub fn tiers(self) -> impl Iterator<Item = &'a str> {
        self.client.ceiling.as_deref().into_iter().chain(self.registered_tier())
    }

    /// The highest tier that the operator lets it have, as a client that registered itself.
    pub fn registered_tier(self) -> Option<&'a str> {
        match self.client.origin {
            Origin::Dynamic | Origin::Document(_) => self.registration.max_tier.as_deref(),
            Origin::Administrator | Origin::Fixed => None,
        }
    }
}

impl Client {
    /// The client under these rules about clients that registered themselves.
    pub const fn under<'a>(&'a self, registration: &'a RegistrationPolicy) -> Bounded<'a> {
        Bounded { client: self, registration }
    }

    /// The label on the consent page.
    pub const fn label(&self) -> TrustLabel {
        match self.origin {
            Origin::Dynamic | Origin::Document(_) => TrustLabel::Unverified,
            Origin::Administrator | Origin::Fixed => TrustLabel::Registered,
        }
    }

    /// The host, with an unusual port, of the document in which it describes itself.
    pub fn document_host(&self) -> Option<&str> {
        let document = matches!(self.origin, Origin::Document(_));
        // A document's identifier was read as a URL in its normal form: what stands between `//` and the next `/` is its authority.
        let (_, rest) = self.id.as_str().split_once("//").filter(|_| document)?;
        rest.split('/').next()
    }

    /// The authentication method in the words of RFC 7591.
    pub const fn auth_method(&self) -> AuthMethod {
        match self.credentials {
            Credentials::Public => AuthMethod::None,
            Credentials::Confidential { method: ConfidentialMethod::Post, .. } => {
                AuthMethod::ClientSecretPost
            }
            Credentials::Confidential { method: ConfidentialMethod::Basic, .. } => {
                AuthMethod::ClientSecretBasic
            }
        }
    }
}

impl Credentials {
    /// A new confidential client.
    pub const fn confidential(method: ConfidentialMethod, secret: SecretHash<ClientSecret>) -> Self {
        Self::Confidential { method, secret, former: None }
    }
}

impl TrustLabel {
    /// The value of `data-client-label`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Registered => "registered",
        }
    }
}

/// Longest name that is shown, in graphemes.
const MAX_NAME: usize = 60;

/// A client's name as it may be shown: without control, bidirectional and invisible characters, at most sixty graphemes,
/// and never empty. Markup is the template's business.
pub fn display_name(name: Option<&str>, redirect_host: &str) -> String {
    let visible: String = name.unwrap_or_default().chars().filter(|c| !is_deceptive(*c)).collect();
    let words = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        return format!("(unnamed) {redirect_host}");
    }
    let mut graphemes = words.graphemes(true);
    let short: String = graphemes.by_ref().take(MAX_NAME).collect();
    if graphemes.next().is_some() { format!("{short}…") } else { short }
}

/// True when the name mixes letters of scripts that look alike, as `Сlaude` with a Cyrillic first letter does.
pub fn mixes_scripts(name: &str) -> bool {
    let script = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => Some(0),
        '\u{370}'..='\u{3ff}' => Some(1),
        '\u{400}'..='\u{52f}' => Some(2),
        '\u{530}'..='\u{58f}' => Some(3),
        _ => None,
    };
    let mut scripts = name.chars().filter_map(script);
    scripts.next().is_some_and(|first| scripts.any(|other| other != first))
}

fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_plays_with_the_eye_is_made_plain() {
        assert_eq!(display_name(Some("Claude\u{202e}edoC"), "x"), "ClaudeedoC");
        assert_eq!(display_name(Some("Cla\u{200b}ude\n Code"), "x"), "Claude Code");
        assert_eq!(display_name(Some(" \u{200b}\t"), "app.test"), "(unnamed) app.test");
        assert_eq!(display_name(None, "app.test"), "(unnamed) app.test");
        assert_eq!(display_name(Some(&"é".repeat(300)), "x"), format!("{}…", "é".repeat(60)));
    }

    #[test]
    fn a_name_of_two_scripts_is_noticed() {
        assert!(mixes_scripts("\u{421}laude"));
        assert!(!mixes_scripts("Claude Code 2"));
        assert!(!mixes_scripts("\u{41a}\u{43b}\u{43e}\u{434}"));
    }
}
