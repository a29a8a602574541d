//! What a set of settings comes to: the configuration of connections, of now. It is made anew when a store changes,
//! and connections that are open stay as they are. Answers to `SSLContextAndOptions` and `FileChangeWatcher`.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoClientAuth, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme, SupportedProtocolVersion, version};

use super::revocation::Lists;
use super::store::{self, KeyEntry, StoreError};
use super::trust::{Clients, Servers, Trust};
use super::{ciphers, names};
use crate::config::{ClientAuth, Tls, TlsProtocols, TlsStore};

pub struct Context {
    settings: Tls,
    current: RwLock<Arc<Current>>,
    /// Of the files of now, or of those that were tried last.
    stamps: Mutex<Vec<Stamp>>,
    lists: Arc<Lists>,
}

pub struct Current {
    /// For who accepts.
    pub server: Arc<ServerConfig>,
    /// For who dials; `None` where nobody is trusted.
    pub client: Option<Arc<ClientConfig>>,
    trust: Option<Arc<Trust>>,
}

#[cfg(test)]
impl Current {
    pub(super) fn trust_for_tests(&self) -> &Trust {
        self.trust.as_ref().expect("the test has a trust store")
    }
}

/// A file as it was seen, behind all links. A file that was replaced has another one.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Context {
    pub fn new(settings: Tls) -> Result<Context, StoreError> {
        let stamps = stamps(&settings);
        let current = load(&settings)?;
        Ok(Context {
            current: RwLock::new(Arc::new(current)),
            stamps: Mutex::new(stamps),
            lists: Arc::default(),
            settings,
        })
    }

    pub fn settings(&self) -> &Tls {
        &self.settings
    }

    pub fn current(&self) -> Arc<Current> {
        self.current.read().clone()
    }

    /// Reads the stores again if one of them changed. If they cannot be used, those of before stay in use.
    /// `Some` when there was a change.
    pub fn reload(&self) -> Option<Result<(), StoreError>> {
        let now = stamps(&self.settings);
        let mut stamps = self.stamps.lock();
        if *stamps == now {
            return None;
        }
        *stamps = now;
        Some(load(&self.settings).map(|loaded| *self.current.write() = Arc::new(loaded)))
    }

    /// What a handshake leaves open: whether the certificate is revoked, and whether it is for that host. Blocks.
    /// `host` is what was dialled; who was not dialled has an address alone.
    pub fn check_peer(
        &self,
        chain: &[CertificateDer<'static>],
        address: IpAddr,
        host: Option<&str>,
        trust: &Current,
    ) -> Result<(), String> {
        if self.settings.crl
            && let Some(trust) = &trust.trust
        {
            self.lists.check(chain, trust)?;
        }
        let verifies = match host {
            Some(_) => self.settings.verify_server_host,
            None => self.settings.verify_client_host,
        };
        match chain.first().filter(|_| verifies) {
            Some(own) => self.check_host(own, address, host),
            None => Ok(()),
        }
    }

    /// Whether [`Context::check_peer`] has anything to do.
    pub fn checks_peers(&self) -> bool {
        let settings = &self.settings;
        settings.crl || settings.verify_server_host || settings.verify_client_host
    }

    /// The address first, then the name: the one that was dialled, or the one that the address has.
    fn check_host(&self, own: &[u8], address: IpAddr, host: Option<&str>) -> Result<(), String> {
        let by_address = names::check_host(own, &address.to_string());
        let name = host.filter(|host| host.parse::<IpAddr>().is_err());
        match (by_address, name) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(name)) => names::check_host(own, name),
            (Err(why), None) if !self.settings.reverse_lookup => Err(why),
            (Err(why), None) => match reverse_lookup(address) {
                Some(name) => names::check_host(own, &name).map_err(|e| format!("{why}; {e}")),
                None => Err(format!("{why}, which has no name")),
            },
        }
    }
}

fn stamps(settings: &Tls) -> Vec<Stamp> {
    let of_store = |store: &TlsStore| [Some(store.path.clone()), store.password_path.clone()];
    let stores = std::iter::once(&settings.key_store).chain(&settings.trust_store);
    stores
        .flat_map(of_store)
        .flatten()
        .map(|path| stamp(&path))
        .collect()
}

fn stamp(path: &Path) -> Stamp {
    let about = std::fs::metadata(path).ok()?;
    Some((
        about.dev(),
        about.ino(),
        about.len(),
        about.mtime(),
        about.mtime_nsec(),
    ))
}

fn load(settings: &Tls) -> Result<Current, StoreError> {
    let provider = provider(&settings.cipher_suites);
    let keys = Keys::new(
        &settings.key_store,
        store::read_keys(&settings.key_store)?,
        &provider,
    )?;
    let keys = Arc::new(keys);
    let trust = match &settings.trust_store {
        None => None,
        Some(store) => {
            let trust = Trust::new(store::read_trusted(store)?, provider.clone());
            Some(Arc::new(
                trust.map_err(|reason| store_error(store, reason))?,
            ))
        }
    };
    let versions = versions(settings.protocols);
    let unusable = |e: rustls::Error| store_error(&settings.key_store, e.to_string());

    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(unusable)?;
    let server = match (&trust, settings.client_auth) {
        (Some(trust), wanted @ (ClientAuth::Want | ClientAuth::Need)) => server
            .with_client_cert_verifier(Arc::new(Clients {
                trust: trust.clone(),
                wanted,
            })),
        _ => server.with_client_cert_verifier(Arc::new(NoClientAuth)),
    };
    let mut server = server.with_cert_resolver(keys.clone());
    if !settings.resumes {
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
    }

    let client = match &trust {
        None => None,
        Some(trust) => {
            let client = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&versions)
                .map_err(unusable)?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Servers {
                    trust: trust.clone(),
                }));
            let mut client = client.with_client_cert_resolver(keys);
            client.resumption = Resumption::disabled();
            Some(Arc::new(client))
        }
    };
    Ok(Current {
        server: Arc::new(server),
        client,
        trust,
    })
}

/// For a client that need not have a certificate. Whose certificates count, it has to say.
pub fn for_client(
    key_store: Option<&TlsStore>,
    trust_store: &TlsStore,
    protocols: TlsProtocols,
    cipher_suites: &[String],
) -> Result<Arc<ClientConfig>, StoreError> {
    let provider = provider(cipher_suites);
    let trust = Trust::new(store::read_trusted(trust_store)?, provider.clone())
        .map_err(|reason| store_error(trust_store, reason))?;
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(protocols))
        .map_err(|e| store_error(trust_store, e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Servers {
            trust: Arc::new(trust),
        }));
    let mut client = match key_store {
        None => client.with_no_client_auth(),
        Some(store) => {
            let keys = Keys::new(store, store::read_keys(store)?, &provider)?;
            client.with_client_cert_resolver(Arc::new(keys))
        }
    };
    client.resumption = Resumption::disabled();
    Ok(Arc::new(client))
}

fn provider(cipher_suites: &[String]) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: ciphers::by_name(cipher_suites),
        ..ring::default_provider()
    })
}

fn versions(protocols: TlsProtocols) -> Vec<&'static SupportedProtocolVersion> {
    [
        (protocols.v1_3, &version::TLS13),
        (protocols.v1_2, &version::TLS12),
    ]
    .into_iter()
    .filter_map(|(is_on, version)| is_on.then_some(version))
    .collect()
}

fn store_error(store: &TlsStore, reason: String) -> StoreError {
    StoreError {
        key: format!("{}.location", store.key),
        file: store.path.clone(),
        reason,
    }
}

/// The keys of a store; which of them is shown depends on what the other side can verify.
#[derive(Debug)]
struct Keys(Vec<Arc<CertifiedKey>>);

impl Keys {
    fn new(
        store: &TlsStore,
        entries: Vec<KeyEntry>,
        provider: &CryptoProvider,
    ) -> Result<Keys, StoreError> {
        let mut keys = Vec::new();
        let mut why = Vec::new();
        for KeyEntry { name, key, chain } in entries {
            match CertifiedKey::from_der(chain, key, provider) {
                Ok(key) => keys.push(Arc::new(key)),
                Err(e) => why.push(format!("the key '{name}' cannot be used: {e}")),
            }
        }
        match keys.is_empty() {
            true => Err(store_error(store, why.join("; "))),
            false => Ok(Keys(keys)),
        }
    }

    fn choose(&self, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut keys = self.0.iter();
        keys.find(|key| key.key.choose_scheme(schemes).is_some())
            .cloned()
    }
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.signature_schemes())
    }
}

impl rustls::client::ResolvesClientCert for Keys {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.choose(schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The name that an address has. Blocks.
fn reverse_lookup(address: IpAddr) -> Option<String> {
    let address = socket2::SockAddr::from(std::net::SocketAddr::new(address, 0));
    let mut name = [0u8; 1025];
    // SAFETY: the address is valid for its length, and the buffer for its own.
    let failed = unsafe {
        libc::getnameinfo(
            address.as_ptr().cast(),
            address.len(),
            name.as_mut_ptr().cast(),
            name.len() as libc::socklen_t,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    let end = name.iter().position(|b| *b == 0)?;
    let name = std::str::from_utf8(&name[..end]).ok()?;
    (failed == 0).then(|| name.to_owned())
}
