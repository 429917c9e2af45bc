//! A thousand jobs through one loaded model leave no more memory behind than two hundred do.
//!
//! A test program of its own: what else ran in it would be counted.
#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::ops::ControlFlow;
use std::path::PathBuf;

use burn_flex::{Flex, FlexDevice};
use orfeas_hunyuan3d::bench::resident_bytes;
use orfeas_hunyuan3d::volume::{Method, VolumeOptions};
use orfeas_hunyuan3d::{Begin, Model, Phase, Precision, ShapeJob, ShapeModel, ShapeRequest, ShapeWatch, image};

/// As in the services: what it keeps is a part of what they hold.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const JOBS: u64 = 1000;
const WARM_UP: u64 = 200;
/// Bytes that may be more after the last job: less than 4 kB for each, where a single row of latents has 6.
const MOST: u64 = 3 << 20;

/// Cancels every tenth job, at another step each time.
struct Leaving(u64);

impl ShapeWatch for Leaving {
    fn progress(&mut self, phase: Phase, done: usize, _: usize) -> ControlFlow<()> {
        let leaves = self.0.is_multiple_of(10) && phase == Phase::Sample && done as u64 == self.0 / 10 % 3;
        if leaves { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn a_thousand_jobs_leave_nothing_behind() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/base");
    let model = Model::<Flex>::load(&folder, None, FlexDevice, Precision::Float32, &mut |_, _| {}).unwrap();
    let picture = ::image::open(folder.join("input.png")).unwrap().into_rgba8();
    let view = image::process(&model.config.image_processor, &picture, 0).unwrap().0;
    let (mut held, mut made, mut left) = (Vec::new(), 0, 0);
    let mut seed = 0;
    while seed < JOBS {
        // Alone, and in batches of two and three.
        let count = (1 + seed % 3).min(JOBS - seed);
        let request = |seed| ShapeRequest {
            views: vec![view.clone()],
            begin: Begin::Seed(seed),
            steps: 2,
            guidance: 5.0,
            volume: VolumeOptions { chunk: 2048, ..VolumeOptions::new(Method::Hierarchical, 8) },
        };
        let requests: Vec<_> = (seed..seed + count).map(request).collect();
        let mut watches: Vec<_> = (seed..seed + count).map(Leaving).collect();
        let mut jobs: Vec<ShapeJob<'_>> = Vec::new();
        for (request, watch) in requests.iter().zip(&mut watches) {
            jobs.push(ShapeJob { request, watch });
        }
        model.generate_together(&mut jobs, &mut |_, outcome| match outcome {
            Ok(_) => made += 1,
            Err(_) => left += 1,
        });
        seed += count;
        held.push((seed, resident_bytes().unwrap_or_default()));
    }
    assert_eq!((made, left), (900, 100));
    // What comes and goes within a job is not gone at every look: the least of many is what stays.
    let least =
        |from: u64| held.iter().filter(|(jobs, _)| (from..from + WARM_UP).contains(jobs)).map(|look| look.1).min();
    let (first, last) = (least(WARM_UP).unwrap(), least(JOBS - WARM_UP + 1).unwrap());
    println!("{first} bytes held at first, {last} at last");
    assert!(last <= first + MOST, "{first} bytes held after {WARM_UP} jobs, {last} after {JOBS}");
}
