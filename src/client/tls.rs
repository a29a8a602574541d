//! TLS as a client of ZooKeeper is told to use it: Java's properties, from `-D`, `CLIENT_JVMFLAGS` or the file of
//! `-client-configuration`. Answers to `ZKClientConfig` and `ClientX509Util`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tokio::net::TcpStream;

use crate::config::{CIPHER_SUITES, Secret, StoreFormat, TlsProtocols, TlsStore};
use crate::net::peer_stream::PeerStream;
use crate::tls::{context, names};

/// Values by their names without `zookeeper.`.
pub type Properties = BTreeMap<String, String>;

pub struct ClientTls {
    config: Arc<ClientConfig>,
    /// The host that was dialled has to stand in the certificate.
    verifies_host: bool,
}

impl ClientTls {
    /// `None` unless `client.secure` is set.
    pub fn new(properties: &Properties) -> Result<Option<Arc<ClientTls>>, String> {
        let get = |name: &str| properties.get(name).map(String::as_str);
        let is = |name: &str, default: bool| {
            get(name).map_or(default, |value| value.eq_ignore_ascii_case("true"))
        };
        if !is("client.secure", false) {
            return Ok(None);
        }
        let key_store = store("ssl.keyStore", properties)?;
        let trust_store = store("ssl.trustStore", properties)?.ok_or(
            "client.secure is set, but not zookeeper.ssl.trustStore.location: whose certificates count?",
        )?;
        let enabled = get("ssl.enabledProtocols");
        let named = |version: &str| {
            enabled.is_none_or(|enabled| enabled.split(',').any(|name| name.trim() == version))
        };
        // Java's `ssl.protocol` says which is the newest.
        let protocols = match get("ssl.enabledProtocols") {
            Some(_) => TlsProtocols {
                v1_2: named("TLSv1.2"),
                v1_3: named("TLSv1.3"),
            },
            None => TlsProtocols {
                v1_2: true,
                v1_3: get("ssl.protocol") != Some("TLSv1.2"),
            },
        };
        if !protocols.v1_2 && !protocols.v1_3 {
            return Err("ssl.enabledProtocols: this client speaks TLSv1.2 and TLSv1.3".to_owned());
        }
        let suites: Vec<String> = get("ssl.ciphersuites")
            .unwrap_or_default()
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| CIPHER_SUITES.contains(&name.as_str()))
            .collect();
        let config = context::for_client(key_store.as_ref(), &trust_store, protocols, &suites);
        Ok(Some(Arc::new(ClientTls {
            config: config.map_err(|e| e.to_string())?,
            verifies_host: is("ssl.hostnameVerification", true),
        })))
    }

    pub(super) async fn connect(&self, tcp: TcpStream, host: &str) -> io::Result<PeerStream> {
        let address = tcp.peer_addr()?.ip();
        let name = ServerName::try_from(host.to_owned())
            .unwrap_or_else(|_| ServerName::IpAddress(address.into()));
        let stream = PeerStream::connect(tcp, self.config.clone(), name).await?;
        let chain = stream.peer_certificates();
        self.check_host(chain.as_deref(), host, address)?;
        Ok(stream)
    }
}

impl ClientTls {
    /// The same for who waits.
    pub fn blocking(
        &self,
        tcp: std::net::TcpStream,
        host: &str,
    ) -> io::Result<StreamOwned<ClientConnection, std::net::TcpStream>> {
        let address = tcp.peer_addr()?.ip();
        let name = ServerName::try_from(host.to_owned())
            .unwrap_or_else(|_| ServerName::IpAddress(address.into()));
        let session = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        self.check_host(stream.conn.peer_certificates(), host, address)?;
        Ok(stream)
    }

    fn check_host(
        &self,
        chain: Option<&[CertificateDer<'_>]>,
        host: &str,
        address: IpAddr,
    ) -> io::Result<()> {
        if !self.verifies_host {
            return Ok(());
        }
        let own = chain
            .and_then(|chain| chain.first())
            .ok_or_else(|| io::Error::other("the server showed no certificate"))?;
        names::check_host(own, host)
            .or_else(|why| names::check_host(own, &address.to_string()).map_err(|_| why))
            .map_err(io::Error::other)
    }
}

fn store(key: &'static str, properties: &Properties) -> Result<Option<TlsStore>, String> {
    let get = |suffix: &str| properties.get(&format!("{key}.{suffix}"));
    let Some(location) = get("location").filter(|location| !location.is_empty()) else {
        return Ok(None);
    };
    let path = Path::new(location);
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    let format = match get("type").map_or("", String::as_str) {
        "" => extension.to_ascii_uppercase(),
        given => given.to_ascii_uppercase(),
    };
    let format = match format.as_str() {
        "JKS" => StoreFormat::Jks,
        "PKCS12" | "P12" | "PFX" => StoreFormat::Pkcs12,
        "PEM" => StoreFormat::Pem,
        _ => return Err(format!("{key}.type: is {location} JKS, PKCS12 or PEM?")),
    };
    Ok(Some(TlsStore {
        key,
        path: path.to_owned(),
        password: Secret::new(get("password").cloned().unwrap_or_default()),
        password_path: get("passwordPath").map(Into::into),
        format,
    }))
}
