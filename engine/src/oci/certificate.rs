//! What a certificate says of itself, for error messages: issuer, names, dates.
//!
//! Reads just enough DER for that. It verifies nothing, and what it cannot read it leaves out.

use std::net::IpAddr;

/// The readable part of a certificate that a registry presented.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateSummary {
    /// Who signed it: the common name, else the organisation, else every part that is text.
    pub issuer: String,
    /// Whose it is, written like the issuer.
    pub subject: String,
    /// The names it is valid for: DNS names and addresses.
    pub names: Vec<String>,
    /// First moment of its validity, as RFC 3339 in UTC.
    pub not_before: String,
    /// Last moment of its validity, as RFC 3339 in UTC.
    pub not_after: String,
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const OCTET_STRING: u8 = 0x04;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Reads `der`; fields that cannot be read stay empty.
#[must_use]
pub fn summarize(der: &[u8]) -> CertificateSummary {
    let mut summary = CertificateSummary::default();
    // The work is done for its effect: whatever was read before a fault is kept.
    let _partly = fill(der, &mut summary);
    summary
}

fn fill(der: &[u8], summary: &mut CertificateSummary) -> Option<()> {
    let certificate = Reader(der).expect(SEQUENCE)?;
    let mut body = Reader(Reader(certificate).expect(SEQUENCE)?);
    if body.0.first() == Some(&VERSION) {
        body.next()?;
    }
    let (_serial, _algorithm) = (body.next()?, body.next()?);
    summary.issuer = name(body.expect(SEQUENCE)?);
    let mut validity = Reader(body.expect(SEQUENCE)?);
    summary.not_before = time(validity.next()?);
    summary.not_after = time(validity.next()?);
    summary.subject = name(body.expect(SEQUENCE)?);
    while let Some((tag, content)) = body.next() {
        if tag == EXTENSIONS {
            summary.names = alternative_names(Reader(content).expect(SEQUENCE)?);
        }
    }
    Some(())
}

/// A distinguished name in one line.
fn name(content: &[u8]) -> String {
    let mut parts: Vec<(&[u8], String)> = Vec::new();
    let mut sets = Reader(content);
    while let Some((_, set)) = sets.next() {
        let mut attributes = Reader(set);
        while let Some((SEQUENCE, attribute)) = attributes.next() {
            let mut attribute = Reader(attribute);
            if let (Some(kind), Some((_, value))) =
                (attribute.expect(OBJECT_IDENTIFIER), attribute.next())
            {
                parts.push((kind, printable(value)));
            }
        }
    }
    for kind in [COMMON_NAME, ORGANISATION] {
        if let Some((_, value)) = parts.iter().rev().find(|(found, _)| *found == kind) {
            return value.clone();
        }
    }
    parts
        .into_iter()
        .map(|(_, value)| value)
        .collect::<Vec<_>>()
        .join(", ")
}

fn alternative_names(extensions: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut extensions = Reader(extensions);
    while let Some((SEQUENCE, extension)) = extensions.next() {
        let mut extension = Reader(extension);
        if extension.expect(OBJECT_IDENTIFIER) != Some(SUBJECT_ALT_NAME) {
            continue;
        }
        while let Some((tag, content)) = extension.next() {
            if tag == OCTET_STRING {
                let mut general = Reader(Reader(content).expect(SEQUENCE).unwrap_or_default());
                while let Some((tag, content)) = general.next() {
                    match tag {
                        DNS_NAME => names.push(printable(content)),
                        IP_ADDRESS => names.extend(address(content)),
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(address.to_string())
}

/// Text fit for a terminal: a certificate is whatever its sender likes.
fn printable(bytes: &[u8]) -> String {
    const LONGEST: usize = 128;
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect()
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` as RFC 3339.
fn time((tag, content): (u8, &[u8])) -> String {
    let digits = printable(content);
    let digits = if tag == UTC_TIME {
        // RFC 5280, 4.1.2.5.1: two digits from 50 on are of the last century.
        let century = if digits.as_str() < "50" { "20" } else { "19" };
        format!("{century}{digits}")
    } else {
        digits
    };
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or("??").to_owned();
    format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    )
}

/// Reads one tag-length-value after another and stops at the first that does not fit.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            // Four bytes of length are 4 GiB, far above any certificate.
            if bytes.len() > 4 {
                return None;
            }
            (
                bytes
                    .iter()
                    .fold(0usize, |length, byte| (length << 8) | usize::from(*byte)),
                rest,
            )
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(tag, _)| *tag == wanted)
            .map(|(_, content)| content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_read_as_nothing() {
        let nested = [SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff, SEQUENCE, 0x02, 0x01];
        for length in 0..=nested.len() {
            assert_eq!(summarize(&nested[..length]), CertificateSummary::default());
        }
        for byte in 0..=u8::MAX {
            assert_eq!(summarize(&[byte; 64]), CertificateSummary::default());
        }
    }

    #[test]
    fn dates_are_rfc_3339_in_the_right_century() {
        assert_eq!(time((UTC_TIME, b"260102030405Z")), "2026-01-02T03:04:05Z");
        assert_eq!(time((UTC_TIME, b"990102030405Z")), "1999-01-02T03:04:05Z");
        assert_eq!(time((0x18, b"20500102030405Z")), "2050-01-02T03:04:05Z");
        assert_eq!(time((UTC_TIME, b"")), "??-??-??T??:??:??Z");
    }
}
