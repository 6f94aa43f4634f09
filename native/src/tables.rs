//! Which parameters name what a call was about: tables that Python reads from its data files.

use std::collections::HashMap;

use pyo3::FromPyObject;

/// A part's own keys → the ways on from there.
type Ways = Vec<(Vec<u8>, Vec<Vec<Vec<u8>>>)>;
type Described = Vec<(String, Vec<(String, Vec<Vec<String>>)>)>;

/// By part ("requestParameters", …), the ways to what is named.
pub type Named = Vec<(Source, Ways)>;

/// Where something may be named.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// requestParameters.
    Request,
    /// responseElements.
    Response,
    /// additionalEventData.
    Additional,
    /// The record's own account and resources.
    Record,
    /// A part that none of ours is.
    Unknown,
}

/// One service's entry.
pub struct Paths {
    /// Paths of all that is related to an event.
    pub related: Named,
    /// By event name, the paths of its targets.
    pub targets: HashMap<Vec<u8>, Named>,
}

/// The tables as Python gives them.
#[derive(FromPyObject)]
pub struct Tables {
    #[pyo3(item)]
    services: HashMap<String, (Described, HashMap<String, Described>)>,
    #[pyo3(item)]
    resources: HashMap<String, String>,
    #[pyo3(item)]
    prefixes: HashMap<String, String>,
}

/// The tables as they are used.
pub struct Known {
    services: HashMap<Vec<u8>, Paths>,
    resources: HashMap<Vec<u8>, Kind>,
    prefixes: HashMap<Vec<u8>, Kind>,
}

/// What something is in ECS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person, a role, a key.
    User,
    /// A machine.
    Host,
    /// A service, or a resource of one.
    Service,
    /// Anything else.
    Entity,
}

impl Kind {
    /// By ECS's name; None for a name that is none of the four.
    pub fn named(name: &str) -> Option<Kind> {
        match name {
            "user" => Some(Kind::User),
            "host" => Some(Kind::Host),
            "service" => Some(Kind::Service),
            "entity" => Some(Kind::Entity),
            _ => None,
        }
    }
}

impl Known {
    /// Make the tables; None where they name something that this code does not know.
    pub fn new(tables: Tables) -> Option<Known> {
        let services = tables.services.into_iter().map(|(service, (related, targets))| {
            let targets = targets.into_iter().map(|(event, named)| (event.into_bytes(), ways(named))).collect();
            (service.into_bytes(), Paths { related: ways(related), targets })
        });
        Some(Known { services: services.collect(), resources: kinds(tables.resources)?, prefixes: kinds(tables.prefixes)? })
    }

    /// The entry of a service, by eventSource.
    pub fn paths(&self, service: &[u8]) -> Option<&Paths> {
        self.services.get(service)
    }

    /// What a target is, told by its ARN or the prefix of its id.
    pub fn kind(&self, target: &[u8]) -> Kind {
        if target.starts_with(b"arn:") {
            let mut parts = target.splitn(6, |&byte| byte == b':');
            let service = parts.nth(2);
            let Some(resource) = parts.nth(2) else { return Kind::Entity };
            if has(target, b"/AWSServiceRoleFor") || has(target, b"/aws-service-role/") {
                return Kind::Service;
            }
            let resource = before(before(resource, b'/'), b':');
            let of_s3 = || if service == Some(b"s3") { Kind::Service } else { Kind::Entity };
            return self.resources.get(resource).copied().unwrap_or_else(of_s3);
        }
        if target.starts_with(b"AKIA") && characters(target) == 20 {
            return Kind::User;
        }
        let mut prefix = before(target, b'-').to_vec();
        prefix.push(b'-');
        self.prefixes.get(&prefix).copied().unwrap_or(Kind::Entity)
    }
}

fn kinds(named: HashMap<String, String>) -> Option<HashMap<Vec<u8>, Kind>> {
    named.into_iter().map(|(name, kind)| Some((name.into_bytes(), Kind::named(&kind)?))).collect()
}

fn ways(described: Described) -> Named {
    let bytes = |way: Vec<String>| way.into_iter().map(String::into_bytes).collect();
    described
        .into_iter()
        .map(|(part, keys)| {
            let source = match part.as_str() {
                "requestParameters" => Source::Request,
                "responseElements" => Source::Response,
                "additionalEventData" => Source::Additional,
                "record" => Source::Record,
                _ => Source::Unknown,
            };
            let keys = keys.into_iter().map(|(key, ways)| (key.into_bytes(), ways.into_iter().map(bytes).collect()));
            (source, keys.collect())
        })
        .collect()
}

fn before(data: &[u8], mark: u8) -> &[u8] {
    memchr::memchr(mark, data).map_or(data, |at| &data[..at])
}

fn has(data: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(data, wanted).is_some()
}

/// The length of a text in code points.
fn characters(data: &[u8]) -> usize {
    data.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}
