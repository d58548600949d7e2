//! TLS with a memory: a certificate that is refused is kept for the error message.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Once},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject as _},
    },
};

use super::{
    certificate::{CertificateSummary, summarize},
    config::RegistryConfig,
    error::TlsFailure,
};

/// Makes ring the process's provider of cryptography, once. Whoever opens TLS connections with a
/// library's defaults calls it first; calling it again does nothing.
pub fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that one is installed already, which is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A refused certificate on its way through the TLS library to the error message.
#[derive(Debug, Clone)]
pub(super) struct RefusedCertificate {
    /// The objection.
    pub cause: rustls::Error,
    /// What was presented.
    pub certificate: CertificateSummary,
}

impl fmt::Display for RefusedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for RefusedCertificate {}

/// The TLS settings for one registry: the system's authorities and those of `ca_file`, or, with
/// `insecure`, whatever is presented.
pub(super) fn client_config(
    registry: &str,
    config: &RegistryConfig,
) -> Result<ClientConfig, Box<TlsFailure>> {
    install_crypto_provider();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = if config.insecure {
        Trust::Anything
    } else {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &config.ca_file {
            add_file(&mut roots, registry, path)?;
        }
        // A machine without any authority (a minimal container) trusts nothing, and says so only
        // when it meets a certificate: a registry may never be asked over TLS.
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_or(Trust::Nothing, Trust::Authorities)
    };
    let verifier = Arc::new(Verifier {
        trust,
        provider: Arc::clone(&provider),
    });
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsFailure::Handshake {
            registry: registry.to_owned(),
            reason: error.to_string(),
        })?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn add_file(roots: &mut RootCertStore, registry: &str, path: &Path) -> Result<(), Box<TlsFailure>> {
    let failed = |reason: String| {
        Box::new(TlsFailure::CaFile {
            registry: registry.to_owned(),
            path: path.display().to_string(),
            reason,
        })
    };
    for certificate in authorities(path).map_err(failed)? {
        roots
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}

/// The certificates of authorities in a PEM file.
///
/// # Errors
/// It cannot be read, or holds none.
pub(crate) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(said)?.collect();
    match certificates.map_err(said)? {
        none if none.is_empty() => Err("it holds no PEM certificate".to_owned()),
        some => Ok(some),
    }
}

/// Checks that a PEM file holds a private key.
///
/// # Errors
/// It cannot be read, or holds none.
pub(crate) fn check_key(path: &Path) -> Result<(), String> {
    match PrivateKeyDer::from_pem_file(path) {
        Ok(_) => Ok(()),
        Err(pem::Error::NoItemsFound) => Err("it holds no PEM private key".to_owned()),
        Err(error) => Err(said(error)),
    }
}

fn said(error: pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

#[derive(Debug)]
enum Trust {
    Anything,
    Nothing,
    Authorities(Arc<WebPkiServerVerifier>),
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = match &self.trust {
            Trust::Anything => Ok(ServerCertVerified::assertion()),
            Trust::Nothing => Err(CertificateError::UnknownIssuer.into()),
            Trust::Authorities(verifier) => verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
        };
        verdict.map_err(|cause| {
            let refused = RefusedCertificate {
                cause,
                certificate: summarize(end_entity),
            };
            CertificateError::Other(OtherError(Arc::new(refused))).into()
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
