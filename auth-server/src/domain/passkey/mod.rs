//! Passkeys: what a browser's authenticator says at registration and at sign-in (`WebAuthn` Level 3 §7.1, §7.2), checked without
//! any state. Attestation is not asked for: whose device made a key decides nothing here.

mod authenticator_data;
mod cose;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ciborium::Value;
use doorward_shared::{issuer::Issuer, time::Timestamp};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use self::{authenticator_data::AuthenticatorData, cose::PublicKey};
use super::ids::UserId;

/// The algorithms that are offered, in the order of preference, as COSE numbers them.
pub const ALGORITHMS: [i64; 3] = [cose::ES256, cose::EDDSA, cose::RS256];
/// Longest identifier of a credential, in bytes (§4).
const MAX_ID: usize = 1023;
/// Longest name that a person gives a passkey, in characters.
pub const MAX_NAME: usize = 60;

/// A passkey of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// The credential's identifier, base64url.
    pub id: String,
    /// Whose.
    pub user: UserId,
    /// What its person calls it.
    pub name: String,
    /// Its public key as `COSE_Key`, base64url.
    pub public_key: String,
    /// What its authenticator counted last; 0 for those that do not count.
    pub counter: i64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// What an answer has to be about.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The challenge that was set.
    pub challenge: &'a str,
    /// Whose page asked.
    pub issuer: &'a Issuer,
}

/// What the browser sends back at registration; base64url each.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// `clientDataJSON`.
    pub client_data: &'a str,
    /// `attestationObject`.
    pub attestation: &'a str,
}

/// What the browser sends back at sign-in; base64url each.
#[derive(Clone, Copy, Debug)]
pub struct Assertion<'a> {
    /// The credential's identifier.
    pub id: &'a str,
    /// `clientDataJSON`.
    pub client_data: &'a str,
    /// `authenticatorData`.
    pub authenticator_data: &'a str,
    /// The signature.
    pub signature: &'a str,
    /// `userHandle`.
    pub user_handle: &'a str,
}

/// A credential that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its identifier, base64url.
    pub id: String,
    /// Its public key as `COSE_Key`, base64url.
    pub public_key: String,
    /// What its authenticator counts.
    pub counter: i64,
}

/// Why an answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// It cannot be read.
    #[error("the answer of the authenticator cannot be read")]
    Unreadable,
    /// It answers another question.
    #[error("the answer is for another challenge, another page or another deed")]
    Elsewhere,
    /// Nobody touched the device, or it did not make sure who.
    #[error("the device did not check who is there; switch on its screen lock, PIN or fingerprint")]
    Unverified,
    /// The key is of a kind that was not asked for.
    #[error("the device made a key of a kind that is not supported")]
    Algorithm,
    /// The signature does not match.
    #[error("the signature is wrong")]
    Signature,
    /// It is somebody else's.
    #[error("the passkey belongs to another account")]
    Foreign,
    /// It was copied: the counter went back (§6.1.1).
    #[error("the passkey was used elsewhere with the same key, so it was copied")]
    Copied,
}

/// The name under which browsers keep the passkeys of this server: the host of the issuer. `None`: browsers take no addresses,
/// and no passkeys over plain http to another machine.
pub fn rp_id(issuer: &Issuer) -> Option<&str> {
    let (scheme, authority) = issuer.origin().split_once("://")?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let named = host.bytes().any(|b| b.is_ascii_alphabetic()) && !host.starts_with('[');
    let secure = scheme == "https" || host == "localhost" || host.ends_with(".localhost");
    (named && secure).then_some(host)
}

/// `clientDataJSON`; members that are not needed are not read (§5.8.1).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

fn decode(text: &str) -> Result<Vec<u8>, PasskeyError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| PasskeyError::Unreadable)
}

/// Checks what a page was asked, and gives the hash that is signed.
fn client_data(bytes: &[u8], deed: &str, expected: Expected<'_>) -> Result<[u8; 32], PasskeyError> {
    let data: ClientData = serde_json::from_slice(bytes).map_err(|_| PasskeyError::Unreadable)?;
    let asked = decode(&data.challenge)? == expected.challenge.as_bytes();
    if data.r#type != deed || !asked || data.origin != expected.issuer.origin() || data.cross_origin {
        return Err(PasskeyError::Elsewhere);
    }
    Ok(Sha256::digest(bytes).into())
}

fn authenticator<'a>(bytes: &'a [u8], expected: Expected<'_>) -> Result<AuthenticatorData<'a>, PasskeyError> {
    let data = AuthenticatorData::parse(bytes).ok_or(PasskeyError::Unreadable)?;
    let rp_id = rp_id(expected.issuer).ok_or(PasskeyError::Elsewhere)?;
    if data.rp_id_hash != Sha256::digest(rp_id).as_slice() {
        return Err(PasskeyError::Elsewhere);
    }
    if !(data.user_present() && data.user_verified()) {
        return Err(PasskeyError::Unverified);
    }
    Ok(data)
}

/// Checks a registration.
pub fn register(answer: Registration<'_>, expected: Expected<'_>) -> Result<Registered, PasskeyError> {
    client_data(&decode(answer.client_data)?, "webauthn.create", expected)?;
    let attestation = decode(answer.attestation)?;
    let object: Value =
        ciborium::from_reader(attestation.as_slice()).map_err(|_| PasskeyError::Unreadable)?;
    let entry = object.as_map().and_then(|map| map.iter().find(|(key, _)| key.as_text() == Some("authData")));
    let bytes = entry.and_then(|(_, value)| value.as_bytes()).ok_or(PasskeyError::Unreadable)?;
    let data = authenticator(bytes, expected)?;
    let credential = data.credential.as_ref().ok_or(PasskeyError::Unreadable)?;
    if credential.id.is_empty() || credential.id.len() > MAX_ID {
        return Err(PasskeyError::Unreadable);
    }
    PublicKey::parse(credential.public_key).ok_or(PasskeyError::Algorithm)?;
    Ok(Registered {
        id: URL_SAFE_NO_PAD.encode(credential.id),
        public_key: URL_SAFE_NO_PAD.encode(credential.public_key),
        counter: i64::from(data.counter),
    })
}

/// Checks a sign-in with this passkey. Answers what its authenticator counts now.
pub fn sign_in(
    passkey: &Passkey,
    answer: Assertion<'_>,
    expected: Expected<'_>,
) -> Result<i64, PasskeyError> {
    let signed = client_data(&decode(answer.client_data)?, "webauthn.get", expected)?;
    let bytes = decode(answer.authenticator_data)?;
    let data = authenticator(&bytes, expected)?;
    if answer.id != passkey.id || decode(answer.user_handle)? != passkey.user.as_str().as_bytes() {
        return Err(PasskeyError::Foreign);
    }
    let key = decode(&passkey.public_key)?;
    let key = PublicKey::parse(&key).ok_or(PasskeyError::Algorithm)?;
    if !key.verifies(&[bytes.as_slice(), &signed].concat(), &decode(answer.signature)?) {
        return Err(PasskeyError::Signature);
    }
    let counter = i64::from(data.counter);
    // Many never count; one that ever did has to go on (§7.2 step 22).
    if (counter > 0 || passkey.counter > 0) && counter <= passkey.counter {
        return Err(PasskeyError::Copied);
    }
    Ok(counter)
}

#[cfg(test)]
mod tests;
