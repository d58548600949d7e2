//! The log's signing key, in the text forms that signed-note tools use.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer};
use sha2::{Digest, Sha256};

/// The signature algorithm Ed25519 in a signed note's key.
const ALGORITHM: u8 = 1;

const PRIVATE: &str = "PRIVATE+KEY+";

/// The name of the key's file in a log's directory.
pub const KEY_FILE: &str = "checkpoint.key";

/// The key that signs checkpoints. Whoever has it can make history.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    verifier: VerifierKey,
}

/// The public half, with the name it is known by. Prints as `name+hash+key`: give it to auditors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: ed25519_dalek::VerifyingKey,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A name that a signed note cannot carry.
    #[error("`{0}` cannot name a key: it must be a word without `+`, as `example.com/weir`")]
    Name(String),
    /// Not the text of a key.
    #[error("not a key: {0}")]
    Form(&'static str),
    /// The key file holds something else.
    #[error("`{}` holds no signing key: {source}; restore it from a copy, or move it away and a new key is made", path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KeyError>,
    },
    /// The key file cannot be read or made.
    #[error("cannot use the key file `{}`: {source}", path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl SigningKey {
    /// Makes a key from 32 secret bytes.
    ///
    /// # Errors
    /// If `name` cannot be a key's name.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<SigningKey, KeyError> {
        check_name(name)?;
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifier = VerifierKey {
            name: name.to_owned(),
            key: key.verifying_key(),
        };
        Ok(SigningKey { key, verifier })
    }

    /// Reads the key in `path`; `None` if there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn load(path: &Path) -> Result<Option<SigningKey>, KeyError> {
        match std::fs::read_to_string(path) {
            Ok(text) => match SigningKey::parse(text.trim_end()) {
                Ok(key) => Ok(Some(key)),
                Err(error) => Err(KeyError::File {
                    path: path.to_owned(),
                    source: Box::new(error),
                }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeyError::Io {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Reads the key in `path`. If there is no such file, makes a key by the name of `name` and
    /// keeps it there, readable by the owner only.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds something else.
    pub fn load_or_create(path: &Path, name: &str) -> Result<SigningKey, KeyError> {
        if let Some(key) = SigningKey::load(path)? {
            return Ok(key);
        }
        let io = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        let key = SigningKey::from_seed(name, &fresh_seed())?;
        // `create_new`: two processes at once cannot both believe theirs was kept.
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(io)?;
        writeln!(file, "{}", key.to_text())
            .and_then(|()| file.sync_all())
            .map_err(io)?;
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            super::durable::sync_dir(dir).map_err(io)?;
        }
        Ok(key)
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(super) fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.key.sign(text).to_bytes()
    }

    fn to_text(&self) -> String {
        let VerifierKey { name, .. } = &self.verifier;
        let secret = [&[ALGORITHM][..], self.key.as_bytes()].concat();
        format!(
            "{PRIVATE}{name}+{}+{}",
            hash_text(self.verifier.key_hash()),
            STANDARD.encode(secret)
        )
    }

    fn parse(text: &str) -> Result<SigningKey, KeyError> {
        let text = text
            .strip_prefix(PRIVATE)
            .ok_or(KeyError::Form("it does not begin with `PRIVATE+KEY+`"))?;
        let (name, hash, seed) = parts(text)?;
        let key = SigningKey::from_seed(name, &seed)?;
        if hash_text(key.verifier.key_hash()) != hash {
            return Err(KeyError::Form("name, hash and key do not belong together"));
        }
        Ok(key)
    }
}

/// Without the secret.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey")
            .field(&self.verifier.to_string())
            .finish()
    }
}

impl VerifierKey {
    /// The name it signs by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a signature names the key by: the first bytes of SHA-256 over name and key.
    #[must_use]
    pub fn key_hash(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ALGORITHM])
            .chain_update(self.key.as_bytes())
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Name and hash: what tells it from another key of that name.
    #[must_use]
    pub fn short(&self) -> String {
        short(&self.name, self.key_hash())
    }

    pub(super) fn verifies(&self, text: &[u8], signature: &Signature) -> bool {
        self.key.verify_strict(text, signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ALGORITHM][..], self.key.as_bytes()].concat();
        write!(
            f,
            "{}+{}+{}",
            self.name,
            hash_text(self.key_hash()),
            STANDARD.encode(key)
        )
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<VerifierKey, KeyError> {
        let (name, hash, key) = parts(text)?;
        check_name(name)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key)
            .map_err(|_| KeyError::Form("no Ed25519 key"))?;
        let key = VerifierKey {
            name: name.to_owned(),
            key,
        };
        if hash_text(key.key_hash()) != hash {
            return Err(KeyError::Form("name, hash and key do not belong together"));
        }
        Ok(key)
    }
}

/// What a signature names its key by, as text.
pub(super) fn short(name: &str, hash: [u8; 4]) -> String {
    format!("{name}+{}", hash_text(hash))
}

/// Splits `name+hash+base64(algorithm, key)`. The last part may contain `+` itself.
fn parts(text: &str) -> Result<(&str, &str, [u8; 32]), KeyError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(KeyError::Form("expected `name+hash+key`"));
    };
    let key = STANDARD
        .decode(key)
        .map_err(|_| KeyError::Form("its last part is no base64"))?;
    match key.split_first() {
        Some((&ALGORITHM, key)) => {
            let key = key
                .try_into()
                .map_err(|_| KeyError::Form("its last part has the wrong length"))?;
            Ok((name, hash, key))
        }
        _ => Err(KeyError::Form("not an Ed25519 key")),
    }
}

fn check_name(name: &str) -> Result<(), KeyError> {
    if name.is_empty()
        || name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '+')
    {
        return Err(KeyError::Name(name.to_owned()));
    }
    Ok(())
}

fn hash_text(hash: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(hash))
}

/// 32 bytes from the system's random generator: four random UUIDs have 488 random bits.
fn fresh_seed() -> [u8; 32] {
    let mut hasher = Sha256::new();
    for _ in 0..4 {
        hasher.update(uuid::Uuid::new_v4().as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the signed-note format.
    #[test]
    fn keys_and_signatures_are_those_of_signed_notes() {
        let private =
            "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
        let public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let key = SigningKey::parse(private).expect("a key");
        assert_eq!(key.verifier().to_string(), public);
        assert_eq!(key.to_text(), private);
        assert_eq!(
            &public.parse::<VerifierKey>().expect("a key"),
            key.verifier()
        );
        let signed = [&key.verifier().key_hash()[..], &key.sign(text.as_bytes())].concat();
        assert_eq!(STANDARD.encode(signed), signature);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let refused = |text: &str| text.parse::<VerifierKey>().expect_err("no key").to_string();
        assert_eq!(
            refused("PeterNeumann"),
            "not a key: expected `name+hash+key`"
        );
        let other_name = "PeterPan+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(
            refused(other_name),
            "not a key: name, hash and key do not belong together"
        );
        assert!(SigningKey::from_seed("two words", &[1; 32]).is_err());
        assert!(SigningKey::from_seed("a+b", &[1; 32]).is_err());
        assert!(SigningKey::from_seed("", &[1; 32]).is_err());
    }
}
