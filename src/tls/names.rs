//! Names in certificates: who a certificate is of, as text, and which hosts it is good for.
//!
//! The text is that of Java's `X500Principal.getName()`, byte for byte, because it stands in access lists. Hosts are
//! matched as `ZKHostnameVerifier` does it.

use std::fmt::Write;
use std::net::IpAddr;

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The attributes that RFC 2253 gives a keyword.
const KEYWORDS: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];
const COMMON_NAME: &str = "2.5.4.3";

/// The subject of a certificate, the most specific part first.
pub fn subject_of(certificate: &[u8]) -> Result<String, String> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|e| e.to_string())?;
    Ok(rfc2253(certificate.subject()))
}

fn rfc2253(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter().collect();
    for part in parts.iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        for (n, attribute) in part.iter().enumerate() {
            if n > 0 {
                text.push('+');
            }
            put_attribute(&mut text, attribute);
        }
    }
    text
}

fn put_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    let keyword = KEYWORDS.iter().find(|(known, _)| *known == oid);
    text.push_str(keyword.map_or(&oid, |(_, keyword)| keyword));
    text.push('=');
    match keyword.and_then(|_| string_of(attribute.attr_value())) {
        Some(value) => put_escaped(text, &value),
        None => put_hex(text, attribute.attr_value()),
    }
}

/// `None` where Java sees no string.
fn string_of(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String => Some(String::from_utf8_lossy(bytes).into_owned()),
        Tag::T61String => Some(bytes.iter().map(|b| char::from(*b)).collect()),
        Tag::BmpString => {
            let units = bytes
                .chunks(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            Some(
                char::decode_utf16(units)
                    .map(|c| c.unwrap_or('\u{fffd}'))
                    .collect(),
            )
        }
        Tag::PrintableString | Tag::Ia5String | Tag::GeneralString => {
            let ascii = |b: &u8| {
                if b.is_ascii() {
                    char::from(*b)
                } else {
                    '\u{fffd}'
                }
            };
            Some(bytes.iter().map(ascii).collect())
        }
        _ => None,
    }
}

fn put_escaped(text: &mut String, value: &str) {
    let is_blank = |c: char| c == ' ' || c == '\r';
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => escaped.extend(['\\', c]),
            '\0' => escaped.push_str("\\00"),
            _ => escaped.push(c),
        }
    }
    let rest = escaped.trim_start_matches(is_blank);
    let leading = escaped.len() - rest.len();
    let inner = rest.trim_end_matches(is_blank);
    let ends = |blanks: &str| -> String { blanks.chars().flat_map(|c| ['\\', c]).collect() };
    text.push_str(&ends(&escaped[..leading]));
    text.push_str(inner);
    text.push_str(&ends(&rest[inner.len()..]));
}

/// The whole DER of the value.
fn put_hex(text: &mut String, value: &Any<'_>) {
    text.push('#');
    let length = value.data.len();
    let mut der = vec![
        value
            .header
            .raw_tag()
            .map_or(value.tag().0 as u8, |raw| raw[0]),
    ];
    if length < 0x80 {
        der.push(length as u8);
    } else {
        let digits = length.to_be_bytes();
        let digits = &digits[digits.iter().take_while(|b| **b == 0).count()..];
        der.push(0x80 | digits.len() as u8);
        der.extend_from_slice(digits);
    }
    der.extend_from_slice(value.data);
    for byte in der {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

/// Whether a certificate is for that host: by its alternative names, or by its common name if it has none.
pub fn check_host(certificate: &[u8], host: &str) -> Result<(), String> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|e| e.to_string())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let alternatives = certificate
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|extension| &extension.value.general_names[..])
        .unwrap_or_default();
    let names: Vec<&GeneralName<'_>> = alternatives
        .iter()
        .filter(|name| matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_)))
        .collect();
    if names.is_empty() {
        let common = certificate
            .subject()
            .iter_attributes()
            .filter(|a| a.attr_type().to_id_string() == COMMON_NAME)
            .filter_map(|a| string_of(a.attr_value()))
            .last();
        return match common {
            Some(common) if matches(host, &common) => Ok(()),
            Some(common) => Err(format!(
                "the certificate is of {common}, not of <{host}>, and has no alternative names"
            )),
            None => Err(format!(
                "the certificate has no name that could be <{host}>"
            )),
        };
    }
    let address: Option<IpAddr> = host.parse().ok();
    let fits = names.iter().any(|name| match (name, address) {
        (GeneralName::IPAddress(bytes), Some(address)) => match address {
            IpAddr::V4(v4) => v4.octets() == **bytes,
            IpAddr::V6(v6) => v6.octets() == **bytes,
        },
        (GeneralName::DNSName(pattern), None) => matches(host, pattern),
        _ => false,
    });
    if fits {
        return Ok(());
    }
    let listed: Vec<String> = names.iter().map(|name| printed(name)).collect();
    Err(format!(
        "the certificate is for {}, not for <{host}>",
        listed.join(", ")
    ))
}

fn printed(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => {
            match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                (Ok(v4), _) => IpAddr::from(v4).to_string(),
                (_, Ok(v6)) => IpAddr::from(v6).to_string(),
                _ => "an address of unknown length".to_owned(),
            }
        }
        other => other.to_string(),
    }
}

/// A star stands for a part of one label.
fn matches(host: &str, pattern: &str) -> bool {
    let (host, pattern) = (host.to_lowercase(), pattern.to_lowercase());
    let Some((before, after)) = pattern.split_once('*') else {
        return host == pattern;
    };
    host.len() >= before.len() + after.len()
        && host.starts_with(before)
        && host.ends_with(after)
        && !host[before.len()..host.len() - after.len()].contains('.')
}

/// Where lists of revoked certificates are, for this one.
pub fn revocation_lists(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for extension in certificate.extensions() {
        let x509_parser::extensions::ParsedExtension::CRLDistributionPoints(points) =
            extension.parsed_extension()
        else {
            continue;
        };
        for point in points.iter() {
            if let Some(x509_parser::extensions::DistributionPointName::FullName(names)) =
                &point.distribution_point
            {
                found.extend(names.iter().filter_map(|name| match name {
                    GeneralName::URI(uri) => Some((*uri).to_owned()),
                    _ => None,
                }));
            }
        }
    }
    found
}
