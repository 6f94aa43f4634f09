//! Flow log lines of the usual kind as ECS documents.
//!
//! `shipper/schemas/ecs/vpc_flow_*.py` say what a document is; this code writes the same one faster for TCP, UDP and
//! SCTP, and leaves every other line to it. What is known of addresses and what many lines share is made by that code,
//! once, and kept as JSON.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sha1::{Digest, Sha1};

use crate::cache::Cache;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const MOST_ADDRESSES: usize = 20_000;
const MOST_TIMES: usize = 10_000;
const MOST_FIXED: usize = 4_000;
const MOST_FIELDS: usize = 130;
/// What of a document is not in its line or its shared parts.
const ROOM: usize = 700;

/// One address: packed, network.type, its members; whether it is within one's own networks; cloud.origin and
/// cloud.target, each with a comma before it; what `aws.addresses` has of it, empty for nothing.
#[derive(FromPyObject)]
struct Endpoint(Vec<u8>, Vec<u8>, Vec<u8>, Option<bool>, Vec<u8>, Vec<u8>, Vec<u8>);

/// Milliseconds since the epoch, and ISO 8601.
#[derive(FromPyObject)]
struct Time(u64, Vec<u8>);

/// What many lines share: members of event, network, cloud; objects; members of `aws.vpcflow` and of `aws`.
#[derive(FromPyObject)]
struct Fixed(Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

/// Writes the lines of one layout. Safe to use from many threads.
#[pyclass(frozen)]
pub struct FlowLines {
    width: usize,
    splits: usize,
    traffic: [usize; 9],
    fixed_columns: Vec<usize>,
    packet: Vec<(usize, Vec<u8>)>,
    carriers: Vec<Vec<u8>>,
    directions: Vec<Vec<u8>>,
    endpoints: Cache<Endpoint>,
    times: Cache<Time>,
    fixed: Cache<Fixed>,
}

#[pymethods]
impl FlowLines {
    /// Make an encoder.
    ///
    /// Args:
    ///     splits, width: at how many spaces a line is parted, and into how many parts; the last may hold spaces.
    ///     traffic: the columns of both addresses, both ports, protocol, packets, bytes, start and end.
    ///     fixed_columns: those that `fixed` is asked with, in order.
    ///     packet: columns of further addresses, and what is written before them.
    ///     carriers: by protocol number, its members of `network`.
    ///     directions: members of `network` by 2 * (source within) + (destination within); empty for none.
    ///     endpoint: an address → what is known of it; raises where there is none, or the line is Python's.
    ///     time: a time's text → milliseconds since the epoch and ISO 8601; raises where it is none.
    ///     fixed: the values of `fixed_columns`, with spaces between → the shared parts; raises where there are none.
    #[new]
    #[pyo3(signature = (splits, width, traffic, fixed_columns, packet, carriers, directions, endpoint, time, fixed))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        splits: usize,
        width: usize,
        traffic: [usize; 9],
        fixed_columns: Vec<usize>,
        packet: Vec<(usize, Vec<u8>)>,
        carriers: Vec<Vec<u8>>,
        directions: Vec<Vec<u8>>,
        endpoint: PyObject,
        time: PyObject,
        fixed: PyObject,
    ) -> Self {
        FlowLines {
            width,
            splits,
            traffic,
            fixed_columns,
            packet,
            carriers,
            directions,
            endpoints: Cache::new(endpoint, MOST_ADDRESSES),
            times: Cache::new(time, MOST_TIMES),
            fixed: Cache::new(fixed, MOST_FIXED),
        }
    }

    /// A line's time and document; None for a line that is Python's.
    ///
    /// Args:
    ///     top, aws: members of the document and of `aws`, each with a comma behind it.
    fn encode<'py>(&self, py: Python<'py>, line: &[u8], top: &[u8], aws: &[u8]) -> Option<(u64, Bound<'py, PyBytes>)> {
        let (time_ms, document) = self.document(py, line, top, aws)?;
        Some((time_ms, PyBytes::new(py, &document)))
    }
}

impl FlowLines {
    fn document(&self, py: Python<'_>, line: &[u8], top: &[u8], aws: &[u8]) -> Option<(u64, Vec<u8>)> {
        // All of them, without stopping at the first: so it is done for many bytes at once.
        if line.iter().fold(false, |found, &byte| found | needs_escape(byte)) {
            return None;
        }
        let mut columns: [&[u8]; MOST_FIELDS] = [b""; MOST_FIELDS];
        let mut count = 0;
        for part in line.splitn(self.splits + 1, |&byte| byte == b' ') {
            *columns.get_mut(count)? = part;
            count += 1;
        }
        if count != self.width {
            return None;
        }
        let [source, destination, source_port, destination_port, protocol, packets, size, first, last] =
            self.traffic.map(|column| columns.get(column).copied().unwrap_or_default());
        let protocol = small_number(protocol, 255)?;
        if !matches!(protocol, 6 | 17 | 132) || !counters(packets, size) {
            return None;
        }
        let ports = (small_number(source_port, 65_535)?, small_number(destination_port, 65_535)?);
        let start = self.times.get(py, first, first)?;
        let end = self.times.get(py, last, last)?;
        let one = self.endpoints.get(py, source, source)?;
        let other = self.endpoints.get(py, destination, destination)?;
        let flow_id = community_id(protocol, (&one.0, ports.0), (&other.0, ports.1))?;
        let mut key = Vec::with_capacity(64);
        for (index, &column) in self.fixed_columns.iter().enumerate() {
            if index > 0 {
                key.push(b' ');
            }
            key.extend_from_slice(columns.get(column)?);
        }
        let fixed = self.fixed.get(py, &key, &key)?;
        let direction = match (one.3, other.3) {
            (Some(from), Some(to)) => self.directions.get(2 * usize::from(from) + usize::from(to)),
            _ => None,
        };

        let shared = top.len() + aws.len() + fixed.0.len() + fixed.1.len() + fixed.2.len() + fixed.3.len();
        let known = fixed.4.len() + fixed.5.len() + one.2.len() + other.2.len() + one.4.len() + other.5.len();
        let mut text = Vec::with_capacity(shared + known + line.len() + ROOM);
        let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| text.extend_from_slice(part));
        add(&[b"{\"@timestamp\":\"", &end.1, b"\",", top, b"\"cloud\":{", &fixed.2, &one.4, &other.5, b"}", &fixed.3]);
        add(&[b",\"event\":{", &fixed.0, b",\"start\":\"", &start.1, b"\",\"end\":\"", &end.1, b"\",\"original\":\""]);
        add(&[line, b"\"},\"source\":{", &one.2, b",\"port\":", source_port, b",\"packets\":", packets]);
        add(&[b",\"bytes\":", size, b"},\"destination\":{", &other.2, b",\"port\":", destination_port]);
        add(&[b"},\"network\":{\"type\":\"", &one.1, b"\"", self.carriers.get(usize::from(protocol))?]);
        add(&[b",\"community_id\":\"", &flow_id, b"\",\"packets\":", packets, b",\"bytes\":", size]);
        add(&[direction.map_or(b"".as_slice(), Vec::as_slice), &fixed.1, b"},\"related\":{\"ip\":[\"", source, b"\""]);
        if destination != source {
            add(&[b",\"", destination, b"\""]);
        }
        let mut seen: &[u8] = b"";
        let mut apart: Vec<u8> = Vec::new();
        for (column, _) in &self.packet {
            let address = *columns.get(*column)?;
            if address != b"-" && ![source, destination, seen].contains(&address) {
                let known = self.endpoints.get(py, address, address)?;
                if !known.6.is_empty() {
                    apart.push(b',');
                    apart.extend_from_slice(&known.6);
                }
                add(&[b",\"", address, b"\""]);
                seen = address;
            }
        }
        add(&[b"]},\"aws\":{", aws, &fixed.5]);
        if let Some(others) = apart.get(1..) {
            add(&[b"\"addresses\":[", others, b"],"]);
        }
        add(&[b"\"vpcflow\":{", &fixed.4]);
        for (column, opening) in &self.packet {
            let address = *columns.get(*column)?;
            if address != b"-" {
                add(&[opening, address, b"\""]);
            }
        }
        add(&[b"}}}"]);
        Some((end.0, text))
    }
}

/// Whether JSON has to escape a byte, or it is no ASCII.
fn needs_escape(byte: u8) -> bool {
    !(0x20..0x80).contains(&byte) || byte == b'"' || byte == b'\\'
}

/// A number as JSON writes it, up to a most.
fn small_number(text: &[u8], most: u32) -> Option<u16> {
    if text.is_empty() || text.len() > 5 || (text.len() > 1 && text[0] == b'0') {
        return None;
    }
    let value = text
        .iter()
        .try_fold(0u32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))?;
    if value > most { None } else { u16::try_from(value).ok() }
}

/// Numbers as JSON and Elasticsearch's long take them: digits only, the first of them no zero.
fn counters(packets: &[u8], size: &[u8]) -> bool {
    let positive = |text: &[u8]| matches!(text.first(), Some(b'1'..=b'9')) && text.iter().all(u8::is_ascii_digit);
    positive(packets) && positive(size) && packets.len() + size.len() <= 18
}

/// Community ID version 1 of a protocol with ports; None for addresses of two families.
fn community_id(protocol: u16, source: (&[u8], u16), destination: (&[u8], u16)) -> Option<Vec<u8>> {
    if source.0.len() != destination.0.len() {
        return None;
    }
    let (first, second) = if source > destination { (destination, source) } else { (source, destination) };
    let mut hash = Sha1::new();
    let [_, number] = protocol.to_be_bytes();
    let mut data = [0; 40];
    let mut length = 2; // the seed
    for part in [first.0, second.0, &[number, 0], &first.1.to_be_bytes(), &second.1.to_be_bytes()] {
        data.get_mut(length..length + part.len())?.copy_from_slice(part);
        length += part.len();
    }
    hash.update(data.get(..length)?);
    let mut text = b"1:".to_vec();
    for three in hash.finalize().chunks(3) {
        let bits = three.iter().fold(0usize, |bits, &byte| bits << 8 | usize::from(byte)) << (8 * (3 - three.len()));
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            text.push(if place > three.len() { b'=' } else { BASE64[bits >> shift & 63] });
        }
    }
    Some(text)
}
