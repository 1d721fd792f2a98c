//! [`Properties`]: what `get_property` finds, per gateway, and what becomes of `set_property`.
//!
//! Envoy: paths of segments, numbers as little-endian binary. Kong: dotted names, everything text, `ngx.<variable>`
//! for nginx variables. APISIX: one segment, the name of an nginx variable.

use std::collections::BTreeMap;

use super::{exchange::Ending, exchange::Exchange, profile::Profile, settings::Settings};

/// A property as a test states it; each gateway writes it its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyValue {
    /// Text, or a text-like value.
    Text(String),
    /// A number: 8 bytes, little-endian, on Envoy; decimal text elsewhere.
    Int(i64),
    /// These bytes everywhere.
    Bytes(Vec<u8>),
}

/// Properties by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    values: BTreeMap<Vec<String>, PropertyValue>,
}

impl From<&str> for PropertyValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for PropertyValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&[u8]> for PropertyValue {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl PropertyValue {
    pub(crate) fn encode(&self, profile: Profile) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Int(number) if profile.binary_numbers() => number.to_le_bytes().to_vec(),
            Self::Int(number) => number.to_string().into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

impl Properties {
    /// Sets a property.
    pub fn set(&mut self, path: &[&str], value: impl Into<PropertyValue>) {
        self.values.insert(path.iter().map(|&segment| segment.to_owned()).collect(), value.into());
    }

    /// The same with one more property.
    #[must_use]
    pub fn with(mut self, path: &[&str], value: impl Into<PropertyValue>) -> Self {
        self.set(path, value);
        self
    }

    fn find(&self, profile: Profile, path: &[String]) -> Option<Vec<u8>> {
        let value = match profile {
            Profile::Envoy => self.values.get(path),
            // WasmX joins segments with dots before it looks
            Profile::Kong => {
                let dotted = path.join(".");
                self.values.iter().find(|(known, _)| known.join(".") == dotted).map(|(_, value)| value)
            }
            Profile::Apisix => self.values.get(path).filter(|_| path.len() == 1),
        };
        value.map(|value| value.encode(profile))
    }
}

/// The segments of a path as the ABI writes it: separated, and on some SDKs ended, by NUL.
pub(crate) fn segments(raw: &[u8]) -> Vec<String> {
    let raw = raw.strip_suffix(b"\0").unwrap_or(raw);
    raw.split(|&byte| byte == 0).map(|segment| String::from_utf8_lossy(segment).into_owned()).collect()
}

/// What `get_property` finds.
pub(crate) fn get(settings: &Settings, exchange: Option<&Exchange>, now_ns: u64, raw: &[u8]) -> Option<Vec<u8>> {
    let profile = settings.profile;
    let path = segments(raw);
    if let Some(exchange) = exchange {
        if let Some(value) = exchange.written_properties.get(&path).or_else(|| {
            // filter state is also found under its own name
            let name = path.get(1).and_then(|name| name.strip_prefix("wasm."));
            name.filter(|_| path.first().is_some_and(|root| root == "filter_state"))
                .and_then(|name| exchange.written_properties.get(&vec![name.to_owned()]))
        }) {
            return Some(value.clone());
        }
        if let Some(value) = exchange.properties.find(profile, &path) {
            return Some(value);
        }
    }
    settings.properties.find(profile, &path).or_else(|| match profile {
        Profile::Envoy => envoy(settings, exchange, now_ns, &path),
        Profile::Kong => kong(settings, exchange, &path),
        Profile::Apisix => apisix(settings, exchange, &path),
    })
}

/// What `set_property` does: where the value went, or nowhere.
pub(crate) fn set(settings: &Settings, exchange: &mut Exchange, raw: &[u8], value: Vec<u8>) -> bool {
    let path = segments(raw);
    let variable = match settings.profile {
        Profile::Envoy => None,
        Profile::Kong => {
            let dotted = path.join(".");
            if dotted.starts_with("kong.") {
                exchange.written_properties.insert(path, value);
                return true;
            }
            Some(dotted.strip_prefix("ngx.").unwrap_or_default().to_owned())
        }
        Profile::Apisix => Some(path.join("\0")),
    };
    // an nginx variable must have been declared
    let allowed = variable.is_none_or(|variable| settings.declared_variables.contains(&variable));
    if allowed {
        exchange.written_properties.insert(path, value);
    }
    allowed
}

/// What the access log of this gateway can show of what the filter set.
pub(crate) fn visible_in_access_log(profile: Profile, exchange: &Exchange) -> BTreeMap<String, Vec<u8>> {
    let visible = exchange.written_properties.iter().filter_map(|(path, value)| {
        let name = match profile {
            // filter state `wasm.<name>`: one segment; a path of two segments is not readable that way
            Profile::Envoy => (path.len() == 1).then(|| format!("wasm.{}", path[0])),
            Profile::Kong => {
                let dotted = path.join(".");
                let seen = dotted.starts_with("kong.ctx.shared.") || dotted.starts_with("ngx.");
                seen.then(|| dotted.strip_prefix("ngx.").unwrap_or(&dotted).to_owned())
            }
            Profile::Apisix => Some(path.join("\0")),
        };
        name.map(|name| (name, value.clone()))
    });
    visible.collect()
}

fn envoy(settings: &Settings, exchange: Option<&Exchange>, now_ns: u64, path: &[String]) -> Option<Vec<u8>> {
    let int = |number: i64| Some(number.to_le_bytes().to_vec());
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    match (names.as_slice(), exchange) {
        (["plugin_name"], _) => Some(settings.filter_name.clone().into_bytes()),
        (["plugin_vm_id"], _) => Some(settings.vm_id.clone().into_bytes()),
        (["request", "path"], Some(exchange)) => exchange.request.headers.get(":path").map(<[u8]>::to_vec),
        (["request", "method"], Some(exchange)) => exchange.request.headers.get(":method").map(<[u8]>::to_vec),
        (["request", "host"], Some(exchange)) => exchange.request.headers.get(":authority").map(<[u8]>::to_vec),
        (["request", "headers", name], Some(exchange)) => exchange.request.headers.joined(name),
        (["request", "time"], Some(exchange)) => int(i64::try_from(exchange.started_ns).unwrap_or(i64::MAX)),
        (["request", "duration"], Some(exchange)) => {
            int(i64::try_from(now_ns.saturating_sub(exchange.started_ns)).unwrap_or(i64::MAX))
        }
        (["response", "code"], Some(exchange)) => int(i64::from(exchange.response_status()?)),
        (["response", "code_details"], Some(exchange)) => {
            Some(exchange.code_details.clone().into_bytes()).filter(|details| !details.is_empty())
        }
        (["response", "headers", name], Some(exchange)) => exchange.response.headers.joined(name),
        (["source", "address"], Some(_)) => Some(b"127.0.0.1:40000".to_vec()),
        _ => None,
    }
}

fn kong(settings: &Settings, exchange: Option<&Exchange>, path: &[String]) -> Option<Vec<u8>> {
    let dotted = path.join(".");
    match (dotted.as_str(), exchange) {
        ("ngx.pid", _) => Some(b"4242".to_vec()),
        ("plugin_name", _) => Some(settings.filter_name.clone().into_bytes()),
        // declared by nginx's `set`, and nothing set since
        (name, Some(_)) if settings.declared_variables.contains(name.strip_prefix("ngx.").unwrap_or_default()) => {
            Some(Vec::new())
        }
        // the machine's hostname, not the Host header
        ("request.host", Some(_)) => Some(settings.server_name.split(':').next()?.as_bytes().to_vec()),
        ("request.path", Some(exchange)) => exchange.request.headers.get(":path").map(<[u8]>::to_vec),
        ("request.method", Some(exchange)) => exchange.request.headers.get(":method").map(<[u8]>::to_vec),
        // nginx's word for a client that left before anything was sent
        ("response.code", Some(exchange)) if exchange.ending == Ending::ClientGone && !exchange.response.arrived => {
            Some(b"499".to_vec())
        }
        ("response.code", Some(exchange)) => Some(exchange.response_status()?.to_string().into_bytes()),
        ("source.address" | "ngx.remote_addr", Some(_)) => Some(b"127.0.0.1".to_vec()),
        (name, Some(exchange)) if name.starts_with("request.headers.") => {
            exchange.request.headers.joined(name.strip_prefix("request.headers.")?)
        }
        _ => None,
    }
}

fn apisix(settings: &Settings, exchange: Option<&Exchange>, path: &[String]) -> Option<Vec<u8>> {
    let exchange = exchange?;
    let [variable] = path else { return None };
    match variable.as_str() {
        "remote_addr" => Some(b"127.0.0.1".to_vec()),
        "host" => exchange.request.headers.get(":authority").map(<[u8]>::to_vec),
        "request_uri" => exchange.request.headers.get(":path").map(<[u8]>::to_vec),
        "request_method" => exchange.request.headers.get(":method").map(<[u8]>::to_vec),
        "status" => Some(exchange.response_status()?.to_string().into_bytes()),
        // declared by nginx's `set`, and nothing set since
        variable => settings.declared_variables.contains(variable).then(Vec::new),
    }
}
