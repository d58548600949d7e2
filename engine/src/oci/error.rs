//! What can go wrong between Weir and a registry, in words that lead to the remedy.

use std::{error::Error as StdError, time::Duration};

use weir_schema::Digest;

use super::{
    certificate::CertificateSummary,
    credentials::CredentialsError,
    leads::{self, LedToPlain},
    tls::RefusedCertificate,
};
use crate::causes::find;

/// How registries say that a manifest or repository is not there: the codes of the distribution
/// specification, what Harbor has for both, and what Quay has for a tag that was there once.
const UNKNOWN: [&str; 4] = [
    "MANIFEST_UNKNOWN",
    "NAME_UNKNOWN",
    "NOT_FOUND",
    "TAG_EXPIRED",
];

/// How registries say that they do not know an upload: it was cleaned up, or they began anew.
const LOST_UPLOAD: [&str; 2] = ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"];

/// A request to a registry that failed.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The TLS connection was not made.
    #[error(transparent)]
    Tls(#[from] Box<TlsFailure>),
    /// The registry or its token server does not let us.
    #[error(transparent)]
    Auth(#[from] Box<AuthFailure>),
    /// A configured login cannot be used.
    #[error(transparent)]
    Credentials(#[from] Box<CredentialsError>),
    /// Nothing answers, or the answer broke off.
    #[error("registry `{registry}`: {what}: {reason}")]
    Connection {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// How it ended.
        reason: String,
    },
    /// The registry is overloaded or broken for now.
    #[error("registry `{registry}`: {what}: answered {status}{}", said(.message))]
    Unavailable {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the registry said.
        message: String,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// What was asked for is not there.
    #[error("registry `{registry}`: {what}: not found{}", said(.message))]
    NotFound {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// The codes of the registry's errors; none if it does not know such requests at all.
        codes: Vec<String>,
        /// What the registry said.
        message: String,
    },
    /// The registry refuses, and would again.
    #[error("registry `{registry}`: {what}: refused with {status}{}", said(.message))]
    Refused {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The codes of the registry's errors, `MANIFEST_INVALID` and the like.
        codes: Vec<String>,
        /// Codes, messages and details as one text.
        message: String,
    },
    /// The content is not what its digest says.
    #[error("registry `{registry}`: {what}: the content has digest {found}, not {expected}")]
    WrongDigest {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// The digest asked for.
        expected: Digest,
        /// The digest of what came.
        found: String,
    },
    /// The answer is larger than anything of its kind may be.
    #[error("registry `{registry}`: {what}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// The limit.
        limit: usize,
    },
    /// All pages of a list together are more than is read.
    #[error(
        "registry `{registry}`: {what}: its pages have more than {limit} bytes together, and no more is read: look into what it answers there, and delete what is not needed"
    )]
    ListTooLong {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// The limit.
        limit: usize,
    },
    /// The answer does not follow the distribution specification.
    #[error("registry `{registry}`: {what}: {reason}")]
    Protocol {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

/// Why a TLS connection was not made, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// Nobody we trust has signed the certificate.
    #[error(
        "registry `{registry}`: its certificate{} is signed by an unknown authority, `{}`: give that authority's certificate as `ca_file` in [registries.\"{registry}\"], or, for tests only, set `insecure = true` there",
        names(.certificate), .certificate.issuer
    )]
    UnknownAuthority {
        /// The registry's name.
        registry: String,
        /// What it presented.
        certificate: CertificateSummary,
    },
    /// An authority of the same name as one we trust, but another key, has signed it.
    #[error(
        "registry `{registry}`: its certificate{} claims to be signed by `{}`, but not by the authority of that name that is trusted: give the present certificate of that authority as `ca_file` in [registries.\"{registry}\"], or, for tests only, set `insecure = true` there",
        names(.certificate), .certificate.issuer
    )]
    OtherAuthority {
        /// The registry's name.
        registry: String,
        /// What it presented.
        certificate: CertificateSummary,
    },
    /// The certificate is for other names.
    #[error(
        "registry `{registry}`: its certificate{}, issued by `{}`, is not valid for the name `{asked}`: use a name that it carries, or have one issued that carries `{asked}`; for tests only, set `insecure = true` in [registries.\"{registry}\"]",
        names(.certificate), .certificate.issuer
    )]
    WrongName {
        /// The registry's name.
        registry: String,
        /// The host that was connected to.
        asked: String,
        /// What it presented.
        certificate: CertificateSummary,
    },
    /// The certificate's time is over, or has not come.
    #[error(
        "registry `{registry}`: its certificate{}, issued by `{}`, is valid only from {} to {}: renew it, or correct this machine's clock; for tests only, set `insecure = true` in [registries.\"{registry}\"]",
        names(.certificate), .certificate.issuer, .certificate.not_before, .certificate.not_after
    )]
    OutOfDate {
        /// The registry's name.
        registry: String,
        /// What it presented.
        certificate: CertificateSummary,
    },
    /// Any other objection to the certificate.
    #[error(
        "registry `{registry}`: its certificate{}, issued by `{}`, is refused ({reason}): replace it, or, for tests only, set `insecure = true` in [registries.\"{registry}\"]",
        names(.certificate), .certificate.issuer
    )]
    Certificate {
        /// The registry's name.
        registry: String,
        /// What it presented.
        certificate: CertificateSummary,
        /// The objection in the words of the TLS library.
        reason: String,
    },
    /// TLS was asked of a port that does not speak it.
    #[error(
        "registry `{registry}`: answered plain HTTP to a TLS connection: set up TLS there, or correct the port; for tests only, set `insecure = true` in [registries.\"{registry}\"] to use plain HTTP"
    )]
    NotTls {
        /// The registry's name.
        registry: String,
    },
    /// An answer leads to an address without TLS.
    #[error(
        "registry `{registry}`: {what}: it leads on to `{address}`, which is plain HTTP, and nothing is sent there: have it give addresses that begin with `https://` (behind a proxy that ends TLS it must know its own), or, for tests only, set `insecure = true` in [registries.\"{registry}\"]"
    )]
    LedToPlain {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// Where it leads, without login and query.
        address: String,
    },
    /// The two sides could not agree.
    #[error("registry `{registry}`: no TLS connection: {reason}")]
    Handshake {
        /// The registry's name.
        registry: String,
        /// What went wrong, in the words of the TLS library.
        reason: String,
    },
    /// The configured authorities cannot be read.
    #[error("registry `{registry}`: cannot read `ca_file` `{path}`: {reason}")]
    CaFile {
        /// The registry's name.
        registry: String,
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a registry does not let us, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// It wants a login, and none is known.
    #[error(
        "registry `{registry}`: {what}: a login is needed and none is known{}: give `username` and `password` in [registries.\"{registry}\"], or log in with `docker login {registry}`", said(.message)
    )]
    LoginNeeded {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// What it said.
        message: String,
    },
    /// It refuses, and what it says need not be about the login: an immutable tag, a blocked address.
    #[error(
        "registry `{registry}`: {what}: refused with 403{}, asked as {who}: if a right is what is missing, grant it there, or give another login in [registries.\"{registry}\"]", said(.message)
    )]
    Forbidden {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// Whose login, `nobody (no login)` without one.
        who: String,
        /// What it said.
        message: String,
    },
    /// The login is wrong.
    #[error(
        "registry `{registry}`: the login of {who} is refused by {by}{}: correct it in [registries.\"{registry}\"] or log in again", said(.message)
    )]
    LoginRefused {
        /// The registry's name.
        registry: String,
        /// Whose login: a name, or `a token`.
        who: String,
        /// Who refuses: the registry or its token server.
        by: String,
        /// What it said.
        message: String,
    },
    /// The login is right but may not do this.
    #[error(
        "registry `{registry}`: {what}: {who} may not do this{}{}: grant it there, or use another login", needs(.scopes), said(.message)
    )]
    Denied {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// Whose login, `nobody (no login)` without one.
        who: String,
        /// The scopes that it needs, where the registry named them.
        scopes: Vec<String>,
        /// What it said.
        message: String,
    },
    /// Login and token would travel unprotected.
    #[error(
        "registry `{registry}`: its token server `{realm}` speaks plain HTTP, so it is not asked and the login is not sent there: have its address corrected, or, for tests only, set `insecure = true` in [registries.\"{registry}\"]"
    )]
    PlainTokenServer {
        /// The registry's name.
        registry: String,
        /// The token server, without login and query.
        realm: String,
    },
    /// The login would be sent to whom the registry did not name.
    #[error(
        "registry `{registry}`: its token server `{realm}` leads on{}, and a login is not sent on: have the registry name the address that answers as its `realm`", to(.address.as_ref())
    )]
    TokenServerLeadsOn {
        /// The registry's name.
        registry: String,
        /// The token server, without login and query.
        realm: String,
        /// Where it leads, without login and query, if it says so.
        address: Option<String>,
    },
    /// It wants a kind of login that we do not know.
    #[error(
        "registry `{registry}`: {what}: refused with 401 and no Basic or Bearer challenge (`{challenge}`)"
    )]
    UnknownChallenge {
        /// The registry's name.
        registry: String,
        /// What was being done.
        what: String,
        /// The header as received.
        challenge: String,
    },
}

impl AuthFailure {
    /// Whether another login might be let in.
    pub(super) fn is_of_login(&self) -> bool {
        match self {
            Self::LoginNeeded { .. }
            | Self::Forbidden { .. }
            | Self::LoginRefused { .. }
            | Self::Denied { .. } => true,
            Self::PlainTokenServer { .. }
            | Self::TokenServerLeadsOn { .. }
            | Self::UnknownChallenge { .. } => false,
        }
    }
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(" (it says: {message})")
    }
}

fn names(certificate: &CertificateSummary) -> String {
    if certificate.names.is_empty() {
        format!(" for `{}`", certificate.subject)
    } else {
        format!(" for `{}`", certificate.names.join("`, `"))
    }
}

fn to(address: Option<&String>) -> String {
    address.map_or_else(String::new, |address| format!(" to `{address}`"))
}

fn needs(scopes: &[String]) -> String {
    if scopes.is_empty() {
        String::new()
    } else {
        format!(", it needs `{}`", scopes.join(" "))
    }
}

impl OciError {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            // A wrong digest may be a proxy's half answer.
            Self::Connection { .. } | Self::Unavailable { .. } | Self::WrongDigest { .. } => true,
            Self::Tls(failure) => matches!(**failure, TlsFailure::Handshake { .. }),
            // An upload that the registry no longer knows begins again.
            Self::NotFound { codes, .. } | Self::Refused { codes, .. } => {
                codes.iter().any(|code| LOST_UPLOAD.contains(&&**code))
            }
            Self::Auth(_)
            | Self::Credentials(_)
            | Self::TooLarge { .. }
            | Self::ListTooLong { .. }
            | Self::Protocol { .. } => false,
        }
    }

    /// How long the registry asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the thing asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the registry itself says that the manifest or repository asked for is not there, by a
    /// code of its own: a proxy that does not reach it, or knows another path, says 404 as well.
    #[must_use]
    pub fn is_unknown_there(&self) -> bool {
        let Self::NotFound { codes, .. } = self else {
            return false;
        };
        codes.iter().any(|code| UNKNOWN.contains(&&**code))
    }
}

/// Says in our terms why a request got no answer. `asked` is the host that was connected to.
pub(super) fn from_transport(
    registry: &str,
    asked: &str,
    what: &str,
    error: &reqwest::Error,
) -> OciError {
    if let Some(tls) = find(error, |cause| {
        cause.downcast_ref::<rustls::Error>().cloned()
    }) {
        return OciError::Tls(Box::new(from_tls(registry, asked, tls)));
    }
    if let Some(led) = find(error, |cause| cause.downcast_ref::<LedToPlain>().cloned()) {
        return leads::to_plain(registry, what, led.address);
    }
    let reason = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        innermost(error)
    };
    OciError::Connection {
        registry: registry.to_owned(),
        what: what.to_owned(),
        reason,
    }
}

fn from_tls(registry: &str, asked: &str, error: rustls::Error) -> TlsFailure {
    use rustls::{CertificateError as Cause, Error, InvalidMessage};
    let registry = registry.to_owned();
    let (cause, certificate) = match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            return TlsFailure::NotTls { registry };
        }
        Error::InvalidCertificate(Cause::Other(other)) => {
            match other.0.downcast_ref::<RefusedCertificate>() {
                Some(refused) => (refused.cause.clone(), refused.certificate.clone()),
                None => {
                    return TlsFailure::Handshake {
                        registry,
                        reason: other.to_string(),
                    };
                }
            }
        }
        other => {
            return TlsFailure::Handshake {
                registry,
                reason: other.to_string(),
            };
        }
    };
    match cause {
        Error::InvalidCertificate(Cause::UnknownIssuer) => TlsFailure::UnknownAuthority {
            registry,
            certificate,
        },
        Error::InvalidCertificate(Cause::BadSignature) => TlsFailure::OtherAuthority {
            registry,
            certificate,
        },
        Error::InvalidCertificate(
            Cause::Expired
            | Cause::ExpiredContext { .. }
            | Cause::NotValidYet
            | Cause::NotValidYetContext { .. },
        ) => TlsFailure::OutOfDate {
            registry,
            certificate,
        },
        Error::InvalidCertificate(
            Cause::NotValidForName | Cause::NotValidForNameContext { .. },
        ) => TlsFailure::WrongName {
            registry,
            asked: asked.to_owned(),
            certificate,
        },
        other => TlsFailure::Certificate {
            registry,
            certificate,
            reason: other.to_string(),
        },
    }
}

/// The last cause, which says what really happened; those before it only say where.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last: &(dyn StdError + 'static) = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
