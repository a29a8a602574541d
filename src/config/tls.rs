//! What can be set of TLS, as values. Answers to the properties of `X509Util`.

use std::path::PathBuf;

use super::Secret;

/// One of the two sets of settings: for clients, and between servers.
#[derive(Debug, Clone)]
pub struct Tls {
    pub key_store: TlsStore,
    /// `None` only where nobody's certificate is asked for.
    pub trust_store: Option<TlsStore>,
    pub protocols: TlsProtocols,
    /// Of [`CIPHER_SUITES`], the best first; empty: all.
    pub cipher_suites: Vec<String>,
    pub client_auth: ClientAuth,
    /// The dialled host has to stand in the certificate of who answers.
    pub verify_server_host: bool,
    /// The address of who dials has to stand in its certificate.
    pub verify_client_host: bool,
    /// An address that does not stand in a certificate may have a name that does.
    pub reverse_lookup: bool,
    /// Certificates are looked up in the lists of revoked ones that they name.
    pub crl: bool,
    /// How long a port that takes plaintext too waits for the bytes that tell.
    pub detection_ms: u32,
    /// Who comes again need not show its certificate again. Servers stay connected, and are better off without what
    /// that costs.
    pub resumes: bool,
    /// Changed stores count without a restart.
    pub reload: bool,
}

/// A file with keys or certificates.
#[derive(Debug, Clone)]
pub struct TlsStore {
    /// What its keys begin with: `ssl.keyStore`.
    pub key: &'static str,
    pub path: PathBuf,
    pub password: Secret,
    /// A file that has the password instead.
    pub password_path: Option<PathBuf>,
    pub format: StoreFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFormat {
    Jks,
    Pkcs12,
    Pem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsProtocols {
    pub v1_2: bool,
    pub v1_3: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    None,
    Want,
    Need,
}

/// How clients come in by TLS.
#[derive(Debug, Clone)]
pub struct ClientTls {
    pub tls: Tls,
    /// `client.portUnification`: the plaintext port takes it too.
    pub unified: bool,
    /// Handshakes under way; more are turned away. `None`: no limit.
    pub handshakes_max: Option<u32>,
    /// While nobody is served, connections end before their handshake.
    pub early_drop: bool,
}

/// How servers speak with one another.
#[derive(Debug, Clone)]
pub struct QuorumTls {
    pub tls: Tls,
    /// `sslQuorum`: who dials uses TLS.
    pub dials: bool,
    /// `portUnification`: who is dialled takes plaintext as well.
    pub unified: bool,
}

/// The names of Java for what there is, the best first.
pub const CIPHER_SUITES: [&str; 9] = [
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];
