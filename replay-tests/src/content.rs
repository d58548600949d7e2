//! Manifests by name: what a story or a generated history is about.
//!
//! A name's digest is the digest of the name, so that stories say `api` and a transcript can say
//! `api` again where the engine says `sha256:...`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use weir_schema::Digest;

/// An image of the OCI form.
pub const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index of the OCI form.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A manifest list of the Docker form.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The artifact type of a signature.
pub const SIGNATURE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";

/// What an index says of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing: a platform of a multi-arch image.
    Plain,
    /// A component of an application.
    Component,
    /// The invocation image.
    Invocation,
    /// The bundle's configuration.
    Config,
    /// An attestation of BuildKit's.
    Attestation,
    /// An artifact that is no image.
    Artifact,
    /// A kind that no specification knows.
    Mystery,
}

impl Role {
    /// Whether the child has to be scanned, if it is an image.
    #[must_use]
    pub fn is_required(self) -> bool {
        !matches!(self, Self::Config | Self::Attestation | Self::Artifact)
    }

    fn of(word: &str) -> Self {
        match word {
            "plain" => Self::Plain,
            "component" => Self::Component,
            "invocation" => Self::Invocation,
            "config" => Self::Config,
            "attestation" => Self::Attestation,
            "artifact" => Self::Artifact,
            "mystery" => Self::Mystery,
            _ => panic!("`{word}` is no role of a child"),
        }
    }
}

/// A manifest.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// Its media type.
    pub media_type: String,
    /// The children of an index.
    pub children: Option<Vec<(String, Role)>>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its artifact type.
    pub artifact_type: Option<String>,
}

impl Manifest {
    /// An image.
    #[must_use]
    pub fn image() -> Self {
        Self {
            media_type: OCI_IMAGE.into(),
            ..Self::default()
        }
    }

    /// An artifact that is no image.
    #[must_use]
    pub fn signature() -> Self {
        Self {
            artifact_type: Some(SIGNATURE.into()),
            ..Self::image()
        }
    }

    /// An index; an application if `app`.
    #[must_use]
    pub fn index(app: bool, children: Vec<(String, Role)>) -> Self {
        let mut annotations = BTreeMap::new();
        if app {
            annotations.insert("io.docker.type".into(), "app".into());
        }
        Self {
            media_type: OCI_INDEX.into(),
            children: Some(children),
            annotations,
            artifact_type: None,
        }
    }
}

/// The digest of a name.
#[must_use]
pub fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// Everything that there is.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    manifests: BTreeMap<String, Manifest>,
    names: BTreeMap<Digest, String>,
}

impl Contents {
    /// Adds a manifest.
    pub fn declare(&mut self, name: &str, manifest: Manifest) {
        for (child, _) in manifest.children.iter().flatten() {
            self.know(child);
        }
        self.know(name);
        self.manifests.insert(name.to_owned(), manifest);
    }

    /// Adds a manifest as a story says it: `app shop = web db cfg:config`.
    ///
    /// # Panics
    /// If the words are no declaration.
    pub fn declare_words(&mut self, kind: &str, name: &str, children: &[&str]) {
        let usual = if kind == "app" {
            Role::Component
        } else {
            Role::Plain
        };
        let children = children
            .iter()
            .map(|child| match child.split_once(':') {
                Some((name, role)) => (name.to_owned(), Role::of(role)),
                None => ((*child).to_owned(), usual),
            })
            .collect();
        let manifest = match kind {
            "app" => Manifest::index(true, children),
            "index" => Manifest::index(false, children),
            "list" => Manifest {
                media_type: DOCKER_LIST.into(),
                ..Manifest::index(false, children)
            },
            "artifact" => Manifest::signature(),
            // An image with a list of manifests: cosmetic, and no index.
            _ => Manifest {
                children: Some(children).filter(|children| !children.is_empty()),
                ..Manifest::image()
            },
        };
        self.declare(name, manifest);
    }

    /// Remembers a name, so that its digest can be shown by it.
    pub fn know(&mut self, name: &str) {
        self.names.insert(digest(name), name.to_owned());
    }

    /// The name of a digest; its short form if it has none.
    #[must_use]
    pub fn name(&self, digest: &Digest) -> String {
        self.names
            .get(digest)
            .cloned()
            .unwrap_or_else(|| digest.short())
    }

    /// The manifest of that name; a plain image if nothing was declared.
    #[must_use]
    pub fn get(&self, name: &str) -> Manifest {
        self.manifests
            .get(name)
            .cloned()
            .unwrap_or_else(Manifest::image)
    }

    /// The manifest with that digest.
    #[must_use]
    pub fn by_digest(&self, digest: &Digest) -> Manifest {
        self.names
            .get(digest)
            .map_or_else(Manifest::image, |name| self.get(name))
    }

    /// The images below a manifest that have to be scanned, as this crate understands DESIGN 4.2:
    /// written apart from the core, so that both can be wrong only alike.
    #[must_use]
    pub fn required(&self, name: &str) -> BTreeSet<String> {
        self.required_where(name, |_| true)
    }

    /// As [`Contents::required`], where it is `told` only of some manifests what artifacts they
    /// are: the others have to be scanned.
    #[must_use]
    pub fn required_where(&self, name: &str, told: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let manifest = self.get(&name);
            match manifest.children {
                Some(children) => open.extend(
                    children
                        .into_iter()
                        .filter(|(child, role)| {
                            // An index is expanded, whatever type its descriptor declares.
                            let index = self.get(child).children.is_some();
                            role.is_required() || (index && *role == Role::Artifact)
                        })
                        .map(|(child, _)| child),
                ),
                None if manifest.artifact_type.is_none() || !told(&name) => {
                    found.insert(name);
                }
                None => {}
            }
        }
        found
    }

    /// What a push or a resolution says of a manifest; without its children if `bare`.
    #[must_use]
    pub fn facts(&self, name: &str, bare: bool) -> Value {
        let manifest = self.get(name);
        let mut facts = json!({"digest": digest(name), "media_type": manifest.media_type});
        if let (Some(children), false) = (&manifest.children, bare) {
            let list: Vec<Value> = children
                .iter()
                .map(|(child, role)| self.descriptor(child, *role))
                .collect();
            facts["manifests"] = list.into();
        }
        if !manifest.annotations.is_empty() {
            facts["annotations"] = json!(manifest.annotations);
        }
        if let Some(kind) = &manifest.artifact_type {
            facts["artifact_type"] = kind.as_str().into();
        }
        facts
    }

    fn descriptor(&self, child: &str, role: Role) -> Value {
        let mut descriptor = json!({
            "digest": digest(child),
            "media_type": self.get(child).media_type,
            "size": 500,
        });
        let cnab = |kind: &str| json!({"io.cnab.manifest.type": kind});
        match role {
            Role::Plain => {}
            Role::Component => {
                descriptor["annotations"] = cnab("component");
                descriptor["annotations"]["io.cnab.component.name"] = child.into();
            }
            Role::Invocation => descriptor["annotations"] = cnab("invocation"),
            Role::Config => descriptor["annotations"] = cnab("config"),
            Role::Mystery => descriptor["annotations"] = cnab("mystery"),
            Role::Attestation => {
                descriptor["platform"] = json!({"os": "unknown", "architecture": "unknown"});
            }
            Role::Artifact => descriptor["artifact_type"] = SIGNATURE.into(),
        }
        descriptor
    }
}
