//! Blobs: looked for, mounted, fetched and uploaded whole where they are small. Large ones are
//! streamed by `transfer`.

use bytes::Bytes;
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use weir_schema::Digest;

use super::{
    auth::scope,
    client::{Call, Client, ERROR_LIMIT, text},
    error::OciError,
};

/// What a registry made of the wish to mount a blob.
#[derive(Debug)]
pub enum Mount {
    /// The blob is in the repository now.
    Done,
    /// The registry opened an upload instead; the blob's bytes go there.
    Declined(Upload),
}

/// An upload that a registry opened.
#[derive(Debug, Clone)]
pub struct Upload {
    pub(super) repository: String,
    pub(super) location: String,
    /// The host that the upload was opened at, where that is not the registry's own.
    elsewhere: Option<String>,
}

impl Client {
    /// Whether a blob is there.
    ///
    /// # Errors
    /// As every request.
    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool, OciError> {
        let call = blob_call(Method::HEAD, "looking for", repository, digest);
        let answer = self.answer(&call, ERROR_LIMIT).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refusal(&call, &answer)),
        }
    }

    /// Fetches a blob of at most `limit` bytes and verifies its digest.
    ///
    /// # Errors
    /// As every request; `TooLarge` where it is larger.
    pub async fn get_blob(
        &self,
        repository: &str,
        digest: &Digest,
        limit: usize,
    ) -> Result<Bytes, OciError> {
        let call = blob_call(Method::GET, "getting", repository, digest);
        let answer = self.answer(&call, limit).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(&call, &answer));
        }
        if !digest.matches(&answer.body) {
            return Err(OciError::WrongDigest {
                registry: self.registry().to_owned(),
                what: call.what,
                expected: digest.clone(),
                found: Digest::of(&answer.body).to_string(),
            });
        }
        Ok(answer.body)
    }

    /// Makes a blob of repository `from` part of `repository` without moving its bytes.
    ///
    /// # Errors
    /// As every request. It needs a login that may pull `from` and push to `repository`.
    pub async fn mount_blob(
        &self,
        repository: &str,
        digest: &Digest,
        from: &str,
    ) -> Result<Mount, OciError> {
        let mut scopes = vec![scope(repository, "pull,push"), scope(from, "pull")];
        scopes.sort();
        let call = Call::new(
            format!("mounting `{repository}@{digest}` from `{from}`"),
            Method::POST,
            format!(
                "v2/{repository}/blobs/uploads/?mount={digest}&from={}",
                encode(from)
            ),
            scopes,
        );
        let answer = self.answer(&call, ERROR_LIMIT).await?;
        match answer.status {
            StatusCode::CREATED => Ok(Mount::Done),
            StatusCode::ACCEPTED => Ok(Mount::Declined(self.upload(
                &call,
                &answer.headers,
                repository,
            )?)),
            _ => Err(self.refusal(&call, &answer)),
        }
    }

    /// Opens an upload.
    ///
    /// # Errors
    /// As every request.
    pub async fn start_upload(&self, repository: &str) -> Result<Upload, OciError> {
        let call = Call::new(
            format!("starting an upload to `{repository}`"),
            Method::POST,
            format!("v2/{repository}/blobs/uploads/"),
            vec![scope(repository, "pull,push")],
        );
        let answer = self.answer(&call, ERROR_LIMIT).await?;
        match answer.status {
            StatusCode::ACCEPTED => self.upload(&call, &answer.headers, repository),
            _ => Err(self.refusal(&call, &answer)),
        }
    }

    /// Sends a small blob into `upload`, which is used up by it. Tried once, since a second try
    /// needs a new upload.
    ///
    /// # Errors
    /// As every request.
    pub async fn finish_upload(
        &self,
        upload: Upload,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), OciError> {
        let _slot = self.slot().await;
        let mut call = finish_call(&upload, digest);
        call.body = bytes;
        let answer = self.answer_once(&call, ERROR_LIMIT).await?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(self.refusal(&call, &answer))
        }
    }

    fn upload(
        &self,
        call: &Call,
        headers: &reqwest::header::HeaderMap,
        repository: &str,
    ) -> Result<Upload, OciError> {
        let location = text(headers, "location").ok_or_else(|| {
            self.protocol(&call.what, "an upload was opened, but it has no address")
        })?;
        // Of an address within the registry the client knows where it begins; one without a slash begins
        // at what was asked for.
        let location = match location.contains("://") || location.starts_with('/') {
            true => location.to_owned(),
            false => beside(&call.path, location),
        };
        Ok(Upload {
            repository: repository.to_owned(),
            elsewhere: host_of(&location)
                .filter(|host| *host != self.authority())
                .map(str::to_owned),
            location,
        })
    }
}

/// An address relative to the path that was asked for (RFC 3986, section 5.2).
fn beside(path: &str, location: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let within = path.rsplit_once('/').map_or("", |(within, _)| within);
    format!("{within}/{location}")
}

/// The host that an address names, with its port and without a login; `None` of one without.
fn host_of(location: &str) -> Option<&str> {
    let (_, rest) = location.split_once("://")?;
    rest.split(['/', '?']).next()?.rsplit('@').next()
}

pub(super) fn blob_call(method: Method, doing: &str, repository: &str, digest: &Digest) -> Call {
    Call::new(
        format!("{doing} blob `{repository}@{digest}`"),
        method,
        format!("v2/{repository}/blobs/{digest}"),
        vec![scope(repository, "pull")],
    )
}

/// The request that ends an upload with its content.
pub(super) fn finish_call(upload: &Upload, digest: &Digest) -> Call {
    let separator = if upload.location.contains('?') {
        '&'
    } else {
        '?'
    };
    let mut what = format!("uploading blob `{}@{digest}`", upload.repository);
    if let Some(host) = &upload.elsewhere {
        what = format!("{what} to `{host}`, which it says to be the place");
    }
    Call::new(
        what,
        Method::PUT,
        format!(
            "{}{separator}digest={}",
            upload.location,
            encode(&digest.to_string())
        ),
        vec![scope(&upload.repository, "pull,push")],
    )
    .header(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    )
}

/// Repository names and digests need these two encoded, and nothing else they may contain.
fn encode(text: &str) -> String {
    text.replace('/', "%2F").replace(':', "%3A")
}
