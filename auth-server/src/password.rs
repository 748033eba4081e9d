//! Passwords: argon2id behind a semaphore, so that a flood of sign-ins costs time and not all of the memory.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash as Phc,
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use doorward_shared::secret::Entropy;
use tokio::sync::Semaphore;

use crate::domain::user::{MAX_PASSWORD, PasswordHash};

/// Memory of one hash in KiB, passes over it, lanes: the OWASP recommendation of 19 MiB and two passes.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// How many are hashed at once for strangers, and how many more for browsers that signed in before: those never queue
/// behind a flood of guesses. Each takes 19 MiB.
const AT_ONCE: (usize, usize) = (2, 1);
/// How long a sign-in waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Too many sign-ins at once; the visitor should try again in a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins at once")]
pub struct Busy;

/// Who wants a password checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Anybody.
    Stranger,
    /// A browser that signed in to this account before.
    Acquaintance,
}

/// Hashes and checks passwords.
#[derive(Clone, Debug)]
pub struct Passwords {
    strangers: Arc<Semaphore>,
    acquaintances: Arc<Semaphore>,
    nobody: PasswordHash,
}

impl Passwords {
    /// Prepares the hash that unknown accounts are checked against, so that they take as long as known ones. It is no
    /// password's: salt and hash are random.
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut random = [0_u8; 48];
        entropy.fill(&mut random);
        let (salt, hash) = random.split_at(16);
        let (memory, passes, lanes) = COST;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        let nobody = format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}");
        let nobody = PasswordHash::from_phc(nobody);
        let (strangers, acquaintances) = AT_ONCE;
        Self {
            strangers: Arc::new(Semaphore::new(strangers)),
            acquaintances: Arc::new(Semaphore::new(acquaintances)),
            nobody,
        }
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: String, entropy: &dyn Entropy) -> Result<PasswordHash, Busy> {
        let salt = salt(entropy);
        take_turn(&self.strangers, move || hash(password.as_bytes(), salt)).await
    }

    /// Checks a password against an account, or against nobody's: both take the same time, and only one can succeed.
    pub async fn verify(
        &self,
        password: String,
        account: Option<&PasswordHash>,
        from: Caller,
    ) -> Result<bool, Busy> {
        let known = account.is_some();
        let hash = account.unwrap_or(&self.nobody).clone();
        let turns = match from {
            Caller::Stranger => &self.strangers,
            Caller::Acquaintance => &self.acquaintances,
        };
        take_turn(turns, move || {
            let password = if password.len() > MAX_PASSWORD { "" } else { password.as_str() };
            let parsed = Phc::new(hash.expose());
            let matches =
                parsed.is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok());
            known && matches
        })
        .await
    }
}

async fn take_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Busy> {
    let turn = tokio::time::timeout(PATIENCE, Arc::clone(turns).acquire_owned()).await;
    let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
    let result = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(turn);
        result
    });
    result.await.map_err(|_| Busy)
}

fn hasher() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn salt(entropy: &dyn Entropy) -> [u8; 16] {
    let mut salt = [0_u8; 16];
    entropy.fill(&mut salt);
    salt
}

fn hash(password: &[u8], salt: [u8; 16]) -> PasswordHash {
    // The inputs are bounded and the parameters constant, so this cannot fail; an empty hash would match nothing.
    let phc = hasher().hash_password_with_salt(password, &salt);
    PasswordHash::from_phc(phc.map(|phc| phc.to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use doorward_shared::secret::SystemEntropy;

    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_matches() {
        let passwords = Passwords::new(&SystemEntropy);
        let hash = passwords.hash("correct horse".to_owned(), &SystemEntropy).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(
            passwords.verify("correct horse".to_owned(), Some(&hash), Caller::Stranger).await,
            Ok(true)
        );
        assert_eq!(
            passwords.verify("correct hors".to_owned(), Some(&hash), Caller::Stranger).await,
            Ok(false)
        );
        assert_eq!(passwords.verify("correct horse".to_owned(), None, Caller::Acquaintance).await, Ok(false));
    }

    #[test]
    fn nobodys_hash_costs_as_much_as_anybodys() {
        let nobody = Passwords::new(&SystemEntropy).nobody;
        let (nobody, somebody) = (nobody.expose(), hash(b"correct horse", salt(&SystemEntropy)));
        let cost =
            |text: &str| Phc::new(text).map(|phc| (phc.algorithm, phc.version, phc.params.clone())).unwrap();
        assert_eq!(cost(nobody), cost(somebody.expose()));
        assert_eq!(nobody.len(), somebody.expose().len());
    }

    #[tokio::test]
    async fn a_password_is_never_cut() {
        let passwords = Passwords::new(&SystemEntropy);
        let long = "a".repeat(100);
        let hash = passwords.hash(long.clone(), &SystemEntropy).await.unwrap();
        assert_eq!(passwords.verify(format!("{long}b"), Some(&hash), Caller::Stranger).await, Ok(false));
        assert_eq!(passwords.verify(long, Some(&hash), Caller::Stranger).await, Ok(true));
    }
}
