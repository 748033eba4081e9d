//! Answers that are kept for a retry, sealed with a key that only the token gives which they answered: the database alone, even with
//! the data key, does not open them.

use aws_lc_rs::hkdf;
use doorward_shared::secret::{Entropy, RefreshToken, Secret};
use zeroize::Zeroizing;

use super::{
    KeyError,
    data_key::{open, seal},
};

/// Seals the answer to this token.
pub fn seal_answer(
    token: &Secret<RefreshToken>,
    plain: &[u8],
    entropy: &dyn Entropy,
) -> Result<String, KeyError> {
    seal(&key(token), &context(token), plain, entropy)
}

/// Opens the answer to this token. `None`: it is another one's, or was changed since.
pub fn open_answer(token: &Secret<RefreshToken>, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
    open(&key(token), &context(token), sealed)
}

fn context(token: &Secret<RefreshToken>) -> String {
    format!("refresh_tokens/{}/answer", token.hash().to_text())
}

fn key(token: &Secret<RefreshToken>) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0_u8; 32]);
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, b"doorward retry").extract(token.expose().as_bytes());
    let filled =
        secret.expand(&[b"answer"], hkdf::HKDF_SHA256).and_then(|material| material.fill(key.as_mut_slice()));
    // The length is the hash's own, which HKDF can always fill; a zero key must never be used.
    if filled.is_err() {
        std::process::abort();
    }
    key
}

#[cfg(test)]
mod tests {
    use doorward_shared::secret::SystemEntropy;

    use super::*;

    // RT-25.
    #[test]
    fn an_answer_opens_with_the_token_that_it_answered_and_no_other() {
        let [token, other] = [(); 2].map(|()| Secret::<RefreshToken>::generate(&SystemEntropy));
        let sealed = seal_answer(&token, b"answer", &SystemEntropy).unwrap();
        assert_eq!(open_answer(&token, &sealed).as_deref().map(Vec::as_slice), Some(b"answer".as_slice()));
        assert_eq!(open_answer(&other, &sealed), None);
        assert_eq!(open_answer(&token, &sealed[1..]), None);
    }
}
