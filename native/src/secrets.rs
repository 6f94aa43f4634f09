//! Whether a record may hold secrets: a quick answer that is wrong only in saying yes.

use memchr::{memchr3_iter, memmem};
use pyo3::prelude::*;

/// What stands in text that is no JSON, or hides a name: looked for as it is.
const MARKS: [&[u8]; 11] = [
    b"\\u00", b"RIVATE KEY-----", b"uthorization", b"UTHORIZATION", b"earer", b"EARER", b"ookie:", b"ookie ", b"OOKIE",
    b"PutParameter", b"ImportSourceCredentials",
];
/// The ends of names that are secrets in JSON, and those that are secrets before `=` in the parameters of a URL.
const ENDS: [&[u8]; 12] = [
    b"password", b"passwd", b"passphrase", b"pwd", b"token", b"authorization", b"cookie", b"cookies", b"secret",
    b"material", b"signature", b"credential",
];
const PARAMETERS: [&[u8]; 4] = [b"jwt", b"auth", b"sig", b"sessionid"];
/// What stands before `key`, and what stands behind `secret`, with one separator between them or none.
const KEYS: [&[u8]; 4] = [b"secret", b"private", b"shared", b"api"];
const SECRETS: [&[u8]; 3] = [b"string", b"binary", b"value"];
/// The longest end of a name, with room for separators.
const WINDOW: usize = 24;

/// Looks for the names that redaction knows.
pub struct Names(Vec<memmem::Finder<'static>>);

impl Default for Names {
    fn default() -> Self {
        Names(MARKS.iter().map(|mark| memmem::Finder::new(*mark)).collect())
    }
}

impl Names {
    /// Whether a record may hold a secret.
    pub fn may_be_in(&self, data: &[u8]) -> bool {
        memchr3_iter(b'"', b'=', b'%', data).any(|at| {
            let quoted = data[at] == b'"';
            ends_secret_name(&data[..at], quoted) && (!quoted || is_name_or_has_value(data, at + 1))
        }) || self.0.iter().any(|mark| mark.find(data).is_some())
    }
}

/// Whether a text that ends here is the name of a member, or may be the name beside a value in one object.
fn is_name_or_has_value(data: &[u8], end: usize) -> bool {
    let next = data[end..].iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(next, Some(b':' | b'\\'))
        || memmem::find(data, b"alue").is_some()
        || memmem::find(data, b"ALUE").is_some()
}

/// Whether text ends with the name of a secret: the quote, equals sign or percent sign that follows is left out.
fn ends_secret_name(before: &[u8], quoted: bool) -> bool {
    let mut before = before;
    while let Some((b'\\', rest)) = before.split_last() {
        before = rest;
    }
    let length = before.len().min(WINDOW);
    let tail = &before[before.len() - length..];
    // Most names and values end otherwise.
    let [.., a, b, c] = tail else { return false };
    match [a | 0x20, b | 0x20, c | 0x20] {
        [b'o', b'r', b'd'] | [b's' | b'p', b'w', b'd'] | [b'a', b's', b'e'] | [b'k', b'e', b'n' | b'y'] => {}
        [b'i', b'o', b'n'] | [b'k', b'i', b'e'] | [b'i', b'e', b's'] | [b'r', b'e', b't'] | [b'i', b'a', b'l'] => {}
        [b'u', b'r', b'e'] | [b'i', b'n', b'g'] | [b'a', b'r', b'y'] | [b'l', b'u', b'e'] => {}
        [b'j', b'w', b't'] | [b'u', b't', b'h'] | [b's', b'i', b'g'] | [b'n', b'i', b'd'] if !quoted => {}
        _ => return false,
    }
    let mut window = [0_u8; WINDOW];
    for (to, from) in window.iter_mut().zip(tail) {
        *to = from.to_ascii_lowercase();
    }
    let name = &window[..length];
    if let Some(rest) = name.strip_suffix(b"key") {
        let rest = without_separator(rest);
        let rest = rest.strip_suffix(b"access").map_or(rest, without_separator);
        return ends_with_one_of(rest, &KEYS);
    }
    if let Some(rest) = name.strip_suffix(b"token") {
        return !(rest.ends_with(b"next") || rest.ends_with(b"client"));
    }
    ends_with_one_of(name, &ENDS)
        || (!quoted && ends_with_one_of(name, &PARAMETERS))
        || SECRETS
            .iter()
            .any(|end| name.strip_suffix(*end).is_some_and(|rest| without_separator(rest).ends_with(b"secret")))
}

fn ends_with_one_of(name: &[u8], ends: &[&[u8]]) -> bool {
    ends.iter().any(|end| name.ends_with(end))
}

fn without_separator(name: &[u8]) -> &[u8] {
    match name.split_last() {
        Some((b' ' | b'_' | b'.' | b'-', rest)) => rest,
        _ => name,
    }
}

/// Says quickly whether a record may hold secrets that `redaction/secrets.py` would mask; wrong only in saying yes.
#[pyclass(frozen)]
pub struct SecretNames(Names);

#[pymethods]
impl SecretNames {
    #[new]
    fn new() -> Self {
        SecretNames(Names::default())
    }

    /// Look for the names of secrets in a record's bytes.
    fn may_be_in(&self, record: &[u8]) -> bool {
        self.0.may_be_in(record)
    }
}
