//! Admin keys: what a program may do with the admin API, and for how long.

use std::fmt;

use doorward_shared::{
    secret::{AdminKey as AdminKeyKind, SecretHash},
    time::Timestamp,
};

use super::{
    audit::Actor,
    ids::{AdminKeyId, UserId},
    user::User,
};

/// A key as it is stored.
#[derive(Clone, Debug)]
pub struct AdminKey {
    /// Its identifier.
    pub id: AdminKeyId,
    /// What it is for, in somebody's words.
    pub name: String,
    /// Hash of the secret.
    pub hash: SecretHash<AdminKeyKind>,
    /// What it may do.
    pub permissions: Permissions,
    /// Who made it.
    pub maker: Maker,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Who made a key. A key is worth no more than its maker: it stops working with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Somebody at the command line of the server's machine.
    Operator,
    /// An administrator.
    User(UserId),
    /// Another key.
    AdminKey(AdminKeyId),
}

impl Maker {
    /// The identifier, where there is one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Operator => None,
            Self::User(id) => Some(id.as_str()),
            Self::AdminKey(id) => Some(id.as_str()),
        }
    }

    /// Reads the identifier.
    pub fn from_id(id: Option<&str>) -> Option<Self> {
        match id {
            None => Some(Self::Operator),
            Some(id) => {
                UserId::parse(id).map(Self::User).or_else(|| AdminKeyId::parse(id).map(Self::AdminKey))
            }
        }
    }

    /// The maker that an actor of the audit trail is. `None`: nobody of this kind makes keys.
    pub fn of(actor: &Actor) -> Option<Self> {
        match actor {
            Actor::Operator => Some(Self::Operator),
            Actor::User(id) => Some(Self::User(id.clone())),
            Actor::AdminKey(id) => Some(Self::AdminKey(id.clone())),
            Actor::Client(_) | Actor::Server | Actor::Stranger => None,
        }
    }
}

macro_rules! nouns {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// What the admin API is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Noun {
            $($(#[$doc])* $name,)*
        }

        impl Noun {
            /// Every noun.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in permissions.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

nouns! {
    /// Grants.
    Grants = "grants";
    /// Accounts.
    Users = "users";
    /// Browser sessions.
    Sessions = "sessions";
    /// Clients.
    Clients = "clients";
    /// Resource servers.
    Resources = "resources";
    /// Organizations and their nodes.
    Organizations = "organizations";
    /// Rules about who may do what where.
    Entitlements = "entitlements";
    /// Signing keys.
    Keys = "keys";
    /// The audit trail.
    Audit = "audit";
    /// Admin keys.
    AdminKeys = "admin-keys";
    /// API keys of people.
    ApiKeys = "api-keys";
    /// How the server is doing.
    Status = "status";
}

/// What is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Looking.
    Read,
    /// Changing. It does not include looking.
    Write,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// The word in permissions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl Noun {
    /// What can be done with it.
    pub const fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Audit | Self::Status => &[Verb::Read],
            _ => &Verb::ALL,
        }
    }
}

/// What one deed needs, for example `grants:write`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need(pub Noun, pub Verb);

impl Need {
    /// Every need there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Noun::ALL.iter().flat_map(|noun| noun.verbs().iter().map(|verb| Self(*noun, *verb)))
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.as_str(), self.1.as_str())
    }
}

/// One thing that a key is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdminPermission {
    /// `*`: everything.
    Everything,
    /// `*:read`, `*:write`: this, with everything.
    All(Verb),
    /// `grants:read` and so on.
    One(Need),
}

impl AdminPermission {
    /// Every permission there is.
    pub fn all() -> Vec<Self> {
        let wide = [Self::Everything].into_iter().chain(Verb::ALL.map(Self::All));
        wide.chain(Need::all().map(Self::One)).collect()
    }

    /// Reads a permission.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().into_iter().find(|permission| permission.to_string() == text)
    }

    fn allows(self, need: Need) -> bool {
        match self {
            Self::Everything => true,
            Self::All(verb) => verb == need.1,
            Self::One(one) => one == need,
        }
    }

    /// True when whoever has this has `other` too.
    fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::All(verb), Self::All(other) | Self::One(Need(_, other))) => verb == other,
            (Self::One(one), Self::One(other)) => one == other,
            (Self::All(_) | Self::One(_), _) => false,
        }
    }
}

impl fmt::Display for AdminPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("*"),
            Self::All(verb) => write!(f, "*:{}", verb.as_str()),
            Self::One(need) => need.fmt(f),
        }
    }
}

/// What a key is allowed in all: sorted, without repetition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions(Vec<AdminPermission>);

/// The text is no permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermissionSyntax {
    /// There is none like this.
    #[error("there is no permission {0:?}; there are: {known}", known = known())]
    Unknown(String),
    /// There is none at all.
    #[error("name at least one permission; there are: {known}", known = known())]
    None,
}

fn known() -> String {
    AdminPermission::all().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Permissions {
    /// Reads a list of permissions.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, PermissionSyntax> {
        let read = |text: &str| {
            AdminPermission::parse(text).ok_or_else(|| PermissionSyntax::Unknown(text.to_owned()))
        };
        let mut all = texts.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        all.sort_unstable();
        all.dedup();
        if all.is_empty() { Err(PermissionSyntax::None) } else { Ok(Self(all)) }
    }

    /// The permissions.
    pub fn iter(&self) -> impl Iterator<Item = AdminPermission> {
        self.0.iter().copied()
    }

    /// True when they are enough for this.
    pub fn allow(&self, need: Need) -> bool {
        self.iter().any(|permission| permission.allows(need))
    }

    /// True when they are everything, now and in later versions.
    pub fn are_everything(&self) -> bool {
        self.0.contains(&AdminPermission::Everything)
    }

    /// The first of `others` that whoever has these does not have.
    fn lack(&self, others: &Self) -> Option<AdminPermission> {
        others.iter().find(|other| !self.iter().any(|own| own.covers(*other)))
    }
}

/// A key that somebody presented, with everything its worth depends on.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The key.
    pub key: AdminKey,
    /// The keys by which it was made, its own maker first.
    pub makers: Vec<AdminKey>,
    /// The administrator who made the first of them.
    pub person: Option<User>,
}

/// Why a key is not good for something. For the log, and for its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It was revoked.
    #[error("the admin key was revoked")]
    Revoked,
    /// It is past its time.
    #[error("the admin key has expired")]
    Expired,
    /// Whoever made it was revoked, disabled, or is gone.
    #[error("whoever made the admin key may not use this server any more")]
    MakerGone,
    /// It was made for other things.
    #[error("the admin key has no permission {0}")]
    Missing(Need),
}

impl AdminKey {
    fn state(&self, now: Timestamp) -> Result<(), NotAllowed> {
        if self.revoked_at.is_some() {
            Err(NotAllowed::Revoked)
        } else if self.expires_at.is_some_and(|end| now >= end) {
            Err(NotAllowed::Expired)
        } else {
            Ok(())
        }
    }

    /// True when its use should be written down: at most once a minute.
    pub fn wants_touch(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| now.since(last).get() >= 60)
    }
}

/// Is the key worth anything now?
pub fn is_live(presented: &Presented, now: Timestamp) -> Result<(), NotAllowed> {
    let Presented { key, makers, person } = presented;
    key.state(now)?;
    let root = makers.last().unwrap_or(key);
    let administers = |user: &User| user.admin_since.is_some() && user.disabled_at.is_none();
    let made_well = match &root.maker {
        Maker::Operator => true,
        Maker::User(id) => person.as_ref().is_some_and(|person| person.id == *id && administers(person)),
        Maker::AdminKey(_) => false,
    };
    // A key does not outlive its maker, so one that has expired made none that is still alive.
    if !made_well || makers.iter().any(|maker| maker.state(now).is_err()) {
        return Err(NotAllowed::MakerGone);
    }
    Ok(())
}

/// The one question that every deed with a key asks: may this key do this, now?
pub fn may(presented: &Presented, need: Need, now: Timestamp) -> Result<(), NotAllowed> {
    is_live(presented, now)?;
    if presented.key.permissions.allow(need) { Ok(()) } else { Err(NotAllowed::Missing(need)) }
}

/// Why no key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    /// The making key does not have this itself.
    #[error("a key makes no key that may do more than itself; it does not have {0}")]
    Wider(AdminPermission),
    /// The making key ends earlier.
    #[error("a key makes no key that lives longer than itself; choose an earlier end")]
    Longer,
}

/// May a key make one with these permissions and this end?
pub fn may_make(
    maker: &AdminKey,
    permissions: &Permissions,
    expires_at: Option<Timestamp>,
) -> Result<(), NotMade> {
    if let Some(more) = maker.permissions.lack(permissions) {
        return Err(NotMade::Wider(more));
    }
    match (maker.expires_at, expires_at) {
        (Some(own), Some(wanted)) if wanted > own => Err(NotMade::Longer),
        (Some(_), None) => Err(NotMade::Longer),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use doorward_shared::secret::SystemEntropy;
    use doorward_shared::time::Seconds;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fixture::{self, NOW};
    use crate::domain::key_life::KeyLife;

    fn permissions(text: &str) -> Permissions {
        Permissions::parse(text.split(' ')).unwrap()
    }

    fn key(text: &str) -> AdminKey {
        AdminKey {
            id: AdminKeyId::generate(NOW, &SystemEntropy),
            name: "Nightly".to_owned(),
            hash: fixture::hash(),
            permissions: permissions(text),
            maker: Maker::Operator,
            created_at: NOW,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    }

    fn alone(key: AdminKey) -> Presented {
        Presented { key, makers: Vec::new(), person: None }
    }

    const READ: Need = Need(Noun::Grants, Verb::Read);

    #[test]
    fn a_permission_is_good_for_what_it_says_and_nothing_else() {
        let allowed = |text: &str| {
            let needs = Need::all().filter(|need| permissions(text).allow(*need));
            needs.map(|need| need.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(allowed("grants:read"), ["grants:read"]);
        assert_eq!(allowed("grants:write users:read"), ["grants:write", "users:read"]);
        assert_eq!(allowed("*").len(), Need::all().count());
        assert_eq!(allowed("*:read").len(), Noun::ALL.len());
        assert!(allowed("*:write").iter().all(|need| need.ends_with(":write")));
    }

    #[test]
    fn every_permission_reads_back_and_nothing_else_reads() {
        for permission in AdminPermission::all() {
            assert_eq!(AdminPermission::parse(&permission.to_string()), Some(permission));
        }
        for text in ["", "grants", "grants:", "grants:*", "grants:delete", "**", " *", "*:*", "GRANTS:read"] {
            assert_eq!(AdminPermission::parse(text), None, "{text:?}");
        }
        assert_eq!(Permissions::parse([]), Err(PermissionSyntax::None));
        assert!(Permissions::parse(["grants:read", "x"]).unwrap_err().to_string().contains("*:read"));
        assert_eq!(permissions("users:read * users:read").iter().count(), 2);
    }

    #[test]
    fn a_key_ends_by_revocation_and_by_time() {
        assert_eq!(may(&alone(key("*")), READ, NOW), Ok(()));
        assert_eq!(may(&alone(key("users:read")), READ, NOW), Err(NotAllowed::Missing(READ)));
        let revoked = AdminKey { revoked_at: Some(NOW), ..key("*") };
        assert_eq!(may(&alone(revoked), READ, NOW), Err(NotAllowed::Revoked));
        let week = AdminKey { expires_at: KeyLife::Week.end(NOW), ..key("*") };
        let last = NOW.plus(Seconds::days(7)).minus(Seconds::new(1));
        assert_eq!(may(&alone(week.clone()), READ, last), Ok(()));
        assert_eq!(may(&alone(week), READ, NOW.plus(Seconds::days(7))), Err(NotAllowed::Expired));
    }

    #[test]
    fn a_key_is_worth_no_more_than_whoever_made_it() {
        let person = User { admin_since: Some(NOW), ..fixture::user() };
        let first = AdminKey { maker: Maker::User(person.id.clone()), ..key("*") };
        let second = AdminKey { maker: Maker::AdminKey(first.id.clone()), ..key("*") };
        let by = |person: Option<User>, first: &AdminKey| Presented {
            key: second.clone(),
            makers: vec![first.clone()],
            person,
        };
        assert_eq!(may(&by(Some(person.clone()), &first), READ, NOW), Ok(()));
        let revoked = AdminKey { revoked_at: Some(NOW), ..first.clone() };
        let disabled = User { disabled_at: Some(NOW), ..person.clone() };
        let ordinary = User { admin_since: None, ..person.clone() };
        let other = User { admin_since: Some(NOW), ..fixture::user() };
        for (person, first) in [
            (Some(person), &revoked),
            (Some(disabled), &first),
            (Some(ordinary), &first),
            (Some(other), &first),
            (None, &first),
        ] {
            assert_eq!(may(&by(person, first), READ, NOW), Err(NotAllowed::MakerGone));
        }
        let orphan = Presented { makers: Vec::new(), ..by(None, &first) };
        assert_eq!(may(&orphan, READ, NOW), Err(NotAllowed::MakerGone));
    }

    #[test]
    fn a_key_makes_none_that_may_do_more_or_lives_longer() {
        let maker = AdminKey { expires_at: KeyLife::Month.end(NOW), ..key("*:read admin-keys:write") };
        let week = KeyLife::Week.end(NOW);
        assert_eq!(may_make(&maker, &permissions("grants:read"), week), Ok(()));
        assert_eq!(may_make(&maker, &permissions("*:read"), KeyLife::Month.end(NOW)), Ok(()));
        for more in ["*", "*:write", "grants:write"] {
            let wider = Err(NotMade::Wider(AdminPermission::parse(more).unwrap()));
            assert_eq!(may_make(&maker, &permissions(more), week), wider);
        }
        for longer in [KeyLife::Quarter.end(NOW), None] {
            assert_eq!(may_make(&maker, &permissions("grants:read"), longer), Err(NotMade::Longer));
        }
    }

    proptest! {
        #[test]
        fn what_covers_a_permission_allows_all_that_it_allows(own in 0..AdminPermission::all().len(), other in 0..AdminPermission::all().len()) {
            let all = AdminPermission::all();
            let (own, other) = (all[own], all[other]);
            let wider = Need::all().any(|need| other.allows(need) && !own.allows(need));
            prop_assert_eq!(own.covers(other), !wider);
        }
    }

    #[test]
    fn the_use_of_a_key_is_written_down_once_a_minute() {
        let used = AdminKey { last_used_at: Some(NOW), ..key("*") };
        assert!(key("*").wants_touch(NOW));
        assert!(!used.wants_touch(NOW.plus(Seconds::new(59))));
        assert!(used.wants_touch(NOW.plus(Seconds::minutes(1))));
    }

    #[test]
    fn a_life_has_a_word_and_an_end() {
        for life in KeyLife::ALL {
            assert_eq!(KeyLife::parse(life.as_str()), Some(life));
        }
        assert_eq!(KeyLife::Endless.end(NOW), None);
        assert_eq!(KeyLife::parse("2d"), None);
    }
}
