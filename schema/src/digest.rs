//! Content digests as OCI writes them: `sha256:<64 hex>` or `sha512:<128 hex>`.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256, Sha512};

use crate::hex;

/// The digest of some content. Anything but the two registered algorithms in lower-case
/// hexadecimal is refused: a short or masked digest is never completed by guessing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// SHA-256, what registries use.
    Sha256([u8; 32]),
    /// SHA-512, which the image specification registers too.
    Sha512(Box<[u8; 64]>),
}

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no `algorithm:` in front.
    #[error("`{0}` is no digest: expected `sha256:` or `sha512:` and hexadecimal digits")]
    Algorithm(String),
    /// The number of digits is wrong.
    #[error(
        "`{text}` is no digest: {algorithm} has {expected} hexadecimal digits, this has {found}"
    )]
    Length {
        /// The text as given.
        text: String,
        /// The algorithm it names.
        algorithm: &'static str,
        /// How many digits that algorithm has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A character is no lower-case hexadecimal digit.
    #[error("`{0}` is no digest: only the digits 0-9 and a-f are allowed after the colon")]
    Digits(String),
}

impl Digest {
    /// The SHA-256 digest of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self::Sha256(Sha256::digest(content).into())
    }

    /// Whether `content` has this digest.
    #[must_use]
    pub fn matches(&self, content: &[u8]) -> bool {
        match self {
            Self::Sha256(bytes) => Sha256::digest(content).as_slice() == bytes,
            Self::Sha512(bytes) => Sha512::digest(content).as_slice() == bytes.as_slice(),
        }
    }

    /// The algorithm's name as it stands before the colon.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }

    /// The bytes of the hash.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes.as_slice(),
        }
    }

    /// The hexadecimal digits without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        self.with_text(|text| text[ALGORITHM_BYTES..].to_owned())
    }

    /// Does something with the whole text, which is made without an allocation.
    fn with_text<T>(&self, with: impl FnOnce(&str) -> T) -> T {
        let mut text = [0; ALGORITHM_BYTES + 2 * 64];
        let bytes = self.bytes();
        let (algorithm, digits) = text.split_at_mut(ALGORITHM_BYTES);
        algorithm.copy_from_slice(match self {
            Self::Sha256(_) => b"sha256:",
            Self::Sha512(_) => b"sha512:",
        });
        hex::write(bytes, digits);
        let text = &text[..ALGORITHM_BYTES + 2 * bytes.len()];
        with(std::str::from_utf8(text).expect("digits are text"))
    }

    /// The first twelve digits: enough for people to tell digests apart, never an identifier.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

/// The length of `sha256:` and of `sha512:`.
const ALGORITHM_BYTES: usize = 7;

/// Appends the lower-case hexadecimal digits of a hash.
pub(crate) fn push_hex(hash: &[u8; 32], text: &mut String) {
    Digest::Sha256(*hash).with_text(|digest| text.push_str(&digest[ALGORITHM_BYTES..]));
}

/// The 32 bytes of 64 lower-case digits.
pub(crate) fn hash_from_hex(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    (digits.len() == 64).then(|| hex::read(digits.as_bytes(), &mut bytes))??;
    Some(bytes)
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, expected, digits) = if let Some(digits) = text.strip_prefix("sha256:") {
            ("sha256", 64, digits)
        } else if let Some(digits) = text.strip_prefix("sha512:") {
            ("sha512", 128, digits)
        } else {
            return Err(DigestError::Algorithm(clip(text)));
        };
        if digits.len() != expected {
            let found = digits.chars().count();
            return Err(DigestError::Length {
                text: clip(text),
                algorithm,
                expected,
                found,
            });
        }
        let refused = || DigestError::Digits(clip(text));
        if expected == 64 {
            let mut bytes = [0; 32];
            hex::read(digits.as_bytes(), &mut bytes).ok_or_else(refused)?;
            Ok(Self::Sha256(bytes))
        } else {
            let mut bytes = Box::new([0; 64]);
            hex::read(digits.as_bytes(), bytes.as_mut_slice()).ok_or_else(refused)?;
            Ok(Self::Sha512(bytes))
        }
    }
}

/// A text short enough for an error message.
pub(crate) fn clip(text: &str) -> String {
    const LONGEST: usize = 160;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_str(deserializer)
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$"
        })
    }
}

/// Deserializes a string and parses it, without an allocation where the input can be borrowed.
pub(crate) fn parse_str<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    struct Visitor<T>(std::marker::PhantomData<T>);
    impl<T> de::Visitor<'_> for Visitor<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Visitor(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_as_it_is_written() {
        for text in [
            format!("sha256:{}", "0a".repeat(32)),
            format!("sha512:{}", "f9".repeat(64)),
        ] {
            assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
        }
        assert_eq!(
            Digest::of(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn only_lower_case_hexadecimal_digits_are_digits_wherever_they_stand() {
        let digits = b"0123456789abcdef".repeat(8);
        for (length, place) in [(64, 0), (64, 37), (64, 63), (128, 95)] {
            for byte in 0..=127 {
                let mut text = digits[..length].to_vec();
                text[place] = byte;
                let hex = String::from_utf8(text).unwrap();
                let algorithm = if length == 64 { "sha256" } else { "sha512" };
                let read = format!("{algorithm}:{hex}").parse::<Digest>();
                match byte {
                    b'0'..=b'9' | b'a'..=b'f' => assert_eq!(read.unwrap().hex(), hex),
                    _ => assert!(matches!(read, Err(DigestError::Digits(_))), "{byte:#x}"),
                }
            }
        }
    }

    #[test]
    fn f20_a_short_or_masked_digest_is_refused_with_its_reason() {
        let check = |text: &str, reason: &str| {
            let error = text.parse::<Digest>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        };
        check("sha256:91ef6", "has 64 hexadecimal digits, this has 5");
        check(&format!("sha256:{}", "x".repeat(64)), "only the digits");
        check(&format!("sha256:{}", "AB".repeat(32)), "only the digits");
        check(&"a".repeat(64), "expected `sha256:`");
        check("md5:d41d8cd98f00b204e9800998ecf8427e", "expected `sha256:`");
        check("", "expected `sha256:`");
        check(&format!("sha256:{}", "é".repeat(32)), "only the digits");
    }
}
