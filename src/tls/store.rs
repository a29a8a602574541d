//! Key and trust stores: files of three formats. Every complaint names the file and what is wrong with it, and none
//! repeats a password. Answers to `FileKeyStoreLoader` and its subclasses.

use std::path::{Path, PathBuf};

use p12_keystore::Pkcs12Archive;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{jks, pem};
use crate::config::{StoreFormat, TlsStore};

/// A file of more than this is no key store.
const FILE_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {reason}", file.display())]
pub struct StoreError {
    /// The setting that names the file.
    pub key: String,
    pub file: PathBuf,
    pub reason: String,
}

/// What a store holds.
#[derive(Default)]
pub struct Contents {
    pub keys: Vec<KeyEntry>,
    pub trusted: Vec<CertificateDer<'static>>,
}

pub struct KeyEntry {
    pub name: String,
    pub key: PrivateKeyDer<'static>,
    /// The own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
}

/// The keys of a store, at least one, each with its certificate.
pub fn read_keys(store: &TlsStore) -> Result<Vec<KeyEntry>, StoreError> {
    let keys = read(store)?.keys;
    if keys.is_empty() {
        return Err(error(store, "it has no private key"));
    }
    for KeyEntry { name, chain, .. } in &keys {
        if chain.is_empty() {
            let reason = format!("the key '{name}' has no certificate");
            return Err(error(store, reason));
        }
    }
    Ok(keys)
}

/// The certificates to trust, at least one.
pub fn read_trusted(store: &TlsStore) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let contents = read(store)?;
    if contents.trusted.is_empty() {
        return Err(error(store, "it has no certificate to trust"));
    }
    for (n, certificate) in contents.trusted.iter().enumerate() {
        if let Err(e) = X509Certificate::from_der(certificate) {
            let reason = format!("certificate {} of it cannot be read: {e}", n + 1);
            return Err(error(store, reason));
        }
    }
    Ok(contents.trusted)
}

fn read(store: &TlsStore) -> Result<Contents, StoreError> {
    let password = password(store)?;
    let file = read_file(&store.path).map_err(|reason| error(store, reason))?;
    let contents = match store.format {
        StoreFormat::Pem => pem::read(&file, &password),
        // As in Java, one of these under the name of the other is read all the same: its tools write PKCS12 into
        // files that are called .jks.
        StoreFormat::Jks | StoreFormat::Pkcs12 if file.starts_with(&jks::MAGIC) => {
            jks::read(&file, &password)
        }
        StoreFormat::Jks | StoreFormat::Pkcs12 if file.starts_with(&jks::JCEKS_MAGIC) => Err(
            "it is a JCEKS store; convert it with keytool -importkeystore -deststoretype PKCS12"
                .to_owned(),
        ),
        StoreFormat::Jks | StoreFormat::Pkcs12 => read_pkcs12(&file, &password),
    };
    contents.map_err(|reason| error(store, reason))
}

fn password(store: &TlsStore) -> Result<String, StoreError> {
    let Some(path) = &store.password_path else {
        return Ok(store.password.reveal().to_owned());
    };
    let fail = |reason| StoreError {
        key: format!("{}.passwordPath", store.key),
        file: path.clone(),
        reason,
    };
    let bytes = read_file(path).map_err(fail)?;
    let text = String::from_utf8(bytes).map_err(|_| fail("it is no text".to_owned()))?;
    // One line break at the end is the editor's.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let about = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("{} bytes are too many", about.len()));
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    if bytes.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(bytes)
}

fn read_pkcs12(file: &[u8], password: &str) -> Result<Contents, String> {
    let archive = Pkcs12Archive::from_pkcs12(file, password).map_err(|e| match e {
        p12_keystore::error::Error::MacError(_) | p12_keystore::error::Error::Pkcs5Error(_) => {
            "the password is wrong, or the file was damaged".to_owned()
        }
        p12_keystore::error::Error::DerError(_) => {
            "it is no PKCS12 store, or it was damaged".to_owned()
        }
        other => format!("{other}"),
    })?;
    let mut contents = Contents::default();
    let all: Vec<&[u8]> = archive.certs.iter().map(|c| c.cert.as_der()).collect();
    for key in &archive.keys {
        let own = key.local_key_id.as_ref().and_then(|id| {
            let of_key =
                |c: &&p12_keystore::CertificateBag| c.local_key_id.as_deref() == Some(id.as_ref());
            archive.certs.iter().find(of_key)
        });
        // Without a mark there is no choice only where there is one certificate.
        let own = own.or(match &archive.certs[..] {
            [only] => Some(only),
            _ => None,
        });
        contents.keys.push(KeyEntry {
            name: key.friendly_name.clone().unwrap_or_default(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.key.as_der().to_vec())),
            chain: own.map_or_else(Vec::new, |own| chain(own.cert.as_der(), &all)),
        });
    }
    let trusted = archive.certs.iter().filter(|c| c.trusted);
    contents.trusted = trusted.map(|c| owned(c.cert.as_der())).collect();
    // OpenSSL does not mark what is to be trusted; a file of certificates alone can mean nothing else.
    if contents.trusted.is_empty() && archive.keys.is_empty() {
        contents.trusted = all.iter().map(|der| owned(der)).collect();
    }
    Ok(contents)
}

fn owned(der: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from(der.to_vec())
}

/// From a certificate up, by the names of issuers.
fn chain(own: &[u8], all: &[&[u8]]) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![owned(own)];
    let mut last = own;
    while let Ok((_, certificate)) = X509Certificate::from_der(last) {
        let issuer = certificate.issuer().as_raw();
        if certificate.subject().as_raw() == issuer || chain.len() > all.len() {
            break;
        }
        let is_issuer = |der: &&&[u8]| {
            X509Certificate::from_der(der).is_ok_and(|(_, c)| c.subject().as_raw() == issuer)
        };
        let Some(next) = all.iter().find(is_issuer) else {
            break;
        };
        chain.push(owned(next));
        last = next;
    }
    chain
}

fn error(store: &TlsStore, reason: impl Into<String>) -> StoreError {
    StoreError {
        key: format!("{}.location", store.key),
        file: store.path.clone(),
        reason: reason.into(),
    }
}
