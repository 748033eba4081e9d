use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use doorward_shared::secret::SystemEntropy;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::fixture::NOW;

const CHALLENGE: &str = "1800000000.nonce.tag";

/// An authenticator of the test, which can be told to do everything wrong.
#[derive(Clone)]
struct Device {
    flags: u8,
    rp_id: &'static str,
    origin: &'static str,
    challenge: &'static str,
    deed: &'static str,
    cross_origin: bool,
    counter: u32,
    handle: String,
}

enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn cose(&self) -> Vec<u8> {
        let entries: Vec<(i64, Value)> = match self {
            Self::P256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (point[1..33].to_vec(), point[33..].to_vec());
                vec![(1, 2.into()), (3, (-7).into()), (-1, 1.into()), (-2, x.into()), (-3, y.into())]
            }
            Self::Ed25519(key) => {
                let x = key.public_key().as_ref().to_vec();
                vec![(1, 1.into()), (3, (-8).into()), (-1, 6.into()), (-2, x.into())]
            }
        };
        cbor(&Value::Map(entries.into_iter().map(|(label, value)| (label.into(), value)).collect()))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

type Bend = fn(&mut Device);

fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn issuer() -> Issuer {
    Issuer::parse("https://as.test").unwrap()
}

fn device(user: &UserId) -> Device {
    Device {
        flags: 0b0101,
        rp_id: "as.test",
        origin: "https://as.test",
        challenge: CHALLENGE,
        deed: "webauthn.get",
        cross_origin: false,
        counter: 0,
        handle: user.to_string(),
    }
}

impl Device {
    fn client_data(&self) -> String {
        let challenge = encode(self.challenge.as_bytes());
        json!({"type": self.deed, "challenge": challenge, "origin": self.origin, "crossOrigin": self.cross_origin})
            .to_string()
    }

    fn head(&self) -> Vec<u8> {
        [&Sha256::digest(self.rp_id)[..], &[self.flags], &self.counter.to_be_bytes()].concat()
    }

    fn register(&self, key: &Key) -> Result<Registered, PasskeyError> {
        let mut made = self.clone();
        made.flags |= 1 << 6;
        made.deed = if self.deed == "webauthn.get" { "webauthn.create" } else { self.deed };
        let data = [made.head(), vec![0; 16], vec![0, 4], b"cred".to_vec(), key.cose()].concat();
        let object = Value::Map(vec![
            ("fmt".into(), "none".into()),
            ("attStmt".into(), Value::Map(vec![])),
            ("authData".into(), data.into()),
        ]);
        let (client_data, attestation) = (encode(made.client_data().as_bytes()), encode(&cbor(&object)));
        let answer = Registration { client_data: &client_data, attestation: &attestation };
        register(answer, Expected { challenge: CHALLENGE, issuer: &issuer() })
    }

    fn sign_in(&self, key: &Key, passkey: &Passkey) -> Result<i64, PasskeyError> {
        let client_data = self.client_data();
        let head = self.head();
        let signature = key.sign(&[head.as_slice(), &Sha256::digest(client_data.as_bytes())].concat());
        let texts = [client_data.as_bytes(), &head, &signature, self.handle.as_bytes()].map(encode);
        let [client_data, authenticator_data, signature, user_handle] = &texts;
        let answer = Assertion { id: "Y3JlZA", client_data, authenticator_data, signature, user_handle };
        sign_in(passkey, answer, Expected { challenge: CHALLENGE, issuer: &issuer() })
    }
}

fn registered(key: &Key) -> Passkey {
    let user = UserId::generate(NOW, &SystemEntropy);
    let Registered { id, public_key, counter } = device(&user).register(key).unwrap();
    Passkey { id, user, name: "Phone".to_owned(), public_key, counter, created_at: NOW, last_used_at: None }
}

#[test]
fn a_passkey_that_was_registered_signs_in() {
    for key in [Key::p256(), Key::Ed25519(Ed25519KeyPair::generate().unwrap())] {
        let passkey = registered(&key);
        assert_eq!(passkey.id, "Y3JlZA");
        assert_eq!(device(&passkey.user).sign_in(&key, &passkey), Ok(0));
    }
}

#[test]
fn every_part_of_an_answer_has_to_be_right() {
    let key = Key::p256();
    let passkey = registered(&key);
    let right = device(&passkey.user);
    let bends: [(Bend, PasskeyError); 9] = [
        (|device| device.challenge = "another", PasskeyError::Elsewhere),
        (|device| device.origin = "https://evil.test", PasskeyError::Elsewhere),
        (|device| device.origin = "https://as.test.evil.test", PasskeyError::Elsewhere),
        (|device| device.rp_id = "evil.test", PasskeyError::Elsewhere),
        (|device| device.cross_origin = true, PasskeyError::Elsewhere),
        (|device| device.deed = "payment.get", PasskeyError::Elsewhere),
        (|device| device.flags = 0b0001, PasskeyError::Unverified),
        (|device| device.flags = 0b0100, PasskeyError::Unverified),
        (|device| device.flags |= 1 << 4, PasskeyError::Unreadable),
    ];
    for (bend, error) in bends {
        let mut bent = right.clone();
        bend(&mut bent);
        assert_eq!(bent.sign_in(&key, &passkey), Err(error));
        assert_eq!(bent.register(&key).unwrap_err(), error);
    }
    // What is right for the one deed is not for the other.
    let crossed = Device { deed: "webauthn.create", ..right.clone() };
    assert_eq!(crossed.sign_in(&key, &passkey), Err(PasskeyError::Elsewhere));
    let foreign = Device { handle: "usr_somebody".to_owned(), ..right.clone() };
    assert_eq!(foreign.sign_in(&key, &passkey), Err(PasskeyError::Foreign));
    assert_eq!(right.sign_in(&Key::p256(), &passkey), Err(PasskeyError::Signature));
}

#[test]
fn a_counter_that_does_not_go_on_shows_a_copy() {
    let key = Key::p256();
    let counted = |counter: u32, before: i64| {
        let passkey = Passkey { counter: before, ..registered(&key) };
        Device { counter, ..device(&passkey.user) }.sign_in(&key, &passkey)
    };
    assert_eq!(counted(0, 0), Ok(0));
    assert_eq!(counted(7, 0), Ok(7));
    assert_eq!(counted(8, 7), Ok(8));
    for (counter, before) in [(7, 7), (6, 7), (0, 7)] {
        assert_eq!(counted(counter, before), Err(PasskeyError::Copied));
    }
}

#[test]
fn a_key_of_another_kind_is_not_taken() {
    let text = |entries: &[(i64, Value)]| {
        let map = entries.iter().map(|(label, value)| ((*label).into(), value.clone())).collect();
        cbor(&Value::Map(map))
    };
    let point: Value = vec![7_u8; 32].into();
    let es384 = [(1, 2.into()), (3, (-35).into()), (-1, 2.into()), (-2, point.clone()), (-3, point.clone())];
    let wrong_curve =
        [(1, 2.into()), (3, (-7).into()), (-1, 2.into()), (-2, point.clone()), (-3, point.clone())];
    let mixed = [(1, 1.into()), (3, (-7).into()), (-1, 1.into()), (-2, point.clone()), (-3, point.clone())];
    let twice = [(1, 1.into()), (3, (-8).into()), (-1, 6.into()), (-2, point.clone()), (-2, point)];
    for entries in [es384, wrong_curve, mixed, twice] {
        assert!(PublicKey::parse(&text(&entries)).is_none(), "{entries:?}");
    }
}

#[test]
fn the_name_of_the_server_is_the_host_of_its_issuer() {
    let of = |issuer: &str| rp_id(&Issuer::parse(issuer).unwrap()).map(String::from);
    assert_eq!(of("https://as.test").as_deref(), Some("as.test"));
    assert_eq!(of("https://as.test:8443/t1").as_deref(), Some("as.test"));
    assert_eq!(of("http://localhost:9000").as_deref(), Some("localhost"));
    for none in ["http://127.0.0.1:9000", "http://[::1]:9000", "http://as.test"] {
        assert_eq!(of(none), None, "{none}");
    }
}

proptest! {
    #[test]
    fn nothing_that_somebody_sends_breaks_the_reader(bytes: Vec<u8>, cut in 0_usize..200, flip in 0_usize..200) {
        let _ = AuthenticatorData::parse(&bytes);
        let _ = PublicKey::parse(&bytes);
        let key = Key::p256();
        let good = [device(&UserId::generate(NOW, &SystemEntropy)).head(), key.cose()].concat();
        let mut bent = good[..cut.min(good.len())].to_vec();
        if let Some(byte) = bent.get_mut(flip) {
            *byte ^= 0x55;
        }
        let _ = AuthenticatorData::parse(&bent);
        let text = encode(&bytes);
        let answer = Registration { client_data: &text, attestation: &text };
        let refused = register(answer, Expected { challenge: CHALLENGE, issuer: &issuer() }).is_err();
        prop_assert!(refused);
    }
}
