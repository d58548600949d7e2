//! Large blobs, streamed from registry to registry: a few buffers of memory whatever their size.
//!
//! The download goes on where it broke off (`Range`), inside the same upload; only a broken
//! upload begins again. The content is hashed as it passes, and its last piece is handed on only
//! when the digest is right.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use reqwest::{
    Method, Response, StatusCode,
    header::{CONTENT_LENGTH, HeaderValue, RANGE},
};
use sha2::{Digest as _, Sha256, Sha512};
use weir_schema::Digest;

use super::{
    blobs::{Upload, blob_call, finish_call},
    client::{Client, ERROR_LIMIT, text},
    error::{OciError, innermost},
    flow::Flow,
    limit::{Retry, Slot},
};

/// The places that one streamed blob takes in its two registries. Copies within one registry take
/// one: waiting for a second while holding the first could wait for ever.
#[derive(Debug, Clone)]
struct Lane {
    source: Arc<Slot>,
    target: Arc<Slot>,
}

impl Lane {
    /// Waits for the places. Always in the order of names, so that copies in opposite directions
    /// never wait for each other.
    pub async fn between(source: &Client, target: &Client) -> Self {
        if source.registry() == target.registry() {
            let slot = Arc::new(source.slot().await);
            return Self {
                source: Arc::clone(&slot),
                target: slot,
            };
        }
        if source.registry() < target.registry() {
            let first = Arc::new(source.slot().await);
            Self {
                source: first,
                target: Arc::new(target.slot().await),
            }
        } else {
            let first = Arc::new(target.slot().await);
            Self {
                source: Arc::new(source.slot().await),
                target: first,
            }
        }
    }
}

/// A blob to be streamed.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Its repository, within the source's registry.
    pub repository: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size, as the manifest says.
    pub size: u64,
}

/// Streams `blob` from `source` into `upload` of `target`. Tried once where the upload breaks.
///
/// # Errors
/// As every request; of source and target, the one that failed first.
async fn stream_blob(
    source: &Client,
    blob: &Blob,
    target: &Client,
    upload: Upload,
    lane: Lane,
    progress: impl Fn(u64) + Send + Sync + 'static,
) -> Result<(), OciError> {
    let failure = Arc::new(Mutex::new(None));
    let download = Download::open(source, blob, Arc::clone(&lane.source)).await?;
    let flow = Flow::new();
    let stream = download.into_stream(Arc::clone(&failure), flow.clone(), progress);
    let body = reqwest::Body::wrap_stream(stream);
    let call =
        finish_call(&upload, &blob.digest).header(CONTENT_LENGTH, HeaderValue::from(blob.size));
    let answer = target.send_stream(&call, body, &flow, &lane.target).await;
    // If the download failed, the upload's failure is only its echo.
    if let Some(cause) = failure
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
    {
        return Err(cause);
    }
    let answer = answer?;
    if answer.status.is_success() {
        Ok(())
    } else {
        Err(target.refusal(&call, &answer))
    }
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    fn of(digest: &Digest) -> Self {
        match digest {
            Digest::Sha256(_) => Self::Sha256(Sha256::new()),
            Digest::Sha512(_) => Self::Sha512(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(&self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest::Sha256(hasher.clone().finalize().into()),
            Self::Sha512(hasher) => Digest::Sha512(Box::new((**hasher).clone().finalize().into())),
        }
    }
}

/// A download in progress.
struct Download {
    client: Client,
    blob: Blob,
    slot: Arc<Slot>,
    response: Option<Response>,
    /// How many bytes have been handed on.
    offset: u64,
    /// How many bytes of the present answer are to be passed over.
    skip: u64,
    hasher: Hasher,
    /// Breaks without a byte in between; a download that gets on may break often.
    breaks: u32,
}

impl Download {
    async fn open(client: &Client, blob: &Blob, slot: Arc<Slot>) -> Result<Self, OciError> {
        let mut download = Self {
            client: client.clone(),
            blob: blob.clone(),
            slot,
            response: None,
            offset: 0,
            skip: 0,
            hasher: Hasher::of(&blob.digest),
            breaks: 0,
        };
        download.request().await?;
        Ok(download)
    }

    /// Asks for what is still missing.
    async fn request(&mut self) -> Result<(), OciError> {
        let mut call = blob_call(
            Method::GET,
            "getting",
            &self.blob.repository,
            &self.blob.digest,
        );
        if self.offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={}-", self.offset))
                .map_err(|error| self.client.protocol(&call.what, error.to_string()))?;
            call = call.header(RANGE, range);
        }
        let response = self.client.stream(&call, &self.slot).await?;
        self.skip = match response.status() {
            StatusCode::OK => self.offset,
            StatusCode::PARTIAL_CONTENT => {
                let range = text(response.headers(), "content-range").unwrap_or_default();
                let begins = range
                    .strip_prefix("bytes ")
                    .and_then(|range| range.split('-').next());
                if begins.and_then(|begins| begins.parse().ok()) != Some(self.offset) {
                    return Err(self.client.protocol(
                        &call.what,
                        format!("sent the range `{range}`, not what was asked"),
                    ));
                }
                0
            }
            _ => {
                let answer = self.client.read(&call, response, ERROR_LIMIT).await?;
                return Err(self.client.refusal(&call, &answer));
            }
        };
        self.response = Some(response);
        Ok(())
    }

    /// The next piece, or `None` after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, OciError> {
        while self.offset < self.blob.size {
            let piece = match &mut self.response {
                Some(response) => response.chunk().await.map_err(|error| innermost(&error)),
                None => Err("the answer broke off".to_owned()),
            };
            match piece {
                Ok(Some(mut piece)) => {
                    let passed = self
                        .skip
                        .min(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                    self.skip -= passed;
                    let piece = piece.split_off(
                        usize::try_from(passed)
                            .unwrap_or(usize::MAX)
                            .min(piece.len()),
                    );
                    if piece.is_empty() {
                        continue;
                    }
                    self.breaks = 0;
                    self.take(&piece)?;
                    return Ok(Some(piece));
                }
                Ok(None) => self.resume("the answer ended early".to_owned()).await?,
                Err(reason) => self.resume(reason).await?,
            }
        }
        Ok(None)
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), OciError> {
        self.hasher.update(piece);
        self.offset = self
            .offset
            .saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        let what = || {
            format!(
                "getting blob `{}@{}`",
                self.blob.repository, self.blob.digest
            )
        };
        if self.offset > self.blob.size {
            return Err(self.client.protocol(
                &what(),
                format!("it has more than {} bytes", self.blob.size),
            ));
        }
        if self.offset < self.blob.size {
            return Ok(());
        }
        let (found, expected) = (self.hasher.finish(), &self.blob.digest);
        if found != *expected {
            return Err(OciError::WrongDigest {
                registry: self.client.registry().to_owned(),
                what: what(),
                expected: expected.clone(),
                found: found.to_string(),
            });
        }
        Ok(())
    }

    async fn resume(&mut self, reason: String) -> Result<(), OciError> {
        self.response = None;
        let error = OciError::Connection {
            registry: self.client.registry().to_owned(),
            what: format!(
                "getting blob `{}@{}`",
                self.blob.repository, self.blob.digest
            ),
            reason,
        };
        let mut retry: Retry<'_> = self.client.limits().retry_from(self.breaks);
        retry.after(error).await?;
        self.breaks += 1;
        self.request().await
    }

    fn into_stream(
        self,
        failure: Arc<Mutex<Option<OciError>>>,
        flow: Flow,
        progress: impl Fn(u64) + Send + Sync + 'static,
    ) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
        let ends = flow.ends_with();
        try_unfold(
            (self, progress, ends),
            move |(mut download, progress, ends)| {
                let (failure, flow) = (Arc::clone(&failure), flow.clone());
                async move {
                    flow.asks();
                    let next = download.next().await;
                    if download.offset < download.blob.size {
                        flow.has_more();
                    } else {
                        flow.ends();
                    }
                    match next {
                        Ok(Some(piece)) => {
                            progress(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                            Ok(Some((piece, (download, progress, ends))))
                        }
                        Ok(None) => Ok(None),
                        Err(error) => {
                            let text = error.to_string();
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            Err(std::io::Error::other(text))
                        }
                    }
                }
            },
        )
    }
}

/// A blob up to this size is held in memory once: fewer requests, and a failed upload costs no
/// second download.
const SMALL: u64 = 1 << 20;

/// Brings the bytes of `blob` into `repository` of `target`, through `upload` if one is open
/// already. Broken uploads begin again after looking whether the blob has arrived all the same.
///
/// # Errors
/// As every request, of source or target; the registry in the message tells which.
pub async fn move_blob(
    source: &Client,
    blob: &Blob,
    target: &Client,
    repository: &str,
    mut upload: Option<Upload>,
    progress: impl Fn(u64) + Clone + Send + Sync + 'static,
) -> Result<(), OciError> {
    let mut retry = target.limits().retry();
    loop {
        let opened = match upload.take() {
            Some(open) => open,
            None => target.start_upload(repository).await?,
        };
        let moved = if blob.size <= SMALL {
            let limit = usize::try_from(SMALL).unwrap_or(usize::MAX);
            let bytes = source
                .get_blob(&blob.repository, &blob.digest, limit)
                .await?;
            progress(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            target.finish_upload(opened, &blob.digest, bytes).await
        } else {
            let lane = Lane::between(source, target).await;
            stream_blob(source, blob, target, opened, lane, progress.clone()).await
        };
        let Err(error) = moved else { return Ok(()) };
        retry.after(error).await?;
        if target.has_blob(repository, &blob.digest).await? {
            return Ok(());
        }
    }
}
