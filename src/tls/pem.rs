//! Keys and certificates as text. Answers to `PemReader`, and reads the older forms of keys as well.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

use super::store::{Contents, KeyEntry};

/// A key with the certificates beside it, or certificates to trust.
pub fn read(file: &[u8], password: &str) -> Result<Contents, String> {
    let text = std::str::from_utf8(file).map_err(|_| "it is no text")?;
    let mut certificates = Vec::new();
    let mut keys = Vec::new();
    for (label, der) in sections(text)? {
        match label {
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                certificates.push(CertificateDer::from(der));
            }
            "PRIVATE KEY" => keys.push(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))),
            "ENCRYPTED PRIVATE KEY" => keys.push(decrypt(&der, password)?),
            "RSA PRIVATE KEY" => keys.push(PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der))),
            "EC PRIVATE KEY" => keys.push(PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der))),
            _ => {}
        }
    }
    let mut contents = Contents::default();
    match keys.len() {
        0 => contents.trusted = certificates,
        1 => contents.keys.extend(keys.pop().map(|key| KeyEntry {
            name: "key".to_owned(),
            key,
            chain: certificates,
        })),
        n => return Err(format!("it has {n} private keys; one is expected")),
    }
    Ok(contents)
}

fn decrypt(der: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, String> {
    if password.is_empty() {
        return Err("its private key is encrypted, and no password is set".to_owned());
    }
    let info = EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|e| format!("its encrypted private key cannot be read: {e}"))?;
    let key = info
        .decrypt(password)
        .map_err(|_| "the password does not open its private key (or its cipher is not known: PBES2 with AES or 3DES is)")?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        key.as_bytes().to_vec(),
    )))
}

/// What stands between the lines BEGIN and END, with its label. Anything else is a comment.
pub fn sections(text: &str) -> Result<Vec<(&str, Vec<u8>)>, String> {
    let mut found = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let place = number + 1;
        if let Some(label) = marker(line, "-----BEGIN ") {
            open = Some((label, String::new()));
        } else if let Some(end) = marker(line, "-----END ") {
            let Some((label, base64)) = open.take().filter(|(label, _)| *label == end) else {
                return Err(format!("line {place} ends a section that has no beginning"));
            };
            let der = STANDARD
                .decode(&base64)
                .map_err(|e| format!("the section that ends in line {place} is damaged: {e}"))?;
            found.push((label, der));
        } else if let Some((_, base64)) = &mut open {
            if line.contains(':') {
                // A header of the old encrypted form.
                if line.contains("ENCRYPTED") {
                    return Err(format!(
                        "line {place}: a private key in the old encrypted form; convert it with openssl pkcs8 -topk8"
                    ));
                }
                continue;
            }
            base64.push_str(line);
        }
    }
    match open {
        Some((label, _)) => Err(format!("the section {label} has no end")),
        None => Ok(found),
    }
}

fn marker<'a>(line: &'a str, begin: &str) -> Option<&'a str> {
    line.strip_prefix(begin)?.strip_suffix("-----")
}
