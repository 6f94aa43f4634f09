//! Strict JSON, walked over in place: nothing is copied, and what is not exactly JSON is refused.

/// How deeply values may be nested.
const DEEPEST: usize = 64;

/// A string in quotes: where it stands, and what is in it.
#[derive(Clone, Copy)]
pub struct Text {
    /// Index of the first byte after the closing quote.
    pub end: usize,
    /// It has a backslash.
    pub escaped: bool,
    /// It has a `\u` escape, which may be half of a surrogate pair.
    pub unicode: bool,
}

/// The index of the first byte that is no white space.
pub fn skip_space(data: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = data.get(at) {
        at += 1;
    }
    at
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Where the first quote, backslash or control character is among eight bytes; None where there is none of them.
fn first_special(chunk: [u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(chunk);
    let quote = word ^ (ONES * 0x22);
    let slash = word ^ (ONES * 0x5c);
    // Bytes after a true one may be found wrongly, since it is borrowed from them; the first one is always right.
    let found = ((quote.wrapping_sub(ONES) & !quote)
        | (slash.wrapping_sub(ONES) & !slash)
        | (word.wrapping_sub(ONES * 0x20) & !word))
        & HIGH;
    (found != 0).then_some(found.trailing_zeros() as usize / 8)
}

/// Eight bytes, where there are as many.
fn eight(data: &[u8], at: usize) -> Option<[u8; 8]> {
    data.get(at..at + 8)?.try_into().ok()
}

/// Walk over a string; `at` is its opening quote.
pub fn text(data: &[u8], at: usize) -> Option<Text> {
    if *data.get(at)? != b'"' {
        return None;
    }
    let mut at = at + 1;
    let (mut escaped, mut unicode) = (false, false);
    loop {
        while let Some(chunk) = eight(data, at) {
            if let Some(place) = first_special(chunk) {
                at += place;
                break;
            }
            at += 8;
        }
        match *data.get(at)? {
            b'"' => return Some(Text { end: at + 1, escaped, unicode }),
            b'\\' => {
                escaped = true;
                match *data.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                    b'u' => {
                        unicode = true;
                        if !data.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        at += 6;
                    }
                    _ => return None,
                }
            }
            0..=0x1f => return None,
            _ => at += 1,
        }
    }
}

/// Walk over a number; the second value says whether it is an integer of at most 18 digits.
pub fn number(data: &[u8], at: usize) -> Option<(usize, bool)> {
    let start = at;
    let mut at = at + usize::from(data.get(at) == Some(&b'-'));
    let digits = at;
    match *data.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at = after_digits(data, at),
        _ => return None,
    }
    let mut plain = at - digits <= 18 && &data[start..at] != b"-0";
    if data.get(at) == Some(&b'.') {
        plain = false;
        at = some_digits(data, at + 1)?;
    }
    if let Some(b'e' | b'E') = data.get(at) {
        plain = false;
        at += 1;
        if let Some(b'+' | b'-') = data.get(at) {
            at += 1;
        }
        at = some_digits(data, at)?;
    }
    Some((at, plain))
}

fn after_digits(data: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = data.get(at) {
        at += 1;
    }
    at
}

fn some_digits(data: &[u8], at: usize) -> Option<usize> {
    let end = after_digits(data, at);
    (end > at).then_some(end)
}

/// Walk over `true`, `false` or `null`.
pub fn word(data: &[u8], at: usize) -> Option<usize> {
    let word: &[u8] = match data.get(at)? {
        b't' => b"true",
        b'f' => b"false",
        b'n' => b"null",
        _ => return None,
    };
    data[at..].starts_with(word).then_some(at + word.len())
}

/// Walk over any value; `at` is its first byte.
pub fn value(data: &[u8], at: usize) -> Option<usize> {
    nested(data, at, 0)
}

fn nested(data: &[u8], at: usize, depth: usize) -> Option<usize> {
    if depth > DEEPEST {
        return None;
    }
    match data.get(at)? {
        b'"' => Some(text(data, at)?.end),
        b'{' => members(data, at, |_, value_at| nested(data, value_at, depth + 1)),
        b'[' => elements(data, at, |element_at| nested(data, element_at, depth + 1)),
        b'-' | b'0'..=b'9' => Some(number(data, at)?.0),
        _ => word(data, at),
    }
}

/// Walk over an object: each member's key (with its place) and the index of its value go to `each`, which returns the
/// value's end.
pub fn members<'a>(
    data: &'a [u8],
    at: usize,
    mut each: impl FnMut((&'a [u8], Text), usize) -> Option<usize>,
) -> Option<usize> {
    let mut at = skip_space(data, at + 1);
    if *data.get(at)? == b'}' {
        return Some(at + 1);
    }
    loop {
        let key = text(data, at)?;
        let name = &data[at + 1..key.end - 1];
        at = skip_space(data, key.end);
        if *data.get(at)? != b':' {
            return None;
        }
        at = each((name, key), skip_space(data, at + 1))?;
        at = skip_space(data, at);
        match *data.get(at)? {
            b',' => at = skip_space(data, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Walk over a list: the index of each element goes to `each`, which returns the element's end.
pub fn elements(data: &[u8], at: usize, mut each: impl FnMut(usize) -> Option<usize>) -> Option<usize> {
    let mut at = skip_space(data, at + 1);
    if *data.get(at)? == b']' {
        return Some(at + 1);
    }
    loop {
        at = skip_space(data, each(at)?);
        match *data.get(at)? {
            b',' => at = skip_space(data, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Write bytes as what stands between the quotes of a JSON string.
pub fn escape(data: &[u8], out: &mut Vec<u8>) {
    // Room for the usual record, in which each tenth byte is escaped; eight bytes are written where fewer may be kept.
    let mut to = out.len();
    out.resize(to + data.len() + data.len() / 4 + 16, 0);
    let mut at = 0;
    while at < data.len() {
        if out.len() - to < 16 {
            out.resize(to + 2 * (data.len() - at) + 16, 0);
        }
        let plain = match eight(data, at) {
            Some(chunk) => {
                out[to..to + 8].copy_from_slice(&chunk);
                first_special(chunk)
            }
            None => {
                let rest = &data[at..];
                out[to..to + rest.len()].copy_from_slice(rest);
                Some(rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len()))
            }
        };
        let plain_bytes = plain.unwrap_or(8);
        at += plain_bytes;
        to += plain_bytes;
        if plain.is_some() && at < data.len() {
            let escaped = escaped(data[at]);
            out[to..to + 6].copy_from_slice(&escaped.0);
            to += escaped.1;
            at += 1;
        }
    }
    out.truncate(to);
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// How a special byte is written: the text and its length.
fn escaped(byte: u8) -> ([u8; 6], usize) {
    let short = |letter| ([b'\\', letter, 0, 0, 0, 0], 2);
    match byte {
        b'"' | b'\\' => short(byte),
        b'\n' => short(b'n'),
        b'\r' => short(b'r'),
        b'\t' => short(b't'),
        _ => {
            let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
            ([b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)], 6)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{escape, text};

    /// Byte by byte, as it is defined.
    fn plainly(data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for &byte in data {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => out.push(byte),
            }
        }
        out
    }

    /// Bytes of all kinds, special ones next to each other and far apart; always the same.
    fn bytes(seed: u64, length: usize, kinds: &[u8]) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                kinds[(state >> 33) as usize % kinds.len()]
            })
            .collect()
    }

    #[test]
    fn text_is_escaped_as_byte_by_byte() {
        let every: Vec<u8> = (0..=255).collect();
        for kinds in [&every[..], b"ab\"", b"\"\\", b"\x01", b"\x1f\x20!\"#", b"a\x80\xff\x7f", b"\n\r\tabcdefgh"] {
            for length in 0..80 {
                for seed in 0..20 {
                    let data = bytes(seed, length, kinds);
                    let mut out = b"before".to_vec();
                    escape(&data, &mut out);
                    assert_eq!(out, [b"before".as_slice(), &plainly(&data)].concat(), "{data:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_escaped_is_one_text() {
        for length in 0..80 {
            for seed in 0..20 {
                let mut out = b"\"".to_vec();
                escape(&bytes(seed, length, b"abcdefg\"\\\x02\n"), &mut out);
                out.push(b'"');
                assert_eq!(text(&out, 0).map(|found| found.end), Some(out.len()), "{out:?}");
            }
        }
    }

    #[test]
    fn control_characters_are_no_part_of_a_text() {
        for byte in 0..0x20 {
            for before in 0..20 {
                let data = [b"\"".as_slice(), &vec![b'a'; before], &[byte], b"aaaaaaaaaaaa\""].concat();
                assert!(text(&data, 0).is_none());
            }
        }
    }
}
