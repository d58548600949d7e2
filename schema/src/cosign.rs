//! Cosign's tags, which say by their name what a signature, attestation or SBOM is about:
//! `sha256-HEX.sig`, `.att`, `.sbom`.

use crate::{Digest, Tag};

/// What follows the digest in such a tag.
pub const ENDINGS: [&str; 3] = [".sig", ".att", ".sbom"];

/// The tags of what is about a manifest; none for a digest other than SHA-256.
#[must_use]
pub fn tags_of(digest: &Digest) -> Vec<Tag> {
    let Digest::Sha256(_) = digest else {
        return Vec::new();
    };
    let tags = ENDINGS.map(|ending| format!("sha256-{}{ending}", digest.hex()).parse());
    tags.into_iter().flatten().collect()
}

/// The manifest that what is under `tag` is about, if it is one of cosign's tags.
#[must_use]
pub fn subject_of_tag(tag: &str) -> Option<Digest> {
    let rest = tag.strip_prefix("sha256-")?;
    let hex = ENDINGS
        .iter()
        .find_map(|ending| rest.strip_suffix(ending))?;
    format!("sha256:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cosigns_tags_say_what_they_are_about() {
        let signed = Digest::of(b"signed");
        let hex = signed.hex();
        let tags = tags_of(&signed);
        assert_eq!(tags.len(), ENDINGS.len());
        for tag in tags {
            assert_eq!(
                subject_of_tag(tag.as_str()).as_ref(),
                Some(&signed),
                "{tag}"
            );
        }
        let longer = format!("sha512:{}", "0".repeat(128)).parse().unwrap();
        assert_eq!(tags_of(&longer), []);
        for other in [
            format!("sha256-{hex}"),
            format!("sha256-{hex}sig"),
            format!("sha256-{hex}.sig.old"),
            format!("sha256-{hex}.old.sig"),
            format!("sha256-{}.sig", &hex[1..]),
            format!("sha256-{}.sig", hex.to_uppercase()),
            format!("sha512-{hex}.sig"),
            format!("{hex}.sig"),
        ] {
            assert_eq!(subject_of_tag(&other), None, "{other}");
        }
    }
}
