//! Package URLs (`pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIERS#SUBPATH`), as far as reports use them.

use weir_schema::{Digest, DigestError, registry_in};

/// The parts of a package URL, percent-decoded, not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Purl {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) version: Option<String>,
    qualifiers: Vec<(String, String)>,
    /// A part of the package.
    pub(super) subpath: Option<String>,
}

/// Takes a package URL apart; `None` if it is none.
pub(super) fn parse(text: &str) -> Option<Purl> {
    let rest = text.strip_prefix("pkg:")?.trim_start_matches('/');
    let (rest, subpath) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (kind, path) = path.split_once('/')?;
    // A version's own `@` is encoded; a scope's (`@angular/core`) may not be.
    let (path, version) = match path.rsplit_once('@') {
        Some((path, version)) if !path.is_empty() && !version.contains('/') => {
            (path, Some(version))
        }
        _ => (path, None),
    };
    let (namespace, name) = path
        .trim_matches('/')
        .rsplit_once('/')
        .unwrap_or(("", path));
    if name.is_empty() {
        return None;
    }
    let qualifiers = query.split('&').filter_map(|pair| pair.split_once('='));
    let qualifiers = qualifiers.map(|(name, value)| (name.to_lowercase(), decoded(value)));
    Some(Purl {
        kind: kind.to_lowercase(),
        namespace: decoded(namespace),
        name: decoded(name),
        version: version.map(decoded).filter(|version| !version.is_empty()),
        qualifiers: qualifiers.collect(),
        subpath: Some(decoded(subpath)).filter(|subpath| !subpath.is_empty()),
    })
}

impl Purl {
    /// A qualifier's value.
    pub(super) fn qualifier(&self, name: &str) -> Option<&str> {
        let found = self
            .qualifiers
            .iter()
            .find(|(qualifier, _)| qualifier == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether it says all that `other` says, and more.
    pub(super) fn is_a_part_of(&self, other: &Self) -> bool {
        fn open<T: PartialEq>(its: &Option<T>, own: &Option<T>) -> bool {
            its.is_none() || its == own
        }
        (&self.kind, &self.namespace, &self.name) == (&other.kind, &other.namespace, &other.name)
            && open(&other.version, &self.version)
            && open(&other.subpath, &self.subpath)
            && other
                .qualifiers
                .iter()
                .all(|one| self.qualifiers.contains(one))
    }

    /// Whether it names a container image.
    pub(super) fn is_image(&self) -> bool {
        matches!(self.kind.as_str(), "oci" | "docker")
    }

    /// Whether it names a package of a distribution.
    pub(super) fn is_of_system(&self) -> bool {
        matches!(self.kind.as_str(), "deb" | "rpm" | "apk" | "alpm")
    }

    /// The digest of an image, as its version or as a qualifier (BuildKit's way).
    ///
    /// # Errors
    /// If what is meant to be one is not.
    pub(super) fn digest(&self) -> Result<Option<Digest>, DigestError> {
        self.digest_text().map(str::parse).transpose()
    }

    fn digest_text(&self) -> Option<&str> {
        let version = self.version.as_deref();
        // A tag has no colon.
        let digest = version.filter(|version| version.contains(':'));
        digest.or_else(|| self.qualifier("digest"))
    }

    /// The qualifier that makes less of an image than its digest, repository and tag say, as that of an
    /// architecture does: any but theirs, since what others mean is not known.
    pub(super) fn narrowed_by(&self) -> Option<&str> {
        let said = self
            .qualifiers
            .iter()
            .filter(|(_, value)| !value.is_empty());
        let mut narrowing = said.filter(|(name, value)| match name.as_str() {
            "repository_url" | "tag" => false,
            // Beside another digest it says something else.
            "digest" => self.digest_text() != Some(value),
            _ => true,
        });
        let found = narrowing.next();
        found.map(|(name, _)| name.as_str())
    }

    /// The tag of an image, as its version or as a qualifier.
    pub(super) fn tag(&self) -> Option<&str> {
        let version = self.version.as_deref();
        let version = version.filter(|version| !version.contains(':'));
        version.or_else(|| self.qualifier("tag"))
    }

    /// The repository of an image. Of the type `docker` it is Docker Hub's, unless it says another one,
    /// as a qualifier or as images' names do.
    pub(super) fn repository(&self) -> Option<String> {
        let own = self.package();
        if let Some(url) = self.qualifier("repository_url") {
            let url = url.split_once("://").map_or(url, |(_, rest)| rest);
            let url = url.trim_end_matches('/');
            // The URL may leave the name out (purl types, "oci" and "docker").
            let named = [&own, &self.name].into_iter().any(|name| {
                let before = url.strip_suffix(name.as_str());
                before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
            });
            return Some(if named {
                url.to_owned()
            } else {
                format!("{url}/{own}")
            });
        }
        match (self.kind.as_str(), self.namespace.as_str()) {
            ("docker", "") => Some(format!("docker.io/library/{own}")),
            ("docker", _) if registry_in(&own).is_some() => Some(own),
            ("docker", _) => Some(format!("docker.io/{own}")),
            _ => None,
        }
    }

    /// The package and its version, as overrides name them: `NAME@VERSION`, or the name alone.
    pub(super) fn versioned(&self) -> String {
        match (&self.version, self.qualifier("epoch")) {
            (None, _) => self.package(),
            (Some(version), Some(epoch)) => format!("{}@{epoch}:{version}", self.package()),
            (Some(version), None) => format!("{}@{version}", self.package()),
        }
    }

    /// The package's name as scanners write it: Maven's with a colon, others' with a slash, those
    /// of distributions without the distribution's name.
    pub(super) fn package(&self) -> String {
        match (self.kind.as_str(), self.namespace.as_str()) {
            (_, "") | ("deb" | "rpm" | "apk" | "alpm" | "bitnami", _) => self.name.clone(),
            ("maven", namespace) => format!("{namespace}:{}", self.name),
            (_, namespace) => format!("{namespace}/{}", self.name),
        }
    }
}

fn decoded(text: &str) -> String {
    super::percent_decoded(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_as_scanners_name_it() {
        let check = |text: &str, package: &str, version: Option<&str>| {
            let purl = parse(text).unwrap();
            assert_eq!(purl.package(), package);
            assert_eq!(purl.version.as_deref(), version);
        };
        check(
            "pkg:apk/alpine/libssl3@3.0.8-r3",
            "libssl3",
            Some("3.0.8-r3"),
        );
        check(
            "pkg:deb/debian/zlib@1.2?arch=amd64&epoch=1",
            "zlib",
            Some("1.2"),
        );
        check("pkg:maven/org.acme/core@1.0", "org.acme:core", Some("1.0"));
        check("pkg:npm/%40angular/core@1.0", "@angular/core", Some("1.0"));
        check("pkg:npm/@angular/core", "@angular/core", None);
        check("pkg:golang/github.com/a/b@v1", "github.com/a/b", Some("v1"));
        let versioned = |text: &str| parse(text).unwrap().versioned();
        assert_eq!(
            versioned("pkg:npm/%40angular/core@1.0"),
            "@angular/core@1.0"
        );
        assert_eq!(
            versioned("pkg:rpm/centos/bash@4.4-1?epoch=1"),
            "bash@1:4.4-1"
        );
        assert_eq!(versioned("pkg:deb/debian/zlib"), "zlib");
        assert_eq!(parse("openssl"), None);
        assert_eq!(parse("pkg:deb"), None);
    }

    #[test]
    fn an_image_has_its_digest_and_repository() {
        let hex = "12".repeat(32);
        let check = |text: String, repository: Option<&str>| {
            let purl = parse(&text).unwrap();
            assert!(purl.is_image());
            assert_eq!(purl.digest().unwrap().unwrap().hex(), hex);
            assert_eq!(purl.tag(), None);
            assert_eq!(purl.repository().as_deref(), repository);
        };
        check(format!("pkg:oci/web@sha256%3A{hex}"), None);
        check(
            format!("pkg:oci/web@sha256:{hex}?repository_url=a%3A5000%2Fteam%2Fweb"),
            Some("a:5000/team/web"),
        );
        check(
            format!("pkg:oci/web@sha256:{hex}?repository_url=ghcr.io/team"),
            Some("ghcr.io/team/web"),
        );
        check(
            format!("pkg:docker/team/web@sha256:{hex}"),
            Some("docker.io/team/web"),
        );
        check(
            format!("pkg:docker/nginx@sha256:{hex}"),
            Some("docker.io/library/nginx"),
        );
        check(
            format!("pkg:docker/team/web@sha256:{hex}?repository_url=gcr.io"),
            Some("gcr.io/team/web"),
        );
        check(
            format!("pkg:docker/ghcr.io/team/web@sha256:{hex}"),
            Some("ghcr.io/team/web"),
        );
        let buildkit =
            format!("pkg:docker/team/web@1.0?digest=sha256:{hex}&platform=linux%2Famd64");
        let buildkit = parse(&buildkit).unwrap();
        assert_eq!(buildkit.digest().unwrap().unwrap().hex(), hex);
        assert_eq!(buildkit.narrowed_by(), Some("platform"));
        let tagged = |text| parse(text).unwrap().tag().map(str::to_owned);
        assert_eq!(tagged("pkg:docker/team/web@1.0").as_deref(), Some("1.0"));
        assert_eq!(tagged("pkg:oci/web?tag=1.0").as_deref(), Some("1.0"));
        for broken in ["pkg:oci/web@sha256:12...", "pkg:docker/web?digest=123"] {
            assert!(parse(broken).unwrap().digest().is_err());
        }
    }

    #[test]
    fn whatever_is_neither_digest_nor_repository_nor_tag_makes_less_of_an_image() {
        let digest = format!("sha256:{}", "12".repeat(32));
        let narrowed = |rest: &str| {
            let purl = parse(&format!("pkg:oci/web@{digest}?{rest}")).unwrap();
            purl.narrowed_by().map(str::to_owned)
        };
        assert_eq!(narrowed("repository_url=r.example&tag=1&arch="), None);
        assert_eq!(
            narrowed(&format!("Repository_URL=r.example&digest={digest}")),
            None
        );
        assert_eq!(narrowed("digest=sha256:13").as_deref(), Some("digest"));
        for name in ["arch", "platform", "variant", "os_name", "checksum"] {
            assert_eq!(narrowed(&format!("tag=1&{name}=x")).as_deref(), Some(name));
        }
        assert_eq!(narrowed("Arch=arm64").as_deref(), Some("arch"));
    }
}
