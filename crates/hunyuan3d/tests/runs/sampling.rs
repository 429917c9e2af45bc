//! Seeds, steps, resuming and cancelling.

use std::ops::ControlFlow;

use orfeas_hunyuan3d::dit::STEPS_AT_ONCE;
use orfeas_hunyuan3d::volume::{Method, Score, VolumeOptions};
use orfeas_hunyuan3d::{Begin, Latents, ModelError, ModelErrorKind, NoProbe, Phase, Probe, ShapeModel, ShapeRequest};

use super::{Cpu, Watch, bits, generate, load, request};

/// Samples from `begin`, keeping the latents before step `keep`, and returns the last ones and those.
fn sample(model: &Cpu, request: &ShapeRequest, begin: Latents, keep: usize) -> (Vec<u32>, Option<Latents>) {
    let condition = model.encode(&request.views, 5.0, &mut NoProbe).unwrap();
    let mut kept = None;
    let mut watch = |step: usize, _: usize, latents: &mut dyn FnMut() -> Result<Latents, ModelError>| {
        if step == keep {
            kept = Some(latents()?);
        }
        Ok(ControlFlow::Continue(()))
    };
    let last =
        model.sample(&condition, begin, request.steps, request.guidance, &mut watch, &mut NoProbe).unwrap().into_data();
    (last.into_vec::<f32>().unwrap().iter().map(|value| value.to_bits()).collect(), kept)
}

#[test]
fn a_seed_is_a_shape_bit_for_bit() {
    let model = load("base");
    let first = generate(&model, &request(&model, "base", 7, 2));
    assert_eq!(bits(&first), bits(&generate(&model, &request(&model, "base", 7, 2))));
    // Another copy of the model, on another thread.
    let again = std::thread::spawn(|| {
        let model = load("base");
        generate(&model, &request(&model, "base", 7, 2))
    });
    assert_eq!(bits(&first), bits(&again.join().unwrap()));
    for other in [8, 7 + (1 << 32), u64::MAX] {
        assert_ne!(bits(&first), bits(&generate(&model, &request(&model, "base", other, 2))), "seed {other}");
    }
}

#[test]
fn resumed_anywhere_is_uninterrupted() {
    for case in ["base", "fast", "turbo"] {
        let model = load(case);
        let request = request(&model, case, 3, 4);
        let whole = sample(&model, &request, model.noise(3), usize::MAX).0;
        for step in 0..=4 {
            let (again, kept) = sample(&model, &request, model.noise(3), step);
            assert_eq!(again, whole, "{case}: keeping at {step} changed the run");
            let kept = kept.unwrap();
            assert_eq!(kept.step, step);
            assert_eq!(sample(&model, &request, kept, usize::MAX).0, whole, "{case}: resumed at {step}");
        }
    }
}

#[test]
fn resumed_within_a_later_block_of_steps_is_uninterrupted() {
    // Modulations are computed for many steps at once, whichever of them a run begins with.
    let model = load("base");
    let steps = STEPS_AT_ONCE as u32 + 4;
    let request = request(&model, "base", 3, steps);
    let keep = STEPS_AT_ONCE + 2;
    let (whole, kept) = sample(&model, &request, model.noise(3), keep);
    assert_eq!(sample(&model, &request, kept.unwrap(), usize::MAX).0, whole);
}

#[test]
fn a_run_goes_on_from_what_another_kept() {
    let model = load("base");
    let whole = request(&model, "base", 5, 4);
    let mut watch = Watch { wanted: vec![1, 3, 4], ..Watch::default() };
    let volume = model.generate(&whole, &mut watch).unwrap();
    assert_eq!(watch.kept.iter().map(|latents| latents.step).collect::<Vec<_>>(), [1, 3, 4]);
    for latents in watch.kept {
        let step = latents.step;
        let resumed = ShapeRequest { begin: Begin::Latents(latents), ..whole.clone() };
        let mut watch = Watch { wanted: vec![step], ..Watch::default() };
        assert_eq!(bits(&model.generate(&resumed, &mut watch).unwrap()), bits(&volume), "from step {step}");
        assert!(watch.kept.is_empty(), "what a run began with was kept again");
        let steps: Vec<_> = watch.told.iter().filter(|told| told.0 == Phase::Sample).map(|told| told.1).collect();
        assert_eq!(steps, (step..=4).collect::<Vec<_>>());
    }
}

/// Counts the velocities that are computed.
struct Velocities(usize);

impl Probe for Velocities {
    fn tensor(
        &mut self,
        name: &str,
        _: &[usize],
        _: &mut dyn FnMut() -> Result<Vec<f32>, ModelError>,
    ) -> Result<(), ModelError> {
        self.0 += usize::from(name.starts_with("velocity_"));
        Ok(())
    }
}

#[test]
fn cancelled_within_a_step() {
    let model = load("base");
    let request = request(&model, "base", 1, 4);
    let condition = model.encode(&request.views, 5.0, &mut NoProbe).unwrap();
    for at in 0..=4 {
        let mut velocities = Velocities(0);
        let mut calls = 0;
        let mut watch = |step: usize, _: usize, _: &mut dyn FnMut() -> Result<Latents, ModelError>| {
            calls += 1;
            Ok(if step == at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        let error = model.sample(&condition, model.noise(1), 4, 5.0, &mut watch, &mut velocities).unwrap_err();
        assert_eq!(error.kind(), ModelErrorKind::Cancelled);
        assert_eq!((calls, velocities.0), (at + 1, at), "breaking before step {at}");
    }
}

#[test]
fn cancelled_in_every_phase() {
    let model = load("base");
    for method in [Method::Dense, Method::Hierarchical, Method::FlashVdm] {
        let volume = VolumeOptions { chunk: 100, ..VolumeOptions::new(method, 12) };
        let request = ShapeRequest { volume, ..request(&model, "base", 1, 1) };
        let mut all = Watch::default();
        model.generate(&request, &mut all).unwrap();
        // 13³ samples a hundred at a time, or 12³.
        let chunks = if method == Method::FlashVdm { 18 } else { 22 };
        assert_eq!([Phase::Encode, Phase::Sample, Phase::Decode].map(|phase| all.count(phase)), [2, 2, chunks]);
        for (phase, calls) in [(Phase::Encode, 1), (Phase::Encode, 2), (Phase::Sample, 1), (Phase::Sample, 2)]
            .into_iter()
            .chain([1, 2, chunks / 2, chunks].map(|calls| (Phase::Decode, calls)))
        {
            let mut watch = Watch { break_at: Some((phase, calls)), ..Watch::default() };
            let error = model.generate(&request, &mut watch).unwrap_err();
            assert_eq!(error.kind(), ModelErrorKind::Cancelled);
            assert_eq!(watch.told.last().map(|told| told.0), Some(phase));
            assert_eq!(watch.count(phase), calls, "told after breaking: {method:?} {phase:?}");
        }
    }
}

#[test]
fn progress_only_rises_and_ends_at_all() {
    let model = load("vae_turbo");
    let volume = VolumeOptions { chunk: 1 << 16, ..VolumeOptions::new(Method::Hierarchical, 126) };
    // Thinner than a coarse cell: the finer level has to come back for what its band misses.
    let score = Some(Score::Function(|[x, y, z]| 400.0 * (0.011 - (0.9993 * x + 0.03 * y + 0.02 * z).abs())));
    for method in [Method::Hierarchical, Method::FlashVdm] {
        let volume = VolumeOptions { method, score, ..volume };
        let mut watch = Watch::default();
        model.generate(&ShapeRequest { volume, ..request(&model, "vae_turbo", 1, 1) }, &mut watch).unwrap();
        for phase in [Phase::Encode, Phase::Sample, Phase::Decode] {
            let told: Vec<_> = watch.told.iter().filter(|told| told.0 == phase).collect();
            assert!(told.is_sorted_by_key(|told| told.1), "{method:?} {phase:?}: {told:?}");
            assert!(told.iter().all(|one| one.1 <= one.2 && one.2 == told[0].2));
            assert_eq!(told.last().map(|told| told.1), Some(told[0].2), "{method:?} {phase:?}");
        }
    }
}

#[test]
fn any_number_of_steps() {
    for case in ["base", "turbo"] {
        let model = load(case);
        // The turbo model was distilled at 100 steps; more of them go nowhere, but not astray.
        for steps in [1, 2, 150] {
            let mut watch = Watch::default();
            let volume = model.generate(&request(&model, case, 2, steps), &mut watch).unwrap();
            assert_eq!(watch.count(Phase::Sample), steps as usize + 1, "{case} {steps}");
            assert!(volume.dense().iter().all(|value| value.is_finite()));
        }
    }
}

#[test]
fn guidance_is_heard() {
    for case in ["base", "fast"] {
        let model = load(case);
        let with = |guidance: f64| ShapeRequest { guidance, ..request(&model, case, 2, 2) };
        assert_ne!(bits(&generate(&model, &with(1.0))), bits(&generate(&model, &with(7.5))), "{case}");
    }
}
