//! The neural engine on a tiny checkpoint: loading, its limits, its errors.
#![allow(clippy::unwrap_used, missing_docs)] // Helpers of tests fail as tests do.

use std::path::PathBuf;

use orfeas_engine::{
    Batching, Budget, DeviceName, Engine, EngineError, EngineErrorKind, EngineSpec, Hunyuan3d, LowVram, ModelSpec,
    Observer, Picture, Request, Resume, Silent, Task, create,
};
use orfeas_field::Field;

fn spec(case: &str) -> ModelSpec {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../hunyuan3d/tests/fixtures/parity");
    ModelSpec {
        folder: fixtures.join(case),
        vae: None,
        device: DeviceName::Cpu,
        precision: None,
        decoder: None,
        chunk: 8192,
        memory: None,
        low_vram: LowVram::Auto,
        batching: Batching::Auto,
        jobs: 1,
    }
}

fn picture() -> Picture {
    let inside = |i: usize| (20..80).contains(&(i / 100)) && (20..80).contains(&(i % 100));
    let rgba = (0..100 * 100).flat_map(|i| if inside(i) { [200, 40, 40, 255] } else { [255, 255, 255, 0] }).collect();
    Picture::new(100, 100, rgba).unwrap()
}

fn kind<T>(result: Result<T, EngineError>) -> EngineErrorKind {
    result.err().unwrap().kind()
}

#[test]
fn loading_tells_how_far_it_is_and_only_ever_more() {
    let mut told = Vec::new();
    let spec = EngineSpec { name: "hunyuan3d".to_owned(), resolution: Some(32), model: Some(spec("base")) };
    let engine = create(&spec, &mut |percent| told.push(percent)).unwrap();
    assert!(told.len() > 10 && told.is_sorted() && told.last() == Some(&100), "{told:?}");
    assert_eq!(engine.name(), "hunyuan3d");
    assert!(engine.model().starts_with("base"));
    let identity = engine.identity();
    assert_eq!(identity.len(), "hunyuan3d ".len() + 64 + 1 + 64);
    // Another configuration of the same weights is another engine to whoever keeps what it made.
    let folder = tempfile::tempdir().unwrap();
    let base = self::spec("base").folder;
    for file in std::fs::read_dir(&base).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    let config = std::fs::read_to_string(base.join("config.yaml")).unwrap();
    std::fs::write(folder.path().join("config.yaml"), format!("{config}\norfeas:\n  steps: 7\n")).unwrap();
    let other = ModelSpec { folder: folder.path().to_owned(), ..self::spec("base") };
    let other = Hunyuan3d::load(&other, Some(32), &mut |_| {}).unwrap().identity();
    assert_ne!(other, identity);
    assert_eq!(other[..identity.len() - 64], identity[..identity.len() - 64]);
}

#[test]
fn a_field_says_what_made_it_and_options_out_of_range_are_refused() {
    let mut engine = Hunyuan3d::load(&spec("turbo"), Some(32), &mut |_| {}).unwrap();
    let request = Request { seed: 5, steps: Some(2), guidance: Some(4.0), ..Request::default() };
    let field = engine.generate(&picture(), &request, &mut Silent).unwrap();
    let made = &field.provenance;
    assert_eq!((made.engine.as_str(), made.seed, made.steps, made.resolution), ("hunyuan3d", 5, 2, 32));
    assert!((made.guidance - 4.0).abs() < f32::EPSILON);
    let again = engine.generate(&picture(), &request, &mut Silent).unwrap();
    assert_eq!(field, again, "the same seed, bit for bit");
    let huge = Request { resolution: Some(2048), ..request };
    assert_eq!(kind(engine.generate(&picture(), &huge, &mut Silent)), EngineErrorKind::Unsupported);
}

#[test]
fn a_checkpoint_may_say_how_it_wants_to_be_run() {
    let plain = spec("fast");
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&plain.folder).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let config = std::fs::read_to_string(plain.folder.join("config.yaml")).unwrap();
    let at = |own: &str, resolution: Option<u32>| {
        std::fs::write(folder.path().join("config.yaml"), format!("{config}\norfeas:\n{own}")).unwrap();
        Hunyuan3d::load(&ModelSpec { folder: folder.path().to_owned(), ..plain.clone() }, resolution, &mut |_| {})
    };
    let with = |own: &str| at(own, Some(32));
    let mut engine = with("  steps: 2\n  most_steps: 3\n  guidance: 2.5\n  noise_seed: 9\n").unwrap();
    let made = |engine: &mut Hunyuan3d, seed: u64| {
        engine.generate(&picture(), &Request { seed, ..Request::default() }, &mut Silent).unwrap()
    };
    assert_eq!((engine.floaters(), at("  floaters: 0.25\n", None).unwrap().floaters()), (None, Some(0.25)));
    let field = made(&mut engine, 1);
    assert_eq!((field.provenance.steps, field.provenance.seed), (2, 9));
    assert!((field.provenance.guidance - 2.5).abs() < f32::EPSILON);
    assert_eq!(field, made(&mut engine, 7), "one noise, whatever the seed");
    for (service, resolution) in [(None, 24), (Some(20), 20)] {
        let field = made(&mut at("  resolution: 24\n  steps: 1\n", service).unwrap(), 1);
        assert_eq!(field.provenance.resolution, resolution, "the service's word goes before the checkpoint's");
    }
    // FlashVDM's blocks want another number of samples.
    let samples = |decoder: &str| {
        let mut engine = at(&format!("  resolution: 24\n  steps: 1\n{decoder}"), None).unwrap();
        made(&mut engine, 1).grid.samples()
    };
    assert_ne!(samples("  decoder: flashvdm\n"), samples(""));
    let error = at("  resolution: 7\n", None).err().unwrap();
    assert!(error.to_string().contains("not 7"), "{error}");
    let mut other = Hunyuan3d::load(&plain, Some(32), &mut |_| {}).unwrap();
    let asked = Request { seed: 9, steps: Some(2), guidance: Some(2.5), ..Request::default() };
    assert_eq!(field.grid, other.generate(&picture(), &asked, &mut Silent).unwrap().grid);
    let more = engine.generate(&picture(), &Request { steps: Some(4), ..Request::default() }, &mut Silent);
    let more = more.err().unwrap();
    assert_eq!(more.kind(), EngineErrorKind::Unsupported);
    assert!(more.to_string().contains("from 1 to 3"), "{more}");
    for (own, word) in [
        ("  steps: 0\n", "at least 1"),
        ("  steps: 4\n  most_steps: 3\n", "most_steps"),
        ("  lora: 1\n", "lora"),
        ("  decoder: best\n", "best"),
        ("  floaters: 1.5\n", "floaters"),
    ] {
        let error = with(own).err().unwrap();
        assert_eq!(error.kind(), EngineErrorKind::Unavailable);
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn what_cannot_fit_is_refused_with_the_numbers_before_it_begins() {
    let within = |limit: u64| ModelSpec { memory: Some(Budget { limit, card: 8 << 30 }), ..spec("base") };
    let error = Hunyuan3d::load(&within(64 << 20), Some(32), &mut |_| {}).err().unwrap();
    assert_eq!(error.kind(), EngineErrorKind::InsufficientMemory);
    assert!(error.to_string().contains("64 MiB"), "{error}");
    let mut engine = Hunyuan3d::load(&within(8 << 30), Some(32), &mut |_| {}).unwrap();
    let request = Request { steps: Some(1), ..Request::default() };
    engine.generate(&picture(), &request, &mut Silent).unwrap();
}

#[test]
fn parts_leave_the_device_where_asked_and_the_field_is_the_same() {
    let request = Request { seed: 3, steps: Some(2), ..Request::default() };
    let field = |low_vram: LowVram| {
        let mut engine = Hunyuan3d::load(&ModelSpec { low_vram, ..spec("base") }, Some(32), &mut |_| {}).unwrap();
        engine.generate(&picture(), &request, &mut Silent).unwrap()
    };
    assert_eq!(field(LowVram::Off), field(LowVram::On));
}

/// Notes the steps of sampling.
#[derive(Default)]
struct Steps(Vec<u32>);

impl Observer for Steps {
    fn progress(&mut self, phase: &str, step: u32, _: u32) {
        if phase == "sample" {
            self.0.push(step);
        }
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// Makes fields together: what became of each, by its place.
fn together(engine: &mut dyn Engine, requests: &[Request]) -> (Vec<Result<Field, EngineError>>, Vec<Vec<u32>>) {
    let picture = picture();
    let mut observers: Vec<_> = requests.iter().map(|_| Steps::default()).collect();
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for (request, observer) in requests.iter().zip(&mut observers) {
        tasks.push(Task { picture: &picture, request, observer });
    }
    let mut made = std::collections::BTreeMap::new();
    engine.generate_together(&mut tasks, &mut |place, field| assert!(made.insert(place, field).is_none()));
    assert!(made.keys().copied().eq(0..requests.len()), "each ends once");
    (made.into_values().collect(), observers.into_iter().map(|steps| steps.0).collect())
}

#[test]
fn jobs_in_one_batch_have_their_own_seeds_resolutions_and_ends() {
    let spec = ModelSpec { batching: Batching::On, jobs: 4, ..spec("base") };
    let mut engine = Hunyuan3d::load(&spec, Some(32), &mut |_| {}).unwrap();
    assert_eq!(engine.most_together(), 4);
    let of = |seed: u64, resolution: u32| Request {
        seed,
        steps: Some(3),
        resolution: Some(resolution),
        ..Request::default()
    };
    let requests = [of(1, 32), of(2, 2048), of(3, 40), of(1, 48)];
    let (fields, steps) = together(&mut engine, &requests);
    assert_eq!(fields[1].as_ref().err().unwrap().kind(), EngineErrorKind::Unsupported);
    for index in [0, 2, 3] {
        let field = fields[index].as_ref().unwrap();
        let alone = engine.generate(&picture(), &requests[index], &mut Silent).unwrap();
        assert_eq!(field.provenance, alone.provenance);
        assert_eq!(steps[index], [0, 1, 2, 3]);
        let n = field.grid.samples()[0];
        assert_eq!((alone.grid.samples(), field.bounds), ([n; 3], alone.bounds));
        let apart = |at: usize| {
            let at = [at / (n * n), at / n % n, at % n];
            (field.grid.sample(at) - alone.grid.sample(at)).abs()
        };
        // Fields are kept in half precision, whose rounding may fall to the other side.
        let most = (0..n * n * n).map(apart).fold(0f32, f32::max);
        assert!(most <= 2e-3, "{index}: {most} apart");
    }
}

#[test]
fn what_shapes_a_batch_says_which_jobs_go_together() {
    let spec = ModelSpec { batching: Batching::On, jobs: 4, ..spec("turbo") };
    let engine = Hunyuan3d::load(&spec, Some(32), &mut |_| {}).unwrap();
    let plain = Request { seed: 1, ..Request::default() };
    let resume = |step: u32| Some(Resume { step, latents: vec![0.0; 96 * 8] });
    let goes = |other: Request| engine.goes_together(&plain, &other);
    assert!(goes(Request { seed: 2, resolution: Some(64), ..plain.clone() }));
    // What nobody asked for is what the model takes then.
    assert!(goes(Request { steps: Some(5), guidance: Some(5.0), ..plain.clone() }));
    assert!(!goes(Request { steps: Some(6), ..plain.clone() }));
    assert!(!goes(Request { guidance: Some(5.5), ..plain.clone() }));
    assert!(!goes(Request { resume: resume(2), ..plain.clone() }));
    assert!(goes(Request { resume: resume(6), ..plain.clone() }), "which is of no use to a run of 5 steps");
    let others = Some(Resume { step: 2, latents: vec![0.0; 96] });
    assert!(goes(Request { resume: others, ..plain.clone() }), "which is of no use to a model of another shape");
    let two = Request { resume: resume(2), ..plain.clone() };
    assert!(engine.goes_together(&two, &Request { seed: 9, ..two.clone() }));
}

#[test]
fn an_engine_that_knows_no_batches_works_on_one_after_another() {
    let mut engine =
        create(&EngineSpec { name: "inflate".to_owned(), resolution: Some(32), model: None }, &mut |_| {}).unwrap();
    let request = |resolution: u32| Request { resolution: Some(resolution), ..Request::default() };
    assert_eq!(engine.most_together(), 1);
    assert!(!engine.goes_together(&request(32), &request(32)));
    let (fields, _) = together(&mut *engine, &[request(32), request(5000), request(40)]);
    assert_eq!(fields[1].as_ref().err().unwrap().kind(), EngineErrorKind::Unsupported);
    for (field, resolution) in [(&fields[0], 32), (&fields[2], 40)] {
        let alone = engine.generate(&picture(), &request(resolution), &mut Silent).unwrap();
        assert_eq!(field.as_ref().unwrap(), &alone);
    }
}

#[test]
fn what_is_not_there_is_unavailable() {
    let nowhere = ModelSpec { folder: PathBuf::from("/nowhere"), ..spec("base") };
    assert_eq!(kind(Hunyuan3d::load(&nowhere, Some(32), &mut |_| {})), EngineErrorKind::Unavailable);
    let half = ModelSpec { precision: Some(orfeas_engine::Precision::Float16), ..spec("base") };
    assert_eq!(kind(Hunyuan3d::load(&half, Some(32), &mut |_| {})), EngineErrorKind::Unavailable);
    assert_eq!(kind(Hunyuan3d::load(&spec("base"), Some(4), &mut |_| {})), EngineErrorKind::Unsupported);
    // A binary without the feature has no GPU, and a machine of CI has none either.
    let gpu = ModelSpec { device: DeviceName::Cuda(99), ..spec("base") };
    assert_eq!(kind(Hunyuan3d::load(&gpu, Some(32), &mut |_| {})), EngineErrorKind::Unavailable);
}
