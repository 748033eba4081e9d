//! The optional second factor: codes by time (RFC 6238 over HMAC-SHA-1, six digits, a new one every 30 seconds, as every
//! authenticator app makes them).

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use doorward_shared::{secret::Entropy, time::Timestamp};
use subtle::ConstantTimeEq as _;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::ids::UserId;

/// How long a code is shown, in seconds.
const STEP: i64 = 30;
/// How many steps a clock may be off, either way.
const SKEW: i64 = 1;
/// 160 bits, as RFC 4226 §4 recommends.
const SEED: usize = 20;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What a person's app and this server share.
pub struct Seed(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<seed>")
    }
}

/// A person's second factor.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// Whose.
    pub user: UserId,
    /// The seed, sealed with the data key.
    pub sealed: String,
    /// The step of the last code that was used: this one and those before are worth nothing any more.
    pub last_step: i64,
    /// When it was set up.
    pub created_at: Timestamp,
}

impl Seed {
    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut seed = Zeroizing::new(vec![0_u8; SEED]);
        entropy.fill(&mut seed);
        Self(seed)
    }

    /// Takes the bytes that were kept.
    pub fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, to be sealed.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text that is typed into an app (base32, RFC 4648 §6).
    pub fn text(&self) -> String {
        base32(&self.0)
    }

    /// The address that an app reads from the picture.
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
        let (issuer, account) = (encode(issuer), encode(account));
        format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", self.text())
    }

    fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        // RFC 4226 §5.3: the last four bits say where 31 bits are taken from.
        let at = tag.last().map_or(0, |last| usize::from(last & 15));
        let mut word = [0_u8; 4];
        word.copy_from_slice(&tag[at..at + 4]);
        format!("{:06}", (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000)
    }

    /// The step that a code belongs to: now, one before or one after, and later than `last`.
    pub fn step_of(&self, code: &str, last: i64, now: Timestamp) -> Option<i64> {
        let here = now.seconds().div_euclid(STEP);
        let matches = |step: &i64| bool::from(self.code(*step).as_bytes().ct_eq(code.as_bytes()));
        // All are tried, so that the time does not say which.
        let found = (here - SKEW..=here + SKEW).filter(matches).collect::<Vec<_>>();
        found.into_iter().find(|step| *step > last)
    }
}

/// A code as somebody typed it: spaces and hyphens do not matter.
pub fn tidy(typed: &str) -> String {
    typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect()
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut word = [0_u8; 8];
        word[3..3 + chunk.len()].copy_from_slice(chunk);
        let word = u64::from_be_bytes(word);
        for i in 0..(chunk.len() * 8).div_ceil(5) {
            text.push(char::from(ALPHABET[usize::try_from(word >> (35 - 5 * i) & 31).unwrap_or_default()]));
        }
    }
    text
}

/// How many recovery codes there are.
pub const RECOVERY_CODES: usize = 10;

/// A code that stands in for the app once, when the app is lost: 80 random bits.
pub struct RecoveryCode(String);

impl std::fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<recovery code>")
    }
}

impl RecoveryCode {
    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut random = [0_u8; 10];
        entropy.fill(&mut random);
        Self(base32(&random))
    }

    /// Reads what somebody typed.
    pub fn parse(typed: &str) -> Option<Self> {
        let text = tidy(typed).to_ascii_uppercase();
        (text.len() == 16 && text.bytes().all(|b| ALPHABET.contains(&b))).then_some(Self(text))
    }

    /// In groups of four, to be written down.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (i, c) in self.0.chars().enumerate() {
            if i > 0 && i % 4 == 0 {
                text.push('-');
            }
            let _ = text.write_char(c);
        }
        text
    }

    /// What the store knows it by; the same code of two people has two hashes.
    pub fn hash(&self, user: &UserId) -> String {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        use sha2::{Digest as _, Sha256};
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{user}:{}", self.0)))
    }
}

#[cfg(test)]
mod tests {
    use doorward_shared::{secret::SystemEntropy, time::Seconds};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fixture::NOW;

    fn rfc() -> Seed {
        Seed(Zeroizing::new(b"12345678901234567890".to_vec()))
    }

    #[test]
    fn the_codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B, the last six of its eight digits.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let at = Timestamp::from_seconds(seconds);
            assert_eq!(rfc().step_of(code, 0, at), Some(seconds / 30), "{seconds}");
        }
        assert_eq!(rfc().text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            rfc().uri("as.test", "a+b@x.test"),
            "otpauth://totp/as.test:a%2Bb%40x.test?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=as.test"
        );
    }

    #[test]
    fn a_code_is_good_one_step_around_its_time_and_not_after_it_was_used() {
        let seed = Seed::generate(&SystemEntropy);
        let step = NOW.seconds().div_euclid(STEP);
        let code = seed.code(step);
        for (steps, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let at = NOW.plus(Seconds::new(steps * STEP));
            // Another code could be the same by chance.
            let found = seed.step_of(&code, step - 1, at).filter(|found| *found == step);
            assert_eq!(found.is_some(), good, "{steps}");
        }
        assert_ne!(seed.step_of(&code, step, NOW), Some(step));
    }

    #[test]
    fn a_recovery_code_is_read_however_it_is_typed_and_belongs_to_one_person() {
        let code = RecoveryCode::generate(&SystemEntropy);
        let (one, two) = (crate::domain::fixture::user().id, UserId::generate(NOW, &SystemEntropy));
        let typed = RecoveryCode::parse(&format!(" {} ", code.text().to_lowercase())).unwrap();
        assert_eq!(typed.hash(&one), code.hash(&one));
        assert_ne!(code.hash(&one), code.hash(&two));
        assert_eq!(code.text().len(), 19);
        for wrong in ["", "123456", "AAAA-AAAA-AAAA-AAA1", "AAAA-AAAA-AAAA-AAA"] {
            assert!(RecoveryCode::parse(wrong).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_no_code_but_the_code(typed in "\\PC{0,12}") {
            let seed = rfc();
            let here = NOW.seconds().div_euclid(STEP);
            let codes: Vec<_> = (here - 1..=here + 1).map(|step| seed.code(step)).collect();
            prop_assert_eq!(seed.step_of(&typed, 0, NOW).is_some(), codes.contains(&typed));
        }
    }
}
