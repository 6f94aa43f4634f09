//! The open-ended parts of a record, what it names in them, and its resources.

use crate::json;
use crate::part::{follow, Part};
use crate::record::{plain, Record};
use crate::tables::{Named, Source};
use crate::write::{member_of, open, separate, text_member};

/// Longer names may need cutting.
pub const LONGEST_NAME: usize = 8_000;
/// More names, or resources, of one record are left to Python.
pub const MOST_NAMED: usize = 100;

/// The four open-ended parts.
pub struct Parts<'a> {
    pub request: Option<Part<'a>>,
    pub response: Option<Part<'a>>,
    pub additional: Option<Part<'a>>,
    pub details: Option<Part<'a>>,
}

impl<'a> Parts<'a> {
    /// Write them; None where one is none of the usual ones.
    pub fn of(event: &Record<'a>) -> Option<Parts<'a>> {
        let written = |field: Option<&'a [u8]>| field.map_or(Some(None), Part::written);
        Some(Parts {
            request: written(event.request_parameters)?,
            response: written(event.response_elements)?,
            additional: written(event.additional_event_data)?,
            details: written(event.service_event_details)?,
        })
    }

    /// One of them, by its name in the tables.
    pub fn get(&self, source: Source) -> Option<&Part<'a>> {
        match source {
            Source::Request => self.request.as_ref(),
            Source::Response => self.response.as_ref(),
            Source::Additional => self.additional.as_ref(),
            Source::Record | Source::Unknown => None,
        }
    }
}

/// Add each as text, and all as `flattened`.
pub fn add_parts(out: &mut Vec<u8>, parts: &Parts<'_>) {
    let all = [
        ("request_parameters", &parts.request),
        ("response_elements", &parts.response),
        ("additional_eventdata", &parts.additional),
        ("service_event_details", &parts.details),
    ];
    for (name, part) in all {
        if let Some(part) = part {
            text_member(out, name, &part.text);
        }
    }
    if all.iter().all(|(_, part)| part.is_none()) {
        return;
    }
    open(out, "flattened");
    for (name, part) in all {
        if let Some(part) = part {
            member_of(out, name, &part.flattened);
        }
    }
    out.push(b'}');
}

/// All that a record names at the ends of some ways, in the order of its own members.
pub fn named<'a>(
    ways: &Named,
    parts: &Parts<'a>,
    account: &'a [u8],
    arns: &[&'a [u8]],
    found: &mut Vec<&'a [u8]>,
) -> Option<()> {
    for (source, keys) in ways {
        if *source == Source::Record {
            for (name, values) in [("recipientAccountId", &[account][..]), ("resources", arns)] {
                let times = keys.iter().filter(|(key, _)| key == name.as_bytes()).flat_map(|(_, ways)| ways);
                for _ in times {
                    found.extend(values.iter().filter(|value| !value.is_empty()));
                }
            }
            continue;
        }
        let Some(part) = parts.get(*source) else { continue };
        for (name, value) in part.members() {
            if let Some((_, ways)) = keys.iter().find(|(key, _)| key == name) {
                for way in ways {
                    follow(value, way, found)?;
                }
            }
        }
    }
    Some(())
}

/// The resources, each once, as JSON ("" for none), and their ARNs.
pub fn resources<'a>(data: Option<&'a [u8]>) -> Option<(Vec<u8>, Vec<&'a [u8]>)> {
    let (mut written, mut arns) = (Vec::new(), Vec::new());
    let Some(data) = data.filter(|data| data[0] == b'[') else { return Some((written, arns)) };
    let mut unique: Vec<Vec<(&str, &[u8])>> = Vec::new();
    json::elements(data, 0, |at| {
        if data[at] != b'{' {
            return None;
        }
        let mut resource: Vec<(&str, &[u8])> = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        let end = json::members(data, at, |(name, key), value_at| {
            let end = json::value(data, value_at)?;
            let ours = match name {
                b"ARN" | b"arn" => "arn",
                b"accountId" => "account_id",
                b"type" => "type",
                b"ARNPrefix" => "ARNPrefix",
                _ => return (!key.escaped).then_some(end),
            };
            let value = plain(Some(&data[value_at..end]))?;
            if data[value_at] != b'"' && data[value_at] != b'n' || value.len() >= LONGEST_NAME {
                return None;
            }
            if seen.contains(&ours) {
                return None;
            }
            seen.push(ours);
            if !value.is_empty() {
                resource.push((ours, value));
            }
            Some(end)
        })?;
        if !resource.is_empty() && !unique.contains(&resource) {
            unique.push(resource);
        }
        (unique.len() <= MOST_NAMED).then_some(end)
    })?;
    if !unique.is_empty() {
        written.push(b'[');
        for resource in &unique {
            separate(&mut written);
            written.push(b'{');
            for (name, value) in resource {
                text_member(&mut written, name, value);
                if *name == "arn" {
                    arns.push(value);
                }
            }
            written.push(b'}');
        }
        written.push(b']');
    }
    Some((written, arns))
}
