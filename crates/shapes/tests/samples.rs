//! Samples: the same on any number of threads, kept by files, and true.

// Helpers of tests may unwrap as the tests themselves do.
#![allow(clippy::unwrap_used)]

use orfeas_shapes::FAMILIES;
use orfeas_shapes::sample::{DISTANCE_STEPS, Sample, SampleOptions, read_point};
use orfeas_shapes::shard::{decode, encode};

const SMALL: SampleOptions = SampleOptions { side: 64, points: 256, surface: 64 };

fn some() -> Vec<Sample> {
    FAMILIES.iter().step_by(9).map(|family| Sample::new(family, 5, 1, &SMALL).unwrap()).collect()
}

#[test]
fn a_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| encode(&some()).unwrap())
    };
    assert!(with(1) == with(3));
}

#[test]
fn a_shard_gives_back_what_it_was_given() {
    let samples = some();
    assert!(decode(&encode(&samples).unwrap()).unwrap() == samples);
    assert!(decode(&encode(&[]).unwrap()).unwrap().is_empty());
}

#[test]
fn a_damaged_shard_is_refused_with_a_reason() {
    let bytes = encode(&some()).unwrap();
    for at in [0, 9, 30, bytes.len() / 2, bytes.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        assert!(decode(&bytes).is_err(), "byte {at}");
    }
    assert!(decode(&bytes[..bytes.len() - 100]).unwrap_err().to_string().contains("damaged or cut short"));
    assert!(decode(b"PNG").is_err());
}

#[test]
fn distances_belong_to_the_stored_points() {
    for family in FAMILIES.iter().step_by(7) {
        let sample = Sample::new(family, 3, 0, &SMALL).unwrap();
        let solid = family.solid(3);
        for (point, distance) in sample.points.iter().zip(&sample.distances) {
            let (stored, value) = (f32::from(*distance) / DISTANCE_STEPS, solid.distance(read_point(*point)));
            // The same side always; the same value but for the correction of the slope.
            assert!(stored * value >= 0.0 || value.abs() < 1e-4, "{}: {stored} {value}", family.name);
            assert!((stored - value).abs() < 0.05 + 0.35 * value.abs(), "{}: {stored} {value}", family.name);
        }
        let near = sample.distances.iter().step_by(2).filter(|d| (f32::from(**d) / DISTANCE_STEPS).abs() < 0.1);
        assert!(near.count() > SMALL.points / 4, "half of the points are near the surface");
        let on = sample.surface.iter().filter(|p| solid.distance(read_point(**p)).abs() < 2e-3).count();
        assert!(on * 20 >= sample.surface.len() * 19, "{}: {on} of {}", family.name, sample.surface.len());
    }
}

#[test]
fn a_picture_shows_the_object_recentred() {
    for family in FAMILIES.iter().step_by(5) {
        let sample = Sample::new(family, 8, 0, &SMALL).unwrap();
        assert_eq!(sample.picture.dimensions(), (64, 64));
        let opaque = |x: u32, y: u32| sample.picture.get_pixel(x, y).0[3] > 0;
        let (mut low, mut high) = ([64, 64], [0, 0]);
        for (x, y) in (0..64 * 64).map(|i| (i % 64, i / 64)).filter(|(x, y)| opaque(*x, *y)) {
            (low, high) = ([low[0].min(x), low[1].min(y)], [high[0].max(x), high[1].max(y)]);
        }
        let longest = (high[0] - low[0] + 1).max(high[1] - low[1] + 1);
        assert!((51..=55).contains(&longest), "{}: {longest} of 64 pixels", family.name);
    }
}
