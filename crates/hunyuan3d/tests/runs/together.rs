//! Several shapes in one batch: each as by itself, with its own seed, picture, progress and end.

use std::cell::RefCell;
use std::collections::BTreeMap;

use orfeas_hunyuan3d::{ModelErrorKind, NoProbe, Residency, Run, ShapeJob};

use super::*;

/// Rounding of products with more rows, at the most, relative to the largest value of a volume.
const TOLERANCE: f32 = 1e-4;

/// Three shapes that go together: seeds, pictures and resolutions of their own.
fn three(model: &Cpu, case: &str) -> Vec<ShapeRequest> {
    let mut all: Vec<_> = (0..3).map(|index| request(model, case, 10 + index, 4)).collect();
    for (index, request) in all.iter_mut().enumerate() {
        // The same picture turned and dimmed is another.
        let view = &mut request.views[0];
        let size = view.size;
        let value = |plane: usize, y: usize, x: usize| view.image[(plane * size + y) * size + x];
        let mut turned = Vec::new();
        for plane in 0..3 {
            for y in 0..size {
                turned.extend((0..size).map(|x| value(plane, x, size - 1 - y) * (1.0 - 0.2 * index as f32)));
            }
        }
        if index > 0 {
            view.image = turned;
        }
        request.volume.resolution = 8 + 2 * index;
    }
    all
}

type Outcomes = BTreeMap<usize, Result<Volume, ModelError>>;

/// Makes shapes together: what became of each, in which order.
fn together(model: &Cpu, requests: &[ShapeRequest], watches: &mut [Watch]) -> (Outcomes, Vec<usize>) {
    let job = |(request, watch)| {
        let watch: &mut Watch = watch;
        ShapeJob { request, watch }
    };
    let mut jobs: Vec<_> = requests.iter().zip(watches).map(job).collect();
    let (mut outcomes, mut order) = (Outcomes::new(), Vec::new());
    model.generate_together(&mut jobs, &mut |place, outcome| {
        assert!(outcomes.insert(place, outcome).is_none(), "shape {place} ended twice");
        order.push(place);
    });
    assert_eq!(outcomes.len(), requests.len());
    (outcomes, order)
}

fn watches<const N: usize>() -> [Watch; N] {
    std::array::from_fn(|_| Watch::default())
}

fn assert_same(what: &str, alone: &Volume, batched: &Volume) {
    assert_eq!(alone.samples, batched.samples, "{what}");
    let largest = alone.dense().iter().fold(0f32, |most, value| most.max(value.abs()));
    let apart = alone.dense().iter().zip(&batched.dense()).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(largest > 0.0 && apart <= TOLERANCE * largest, "{what}: {apart} apart, of {largest}");
}

#[test]
fn each_is_what_it_is_by_itself() {
    // With classifier-free guidance and distilled, either kind of schedule, all parts there and one at a time.
    for (case, residency) in [
        ("base", Residency::Whole),
        ("base", Residency::InTurn),
        ("fast", Residency::Whole),
        ("turbo", Residency::Whole),
    ] {
        let model =
            Cpu::load_as(residency, &folder(case), None, FlexDevice, Precision::Float32, &mut |_, _| {}).unwrap();
        let requests = three(&model, case);
        let (outcomes, order) = together(&model, &requests, &mut watches::<3>());
        assert_eq!(order, [0, 1, 2]);
        let alone: Vec<_> = requests.iter().map(|request| generate(&model, request)).collect();
        for (index, alone) in alone.iter().enumerate() {
            assert_same(&format!("{case} {residency:?} {index}"), alone, outcomes[&index].as_ref().unwrap());
        }
        // Another's in its place would have been noticed.
        let distance =
            |a: &Volume, b: &Volume| a.dense().iter().zip(&b.dense()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let same_size = ShapeRequest { volume: requests[0].volume, ..requests[1].clone() };
        assert!(distance(&alone[0], &generate(&model, &same_size)) > 100.0 * TOLERANCE);
    }
}

#[test]
fn every_step_of_all_comes_before_the_next_of_any() {
    /// Notes who was at which step.
    struct Noting<'a>(usize, &'a RefCell<Vec<(usize, usize)>>);
    impl ShapeWatch for Noting<'_> {
        fn progress(&mut self, phase: Phase, done: usize, _: usize) -> ControlFlow<()> {
            if phase == Phase::Sample {
                self.1.borrow_mut().push((done, self.0));
            }
            ControlFlow::Continue(())
        }
    }
    let model = load("base");
    let requests = three(&model, "base");
    let seen = RefCell::new(Vec::new());
    let mut watches: Vec<_> = (0..3).map(|number| Noting(number, &seen)).collect();
    let mut jobs: Vec<ShapeJob<'_>> = Vec::new();
    for (request, watch) in requests.iter().zip(&mut watches) {
        jobs.push(ShapeJob { request, watch });
    }
    model.generate_together(&mut jobs, &mut |_, outcome| assert!(outcome.is_ok()));
    let expected: Vec<_> = (0..=4).flat_map(|step| (0..3).map(move |number| (step, number))).collect();
    assert_eq!(*seen.borrow(), expected);
}

#[test]
fn one_that_is_cancelled_leaves_and_the_others_go_on() {
    for case in ["base", "fast"] {
        let model = load(case);
        let requests = three(&model, case);
        let alone: Vec<_> = requests.iter().map(|request| generate(&model, request)).collect();
        for (phase, calls) in [(Phase::Encode, 1), (Phase::Encode, 2), (Phase::Sample, 1), (Phase::Sample, 3)]
            .into_iter()
            .chain([(Phase::Sample, 5), (Phase::Decode, 1)])
        {
            for leaver in 0..3 {
                let mut all = watches::<3>();
                all[leaver].break_at = Some((phase, calls));
                let (outcomes, _) = together(&model, &requests, &mut all);
                for (index, outcome) in &outcomes {
                    let what = format!("{case}: {leaver} leaves at {calls} of {phase:?}, {index}");
                    if *index == leaver {
                        assert_eq!(outcome.as_ref().unwrap_err().kind(), ModelErrorKind::Cancelled, "{what}");
                        assert_eq!(all[leaver].count(phase), calls, "{what} was told after it left");
                    } else {
                        assert_same(&what, &alone[*index], outcome.as_ref().unwrap());
                        assert_eq!(
                            [Phase::Encode, Phase::Sample].map(|phase| all[*index].count(phase)),
                            [2, 5],
                            "{what}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn all_but_the_last_may_leave_one_after_another() {
    let model = load("base");
    let requests = three(&model, "base");
    let mut all = watches::<3>();
    (all[0].break_at, all[2].break_at) = (Some((Phase::Sample, 2)), Some((Phase::Sample, 4)));
    let (mut outcomes, order) = together(&model, &requests, &mut all);
    assert_eq!(order, [0, 1, 2]);
    assert!(outcomes[&0].is_err() && outcomes[&2].is_err());
    assert_same("the one that stays", &generate(&model, &requests[1]), &outcomes.remove(&1).unwrap().unwrap());
    for watch in &mut all {
        *watch = Watch { break_at: Some((Phase::Sample, 2)), ..Watch::default() };
    }
    let (outcomes, _) = together(&model, &requests, &mut all);
    assert!(outcomes.values().all(Result::is_err), "none is left");
    assert!(all.iter().all(|watch| watch.count(Phase::Decode) == 0 && watch.count(Phase::Sample) == 2));
}

#[test]
fn one_that_cannot_begin_fails_by_itself() {
    let model = load("base");
    let mut requests = three(&model, "base");
    requests[1].views[0].image.pop();
    let (outcomes, _) = together(&model, &requests, &mut watches::<3>());
    assert_eq!(outcomes[&1].as_ref().unwrap_err().kind(), ModelErrorKind::Request);
    for index in [0, 2] {
        assert_same("beside it", &generate(&model, &requests[index]), outcomes[&index].as_ref().unwrap());
    }
}

#[test]
fn what_does_not_go_together_has_its_turn_all_the_same() {
    let model = load("base");
    let mut requests = three(&model, "base");
    requests.push(ShapeRequest { steps: 3, ..requests[0].clone() });
    requests.push(ShapeRequest { guidance: 2.0, ..requests[0].clone() });
    let mut watch = Watch { wanted: vec![2], ..Watch::default() };
    model.generate(&requests[0], &mut watch).unwrap();
    requests.insert(1, ShapeRequest { begin: Begin::Latents(watch.kept.remove(0)), ..requests[0].clone() });
    for (index, other) in requests.iter().enumerate() {
        let goes = [0, 2, 3].contains(&index);
        assert_eq!(requests[0].goes_with(other), goes, "{index}");
    }
    let (outcomes, order) = together(&model, &requests, &mut watches::<6>());
    assert_eq!(order, [0, 2, 3, 1, 4, 5], "the batch of the first, and then the others");
    for (index, request) in requests.iter().enumerate() {
        assert_same(&format!("{index}"), &generate(&model, request), outcomes[&index].as_ref().unwrap());
    }
}

#[test]
fn latents_are_kept_for_each_and_go_on_alone_or_together() {
    let model = load("base");
    let requests = three(&model, "base");
    let mut all = watches::<3>();
    all[0].wanted = vec![2];
    all[2].wanted = vec![2, 3];
    let (outcomes, _) = together(&model, &requests, &mut all);
    assert_eq!(all.each_ref().map(|watch| watch.kept.len()), [1, 0, 2]);
    let resumed: Vec<_> = [0, 2]
        .map(|index: usize| ShapeRequest {
            begin: Begin::Latents(all[index].kept[0].clone()),
            ..requests[index].clone()
        })
        .into();
    assert!(resumed[0].goes_with(&resumed[1]) && !resumed[0].goes_with(&requests[0]));
    let (again, _) = together(&model, &resumed, &mut watches::<2>());
    for (place, index) in [0, 2].into_iter().enumerate() {
        let whole = outcomes[&index].as_ref().unwrap();
        assert_same("together", whole, again[&place].as_ref().unwrap());
        assert_same("alone", whole, &generate(&model, &resumed[place]));
    }
}

#[test]
fn a_failed_batch_is_begun_anew_one_by_one() {
    /// Breaks off at a step, once.
    struct Breaking<'a> {
        at: Option<usize>,
        begun: &'a RefCell<usize>,
    }
    impl ShapeWatch for Breaking<'_> {
        fn progress(&mut self, phase: Phase, done: usize, _: usize) -> ControlFlow<()> {
            if phase == Phase::Encode && done == 0 {
                *self.begun.borrow_mut() += 1;
            }
            if phase == Phase::Sample && self.at == Some(done) {
                self.at = None;
                panic!("the device broke off");
            }
            ControlFlow::Continue(())
        }
    }
    let model = load("base");
    let requests = three(&model, "base");
    let begun = RefCell::new(0);
    let mut watches: Vec<_> = (0..3).map(|index| Breaking { at: (index == 1).then_some(2), begun: &begun }).collect();
    let mut jobs: Vec<ShapeJob<'_>> = Vec::new();
    for (request, watch) in requests.iter().zip(&mut watches) {
        jobs.push(ShapeJob { request, watch });
    }
    let mut volumes = Vec::new();
    model.generate_together(&mut jobs, &mut |place, outcome| volumes.push((place, outcome.unwrap())));
    assert_eq!(*begun.borrow(), 6);
    for (index, request) in requests.iter().enumerate() {
        assert_eq!(volumes[index].0, index);
        assert_eq!(bits(&volumes[index].1), bits(&generate(&model, request)), "by itself, bit for bit");
    }
}

#[test]
fn runs_of_other_sizes_are_refused_and_leave_the_rest() {
    let model = load("base");
    let condition = model.encode(&views(&model, "base", &["front"]), 5.0, &mut NoProbe).unwrap();
    let unguided = model.encode(&views(&model, "base", &["front"]), -1.0, &mut NoProbe).unwrap();
    let run =
        |condition: &orfeas_hunyuan3d::Condition<Flex>, begin: Latents| Run { condition: condition.clone(), begin };
    let short = Latents { step: 0, values: vec![0.0; 5] };
    let later = Latents { step: 1, ..model.noise(2) };
    let runs = vec![
        run(&condition, short),
        run(&condition, model.noise(1)),
        run(&unguided, model.noise(1)),
        run(&condition, later),
        run(&condition, model.noise(2)),
    ];
    let mut told = Vec::new();
    let mut watch = |run: usize, _: usize, _: usize, _: &mut dyn FnMut() -> Result<Latents, ModelError>| {
        told.push(run);
        Ok(ControlFlow::Continue(()))
    };
    let ended = model.sample_together(runs, 2, 5.0, &mut watch, &mut NoProbe).unwrap();
    let kinds: Vec<_> = ended.iter().map(|run| run.as_ref().err().map(ModelError::kind)).collect();
    let refused = Some(ModelErrorKind::Request);
    assert_eq!(kinds, [refused, None, refused, refused, None]);
    assert_eq!(told, [1, 4, 1, 4, 1, 4]);
    let vae = &model.config.vae;
    assert_eq!(ended[4].as_ref().unwrap().dims(), [1, vae.num_latents, vae.embed_dim]);
}

#[test]
fn one_part_at_a_time_is_fetched_once_for_all() {
    let model = Cpu::load_as(Residency::InTurn, &folder("base"), None, FlexDevice, Precision::Float32, &mut |_, _| {});
    let model = model.unwrap();
    /// Looks at which part is there.
    struct Looking<'a>(&'a Cpu, Option<std::sync::Weak<orfeas_hunyuan3d::vae::ShapeVae<Flex>>>);
    impl ShapeWatch for Looking<'_> {
        fn progress(&mut self, phase: Phase, done: usize, _: usize) -> ControlFlow<()> {
            let there = self.0.resident();
            match phase {
                Phase::Encode => assert!(done == 0 || there == [orfeas_hunyuan3d::Part::Conditioner]),
                Phase::Sample => assert_eq!(there, [orfeas_hunyuan3d::Part::Denoiser]),
                Phase::Decode => {
                    let vae = std::sync::Arc::downgrade(&self.0.vae().unwrap());
                    self.1.get_or_insert(vae);
                }
            }
            ControlFlow::Continue(())
        }
    }
    let requests = three(&load("base"), "base");
    let mut watches: Vec<_> = (0..3).map(|_| Looking(&model, None)).collect();
    let mut jobs: Vec<ShapeJob<'_>> = Vec::new();
    for (request, watch) in requests.iter().zip(&mut watches) {
        jobs.push(ShapeJob { request, watch });
    }
    model.generate_together(&mut jobs, &mut |_, outcome| assert!(outcome.is_ok()));
    drop(jobs);
    let copies: Vec<_> = watches.iter().map(|watch| watch.1.clone().unwrap()).collect();
    assert!(copies[0].ptr_eq(&copies[1]) && copies[1].ptr_eq(&copies[2]), "the decoder was fetched again");
}
