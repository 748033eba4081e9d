//! Typed identifiers. The text is a ULID with the kind's prefix; only [`parse`](UserId::parse) makes one from text.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// What the text begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier: `now` in milliseconds and 80 random bits.
            pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(new_text(Self::PREFIX, now, entropy))
            }

            /// Reads an identifier.
            pub fn parse(text: &str) -> Option<Self> {
                let ulid = text.strip_prefix(Self::PREFIX)?;
                ulid::Ulid::from_string(ulid).ok()?;
                Some(Self(text.to_owned()))
            }

            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

use std::fmt;

use doorward_shared::{secret::Entropy, time::Timestamp};

ids! {
    /// A person.
    UserId = "usr_";
    /// An organization; every person has one of their own, and administrators make shared ones.
    OrganizationId = "org_";
    /// A grant: who allowed what to whom. It is also the family of the refresh tokens that descend from it, and `sid`
    /// in its access tokens.
    GrantId = "grt_";
    /// A line of the audit trail.
    EventId = "evt_";
    /// A session by the name that clients know it by: `sid` in ID tokens and logout tokens. It is no secret, and stays when the
    /// same person signs in anew in the same browser.
    SessionId = "sid_";
    /// A key for the admin API.
    AdminKeyId = "adk_";
    /// An API key of a person.
    ApiKeyId = "key_";
    /// A rule about who may do what where.
    EntitlementId = "ent_";
    /// An account at an upstream provider, as far as it belongs to a person here.
    IdentityId = "idn_";
    /// An authorization request that waits for a person.
    RequestId = "req_";
}

fn new_text(prefix: &str, now: Timestamp, entropy: &dyn Entropy) -> String {
    let mut random = [0_u8; 16];
    entropy.fill(&mut random[6..]);
    let millis = u64::try_from(now.seconds()).unwrap_or_default().saturating_mul(1000);
    let ulid = ulid::Ulid::from_parts(millis, u128::from_be_bytes(random));
    format!("{prefix}{ulid}")
}

#[cfg(test)]
mod tests {
    use doorward_shared::secret::SystemEntropy;

    use super::*;

    #[test]
    fn one_kind_is_never_read_as_another() {
        let user = UserId::generate(Timestamp::from_seconds(1_800_000_000), &SystemEntropy);
        assert_eq!(UserId::parse(user.as_str()), Some(user.clone()));
        assert_eq!(GrantId::parse(user.as_str()), None);
        assert_eq!(UserId::parse("usr_nonsense"), None);
    }
}
