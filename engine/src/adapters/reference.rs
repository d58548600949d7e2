//! Image references as tools write them: `name`, `name:tag`, `name@digest`, `name:tag@digest`.

/// The parts of a reference, not checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    pub(super) name: &'a str,
    pub(super) tag: Option<&'a str>,
    pub(super) digest: Option<&'a str>,
}

/// Takes a reference apart. A colon after the last slash begins a tag; one before it, a port.
pub(super) fn split(text: &str) -> Reference<'_> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    Reference {
        name,
        tag: tag.filter(|tag| !tag.is_empty()),
        digest: digest.filter(|digest| !digest.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_taken_apart_as_docker_does() {
        let check = |text, name, tag, digest| {
            assert_eq!(split(text), Reference { name, tag, digest });
        };
        check("web", "web", None, None);
        check("a:5000/web", "a:5000/web", None, None);
        check("a:5000/web:1.0", "a:5000/web", Some("1.0"), None);
        check("web@sha256:ab", "web", None, Some("sha256:ab"));
        check("a/web:1@sha256:ab", "a/web", Some("1"), Some("sha256:ab"));
        check("ghcr.io/a/web:", "ghcr.io/a/web", None, None);
    }
}
