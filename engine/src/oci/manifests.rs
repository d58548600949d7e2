//! Manifests: looked at, fetched and stored as the bytes they are.

use bytes::Bytes;
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use weir_schema::{Digest, Tag};

use super::{
    auth::scope,
    client::{Call, Client, ERROR_LIMIT, text},
    error::OciError,
    media_type,
};

/// Largest manifest read: what registries accept (distribution: 4 MiB).
pub const MANIFEST_LIMIT: usize = 4 << 20;

/// A manifest of a repository, by name or by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// What the tag points at just now.
    Tag(Tag),
    /// Exactly this content.
    Digest(Digest),
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl Reference {
    /// `team/web:1.0` or `team/web@sha256:…`.
    fn within(&self, repository: &str) -> String {
        match self {
            Self::Tag(tag) => format!("{repository}:{tag}"),
            Self::Digest(digest) => format!("{repository}@{digest}"),
        }
    }
}

/// What a registry says of a manifest without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// Its digest.
    pub digest: Digest,
    /// Its media type, if the registry gave one.
    pub media_type: Option<String>,
    /// Its size in bytes, if the registry gave one.
    pub size: Option<u64>,
}

/// A manifest, its bytes verified against its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// Its digest.
    pub digest: Digest,
    /// The Content-Type it came with, if any.
    pub content_type: Option<String>,
    /// Its bytes, which are never written anew.
    pub bytes: Bytes,
}

impl Client {
    /// Looks at a manifest; `None` if it is not there.
    ///
    /// # Errors
    /// As every request. A registry that gives no digest is asked for the content instead.
    pub async fn head_manifest(
        &self,
        repository: &str,
        reference: &Reference,
    ) -> Result<Option<ManifestHead>, OciError> {
        let call = self.read_call(Method::HEAD, "looking for", repository, reference);
        let answer = self.answer(&call, ERROR_LIMIT).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(self.refusal(&call, &answer)),
        }
        let Some(said) = text(&answer.headers, "docker-content-digest") else {
            let fetched = self.get_manifest(repository, reference).await?;
            let size = u64::try_from(fetched.bytes.len()).ok();
            return Ok(fetched.map_head(size));
        };
        let digest: Digest = said
            .parse()
            .map_err(|error| self.protocol(&call.what, format!("{error}")))?;
        if let Reference::Digest(asked) = reference
            && *asked != digest
            && asked.algorithm() == digest.algorithm()
        {
            return Err(OciError::WrongDigest {
                registry: self.registry().to_owned(),
                what: call.what,
                expected: asked.clone(),
                found: digest.to_string(),
            });
        }
        Ok(Some(ManifestHead {
            digest: match reference {
                Reference::Digest(asked) => asked.clone(),
                Reference::Tag(_) => digest,
            },
            media_type: text(&answer.headers, "content-type").map(media_type::essence),
            size: text(&answer.headers, "content-length").and_then(|size| size.parse().ok()),
        }))
    }

    /// Fetches a manifest and verifies its digest: the one asked for, or by tag the one that the
    /// registry names.
    ///
    /// # Errors
    /// As every request; `NotFound` if it is not there.
    pub async fn get_manifest(
        &self,
        repository: &str,
        reference: &Reference,
    ) -> Result<RawManifest, OciError> {
        let call = self.read_call(Method::GET, "getting", repository, reference);
        let answer = self.answer(&call, MANIFEST_LIMIT).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(&call, &answer));
        }
        let expected = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(_) => match text(&answer.headers, "docker-content-digest") {
                Some(said) => Some(
                    said.parse()
                        .map_err(|error| self.protocol(&call.what, format!("{error}")))?,
                ),
                None => None,
            },
        };
        let digest = expected.unwrap_or_else(|| Digest::of(&answer.body));
        if !digest.matches(&answer.body) {
            return Err(OciError::WrongDigest {
                registry: self.registry().to_owned(),
                what: call.what,
                expected: digest,
                found: Digest::of(&answer.body).to_string(),
            });
        }
        let content_type = text(&answer.headers, "content-type").map(media_type::essence);
        Ok(RawManifest {
            digest,
            content_type,
            bytes: answer.body,
        })
    }

    /// Stores the bytes of a manifest. By digest this may be repeated and is; by tag it is tried
    /// once, since in between the tag may have become somebody else's.
    ///
    /// # Errors
    /// As every request; `Refused` carries the registry's codes, `MANIFEST_BLOB_UNKNOWN` where
    /// something that the manifest names is not there.
    pub async fn put_manifest(
        &self,
        repository: &str,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), OciError> {
        let what = format!("storing `{}`", reference.within(repository));
        let content_type = HeaderValue::from_str(media_type)
            .map_err(|_| self.protocol(&what, format!("`{media_type}` is no media type")))?;
        let expected = Digest::of(&bytes);
        let path = format!("v2/{repository}/manifests/{reference}");
        let mut call = Call::new(
            what,
            Method::PUT,
            path,
            vec![scope(repository, "pull,push")],
        )
        .header(CONTENT_TYPE, content_type);
        call.body = bytes;
        let answer = match reference {
            Reference::Digest(_) => self.answer(&call, ERROR_LIMIT).await?,
            Reference::Tag(_) => {
                let _slot = self.slot().await;
                self.answer_once(&call, ERROR_LIMIT).await?
            }
        };
        if !answer.status.is_success() {
            return Err(self.refusal(&call, &answer));
        }
        if let Some(said) = text(&answer.headers, "docker-content-digest")
            && said.starts_with("sha256:")
            && said != expected.to_string()
        {
            return Err(OciError::WrongDigest {
                registry: self.registry().to_owned(),
                what: call.what,
                expected,
                found: said.to_owned(),
            });
        }
        Ok(())
    }

    fn read_call(
        &self,
        method: Method,
        doing: &str,
        repository: &str,
        reference: &Reference,
    ) -> Call {
        Call::new(
            format!("{doing} `{}`", reference.within(repository)),
            method,
            format!("v2/{repository}/manifests/{reference}"),
            vec![scope(repository, "pull")],
        )
        .header(ACCEPT, HeaderValue::from_static(media_type::ACCEPTED))
    }
}

impl RawManifest {
    fn map_head(self, size: Option<u64>) -> Option<ManifestHead> {
        Some(ManifestHead {
            digest: self.digest,
            media_type: self.content_type,
            size,
        })
    }
}
