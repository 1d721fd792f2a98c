//! Host calls about the filter itself: log, clock, configuration, properties, shared data, queues, metrics.

use super::{Answer, Refusal, Status, guest::Args, guest::Guest};
use crate::gateway::{
    metrics::MetricKind,
    profile::{MetricIds, SharedDataRules},
    properties,
    shared_data::Failure,
    vm::Phase,
};

/// WasmX refuses metric names longer than this, prefix included, with a trap.
const KONG_METRIC_NAME_LIMIT: usize = 256;

pub(super) fn log(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let text = guest.read(args.u32(1), args.u32(2))?;
    let worker = guest.state().worker;
    if args.u32(0) > 5 {
        return Err(Status::BAD_ARGUMENT.into());
    }
    guest.process().log(worker, args.u32(0), &text);
    Ok(())
}

pub(super) fn log_level(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    guest.write_u32(args.u32(0), 2)
}

pub(super) fn now(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let resolution = guest.state().settings.profile.clock_resolution_ns();
    let now_ns = guest.process().now_ns / resolution * resolution;
    guest.write(args.u32(0), &now_ns.to_le_bytes())
}

pub(super) fn set_tick_period(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    guest.state_mut().tick_ms = args.u32(0);
    Ok(())
}

pub(super) fn configuration(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let config = guest.state().config.clone();
    guest.hand_over(&config, args.u32(0), args.u32(1))
}

pub(super) fn set_effective_context(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let context = args.u32(0);
    let is_root = guest.process().roots.contains(&context);
    if !is_root && guest.process().exchange(context).is_none() {
        return Err(Status::BAD_ARGUMENT.into());
    }
    if !guest.state().settings.profile.ignores_effective_context() {
        guest.state_mut().context = context;
    }
    Ok(())
}

pub(super) fn get_property(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let path = guest.read(args.u32(0), args.u32(1))?;
    let state = guest.state();
    if !state.settings.profile.has_properties_in(state.phase) {
        return Err(Status::BAD_ARGUMENT.into());
    }
    state.settings.profile.may_touch(&path, state.phase)?;
    let found = {
        let process = guest.process();
        properties::get(&state.settings, process.exchanges.get(&state.context), process.now_ns, &path)
    };
    guest.hand_over(&found.ok_or(Status::NOT_FOUND)?, args.u32(2), args.u32(3))
}

pub(super) fn set_property(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let path = guest.read(args.u32(0), args.u32(1))?;
    let value = guest.read(args.u32(2), args.u32(3))?;
    let state = guest.state();
    if state.settings.profile.request_gone_in_done() && state.phase == Phase::Done {
        return Err(Status::BAD_ARGUMENT.into());
    }
    state.settings.profile.may_touch(&path, state.phase)?;
    let mut process = guest.process();
    let exchange = process.exchange(state.context).ok_or(Status::NOT_FOUND)?;
    if properties::set(&state.settings, exchange, &path, value) { Ok(()) } else { Err(Status::NOT_FOUND.into()) }
}

pub(super) fn get_shared_data(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let key = guest.read(args.u32(0), args.u32(1))?;
    let settings = &guest.state().settings;
    let found = match settings.profile.shared_data() {
        SharedDataRules::Zones => guest.process().shared_data.kong_get(&key).map_err(refuse)?,
        SharedDataRules::PerVmId => guest.process().shared_data.envoy_get(&settings.vm_id, &key),
    };
    // While another worker is at it, its own reads are not interrupted.
    let interlude = guest.process().interlude.take();
    if let Some(mut other) = interlude {
        other();
        guest.process().interlude.get_or_insert(other);
    }
    let (value, cas) = found.ok_or(Status::NOT_FOUND)?;
    guest.hand_over(&value, args.u32(2), args.u32(3))?;
    guest.write_u32(args.u32(4), cas)
}

pub(super) fn set_shared_data(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let key = guest.read(args.u32(0), args.u32(1))?;
    let (value_at, cas) = (args.u32(2), args.u32(4));
    let value = guest.read(value_at, args.u32(3))?;
    let settings = &guest.state().settings;
    let mut process = guest.process();
    let data = &mut process.shared_data;
    let written = match settings.profile.shared_data() {
        // a null value deletes
        SharedDataRules::Zones => data.kong_set(&key, (value_at != 0).then_some(value), cas),
        SharedDataRules::PerVmId => data.envoy_set(&settings.vm_id, &key, value, cas),
    };
    written.map_err(refuse)
}

fn refuse(failure: Failure) -> Refusal {
    match failure {
        Failure::Mismatch => Status::CAS_MISMATCH.into(),
        Failure::Full => Status::INTERNAL_FAILURE.into(),
        Failure::NoZone => Refusal::Trap("could not resolve namespace".to_owned()),
    }
}

pub(super) fn register_queue(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let name = guest.text(args.u32(0), args.u32(1))?;
    let key = (guest.state().settings.vm_id.clone(), name);
    let id = {
        let queues = &mut guest.process().queues;
        let index = queues.names.iter().position(|known| *known == key).unwrap_or(queues.names.len());
        if index == queues.names.len() {
            queues.names.push(key);
        }
        let id = u32::try_from(index + 1).unwrap_or(u32::MAX);
        queues.messages.entry(id).or_default();
        id
    };
    guest.write_u32(args.u32(2), id)
}

pub(super) fn resolve_queue(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let key = (guest.text(args.u32(0), args.u32(1))?, guest.text(args.u32(2), args.u32(3))?);
    let index = guest.process().queues.names.iter().position(|known| *known == key).ok_or(Status::NOT_FOUND)?;
    guest.write_u32(args.u32(4), u32::try_from(index + 1).unwrap_or(u32::MAX))
}

pub(super) fn dequeue(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let message = {
        let queues = &mut guest.process().queues;
        let queue = queues.messages.get_mut(&args.u32(0)).ok_or(Status::NOT_FOUND)?;
        queue.pop_front().ok_or(Status::EMPTY)?
    };
    guest.hand_over(&message, args.u32(1), args.u32(2))
}

pub(super) fn enqueue(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let message = guest.read(args.u32(1), args.u32(2))?;
    let queues = &mut guest.process().queues;
    queues.messages.get_mut(&args.u32(0)).ok_or(Status::NOT_FOUND)?.push_back(message);
    Ok(())
}

pub(super) fn define_metric(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let kind = MetricKind::from_abi(args.u32(0)).ok_or(Status::BAD_ARGUMENT)?;
    let name = guest.text(args.u32(1), args.u32(2))?;
    let settings = &guest.state().settings;
    let id = match settings.profile.metric_ids() {
        MetricIds::Sequence => guest.process().metrics.define_in_sequence(kind, &name),
        MetricIds::Crc32OfName => {
            let prefixed = format!("pw.{}.{name}", settings.filter_name);
            if prefixed.len() > KONG_METRIC_NAME_LIMIT {
                return Err(Refusal::Trap(format!("metric name of {} characters", prefixed.len())));
            }
            guest.process().metrics.define_by_crc(kind, &prefixed, &name)
        }
        MetricIds::Zero => 0,
    };
    guest.write_u32(args.u32(3), id)
}

pub(super) fn increment_metric(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    if !guest.state().settings.profile.has_metrics() {
        return Ok(());
    }
    match guest.process().metrics.increment(args.u32(0), args.i64(1)) {
        Some(true) => Ok(()),
        Some(false) => Err(Status::BAD_ARGUMENT.into()),
        None => Err(Status::NOT_FOUND.into()),
    }
}

pub(super) fn record_metric(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    if !guest.state().settings.profile.has_metrics() {
        return Ok(());
    }
    let recorded = guest.process().metrics.record(args.u32(0), args.i64(1).cast_unsigned());
    recorded.ok_or_else(|| Status::NOT_FOUND.into())
}

pub(super) fn get_metric(guest: &mut Guest<'_, '_>, args: Args<'_>) -> Answer {
    let (kind, value) = {
        let mut process = guest.process();
        let metric = process.metrics.by_id(args.u32(0)).ok_or(Status::NOT_FOUND)?;
        (metric.kind, metric.value)
    };
    match kind {
        MetricKind::Histogram if guest.state().settings.profile.traps_on_reading_histograms() => {
            Err(Refusal::Trap("cannot read a histogram".to_owned()))
        }
        MetricKind::Histogram => Err(Status::BAD_ARGUMENT.into()),
        MetricKind::Counter | MetricKind::Gauge => guest.write(args.u32(1), &value.to_le_bytes()),
    }
}
