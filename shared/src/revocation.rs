//! Revocations as resource servers learn them: the entries of the feed, its signed pages, and the set that they add up to.
//!
//! An entry names a claim of access tokens and a value; every token that says so is refused. What only concerns tokens made
//! until some moment carries that moment, so that what a person allows afterwards is good again. An entry may be forgotten
//! once every token that it could concern has expired, which keeps the feed small.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    issuer::Issuer,
    jose::{jws::Types, strict_json},
    time::{Seconds, Timestamp},
};

/// The `typ` of a page.
pub const TYPE: &str = "revocations+jwt";
/// What a reader of pages takes.
pub const TYPES: Types<'static> = Types::Required(&[TYPE]);
/// The media type of a page.
pub const MEDIA_TYPE: &str = "application/revocations+jwt";
/// Most entries on one page.
pub const MAX_ENTRIES: usize = 500;
/// Longest page, in bytes.
pub const MAX_PAGE: usize = 256 * 1024;
/// Longest value of an entry, in bytes.
const MAX_VALUE: usize = 255;

/// What an entry names: a claim of access tokens (RFC 9068 §2.2), or the key that signed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// A grant.
    Sid,
    /// One token.
    Jti,
    /// A person, or a client acting for itself.
    Sub,
    /// A client.
    ClientId,
    /// An organization.
    Org,
    /// A resource server, folded.
    Aud,
    /// Everything of this issuer.
    Iss,
    /// A signing key.
    Kid,
}

impl Claim {
    /// Every claim.
    pub const ALL: [Self; 8] =
        [Self::Sid, Self::Jti, Self::Sub, Self::ClientId, Self::Org, Self::Aud, Self::Iss, Self::Kid];

    /// The word on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sid => "sid",
            Self::Jti => "jti",
            Self::Sub => "sub",
            Self::ClientId => "client_id",
            Self::Org => "org",
            Self::Aud => "aud",
            Self::Iss => "iss",
            Self::Kid => "kid",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|claim| claim.as_str() == text)
    }
}

/// One entry of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the feed: later entries have larger numbers, and no number is used twice.
    pub sequence: i64,
    /// Which claim.
    pub claim: Claim,
    /// Which value of it.
    pub value: String,
    /// Only tokens whose `iat` is not after this are refused; `None` refuses whenever they were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_until: Option<Timestamp>,
    /// From here on no token can be left that the entry concerns.
    pub exp: Timestamp,
}

/// The claims of a page: a part of the feed, signed like a token. It is the whole truth about the sequence numbers above
/// `after` up to `sequence`; numbers that are missing between them belong to entries that were forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The issuer, byte for byte.
    pub iss: Issuer,
    /// When the page was made. A reader refuses one that is older than the last.
    pub iat: Timestamp,
    /// The name of this feed's life. When it changes, a database was restored and numbers start anew: the reader begins
    /// again at 0.
    pub epoch: String,
    /// What the reader asked for: entries above this number.
    pub after: i64,
    /// The page is complete up to this number; the next request asks for what comes after it.
    pub sequence: i64,
    /// True when there is more already; the next request is not kept waiting.
    pub more: bool,
    /// The entries, in their order.
    pub entries: Vec<Entry>,
}

/// Why a page is not taken. For logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Not the JSON of a page, or a value out of bounds.
    #[error("the page is malformed")]
    Malformed,
    /// Of another issuer.
    #[error("the page is of another issuer")]
    Issuer,
    /// Made too long ago, or in the future, or before a page that was read already.
    #[error("the page is not fresh: it is a replay, or the clocks of the two servers disagree")]
    Stale,
    /// Not the answer to what was asked.
    #[error("the page answers another question")]
    Question,
    /// The entries are not in order within the page's bounds.
    #[error("the entries are out of order")]
    Order,
}

impl Page {
    /// Reads the payload of a page whose signature and type were verified, as the answer to "what comes after `after`".
    /// `last` is when the last page that was read had been made.
    pub fn read(
        payload: &[u8],
        issuer: &Issuer,
        after: i64,
        last: Option<Timestamp>,
        now: Timestamp,
        leeway: Seconds,
    ) -> Result<Self, PageError> {
        let page: Self = strict_json::from_slice(payload).map_err(|_| PageError::Malformed)?;
        if page.iss != *issuer {
            return Err(PageError::Issuer);
        }
        let too_old = now.since(page.iat) > leeway || page.iat.since(now) > leeway;
        if too_old || last.is_some_and(|last| page.iat < last) {
            return Err(PageError::Stale);
        }
        if page.after != after {
            return Err(PageError::Question);
        }
        let sane = |entry: &Entry| !entry.value.is_empty() && entry.value.len() <= MAX_VALUE;
        if page.entries.len() > MAX_ENTRIES || page.epoch.is_empty() || !page.entries.iter().all(sane) {
            return Err(PageError::Malformed);
        }
        let mut place = after;
        for entry in &page.entries {
            if entry.sequence <= place || entry.sequence > page.sequence {
                return Err(PageError::Order);
            }
            place = entry.sequence;
        }
        // A feed that is behind its reader was restored; its epoch says so, and the reader begins again.
        Ok(page)
    }
}

/// What of a token an entry can name.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `iss`.
    pub iss: &'a str,
    /// `aud`, folded.
    pub aud: &'a str,
    /// `sub`.
    pub sub: &'a str,
    /// `client_id`.
    pub client_id: &'a str,
    /// `org`.
    pub org: &'a str,
    /// `sid`.
    pub sid: &'a str,
    /// `jti`.
    pub jti: &'a str,
    /// The key that signed it; `None` for an opaque token.
    pub kid: Option<&'a str>,
    /// `iat`.
    pub iat: Timestamp,
}

impl<'a> Facts<'a> {
    const fn value(&self, claim: Claim) -> Option<&'a str> {
        match claim {
            Claim::Sid => Some(self.sid),
            Claim::Jti => Some(self.jti),
            Claim::Sub => Some(self.sub),
            Claim::ClientId => Some(self.client_id),
            Claim::Org => Some(self.org),
            Claim::Aud => Some(self.aud),
            Claim::Iss => Some(self.iss),
            Claim::Kid => self.kid,
        }
    }
}

/// All live entries, ready to be asked about a token.
#[derive(Clone, Debug, Default)]
pub struct RevocationSet {
    by_claim: [HashMap<String, Held>; Claim::ALL.len()],
}

#[derive(Clone, Copy, Debug)]
struct Held {
    issued_until: Option<Timestamp>,
    exp: Timestamp,
}

impl RevocationSet {
    /// Adds an entry. Of two about the same value the wider one stays.
    pub fn insert(&mut self, entry: &Entry) {
        let new = Held { issued_until: entry.issued_until, exp: entry.exp };
        self.by_claim[entry.claim as usize]
            .entry(entry.value.clone())
            .and_modify(|held| {
                held.issued_until = match (held.issued_until, new.issued_until) {
                    (Some(one), Some(other)) => Some(one.max(other)),
                    _ => None,
                };
                held.exp = held.exp.max(new.exp);
            })
            .or_insert(new);
    }

    /// Which claim of the token was revoked, if one was.
    pub fn refuses(&self, token: &Facts<'_>) -> Option<Claim> {
        Claim::ALL.into_iter().find(|claim| {
            let held = &self.by_claim[*claim as usize];
            let found =
                if held.is_empty() { None } else { token.value(*claim).and_then(|value| held.get(value)) };
            found.is_some_and(|held| held.issued_until.is_none_or(|until| token.iat <= until))
        })
    }

    /// Forgets entries that concern no token any more.
    pub fn forget(&mut self, now: Timestamp) {
        for held in &mut self.by_claim {
            held.retain(|_, held| now < held.exp);
        }
    }

    /// What is held, in no order, to be kept over a restart; adding it to an empty set makes the same set. Places in the feed
    /// are not kept: each is 0.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        Claim::ALL.into_iter().zip(&self.by_claim).flat_map(|(claim, held)| {
            held.iter().map(move |(value, held)| Entry {
                sequence: 0,
                claim,
                value: value.clone(),
                issued_until: held.issued_until,
                exp: held.exp,
            })
        })
    }

    /// How many entries are held.
    pub fn len(&self) -> usize {
        self.by_claim.iter().map(HashMap::len).sum()
    }

    /// True when nothing is held.
    pub fn is_empty(&self) -> bool {
        self.by_claim.iter().all(HashMap::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1000);
    const LEEWAY: Seconds = Seconds::new(60);

    fn issuer() -> Issuer {
        Issuer::parse("https://as.example.test").unwrap()
    }

    fn entry(sequence: i64, claim: Claim, value: &str, issued_until: Option<i64>) -> Entry {
        Entry {
            sequence,
            claim,
            value: value.to_owned(),
            issued_until: issued_until.map(Timestamp::from_seconds),
            exp: Timestamp::from_seconds(2000),
        }
    }

    fn token(iat: i64) -> Facts<'static> {
        Facts {
            iss: "https://as.example.test",
            aud: "https://rs.example.test",
            sub: "usr_1",
            client_id: "dcr_1",
            org: "org_1",
            sid: "grt_1",
            jti: "jti_1",
            kid: Some("kid_1"),
            iat: Timestamp::from_seconds(iat),
        }
    }

    fn page(after: i64, sequence: i64, entries: Vec<Entry>) -> Page {
        Page { iss: issuer(), iat: NOW, epoch: "e".to_owned(), after, sequence, more: false, entries }
    }

    fn read(page: &Page, after: i64, last: Option<i64>) -> Result<Page, PageError> {
        let bytes = serde_json::to_vec(page).unwrap();
        Page::read(&bytes, &issuer(), after, last.map(Timestamp::from_seconds), NOW, LEEWAY)
    }

    #[test]
    fn each_claim_refuses_the_token_that_says_it_and_no_other() {
        let facts = token(500);
        for claim in Claim::ALL {
            let mut set = RevocationSet::default();
            set.insert(&entry(1, claim, facts.value(claim).unwrap(), None));
            assert_eq!(set.refuses(&facts), Some(claim));
            let mut other = RevocationSet::default();
            other.insert(&entry(1, claim, "another", None));
            assert_eq!(other.refuses(&facts), None);
            assert_eq!(Claim::parse(claim.as_str()), Some(claim));
            assert_eq!(serde_json::to_value(claim).unwrap(), claim.as_str());
        }
    }

    #[test]
    fn what_was_issued_after_the_moment_is_good() {
        let mut set = RevocationSet::default();
        set.insert(&entry(1, Claim::Sub, "usr_1", Some(500)));
        assert_eq!(set.refuses(&token(500)), Some(Claim::Sub));
        assert_eq!(set.refuses(&token(501)), None);
    }

    #[test]
    fn of_two_entries_the_wider_one_stays_in_either_order() {
        for texts in [[None, Some(500)], [Some(500), None]] {
            let mut set = RevocationSet::default();
            for issued_until in texts {
                set.insert(&entry(1, Claim::Sid, "grt_1", issued_until));
            }
            assert_eq!(set.refuses(&token(900)), Some(Claim::Sid));
            assert_eq!(set.len(), 1);
        }
    }

    #[test]
    fn an_entry_is_forgotten_when_its_time_has_come_and_not_before() {
        let mut set = RevocationSet::default();
        set.insert(&entry(1, Claim::Sid, "grt_1", None));
        set.forget(Timestamp::from_seconds(1999));
        assert!(!set.is_empty());
        set.forget(Timestamp::from_seconds(2000));
        assert!(set.is_empty());
    }

    #[test]
    fn a_set_can_be_taken_apart_and_put_together_again() {
        let mut set = RevocationSet::default();
        set.insert(&entry(1, Claim::Sid, "grt_1", None));
        set.insert(&entry(2, Claim::Sub, "usr_1", Some(5)));
        let mut again = RevocationSet::default();
        set.entries().for_each(|entry| again.insert(&entry));
        let sorted = |set: &RevocationSet| {
            let mut all: Vec<_> = set.entries().map(|entry| format!("{entry:?}")).collect();
            all.sort();
            all
        };
        assert_eq!(sorted(&again), sorted(&set));
        assert_eq!(again.len(), 2);
    }

    #[test]
    fn an_opaque_token_has_no_key_to_be_revoked_with() {
        let mut set = RevocationSet::default();
        set.insert(&entry(1, Claim::Kid, "kid_1", None));
        assert_eq!(set.refuses(&Facts { kid: None, ..token(1) }), None);
    }

    #[test]
    fn a_page_is_read_as_it_was_written() {
        let page =
            page(3, 9, vec![entry(4, Claim::Sid, "grt_1", None), entry(9, Claim::Sub, "usr_1", Some(5))]);
        assert_eq!(read(&page, 3, Some(1000)).unwrap(), page);
    }

    #[test]
    fn an_old_page_is_refused() {
        let old = Page { iat: Timestamp::from_seconds(939), ..page(0, 0, Vec::new()) };
        assert_eq!(read(&old, 0, None), Err(PageError::Stale));
        let replayed = Page { iat: Timestamp::from_seconds(990), ..page(0, 0, Vec::new()) };
        assert_eq!(read(&replayed, 0, Some(991)), Err(PageError::Stale));
        let ahead = Page { iat: Timestamp::from_seconds(1061), ..page(0, 0, Vec::new()) };
        assert_eq!(read(&ahead, 0, None), Err(PageError::Stale));
    }

    #[test]
    fn a_page_of_another_issuer_or_to_another_question_is_refused() {
        let foreign = Page { iss: Issuer::parse("https://other.test").unwrap(), ..page(0, 0, Vec::new()) };
        assert_eq!(read(&foreign, 0, None), Err(PageError::Issuer));
        assert_eq!(read(&page(1, 1, Vec::new()), 0, None), Err(PageError::Question));
    }

    #[test]
    fn entries_out_of_order_or_out_of_bounds_are_refused() {
        let one = |sequence| entry(sequence, Claim::Sid, "grt_1", None);
        for entries in [vec![one(5), one(4)], vec![one(4), one(4)], vec![one(3)], vec![one(10)]] {
            assert_eq!(read(&page(3, 9, entries), 3, None), Err(PageError::Order));
        }
        let long = entry(4, Claim::Sid, &"x".repeat(256), None);
        assert_eq!(read(&page(3, 9, vec![long]), 3, None), Err(PageError::Malformed));
        let many = (4..=504).map(one).collect();
        assert_eq!(read(&page(3, 600, many), 3, None), Err(PageError::Malformed));
    }

    #[test]
    fn the_largest_page_fits() {
        let entries =
            (1..=500).map(|n| entry(n, Claim::ClientId, &"x".repeat(255), Some(i64::MAX))).collect();
        let bytes = serde_json::to_vec(&page(0, 500, entries)).unwrap();
        assert!(bytes.len() * 4 / 3 + 1024 <= MAX_PAGE, "{}", bytes.len());
    }

    proptest! {
        #[test]
        fn adding_an_entry_never_lets_a_token_through(
            entries in proptest::collection::vec((0_usize..8, 0_u8..3, proptest::option::of(0_i64..10)), 0..20),
            iat in 0_i64..10,
        ) {
            let mut set = RevocationSet::default();
            let mut refused = false;
            for (claim, value, issued_until) in entries {
                let claim = Claim::ALL[claim];
                let value = if value == 0 { token(iat).value(claim).unwrap().to_owned() } else { value.to_string() };
                set.insert(&entry(1, claim, &value, issued_until));
                let now = set.refuses(&token(iat)).is_some();
                prop_assert!(now || !refused);
                refused = now;
            }
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Page::read(&bytes, &issuer(), 0, None, NOW, LEEWAY);
        }
    }
}
