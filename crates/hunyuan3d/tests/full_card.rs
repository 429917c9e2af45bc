//! A card that is full while a model is loaded. By itself in its process: that the device failed is known of all of it.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use burn_flex::{Flex, FlexDevice};
use orfeas_hunyuan3d::{Model, ModelErrorKind, Precision};

#[test]
fn a_device_that_fails_while_it_loads_leaves_no_model() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/base");
    let load = |progress: &mut dyn FnMut(u64, u64)| {
        Model::<Flex>::load(&folder, None, FlexDevice, Precision::Float32, progress)
    };
    // As CubeCL does: on a thread of its own, and goes on.
    let mut calls = 0;
    let mut fail = |_: u64, _: u64| {
        calls += 1;
        if calls == 3 {
            let _ = std::thread::spawn(|| panic!("can't allocate buffer of size: 586366976")).join();
        }
    };
    let error = load(&mut fail).unwrap_err();
    assert!(calls > 3, "what is left is asked for all the same");
    assert_eq!(error.kind(), ModelErrorKind::OutOfMemory, "{error}");
    assert!(error.to_string().contains("586366976"), "{error}");
    load(&mut |_, _| {}).unwrap();
}
