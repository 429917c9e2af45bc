//! What every object of every family must be.

use std::collections::VecDeque;

use orfeas_shapes::math::v;
use orfeas_shapes::random::Rng;
use orfeas_shapes::sdf::{Solid, ball};
use orfeas_shapes::{FAMILIES, Family, families, sample};
use rayon::prelude::*;

const SEEDS: u64 = 3;

/// Runs a check on some objects of every family and gathers all complaints.
fn every(check: impl Fn(&Solid, &mut Rng) -> Result<(), String> + Sync) {
    let objects: Vec<_> = FAMILIES.iter().flat_map(|family| (0..SEEDS).map(move |seed| (family, seed))).collect();
    let complaints: Vec<String> = objects
        .par_iter()
        .filter_map(|(family, seed)| {
            let mut r = Rng::new("check", &[*seed]);
            check(&family.solid(*seed), &mut r).err().map(|complaint| format!("{} {seed}: {complaint}", family.name))
        })
        .collect();
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), objects.len(), complaints.join("\n"));
}

#[test]
fn every_object_fills_the_box() {
    every(|solid, _| {
        let (low, high) = solid.surface_bounds();
        let (size, middle) = (high - low, (high + low) * 0.5);
        let longest = size.largest();
        if (longest - 2.0 * Solid::HALF).abs() > 0.03 || middle.length() > 0.03 {
            return Err(format!("longest side {longest}, middle {middle:?}"));
        }
        Ok(())
    });
}

/// A corner that was cut away once took all of the first of these, and of the stack that was to stand on it.
#[test]
fn nothing_is_made_of_nothing() {
    let stack = Family::named("random_stack").unwrap();
    assert!(stack.solid(80).has_inside());
    sample::picture(&stack.solid(80), stack, 80, 0, 32).unwrap();
    let lost = ball(0.5).without(ball(0.6));
    assert!(!Solid::new(lost).has_inside());
}

#[test]
fn cells_change_no_value() {
    every(|solid, r| {
        for _ in 0..3000 {
            let p = v(r.range(-1.1, 1.1), r.range(-1.1, 1.1), r.range(-1.1, 1.1));
            let (fast, slow) = (solid.distance(p), solid.distance_by_all(p));
            if fast != slow {
                return Err(format!("{fast} is not {slow} at {p:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn cells_tell_no_untrue_bounds() {
    every(|solid, r| {
        for _ in 0..3000 {
            let p = v(r.range(-1.0, 1.0), r.range(-1.0, 1.0), r.range(-1.0, 1.0));
            let (value, cell) = (solid.distance(p), solid.cell(p).unwrap());
            if value < cell.low - 1e-4 || value > cell.high + 1e-4 {
                return Err(format!("{value} is not from {} to {} at {p:?}", cell.low, cell.high));
            }
        }
        Ok(())
    });
}

#[test]
fn distances_are_distances_near_the_surface() {
    every(|solid, r| {
        let (cells, side) = solid.surface_cells();
        let (mut near, mut right) = (0, 0);
        for _ in 0..8000 {
            let p = cells[r.int(0, cells.len() - 1)] + v(r.unit(), r.unit(), r.unit()) * side;
            if solid.distance(p).abs() < 0.01 {
                let steep = solid.gradient(p, 1e-3).length();
                near += 1;
                right += i32::from((0.7..=1.1).contains(&steep));
            }
        }
        // Creases, where two surfaces meet, have no gradient; they are few.
        if near < 100 || f64::from(right) < 0.88 * f64::from(near) {
            return Err(format!("{right} of {near} gradients are from 0.7 to 1.1"));
        }
        Ok(())
    });
}

#[test]
fn every_object_hangs_together() {
    const SIDE: usize = 72;
    every(|solid, _| {
        // A little fattened, so that what is thinner than the grid is seen.
        let at = |k: usize| 2.0 * (k as f32 + 0.5) / SIDE as f32 - 1.0;
        let mut inside: Vec<bool> = (0..SIDE.pow(3))
            .map(|i| solid.distance(v(at(i / SIDE / SIDE), at(i / SIDE % SIDE), at(i % SIDE))) < 0.016)
            .collect();
        let mut sizes = Vec::new();
        while let Some(first) = inside.iter().position(|inside| *inside) {
            inside[first] = false;
            let (mut queue, mut size) = (VecDeque::from([first]), 0);
            while let Some(i) = queue.pop_front() {
                size += 1;
                let (x, y, z) = (i / SIDE / SIDE, i / SIDE % SIDE, i % SIDE);
                for n in 0..27 {
                    let (a, b, c) = (x + n / 9, y + n / 3 % 3, z + n % 3);
                    if a == 0 || b == 0 || c == 0 || a > SIDE || b > SIDE || c > SIDE {
                        continue;
                    }
                    let next = ((a - 1) * SIDE + b - 1) * SIDE + c - 1;
                    if inside[next] {
                        inside[next] = false;
                        queue.push_back(next);
                    }
                }
            }
            sizes.push(size);
        }
        if sizes.len() == 1 { Ok(()) } else { Err(format!("pieces of {sizes:?} samples")) }
    });
}

#[test]
fn there_are_held_out_families_and_names_are_found_once() {
    assert!(FAMILIES.iter().filter(|family| family.held_out).count() >= 5);
    for family in FAMILIES {
        assert_eq!(FAMILIES.iter().filter(|other| other.name == family.name).count(), 1, "{}", family.name);
        assert_eq!(Family::named(family.name).unwrap().name, family.name);
    }
    assert!(Family::named("nonsense").is_err());
}

#[test]
fn a_round_of_training_is_mostly_random_compositions_and_holds_nothing_back_but_what_is_held_out() {
    let round = families::round();
    let of = |chosen: &dyn Fn(&Family) -> bool| round.iter().filter(|family| chosen(family)).count();
    let composed = of(&|family| family.composed()) as f64 / round.len() as f64;
    assert!((0.55..0.6).contains(&composed), "{composed}");
    for family in FAMILIES {
        let wanted = if family.held_out { 0 } else { family.weight as usize };
        assert_eq!(of(&|other| other.name == family.name), wanted, "{}", family.name);
        assert!(!(family.composed() && family.held_out), "{}", family.name);
    }
    // Spread: no half has much more of them than the other.
    let half = round[..round.len() / 2].iter().filter(|family| family.composed()).count();
    assert!(half.abs_diff(of(&|family| family.composed()) - half) <= 2, "{half}");
}
