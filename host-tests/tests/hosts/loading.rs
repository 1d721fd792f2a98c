//! What loads where: imports, the ABI marker, configuration.

use tollgate_host::gateway::{Filter, Gateway, Health, ImportProblem, LoadError, Profile, Settings, check_imports};

use super::support::{call, gateway, logged, probe, probe_wasm, said, start};

/// A module of one function import and nothing else, to be checked before anything runs.
fn importing(name: &str, params: u8) -> Vec<u8> {
    let section = |id: u8, content: Vec<u8>| [vec![id, u8::try_from(content.len()).unwrap()], content].concat();
    let text = |text: &str| [vec![u8::try_from(text.len()).unwrap()], text.as_bytes().to_vec()].concat();
    let i32s = vec![0x7f; usize::from(params)];
    let types = section(1, [vec![1, 0x60, params], i32s, vec![1, 0x7f]].concat());
    let imports = section(2, [vec![1], text("env"), text(name), vec![0, 0]].concat());
    [b"\0asm\x01\0\0\0".to_vec(), types, imports].concat()
}

fn problems(wasm: &[u8]) -> Vec<ImportProblem> {
    match check_imports(wasm) {
        Ok(()) => Vec::new(),
        Err(LoadError::Imports(problems)) => problems,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_probe_links_on_all_three() {
    check_imports(&probe_wasm(None)).unwrap();
}

#[test]
fn a_filter_that_reads_metrics_does_not_load_in_apisix() {
    let wasm = probe_wasm(Some("with_get_metric"));
    assert!(
        matches!(problems(&wasm).as_slice(), [ImportProblem::Type { profile: Profile::Apisix, name, .. }] if name == "proxy_get_metric")
    );
    let filter = Filter::compile(&wasm).unwrap();
    assert!(matches!(Gateway::start(&filter, Settings::new(Profile::Apisix)), Err(LoadError::Imports(_))));
    assert!(Gateway::start(&filter, Settings::new(Profile::Envoy)).is_ok());
}

#[test]
fn a_filter_that_reads_the_log_level_loads_only_in_envoy() {
    let found = problems(&probe_wasm(Some("with_log_level")));
    assert!(matches!(
        found.as_slice(),
        [ImportProblem::Type { profile: Profile::Kong, .. }, ImportProblem::Missing { profile: Profile::Apisix, .. }]
    ));
}

#[test]
fn an_unknown_import_is_named_for_each_gateway() {
    let found = problems(&importing("proxy_get_shared_kvstore", 2));
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|problem| problem.to_string().contains("proxy_get_shared_kvstore")));
    assert!(problems(&importing("proxy_log", 3)).is_empty());
}

#[test]
fn a_module_without_the_abi_marker_is_no_filter() {
    assert!(matches!(Filter::compile(&importing("proxy_log", 3)), Err(LoadError::NoAbiMarker)));
}

#[test]
fn a_gateway_without_workers_is_refused_by_name() {
    let settings = Settings::new(Profile::Envoy).with_workers(0);
    assert!(matches!(Gateway::start(probe(), settings), Err(LoadError::Settings { name: "workers", .. })));
}

#[test]
fn kong_passes_traffic_unfiltered_when_the_filter_traps_at_startup() {
    let gateway = gateway(Profile::Kong, "configure trap\nrequest_headers reply 429 no");
    assert!(matches!(gateway.worker(0).health(), Health::Failed(_)));
    let stream = call(&gateway);
    let outcome = stream.finish();
    assert_eq!(outcome.upstream.unwrap().body, b"hello");
    assert!(!outcome.filter_attached);
}

#[test]
fn envoy_fails_closed_when_the_filter_traps_at_startup() {
    let gateway = gateway(Profile::Envoy, "configure trap");
    assert_eq!(call(&gateway).finish().status(), 503);
}

#[test]
fn apisix_configures_at_the_first_request_and_answers_503_each_time_it_fails() {
    let lazy = gateway(Profile::Apisix, "");
    assert_eq!(lazy.worker(0).health(), Health::NotConfigured);
    assert!(call(&lazy).finish().upstream.is_some());
    assert_eq!(lazy.worker(0).health(), Health::Ready);

    let refusing = gateway(Profile::Apisix, "configure pause");
    for attempts in 1..=2 {
        assert_eq!(call(&refusing).finish().status(), 503);
        assert_eq!(refusing.worker(0).vms_started(), attempts);
    }
}

#[test]
fn a_bad_configuration_at_run_time_leaves_the_old_one_running() {
    for profile in [Profile::Envoy, Profile::Kong] {
        let mut gateway = gateway(profile, "request_headers reply 429 no");
        assert!(!gateway.reconfigure("configure pause").unwrap());
        assert_eq!(call(&gateway).finish().status(), 429, "{profile:?}");
        assert!(gateway.reconfigure("request_headers reply 403 no").unwrap());
        assert_eq!(call(&gateway).finish().status(), 403, "{profile:?}");
    }
}

#[test]
fn only_envoy_has_a_vm_configuration() {
    for (profile, expected) in [(Profile::Envoy, "0 vm"), (Profile::Kong, "1"), (Profile::Apisix, "12")] {
        let mut settings = Settings::new(profile);
        settings.vm_config = b"vm".to_vec();
        let gateway = start(settings, "request_headers body 6 0");
        let _ = call(&gateway).finish();
        assert_eq!(said(&gateway, "request_headers body").as_deref(), Some(expected), "{profile:?}");
        let vm_size = if profile == Profile::Envoy { 2 } else { 0 };
        assert_eq!(logged(&gateway).contains(&format!("vm_start({vm_size})")), profile != Profile::Apisix);
    }
}
