//! Lists of revoked certificates, from where certificates say that they are. They are kept until they are old.
//!
//! Blocks: for a thread of its own. Answers to the revocation checker that `X509Util` configures, without OCSP.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use super::names;
use super::trust::Trust;

/// A list is asked for again after this; it may have grown.
const FRESH: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(5);
const LIST_BYTES_MAX: u64 = 16 << 20;
/// Lists that are kept; certificates that name more are of one who means no good.
const LISTS_MAX: usize = 256;

#[derive(Default)]
pub struct Lists {
    kept: Mutex<HashMap<String, Kept>>,
}

#[derive(Clone)]
struct Kept {
    at: Instant,
    list: Arc<[u8]>,
}

impl Lists {
    /// Refuses what is revoked, and what no list says anything of.
    pub fn check(&self, chain: &[CertificateDer<'static>], trust: &Trust) -> Result<(), String> {
        let (own, _) = chain.split_first().ok_or("there is no certificate")?;
        if trust.stands_in_store(own) {
            return Ok(());
        }
        let mut lists = Vec::new();
        let mut why = Vec::new();
        for certificate in chain.iter().filter(|c| !trust.stands_in_store(c)) {
            for place in names::revocation_lists(certificate) {
                match self.get(&place) {
                    Ok(list) => lists.push(CertificateRevocationListDer::from(list.to_vec())),
                    Err(e) => why.push(format!("{place}: {e}")),
                }
            }
        }
        if lists.is_empty() {
            let why = match why.is_empty() {
                true => "it names no list of revoked certificates".to_owned(),
                false => why.join("; "),
            };
            return Err(format!(
                "whether the certificate is revoked is not known: {why}"
            ));
        }
        trust
            .check_revocation(chain, lists)
            .map_err(|e| match why.is_empty() {
                true => e,
                false => format!("{e} ({})", why.join("; ")),
            })
    }

    fn get(&self, place: &str) -> Result<Arc<[u8]>, String> {
        let kept = self.kept.lock().get(place).cloned();
        if let Some(kept) = &kept
            && kept.at.elapsed() < FRESH
        {
            return Ok(kept.list.clone());
        }
        match fetch(place) {
            Ok(list) => {
                let list: Arc<[u8]> = list.into();
                let mut all = self.kept.lock();
                if all.len() >= LISTS_MAX {
                    all.clear();
                }
                let kept = Kept {
                    at: Instant::now(),
                    list: list.clone(),
                };
                all.insert(place.to_owned(), kept);
                Ok(list)
            }
            // An older one counts until it says itself that it is too old.
            Err(e) => kept.map(|kept| kept.list).ok_or(e),
        }
    }
}

fn fetch(place: &str) -> Result<Vec<u8>, String> {
    let bytes = if let Some(path) = place.strip_prefix("file://") {
        let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
        bounded(file)?
    } else if let Some(rest) = place.strip_prefix("http://") {
        http(rest)?
    } else {
        return Err("only http and file are known".to_owned());
    };
    match bytes.first() {
        Some(0x30) => Ok(bytes),
        _ => {
            let text = std::str::from_utf8(&bytes).map_err(|_| "it is no list")?;
            let sections = super::pem::sections(text)?;
            let list = sections.into_iter().find(|(label, _)| *label == "X509 CRL");
            list.map(|(_, der)| der)
                .ok_or_else(|| "it is no list".to_owned())
        }
    }
}

fn bounded(from: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = from.take(LIST_BYTES_MAX + 1).read_to_end(&mut bytes);
    match read {
        Err(e) => Err(e.to_string()),
        Ok(n) if n as u64 > LIST_BYTES_MAX => Err("it is too long".to_owned()),
        Ok(_) => Ok(bytes),
    }
}

/// `host[:port]/path`, by the oldest form of the protocol: one answer, then the end.
fn http(rest: &str) -> Result<Vec<u8>, String> {
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let with_port = match authority.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
        _ => format!("{authority}:80"),
    };
    let mut addresses = with_port.to_socket_addrs().map_err(|e| e.to_string())?;
    let address = addresses.next().ok_or("its host has no address")?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(|e| e.to_string())?;
    let limits = stream
        .set_read_timeout(Some(TIMEOUT))
        .and_then(|()| stream.set_write_timeout(Some(TIMEOUT)));
    limits.map_err(|e| e.to_string())?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .map_err(|e| e.to_string())?;
    let answer = bounded(stream)?;
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or("it does not answer in HTTP")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("it answers {status}"));
    }
    Ok(answer[end + 4..].to_vec())
}
