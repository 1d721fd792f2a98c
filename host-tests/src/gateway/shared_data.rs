//! [`SharedData`]: the key-value store that the filters of one gateway share, with Envoy's or Kong's rules.
//!
//! Envoy: one map per VM id. Compare-and-swap 0 is unconditional; any other number must match if the key exists,
//! and is not looked at if it does not, so `u32::MAX` writes only if absent. Nothing can be deleted.
//! Kong: shared-memory zones of a fixed size. A key is its CRC32 and nothing else; compare-and-swap must match
//! always, an absent key counting as 0; a null value deletes; a full zone drops its oldest keys without a word.

use std::collections::{BTreeMap, HashMap};

use super::settings::{Eviction, Settings, ShmZone};

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Mismatch,
    Full,
    /// Kong: no zone for this key; a host trap.
    NoZone,
}

/// The data of one gateway.
#[derive(Clone, Debug, Default)]
pub struct SharedData {
    maps: BTreeMap<String, BTreeMap<Vec<u8>, Value>>,
    zones: Vec<Zone>,
    last_cas: u32,
}

#[derive(Clone, Debug)]
struct Value {
    bytes: Vec<u8>,
    cas: u32,
}

#[derive(Clone, Debug)]
struct Zone {
    settings: ShmZone,
    nodes: HashMap<u32, Node>,
    used: usize,
    touches: u64,
}

#[derive(Clone, Debug)]
struct Node {
    key: Vec<u8>,
    value: Value,
    touched: u64,
}

impl SharedData {
    pub(crate) fn new(settings: &Settings) -> Self {
        let zone = |settings: &ShmZone| Zone { settings: settings.clone(), nodes: HashMap::new(), used: 0, touches: 0 };
        Self { zones: settings.shm_zones.iter().map(zone).collect(), ..Self::default() }
    }

    /// All keys and values of an Envoy VM id or of all Kong zones (pass anything there).
    #[must_use]
    pub fn entries(&self, vm_id: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let map = self.maps.get(vm_id).into_iter().flatten().map(|(key, value)| (key.clone(), value.bytes.clone()));
        let zones = self.zones.iter().flat_map(|zone| zone.nodes.values());
        let mut all: Vec<_> = map.chain(zones.map(|node| (node.key.clone(), node.value.bytes.clone()))).collect();
        all.sort();
        all
    }

    pub(crate) fn envoy_get(&self, vm_id: &str, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.maps.get(vm_id)?.get(key).map(|value| (value.bytes.clone(), value.cas))
    }

    pub(crate) fn envoy_set(&mut self, vm_id: &str, key: &[u8], bytes: Vec<u8>, cas: u32) -> Result<(), Failure> {
        let map = self.maps.entry(vm_id.to_owned()).or_default();
        if map.get(key).is_some_and(|known| cas != 0 && cas != known.cas) {
            return Err(Failure::Mismatch);
        }
        self.last_cas += 1;
        map.insert(key.to_vec(), Value { bytes, cas: self.last_cas });
        Ok(())
    }

    /// The last VM with this id is gone.
    pub(crate) fn forget(&mut self, vm_id: &str) {
        self.maps.remove(vm_id);
    }

    pub(crate) fn kong_get(&mut self, key: &[u8]) -> Result<Option<(Vec<u8>, u32)>, Failure> {
        let zone = self.zone(key)?;
        zone.touches += 1;
        let touched = zone.touches;
        Ok(zone.nodes.get_mut(&crc32fast::hash(key)).map(|node| {
            node.touched = touched;
            (node.value.bytes.clone(), node.value.cas)
        }))
    }

    pub(crate) fn kong_set(&mut self, key: &[u8], value: Option<Vec<u8>>, cas: u32) -> Result<(), Failure> {
        self.zone(key)?.set(key, value, cas)
    }

    fn zone(&mut self, key: &[u8]) -> Result<&mut Zone, Failure> {
        let text = String::from_utf8_lossy(key);
        let prefix = text.split_once('/').map(|(prefix, _)| prefix);
        let named = self.zones.iter().position(|zone| Some(zone.settings.name.as_str()) == prefix);
        let index = named.or_else(|| self.zones.iter().position(|zone| zone.settings.name == "*"));
        index.and_then(|index| self.zones.get_mut(index)).ok_or(Failure::NoZone)
    }
}

impl Zone {
    fn set(&mut self, key: &[u8], value: Option<Vec<u8>>, cas: u32) -> Result<(), Failure> {
        let crc = crc32fast::hash(key);
        let known = self.nodes.get(&crc).map(|node| (node.value.cas, footprint(&node.key, &node.value.bytes)));
        if known.map_or(0, |(cas, _)| cas) != cas {
            return Err(Failure::Mismatch);
        }
        let freed = known.map_or(0, |(_, bytes)| bytes);
        let Some(bytes) = value else {
            self.used -= freed;
            self.nodes.remove(&crc);
            return Ok(());
        };
        let needed = footprint(key, &bytes);
        if needed > self.settings.bytes {
            return Err(Failure::Full);
        }
        while self.used - freed + needed > self.settings.bytes {
            let oldest = self.nodes.iter().filter(|(id, _)| **id != crc).min_by_key(|(_, node)| node.touched);
            let (Eviction::Slru, Some(id)) = (self.settings.eviction, oldest.map(|(id, _)| *id)) else {
                return Err(Failure::Full);
            };
            if let Some(node) = self.nodes.remove(&id) {
                self.used -= footprint(&node.key, &node.value.bytes);
            }
        }
        self.used = self.used - freed + needed;
        self.touches += 1;
        // a node keeps the key it was made with
        let key = self.nodes.remove(&crc).map_or_else(|| key.to_vec(), |node| node.key);
        self.nodes.insert(crc, Node { key, value: Value { bytes, cas: cas + 1 }, touched: self.touches });
        Ok(())
    }
}

/// nginx's slab allocator hands out powers of two; the node itself takes about a hundred bytes.
fn footprint(key: &[u8], value: &[u8]) -> usize {
    (100 + key.len() + value.len()).next_power_of_two()
}
