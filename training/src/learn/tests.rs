use burn::backend::Autodiff;
use burn::tensor::{DType, Tensor};
use burn_flex::{Flex, FlexDevice};
use orfeas_hunyuan3d::DeviceName;
use orfeas_hunyuan3d::config::ModelConfig;
use orfeas_hunyuan3d::weights::Weights;

use super::batches::{Batch, Batches};
use super::network::{Network, loss, tensor};
use super::parameters::Layout;
use super::plan::Plan;
use super::run::{Evaluate, Run};
use super::state::{State, learn};
use crate::bench;

type Learning = Autodiff<Flex>;

/// The starter model, but small: 28 pixels, width 32.
fn small() -> String {
    let smaller = [
        ("context_in_dim: 256", "context_in_dim: 32"),
        ("hidden_size: 256", "hidden_size: 32"),
        ("num_heads: 4", "num_heads: 2"),
        ("axes_dim: [64]", "axes_dim: [16]"),
        ("depth: 3", "depth: 1"),
        ("depth_single_blocks: 4", "depth_single_blocks: 1"),
        ("num_latents: 256", "num_latents: 16"),
        ("embed_dim: 32", "embed_dim: 8"),
        ("in_channels: 32", "in_channels: 8"),
        ("    width: 256", "    width: 32"),
        ("    heads: 4", "    heads: 2"),
        ("num_decoder_layers: 4", "num_decoder_layers: 1"),
        ("num_hidden_layers: 6", "num_hidden_layers: 1"),
        ("num_attention_heads: 4", "num_attention_heads: 2"),
        ("image_size: 224", "image_size: 28"),
        ("    size: 224", "    size: 28"),
    ];
    let mut text = include_str!("../../../models/starter/config.yaml").to_owned();
    for (from, to) in smaller {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

fn plan() -> Plan {
    Plan {
        steps: 6,
        batch: 2,
        points: 64,
        learning_rate: 3e-3,
        warm_up: 2,
        window: 4,
        reuse: 1,
        mean_decay: 0.5,
        ..Plan::default()
    }
}

fn batch(plan: &Plan, config: &ModelConfig, seed: u64) -> Batch {
    let mut rng = orfeas_shapes::random::Rng::new("test", &[seed]);
    let pixels = 3 * config.conditioner.image_size * config.conditioner.image_size;
    let mut many = |count: usize| (0..count).map(|_| rng.range(-1.0, 1.0)).collect::<Vec<f32>>();
    let (pictures, points) = (many(plan.batch * pixels), many(plan.batch * plan.points * 3));
    // Inside is a ball.
    let inside = |p: &[f32]| if p.iter().map(|x| x * x).sum::<f32>() < 0.5 { 1.0 } else { 0.0 };
    let occupancy = points.chunks_exact(3).map(inside).collect();
    Batch { pictures, points, occupancy, guidance: 5.0 }
}

#[test]
fn the_starter_model_is_small_enough_to_ship() {
    let config = ModelConfig::parse(include_str!("../../../models/starter/config.yaml")).unwrap();
    let bytes = 2 * Layout::of(&config).unwrap().count();
    assert!((20_000_000..40_000_000).contains(&bytes), "{bytes}");
}

/// First parameters with open gates, so that every one matters.
fn opened(layout: &Layout) -> Vec<f32> {
    let mut rng = orfeas_shapes::random::Rng::new("open", &[]);
    layout.first(3).into_iter().map(|value| value + 0.05 * rng.normal()).collect()
}

#[test]
fn objects_of_a_batch_are_learned_by_themselves() {
    let config = ModelConfig::parse(&small()).unwrap();
    let (layout, plan) = (Layout::of(&config).unwrap(), plan());
    let values = opened(&layout);
    let vector = tensor::<Learning, 1>(values, [layout.count()], &FlexDevice, DType::F32);
    let leaves = layout.leaves(&vector);
    let mut silent = |_, _| {};
    let network = Network::<Learning>::load(Weights::on_device(&leaves, FlexDevice, DType::F32, &mut silent), &config);
    let (network, batch, side) = (network.unwrap(), batch(&plan, &config, 1), config.conditioner.image_size);
    let pictures = tensor::<Learning, 4>(batch.pictures, [plan.batch, 3, side, side], &FlexDevice, DType::F32);
    let points = tensor::<Learning, 3>(batch.points, [plan.batch, plan.points, 3], &FlexDevice, DType::F32);
    let values = |x: Tensor<Learning, 3>| x.into_data().to_vec::<f32>().unwrap();
    let both = values(network.logits(pictures.clone(), points.clone(), 5.0));
    for (object, own) in both.chunks_exact(plan.points).enumerate() {
        let alone = network.logits(pictures.clone().narrow(0, object, 1), points.clone().narrow(0, object, 1), 5.0);
        let apart = values(alone).iter().zip(own).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        assert!(apart < 1e-4, "object {object} of a batch: {apart}");
    }
    // The same points of the other picture give something else.
    let other = values(network.logits(pictures.narrow(0, 1, 1), points.narrow(0, 0, 1), 5.0));
    assert!(other.iter().zip(&both).any(|(a, b)| (a - b).abs() > 1e-3), "the test asks about something");
}

#[test]
fn every_gradient_is_the_losss_slope() {
    let config = ModelConfig::parse(&small()).unwrap();
    let (layout, plan) = (Layout::of(&config).unwrap(), plan());
    let values = opened(&layout);
    let batch = batch(&plan, &config, 1);
    let count = layout.count();
    let of = |values: &[f32]| -> (Tensor<Learning, 1>, _) {
        let vector = tensor::<Learning, 1>(values.to_vec(), [count], &FlexDevice, DType::F32);
        let leaves = layout.leaves(&vector);
        let mut silent = |_, _| {};
        let weights = Weights::on_device(&leaves, FlexDevice, DType::F32, &mut silent);
        let network = Network::<Learning>::load(weights, &config).unwrap();
        let side = config.conditioner.image_size;
        let pictures = tensor(batch.pictures.clone(), [plan.batch, 3, side, side], &FlexDevice, DType::F32);
        let points = tensor(batch.points.clone(), [plan.batch, plan.points, 3], &FlexDevice, DType::F32);
        let inside = tensor(batch.occupancy.clone(), [plan.batch, plan.points, 1], &FlexDevice, DType::F32);
        (loss(network.logits(pictures, points, 5.0), inside), leaves)
    };
    let (begin, leaves) = of(&values);
    let mut gradients = begin.backward();
    for slot in &layout.slots {
        let leaf = &leaves[&slot.name];
        let gradient = leaf.grad_remove(&mut gradients);
        let gradient: Vec<f32> =
            gradient.unwrap_or_else(|| panic!("{} has no gradient", slot.name)).into_data().into_vec().unwrap();
        // Along the gradient itself the slope is its length.
        let length = gradient.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        // A bias of keys adds the same to all scores of a query, which softmax does not see.
        if length < 1e-5 {
            assert!(
                slot.name.ends_with("key.bias") || slot.name.ends_with("k_norm.bias"),
                "{} does not matter: {length:e}",
                slot.name
            );
            continue;
        }
        let size = 3e-3;
        let at = |sign: f64| {
            let mut moved = values.clone();
            for (value, slope) in moved[slot.begin..].iter_mut().zip(&gradient) {
                *value += (sign * size * f64::from(*slope) / length) as f32;
            }
            f64::from(of(&moved).0.into_scalar())
        };
        let slope = (at(1.0) - at(-1.0)) / (2.0 * size);
        let far = (slope - length).abs();
        assert!(far < 0.03 * length + 1e-4, "{}: slope {slope}, gradient {length}", slot.name);
    }
}

#[test]
fn what_is_learned_goes_on_bit_for_bit_and_stays_with_its_plan() {
    let config = ModelConfig::parse(&small()).unwrap();
    let (layout, plan) = (Layout::of(&config).unwrap(), plan());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let mut through = State::<Flex>::first(&layout, plan.seed, &FlexDevice);
    let mut losses = Vec::new();
    let mut step = |state: &mut State<Flex>, number| {
        let loss = learn::<Learning>(state, batch(&plan, &config, number), &plan, &config, DType::F32).unwrap();
        losses.push(loss.into_scalar());
    };
    (0..4).for_each(|number| step(&mut through, number));
    let mut first = State::<Flex>::first(&layout, plan.seed, &FlexDevice);
    (0..2).for_each(|number| step(&mut first, number));
    first.save(&plan, &path).unwrap();
    let mut second = State::<Flex>::load(&layout, &plan, &path, &FlexDevice).unwrap();
    (2..4).for_each(|number| step(&mut second, number));
    assert_eq!((second.step, through.step), (4, 4));
    let bits = |state: &State<Flex>| {
        let path = folder.path().join("bits.safetensors");
        state.save(&plan, &path).unwrap();
        std::fs::read(path).unwrap()
    };
    assert!(bits(&through) == bits(&second));
    assert_eq!(losses[..4], losses[4..]);
    // Another plan does not go on with it; a longer one does.
    let other = Plan { batch: 3, ..plan.clone() };
    assert!(State::<Flex>::load(&layout, &other, &path, &FlexDevice).unwrap_err().to_string().contains("another plan"));
    let longer = Plan { steps: 100, ..plan.clone() };
    assert_eq!(State::<Flex>::load(&layout, &longer, &path, &FlexDevice).unwrap().step, 2);
}

#[test]
fn a_ball_is_learned() {
    let config = ModelConfig::parse(&small()).unwrap();
    let plan = Plan { steps: 60, ..plan() };
    let layout = Layout::of(&config).unwrap();
    let mut state = State::<Flex>::first(&layout, plan.seed, &FlexDevice);
    let losses: Vec<f32> = (0..plan.steps)
        .map(|number| {
            let batch = batch(&plan, &config, number);
            learn::<Learning>(&mut state, batch, &plan, &config, DType::F32).unwrap().into_scalar()
        })
        .collect();
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let (begin, end) = (mean(&losses[..5]), mean(&losses[55..]));
    assert!(end < 0.5 * begin, "{begin} {end}");
}

#[test]
fn batches_follow_from_their_step() {
    let config = ModelConfig::parse(&small()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plan = plan();
    let mut begun = Batches::new(&plan, 0, &config.image_processor, folder.path()).unwrap();
    let first: Vec<Batch> = (0..3).map(|step| begun.batch(step).unwrap()).collect();
    // From the shards that were kept, begun in the middle.
    let mut resumed = Batches::new(&plan, 2, &config.image_processor, folder.path()).unwrap();
    assert_eq!(resumed.batch(2).unwrap(), first[2]);
    assert_ne!(first[0], first[1]);
    for batch in &first {
        assert_eq!((batch.points.len(), batch.occupancy.len()), (2 * 64 * 3, 2 * 64));
        assert!(batch.occupancy.iter().any(|x| *x > 0.9) && batch.occupancy.iter().any(|x| *x < 0.1));
    }
}

#[test]
fn a_run_leaves_a_checkpoint_that_the_product_reads_and_goes_on_after_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let looked = std::cell::Cell::new(0);
    let look = |model: &std::path::Path, step: u64| {
        looked.set(step);
        bench::model(model, DeviceName::Cpu, Some(bench::RESOLUTION)).map(|_| ())
    };
    let run = |time| Run {
        plan: plan(),
        config: small(),
        folder: folder.path().join("run"),
        data: folder.path().join("data"),
        time,
        log_every: 1,
        save_every: 2,
        evaluate: Evaluate { every: 3, look: &look },
        dtype: DType::F32,
    };
    // No time at all: the first state is kept, and nothing else is done.
    assert_eq!(run(Some(std::time::Duration::ZERO)).go::<Learning>(&FlexDevice).unwrap(), 0);
    assert_eq!(run(None).go::<Learning>(&FlexDevice).unwrap(), 6);
    assert_eq!(looked.get(), 6);
    let log = std::fs::read_to_string(folder.path().join("run/log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 6);
    let mut engine = bench::model(&folder.path().join("run/model"), DeviceName::Cpu, Some(bench::RESOLUTION)).unwrap();
    assert!(engine.model().starts_with("model"));
    let family = orfeas_shapes::Family::named("dice").unwrap();
    let score = bench::score(engine.as_mut(), family, 0, 96).unwrap();
    assert!((0.0..=1.0).contains(&score.as_made));
}
