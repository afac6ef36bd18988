//! How is a connection encrypted, and how is the server known to be the right one?

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::url::Tls;

/// Encrypts connections. The certificate must be valid for the host's name and lead to a trusted root;
/// there is no setting that would skip that.
#[derive(Clone)]
pub(super) struct Encryption(TlsConnector);

impl Encryption {
    /// Reads whom to trust; the error is a sentence.
    pub(super) fn new(tls: &Tls) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match &tls.roots {
            Some(file) => {
                let refuse = |error| format!("sslrootcert {} can't be read: {error}", file.display());
                for certificate in CertificateDer::pem_file_iter(file).map_err(refuse)? {
                    let added = roots.add(certificate.map_err(refuse)?);
                    added.map_err(|error| {
                        format!("sslrootcert {} holds no certificate: {error}", file.display())
                    })?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        if roots.is_empty() {
            return Err("no root certificates were found; name a file of them with sslrootcert".to_owned());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn encrypt(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        self.0.connect(name, stream).await
    }
}
