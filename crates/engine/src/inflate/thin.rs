//! Finds what is too thin for the grid: the residue of a morphological opening, and its medial line.

use super::distance::distance_to;

/// What to take for noise, in pixels, and which dead ends to follow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThinRules {
    /// Half the width, in pixels, from which a part is wide enough.
    pub radius: f32,
    /// Lone parts of fewer pixels are noise.
    pub least_area: usize,
    /// How many radii a dead end must reach beyond the opening to count as thin. A corner of angle a reaches
    /// 1 / sin(a / 2) - 1 of them: 2.5 leaves corners wider than 33 degrees alone.
    pub reach: f32,
    /// Dead ends narrower than this half width are not followed; parts that lead somewhere always are.
    pub dead_end: f32,
}

/// Whether the medial line passes here: no neighbour is farther from the border by most of the step to it.
pub(crate) fn ridge(width: usize, depth: &[f32], at: usize) -> bool {
    let (x, rows) = (at % width, depth.len() / width);
    let y = at / width;
    for (dx, dy, step) in [
        (1isize, 0isize, 1.0),
        (-1, 0, 1.0),
        (0, 1, 1.0),
        (0, -1, 1.0),
        (1, 1, std::f32::consts::SQRT_2),
        (-1, 1, std::f32::consts::SQRT_2),
        (1, -1, std::f32::consts::SQRT_2),
        (-1, -1, std::f32::consts::SQRT_2),
    ] {
        let (Some(nx), Some(ny)) = (x.checked_add_signed(dx), y.checked_add_signed(dy)) else { continue };
        if nx < width && ny < rows && depth[ny * width + nx] - depth[at] > 0.7 * step {
            return false;
        }
    }
    true
}

/// The neighbours of a pixel, eight of them except at the border.
fn neighbours(width: usize, length: usize, at: usize) -> impl Iterator<Item = usize> {
    let (x, y) = (at % width, at / width);
    let rows = length / width;
    (y.saturating_sub(1)..(y + 2).min(rows))
        .flat_map(move |ny| (x.saturating_sub(1)..(x + 2).min(width)).map(move |nx| ny * width + nx))
        .filter(move |other| *other != at)
}

/// Which pixels are the medial line of parts that are too thin.
///
/// `depth` is the distance from each pixel to what lies outside the parts, 0 there. A residue of the opening is thin
/// where it stands alone, joins two pieces of the opening, or reaches far from it. Returns `None` where nothing is.
pub(crate) fn thin_medial(width: usize, depth: &[f32], rules: ThinRules) -> Option<Vec<bool>> {
    let core: Vec<bool> = depth.iter().map(|d| *d >= rules.radius).collect();
    let to_core = distance_to(width, &core);
    // A pixel of slack keeps the rounding of the opening's own border from looking like a residue.
    let opened = rules.radius + 1.0;
    let residue = |at: usize| depth[at] > 0.0 && to_core[at] >= opened;
    let mut seen = vec![false; depth.len()];
    let mut medial: Option<Vec<bool>> = None;
    let (mut component, mut border) = (Vec::new(), Vec::new());
    for start in 0..depth.len() {
        if seen[start] || !residue(start) {
            continue;
        }
        component.clear();
        border.clear();
        component.push(start);
        seen[start] = true;
        let mut next = 0;
        let mut reach = 0f32;
        while let Some(&at) = component.get(next) {
            next += 1;
            reach = reach.max(to_core[at]);
            for other in neighbours(width, depth.len(), at) {
                if residue(other) {
                    if !seen[other] {
                        seen[other] = true;
                        component.push(other);
                    }
                } else if depth[other] > 0.0 {
                    border.push(other);
                }
            }
        }
        let pieces = connected_pieces(width, depth.len(), &mut border);
        let wanted = match pieces {
            0 => component.len() >= rules.least_area,
            1 => reach > opened + rules.reach * rules.radius,
            _ => true,
        };
        if wanted {
            let least = if pieces == 1 { rules.dead_end } else { 0.0 };
            let medial = medial.get_or_insert_with(|| vec![false; depth.len()]);
            let line = |at: usize| depth[at] >= least && ridge(width, depth, at);
            // On into the opening while the line is still too thin, or a neck would be left there.
            let mut stack: Vec<usize> = component.iter().copied().filter(|at| line(*at)).collect();
            stack.iter().for_each(|at| medial[*at] = true);
            while let Some(at) = stack.pop() {
                for other in neighbours(width, depth.len(), at) {
                    if !medial[other] && (f32::MIN_POSITIVE..rules.radius).contains(&depth[other]) && line(other) {
                        medial[other] = true;
                        stack.push(other);
                    }
                }
            }
        }
    }
    medial
}

/// How many pieces a set of pixels falls into; the set is sorted and emptied of duplicates.
fn connected_pieces(width: usize, length: usize, set: &mut Vec<usize>) -> usize {
    set.sort_unstable();
    set.dedup();
    let mut seen = vec![false; set.len()];
    let mut pieces = 0;
    let mut stack = Vec::new();
    for start in 0..set.len() {
        if seen[start] {
            continue;
        }
        pieces += 1;
        seen[start] = true;
        stack.push(set[start]);
        while let Some(at) = stack.pop() {
            for other in neighbours(width, length, at) {
                if let Ok(found) = set.binary_search(&other)
                    && !seen[found]
                {
                    seen[found] = true;
                    stack.push(other);
                }
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medial(shape: impl Fn(i32, i32) -> bool) -> Option<Vec<bool>> {
        let width = 120;
        let outside: Vec<bool> =
            (0..width * width).map(|at| !shape((at % width) as i32, (at / width) as i32)).collect();
        let depth = distance_to(width, &outside);
        thin_medial(width, &depth, ThinRules { radius: 6.0, least_area: 5, reach: 2.5, dead_end: 0.0 })
    }

    #[test]
    fn blunt_corners_are_not_thin_but_lines_bridges_and_spikes_are() {
        let square = |x: i32, y: i32| (30..90).contains(&x) && (30..90).contains(&y);
        assert!(medial(square).is_none());
        assert!(medial(|x, y| (x - 60).pow(2) + (y - 60).pow(2) < 900).is_none());
        let line = medial(|x, y| y == 60 && (10..110).contains(&x)).unwrap();
        assert!((10..110).all(|x| line[60 * 120 + x]));
        let bridge =
            medial(|x, y| (20..100).contains(&y) && (!(56..64).contains(&x) && (20..100).contains(&x) || y == 50));
        assert!(bridge.unwrap()[50 * 120 + 60]);
        let spike = medial(|x, y| square(x, y) || (y - 60).abs() * 8 < 118 - x && x > 80).unwrap();
        assert!(spike[60 * 120 + 110]);
        assert!(!spike.iter().enumerate().any(|(at, on)| *on && at % 120 < 60), "the square's corners stay");
        assert!(medial(|x, y| x == 60 && (60..63).contains(&y)).is_none(), "three pixels are noise");
    }
}
