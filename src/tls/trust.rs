//! Whose certificates are believed: those that lead to a certificate of the trust store, and those that stand in it.
//!
//! Says nothing of hosts: that is for whoever knows the address. Answers to the trust manager that `X509Util` makes.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use crate::config::ClientAuth;

#[derive(Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    /// As they stand in the store. Java believes each of them where it is shown, whatever it is meant for: so
    /// certificates that sign themselves can be exchanged between servers.
    certificates: Vec<CertificateDer<'static>>,
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    pub fn new(
        certificates: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Trust, String> {
        let mut roots = RootCertStore::empty();
        for (n, certificate) in certificates.iter().enumerate() {
            let added = roots.add(certificate.clone());
            added.map_err(|e| format!("certificate {} of it cannot be used: {e}", n + 1))?;
        }
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let servers = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone());
        Ok(Trust {
            clients: clients.build().map_err(|e| e.to_string())?,
            servers: servers.build().map_err(|e| e.to_string())?,
            roots,
            certificates,
            provider,
        })
    }

    /// Whether that very certificate is in the store.
    pub fn stands_in_store(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates
            .contains(&certificate.clone().into_owned())
    }

    /// Refuses a chain with a certificate that one of these lists has, or of which they say nothing.
    pub fn check_revocation(
        &self,
        chain: &[CertificateDer<'static>],
        lists: Vec<CertificateRevocationListDer<'static>>,
    ) -> Result<(), String> {
        let (own, above) = chain.split_first().ok_or("there is no certificate")?;
        // The two differ in the purpose of the certificate, which the handshake has checked.
        let servers =
            WebPkiServerVerifier::builder_with_provider(self.roots.clone(), self.provider.clone())
                .with_crls(lists.clone())
                .enforce_revocation_expiration()
                .build()
                .map_err(|e| e.to_string())?;
        let clients =
            WebPkiClientVerifier::builder_with_provider(self.roots.clone(), self.provider.clone())
                .with_crls(lists)
                .enforce_revocation_expiration()
                .build()
                .map_err(|e| e.to_string())?;
        let now = UnixTime::now();
        let as_client = clients.verify_client_cert(own, above, now).map(drop);
        let judged = match as_client {
            Err(Error::InvalidCertificate(
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
            )) => without_name(servers.verify_server_cert(own, above, &any_name(), &[], now)),
            judged => judged,
        };
        judged.map_err(|e| e.to_string())
    }
}

/// The chain was judged before the name.
fn without_name(judged: Result<ServerCertVerified, Error>) -> Result<(), Error> {
    match judged {
        Err(Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => Ok(()),
        judged => judged.map(drop),
    }
}

fn any_name() -> ServerName<'static> {
    ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into())
}

/// Of whoever connects.
#[derive(Debug)]
pub struct Clients {
    pub trust: Arc<Trust>,
    pub wanted: ClientAuth,
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.wanted == ClientAuth::Need
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trust.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.trust.stands_in_store(end_entity) {
            return Ok(ClientCertVerified::assertion());
        }
        self.trust
            .clients
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust
            .clients
            .verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust
            .clients
            .verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.clients.supported_verify_schemes()
    }
}

/// Of a server that was dialled.
#[derive(Debug)]
pub struct Servers {
    pub trust: Arc<Trust>,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.trust.stands_in_store(end_entity) {
            without_name(self.trust.servers.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ))?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust
            .servers
            .verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust
            .servers
            .verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.servers.supported_verify_schemes()
    }
}
