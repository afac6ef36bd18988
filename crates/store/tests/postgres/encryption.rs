//! Who is spoken to, and can anybody listen?

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use test_servers::Certificate;

use super::*;

/// An authority, and the file that names it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    fn certificate(&self, host: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Certificate { certificate, key: key.serialize_pem() }
    }

    fn path(&self) -> &str {
        self.file.path().to_str().unwrap()
    }

    /// As it stands in a URL.
    fn text(&self) -> String {
        let text = std::fs::read_to_string(self.file.path()).unwrap();
        text.replace('%', "%25").replace('&', "%26")
    }
}

/// Connects, and says what was refused, or how the connection is encrypted.
async fn connect(server: &Postgres, host: &str, parameters: &str) -> Result<String, String> {
    let database = server.database();
    let url = format!("postgres://postgres@{host}:{}/{database}?{parameters}", server.port());
    let location: Location = url.parse().unwrap();
    Store::migrate(&location, Options::default()).await.map_err(|error| error.to_string())?;
    let told = Told::open(&url, Options::default()).await;
    told.store.ping().await.map_err(|error| error.to_string())?;
    let used = format!(
        "SELECT DISTINCT coalesce(version, 'plain') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = '{database}'"
    );
    Ok(server.sql("postgres", &used))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_proves_its_name_is_spoken_to_and_every_other_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Postgres::start_with_tls(&authority.certificate("localhost"));
    let full = |authority: &Authority| format!("sslmode=verify-full&sslrootcert={}", authority.path());

    assert_eq!(connect(&server, "localhost", &full(&authority)).await.unwrap(), "TLSv1.3");
    let by_text = |authority: &Authority| format!("sslmode=verify-full&sslrootcert={}", authority.text());
    assert_eq!(connect(&server, "localhost", &by_text(&authority)).await.unwrap(), "TLSv1.3");
    assert_eq!(connect(&server, "localhost", "sslmode=require").await.unwrap(), "TLSv1.3");
    assert_eq!(connect(&server, "127.0.0.1", "sslmode=require").await.unwrap(), "TLSv1.3");
    assert_eq!(connect(&server, "localhost", "").await.unwrap(), "plain");

    let refused = connect(&server, "127.0.0.1", &full(&authority)).await.unwrap_err();
    assert!(refused.contains("not valid for name"), "{refused}");
    for parameters in [full(&other), by_text(&other)] {
        let refused = connect(&server, "localhost", &parameters).await.unwrap_err();
        assert!(refused.contains("UnknownIssuer") || refused.contains("BadSignature"), "{refused}");
    }
    let broken = "sslmode=verify-full&sslrootcert=-----BEGIN%20CERTIFICATE-----";
    let refused = connect(&server, "localhost", broken).await.unwrap_err();
    assert!(refused.contains("the text of sslrootcert"), "{refused}");

    let plain = Postgres::start();
    for parameters in [full(&authority), "sslmode=require".into()] {
        let refused = connect(&plain, "localhost", &parameters).await.unwrap_err();
        assert!(refused.contains("does not support TLS"), "{refused}");
    }
}
