//! Measures `inflate` on a figure with limbs, a handle and a thin line, drawn at 1024 x 1024.
//!
//! `cargo run --release -p orfeas-engine --example bench [RESOLUTION ...]`
#![allow(clippy::print_stdout)]

use std::time::Instant;

use orfeas_engine::{Engine, EngineError, Inflate, Observer, Picture, Request};

const SIDE: u32 = 1024;
const ROUNDS: u32 = 5;

/// Notes when each phase began.
struct Clock {
    phases: Vec<(String, Instant)>,
    cycles: u32,
}

impl Observer for Clock {
    fn progress(&mut self, phase: &str, _step: u32, _steps: u32) {
        if self.phases.last().is_none_or(|(last, _)| last != phase) {
            self.phases.push((phase.to_owned(), Instant::now()));
        }
        self.cycles += u32::from(phase == "poisson");
    }

    fn cancelled(&self) -> bool {
        false
    }
}

/// Distance to a segment, in pixels.
fn segment(x: f32, y: f32, [ax, ay, bx, by]: [f32; 4]) -> f32 {
    let t = (((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax).powi(2) + (by - ay).powi(2))).clamp(0.0, 1.0);
    (x - ax - t * (bx - ax)).hypot(y - ay - t * (by - ay))
}

/// Distance to the figure's outline, in pixels, positive inside.
fn figure(x: f32, y: f32) -> f32 {
    let limb = |from_to: [f32; 4], half_width: f32| half_width - segment(x, y, from_to);
    let ring = 18.0 - ((x - 760.0).hypot(y - 560.0) - 110.0).abs();
    let body = (150.0 - (x - 512.0).hypot(y - 560.0)).max(95.0 - (x - 512.0).hypot(y - 300.0));
    [
        limb([512.0, 380.0, 512.0, 640.0], 110.0),
        limb([430.0, 480.0, 180.0, 330.0], 30.0),
        limb([450.0, 650.0, 380.0, 930.0], 42.0),
        limb([570.0, 650.0, 640.0, 930.0], 42.0),
        limb([512.0, 220.0, 700.0, 60.0], 0.6),
        ring,
    ]
    .into_iter()
    .fold(body, f32::max)
}

fn main() -> Result<(), EngineError> {
    let mut rgba = Vec::new();
    for y in 0..SIDE {
        for x in 0..SIDE {
            let alpha = (figure(x as f32 + 0.5, y as f32 + 0.5) + 0.5).clamp(0.0, 1.0);
            rgba.extend([200, 200, 200, (alpha * 255.0).round() as u8]);
        }
    }
    let picture = Picture::new(SIDE, SIDE, rgba)?;
    let mut wanted: Vec<u32> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    if wanted.is_empty() {
        wanted = vec![128, 256, 512];
    }
    for resolution in wanted {
        let mut engine = Inflate::new(resolution)?;
        let mut best = f64::INFINITY;
        let mut line = String::new();
        for _ in 0..ROUNDS {
            let mut clock = Clock { phases: Vec::new(), cycles: 0 };
            let begin = Instant::now();
            let field = engine.generate(&picture, &Request::default(), &mut clock)?;
            let end = Instant::now();
            let total = (end - begin).as_secs_f64();
            if total < best {
                best = total;
                line = format!("resolution {resolution}: {:.0} ms", total * 1e3);
                for (at, (phase, from)) in clock.phases.iter().enumerate() {
                    let until = clock.phases.get(at + 1).map_or(end, |(_, next)| *next);
                    line += &format!(", {phase} {:.0}", (until - *from).as_secs_f64() * 1e3);
                }
                line += &format!(", {} solver steps, {} dense blocks", clock.cycles, field.grid.dense_values().len());
            }
        }
        println!("{line}");
    }
    Ok(())
}
