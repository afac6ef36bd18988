//! How is a connection to the server encrypted, and whom does it trust?

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Authorities, Tls};
use crate::OpenError;

/// What encrypts connections; `None` where nothing does.
pub(super) fn connector(tls: &Tls) -> Result<Option<MakeRustlsConnect>, OpenError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(error.to_string()))?;
    let config = match tls {
        Tls::Disable => return Ok(None),
        Tls::Require => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth(),
        Tls::VerifyFull(authorities) => {
            builder.with_root_certificates(roots(authorities)?).with_no_client_auth()
        }
    };
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn roots(authorities: &Authorities) -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    let (certificates, place) = match authorities {
        Authorities::File(file) => (read(file)?, format!("sslrootcert {}", file.display())),
        Authorities::Text(text) => {
            let place = "the text of sslrootcert".to_owned();
            (parse(text.as_bytes(), &place)?, place)
        }
        Authorities::System => (
            rustls_native_certs::load_native_certs().certs,
            "the operating system's list of authorities".into(),
        ),
    };
    let (taken, _) = roots.add_parsable_certificates(certificates);
    if taken == 0 {
        return Err(refuse(format!("{place} holds no certificate in PEM")));
    }
    Ok(roots)
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let place = format!("sslrootcert {}", file.display());
    let text = std::fs::read(file).map_err(|error| refuse(format!("{place} can't be read: {error}")))?;
    parse(&text, &place)
}

fn parse(text: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|_| refuse(format!("{place} is not PEM")))
}

fn refuse(reason: String) -> OpenError {
    OpenError::Engine { place: "the PostgreSQL server".into(), reason }
}

/// Takes the certificate of whoever answers, as libpq does for sslmode=require. What is sent can't be
/// read by listening; somebody who puts himself in between is not found out. That takes verify-full.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
