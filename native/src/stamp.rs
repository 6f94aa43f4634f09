//! Times and document ids.

use blake2::digest::{consts::U12, Digest};
use blake2::Blake2b;

const DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Milliseconds since the epoch of `2026-01-15T00:32:52Z`; None for any other form, and before 1970.
pub fn milliseconds(text: &[u8]) -> Option<u64> {
    let text: &[u8; 20] = text.try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
    if marks.iter().any(|&(at, mark)| text[at] != mark) {
        return None;
    }
    let year = digits(&text[0..4])?;
    let month = digits(&text[5..7])?;
    let day = digits(&text[8..10])?;
    let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let index = usize::try_from(month.checked_sub(1)?).ok()?;
    let most = DAYS.get(index)? + u64::from(leap && month == 2);
    if year < 1970 || day == 0 || day > most || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let before: u64 = (1970..year).map(|y| 365 + u64::from(y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))).sum();
    let months: u64 = DAYS[..index].iter().sum::<u64>() + u64::from(leap && month > 2);
    Some((((before + months + day - 1) * 24 + hour) * 60 + minute) * 60_000 + second * 1000)
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

/// A document's id, as Python's `model.document_id` makes it of an account and an eventID.
pub fn document_id(time_ms: u64, account: &[u8], event_id: &[u8]) -> String {
    let mut hash = Blake2b::<U12>::new();
    hash.update(account);
    hash.update([0]);
    hash.update(event_id);
    let mut data = [0; 18];
    data[..6].copy_from_slice(&time_ms.min(0xffff_ffff_ffff).to_be_bytes()[2..]);
    data[6..].copy_from_slice(&hash.finalize());
    let mut id = String::with_capacity(24);
    for three in data.chunks_exact(3) {
        let bits = usize::from(three[0]) << 16 | usize::from(three[1]) << 8 | usize::from(three[2]);
        for shift in [18, 12, 6, 0] {
            id.push(char::from(URL_SAFE[bits >> shift & 63]));
        }
    }
    id
}
