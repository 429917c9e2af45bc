//! What `inflate` promises about its solids, read off the field's samples.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Random, Solid, crossings, drawn, hard, inflated, try_inflate};
use orfeas_contract::Code;
use orfeas_engine::{Engine, EngineError, EngineErrorKind, Inflate, Observer, Picture, Request, Silent};
use orfeas_field::BlockRef;

/// Cells per pixel side: the picture's square is 2 of the field's 2.02.
fn cells(pixels: f32, side: u32, resolution: u32) -> f32 {
    pixels / side as f32 * resolution as f32 / 1.01
}

#[test]
fn a_disc_is_as_deep_as_poisson_says_and_its_rim_is_a_circle() {
    for (side, resolution, radius) in [(1024, 256, 400.3), (1024, 128, 300.0), (300, 256, 100.0), (1024, 512, 200.0)] {
        for soft in [true, false] {
            let centre = side as f32 / 2.0;
            let away = |x: f32, y: f32| radius - (x - centre).hypot(y - centre);
            let picture =
                if soft { drawn(side, away) } else { hard(side, |x, y| away(x as f32 + 0.5, y as f32 + 0.5) > 0.0) };
            let field = inflated(&picture, resolution);
            let middle = resolution as usize / 2;
            let want = cells(radius, side, resolution);
            let front = crossings(&field, [middle, middle, 0], 2);
            assert_eq!(front.len(), 2);
            let ratio = (front[1] - front[0]) / (2.0 * want);
            let expected = (Inflate::SOURCE / 4.0).sqrt() as f32;
            assert!((ratio - expected).abs() < 0.02, "{ratio} {expected}");
            for row in 0..=resolution as usize {
                for axis in 0..2 {
                    let mut from = [middle; 3];
                    from[1 - axis] = row;
                    for at in crossings(&field, from, axis) {
                        let (a, b) = (at - middle as f32, row as f32 - middle as f32);
                        let off = a.hypot(b) - want;
                        // Without soft edges half a pixel of the picture is unknown.
                        let allowed = if soft { 0.12 } else { 0.25 };
                        assert!(off.abs() < allowed, "side {side} at {resolution}: {off} cells off at {a} {b}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_limb_is_a_little_deeper_than_wide() {
    let picture = drawn(512, |x, y| (20.0 - (x - 256.0).abs()).min(220.0 - (y - 256.0).abs()));
    let field = inflated(&picture, 256);
    let across = crossings(&field, [0, 128, 128], 0);
    let through = crossings(&field, [128, 128, 0], 2);
    let ratio = (through[1] - through[0]) / (across[1] - across[0]);
    assert!((ratio - (Inflate::SOURCE / 2.0).sqrt() as f32).abs() < 0.03, "{ratio}");
}

#[test]
fn rotating_a_limb_changes_neither_width_nor_depth() {
    let wide = |angle: f32| {
        let (sin, cos) = angle.to_radians().sin_cos();
        let picture = drawn(1024, |x, y| {
            let (x, y) = (x - 512.0, y - 512.0);
            (30.0 - (x * cos + y * sin).abs()).min(400.0 - (y * cos - x * sin).abs())
        });
        let field = inflated(&picture, 256);
        let across = crossings(&field, [0, 128, 128], 0);
        let through = crossings(&field, [128, 128, 0], 2);
        ((across[1] - across[0]) * cos, through[1] - through[0])
    };
    let straight = wide(0.0);
    for angle in [11.0, 30.0, 45.0] {
        let (width, depth) = wide(angle);
        assert!((width - straight.0).abs() < 0.1, "{angle}: {width} {}", straight.0);
        assert!((depth - straight.1).abs() < 0.15, "{angle}: {depth} {}", straight.1);
    }
}

#[test]
fn an_annulus_keeps_its_hole() {
    for (outer, inner) in [(300.0, 150.0), (100.0, 8.0), (60.0, 2.0)] {
        let picture = drawn(1024, |x, y| {
            let away = (x - 512.0).hypot(y - 512.0);
            (outer - away).min(away - inner)
        });
        for resolution in [128, 256] {
            let field = inflated(&picture, resolution);
            let middle = resolution as usize / 2;
            let solid = Solid::of(&field);
            assert!(!solid.at(middle, middle, middle), "{outer} {inner} {resolution}");
            assert_eq!((solid.holes(), solid.parts(true).len(), solid.parts(false).len()), (1, 1, 1));
        }
    }
}

#[test]
fn front_and_back_are_mirror_images_and_up_is_up() {
    // Wide above, narrow below; the left differs from the right.
    let picture = drawn(200, |x, y| (60.0 - y * 0.2 - (x - 80.0).abs()).min(90.0 - (y - 95.0).abs()));
    for resolution in [64, 101] {
        let field = inflated(&picture, resolution);
        let n = resolution as usize;
        for x in 0..=n {
            for y in 0..=n {
                for z in 0..=n / 2 {
                    let (here, there) = ([x, y, z], [x, y, n - z]);
                    let (back, front) = (field.grid.sample(here), field.grid.sample(there));
                    // The grid's blocks are not symmetric: where only one side is stored, the other has its sign.
                    let stored = |at: [usize; 3]| matches!(field.grid.block(at.map(|i| i / 8)), BlockRef::Dense(_));
                    if stored(here) && stored(there) {
                        assert_eq!(back.to_bits(), front.to_bits(), "{x} {y} {z}");
                    } else {
                        assert_eq!(back.is_sign_positive(), front.is_sign_positive(), "{x} {y} {z}");
                    }
                }
            }
        }
        let width = |y: usize| crossings(&field, [0, y, n / 2], 0);
        let (above, below) = (width(n * 3 / 4), width(n / 4));
        assert!(above[1] - above[0] > below[1] - below[0] + 2.0);
        assert!(above[0] + above[1] < n as f32, "the subject is left of the middle");
    }
}

#[test]
fn thin_lines_survive_in_one_piece() {
    let straight = |_: i32| 500;
    let bent = |x: i32| 300 + x / 3;
    let wavy = |x: i32| 500 + ((x as f32 / 40.0).sin() * 90.0) as i32;
    let lines: [&dyn Fn(i32) -> i32; 3] = [&straight, &bent, &wavy];
    for (index, line) in lines.iter().enumerate() {
        let picture = hard(1024, |x, y| {
            (100..924).contains(&x) && y >= line(x + 1).min(line(x)) && y <= line(x + 1).max(line(x))
        });
        for resolution in [64, 128, 256] {
            let solid = Solid::of(&inflated(&picture, resolution));
            assert_eq!(solid.parts(true).len(), 1, "line {index} at {resolution}");
            let filled = |x: usize| (0..solid.size).filter(|y| solid.at(x, *y, solid.size / 2)).count();
            let (first, last) = (resolution as usize / 8, resolution as usize * 7 / 8);
            for x in first..=last {
                assert!((2..=12).contains(&filled(x)), "line {index} at {resolution}: {} samples", filled(x));
            }
        }
    }
}

#[test]
fn a_thin_bridge_joins_and_a_thin_gap_parts() {
    let blobs = |x: i32, y: i32| {
        (x - 300).pow(2) + (y - 512).pow(2) < 180 * 180 || (x - 724).pow(2) + (y - 512).pow(2) < 180 * 180
    };
    let joined = hard(1024, |x, y| blobs(x, y) || y == 512 && (300..724).contains(&x));
    let apart = hard(1024, blobs);
    let gap = hard(1024, |x, y| (100..900).contains(&x) && (300..700).contains(&y) && !(511..513).contains(&x));
    for resolution in [128, 256] {
        assert_eq!(Solid::of(&inflated(&joined, resolution)).parts(true).len(), 1);
        assert_eq!(Solid::of(&inflated(&apart, resolution)).parts(true).len(), 2);
        assert_eq!(Solid::of(&inflated(&gap, resolution)).parts(true).len(), 2);
    }
}

#[test]
fn a_thin_ring_is_widened_without_closing_and_slots_stay_open() {
    let ring = drawn(1024, |x, y| 0.6 - ((x - 512.0).hypot(y - 512.0) - 40.0).abs());
    let slots = hard(1024, |x, y| {
        let slot = (300..700).contains(&y) && (x - 400).rem_euclid(100) < 2 && (400..800).contains(&x);
        (200..900).contains(&x) && (200..800).contains(&y) && !slot
    });
    for resolution in [128, 256] {
        let solid = Solid::of(&inflated(&ring, resolution));
        assert_eq!((solid.holes(), solid.parts(true).len()), (1, 1), "ring at {resolution}");
        let solid = Solid::of(&inflated(&slots, resolution));
        assert_eq!((solid.holes(), solid.parts(true).len()), (4, 1), "slots at {resolution}");
    }
}

#[test]
fn a_wall_between_two_narrow_holes_is_not_eaten() {
    // Two slots of 2 pixels with 10 pixels between them: 2.5 cells at 256.
    let picture = hard(1024, |x, y| {
        let slot = (300..700).contains(&y) && ((500..502).contains(&x) || (512..514).contains(&x));
        (200..800).contains(&x) && (200..800).contains(&y) && !slot
    });
    let solid = Solid::of(&inflated(&picture, 256));
    assert_eq!((solid.holes(), solid.parts(true).len()), (2, 1));
}

#[test]
fn specks_are_noise_but_small_parts_are_not() {
    let picture = hard(1024, |x, y| {
        let square = (300..700).contains(&x) && (300..700).contains(&y);
        let speck = (100..102).contains(&x) && y == 100;
        let dot = (880..885).contains(&x) && (880..885).contains(&y);
        square && (x, y) != (500, 500) || speck || dot
    });
    let solid = Solid::of(&inflated(&picture, 128));
    assert_eq!((solid.parts(true).len(), solid.holes()), (2, 0));
}

#[test]
fn a_subject_that_fills_the_picture_is_closed() {
    let whole = hard(64, |_, _| true);
    let cut = hard(256, |x, y| x > 100 || (100..110).contains(&y));
    for resolution in [16, 33, 128] {
        for picture in [&whole, &cut] {
            let solid = Solid::of(&inflated(picture, resolution));
            assert!(solid.closed(), "{resolution}");
            assert_eq!(solid.parts(true).len(), 1);
        }
    }
}

#[test]
fn nothing_to_see_is_no_subject() {
    let speck = hard(1024, |x, y| (x, y) == (500, 500));
    for picture in [hard(64, |_, _| false), drawn(64, |_, _| -0.1), speck] {
        let error = try_inflate(&picture, 64).unwrap_err();
        assert_eq!((error.kind(), error.code()), (EngineErrorKind::NoSubject, Some(Code::NoSubject)));
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn soft_alpha_ends_where_it_is_half() {
    let picture = drawn(512, |x, y| (150.0 - (x - 256.0).hypot(y - 256.0)) / 20.0);
    let field = inflated(&picture, 128);
    let across = crossings(&field, [0, 64, 64], 0);
    let want = 2.0 * cells(150.0, 512, 128);
    assert!((across[1] - across[0] - want).abs() < 0.1);
}

#[test]
fn what_is_asked_is_checked_and_what_was_done_is_told() {
    let picture = drawn(64, |x, y| 20.0 - (x - 32.0).hypot(y - 32.0));
    for resolution in [0, 15, 513, 1024] {
        let request = Request { resolution: Some(resolution), ..Request::default() };
        let error = Inflate::default().generate(&picture, &request, &mut Silent).unwrap_err();
        assert_eq!((error.kind(), error.code()), (EngineErrorKind::Unsupported, Some(Code::UnsupportedOption)));
    }
    for (width, height, bytes) in [(2, 2, 15), (0, 0, 0), (2, 3, 24), (4097, 4097, 4)] {
        let error = Picture::new(width, height, vec![0; bytes]).unwrap_err();
        assert_eq!(error.kind(), EngineErrorKind::Unsupported);
    }
    let request = Request { seed: 7, steps: Some(9), guidance: Some(2.0), resolution: Some(48), resume: None };
    let field = Inflate::default().generate(&picture, &request, &mut Silent).unwrap();
    let told = &field.provenance;
    assert_eq!((told.engine.as_str(), told.model.as_str(), told.resolution), ("inflate", "none", 48));
    assert_eq!((told.seed, told.steps, told.guidance.to_bits()), (0, 0, 0));
    assert_eq!(field.grid.samples(), [49; 3]);
    assert!(field.bounds.min.iter().chain(&field.bounds.max).all(|v| (v.abs() - 1.01).abs() < 1e-6));
}

/// Cancels after a number of steps and keeps what it saw.
#[derive(Default)]
struct Stopper {
    after: Option<usize>,
    seen: Vec<(String, u32, u32)>,
}

impl Observer for Stopper {
    fn progress(&mut self, phase: &str, step: u32, steps: u32) {
        self.seen.push((phase.to_owned(), step, steps));
    }

    fn cancelled(&self) -> bool {
        self.after.is_some_and(|after| self.seen.len() > after)
    }
}

#[test]
fn a_run_can_be_cancelled_after_every_step() -> Result<(), EngineError> {
    let picture = drawn(128, |x, y| 50.0 - (x - 64.0).hypot(y - 64.0));
    let mut whole = Stopper::default();
    let mut engine = Inflate::new(64)?;
    engine.generate(&picture, &Request::default(), &mut whole)?;
    let mut phases: Vec<&str> = whole.seen.iter().map(|(phase, _, _)| phase.as_str()).collect();
    phases.dedup();
    assert_eq!(phases, ["silhouette", "poisson", "volume"]);
    for pair in whole.seen.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].1 <= pair[1].1, "{pair:?}");
    }
    for phase in phases {
        let last = whole.seen.iter().rfind(|(name, _, _)| name == phase).unwrap();
        assert_eq!(last.1, last.2, "{phase} ends on its last step");
    }
    for after in 0..whole.seen.len() {
        let mut stopper = Stopper { after: Some(after), ..Stopper::default() };
        let error = engine.generate(&picture, &Request::default(), &mut stopper).unwrap_err();
        assert_eq!((error.kind(), error.code()), (EngineErrorKind::Cancelled, None));
        assert_eq!(stopper.seen.len(), after + 1, "it stops at once");
    }
    Ok(())
}

#[test]
fn any_blobs_give_a_closed_solid_of_the_same_bits_on_any_number_of_threads() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for seed in 0..12 {
        let mut random = Random(seed);
        let side = 40 + (random.unit() * 500.0) as u32;
        let scale = side as f32;
        let blobs: Vec<[f32; 4]> = (0..1 + seed % 9)
            .map(|_| {
                let sign = if random.unit() < 0.3 { -1.0 } else { 1.0 };
                [random.unit() * scale, random.unit() * scale, (0.02 + 0.2 * random.unit()) * scale, sign]
            })
            .collect();
        let [cx, cy] = [0.5 * scale; 2];
        let picture = drawn(side, |x, y| {
            blobs.iter().fold(0.2 * scale - (x - cx).hypot(y - cy), |level, [bx, by, radius, sign]| {
                let blob = radius - (x - bx).hypot(y - by);
                if *sign > 0.0 { level.max(blob) } else { level.min(-blob) }
            })
        });
        let resolution = 16 + (random.unit() * 120.0) as u32;
        match one.install(|| try_inflate(&picture, resolution)) {
            Ok(field) => {
                assert!(field.grid.has_inside() && Solid::of(&field).closed() && Solid::of(&field).count() > 20);
                assert_eq!(three.install(|| inflated(&picture, resolution)), field, "seed {seed}");
            }
            // A later blob may have cut everything away.
            Err(error) => {
                assert_eq!(error.kind(), EngineErrorKind::NoSubject);
                assert!(picture.rgba.chunks_exact(4).filter(|pixel| pixel[3] >= 128).count() < 40);
            }
        }
    }
}
