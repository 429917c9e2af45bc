//! Labels on a pixel grid: connected parts, neighbourhoods, islands and holes.

/// True is subject, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mask {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) labels: Vec<bool>,
}

/// A connected part of a mask.
pub(crate) struct Part {
    /// Indices of its pixels.
    pub(crate) pixels: Vec<usize>,
    /// Whether it lies at the picture's border.
    pub(crate) at_border: bool,
}

impl Mask {
    pub(crate) fn new(width: usize, height: usize, labels: Vec<bool>) -> Self {
        debug_assert_eq!(labels.len(), width * height);
        Self { width, height, labels }
    }

    pub(crate) fn count(&self) -> usize {
        self.labels.iter().filter(|&&label| label).count()
    }

    /// The pixels within `radius` of pixel `index` in both directions, itself included.
    pub(crate) fn around(&self, index: usize, radius: usize) -> impl Iterator<Item = usize> + use<> {
        let (x, y, width) = (index % self.width, index / self.width, self.width);
        let columns = x.saturating_sub(radius)..=(x + radius).min(width - 1);
        let rows = y.saturating_sub(radius)..=(y + radius).min(self.height - 1);
        rows.flat_map(move |row| columns.clone().map(move |column| row * width + column))
    }

    /// Whether a pixel within `radius` carries the other label.
    pub(crate) fn near_edge(&self, index: usize, radius: usize) -> bool {
        self.around(index, radius).any(|other| self.labels[other] != self.labels[index])
    }

    /// Connected parts of the pixels labelled `label`; the subject's are 8-connected, so that a thin slanted limb is
    /// one part, and the background's therefore 4-connected.
    pub(crate) fn parts(&self, label: bool) -> Vec<Part> {
        let mut seen = vec![false; self.labels.len()];
        let mut parts = Vec::new();
        for start in 0..self.labels.len() {
            if seen[start] || self.labels[start] != label {
                continue;
            }
            let mut part = Part { pixels: vec![start], at_border: false };
            seen[start] = true;
            let mut next = 0;
            while let Some(&pixel) = part.pixels.get(next) {
                next += 1;
                let (x, y) = (pixel % self.width, pixel / self.width);
                part.at_border |= x == 0 || y == 0 || x + 1 == self.width || y + 1 == self.height;
                for other in self.around(pixel, 1) {
                    let straight = other % self.width == x || other / self.width == y;
                    if (straight || label) && !seen[other] && self.labels[other] == label {
                        seen[other] = true;
                        part.pixels.push(other);
                    }
                }
            }
            parts.push(part);
        }
        parts
    }

    /// Drops what has fewer than four of its nine neighbours: single specks of noise.
    pub(crate) fn without_specks(&self) -> Self {
        let labels = (0..self.labels.len())
            .map(|index| self.labels[index] && self.around(index, 1).filter(|&other| self.labels[other]).count() >= 4)
            .collect();
        Self { labels, ..*self }
    }

    /// Drops islands that are small both beside the largest part and in the picture.
    pub(crate) fn drop_islands(&mut self) {
        let parts = self.parts(true);
        let largest = parts.iter().map(|part| part.pixels.len()).max().unwrap_or(0);
        let least = (largest / 50).max(self.labels.len() / 4000).max(4);
        for part in parts.iter().filter(|part| part.pixels.len() < least) {
            for &pixel in &part.pixels {
                self.labels[pixel] = false;
            }
        }
    }

    /// Fills background that is enclosed by the subject, unless `is_background` vouches for the hole and it is not a
    /// pin-hole (a highlight on a light backdrop looks like one).
    pub(crate) fn fill_holes(&mut self, is_background: impl Fn(&[usize]) -> bool) {
        let least = (self.count() / 400).max(10);
        for part in self.parts(false) {
            if !part.at_border && (part.pixels.len() < least || !is_background(&part.pixels)) {
                for &pixel in &part.pixels {
                    self.labels[pixel] = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(rows: &[&str]) -> Mask {
        let labels = rows.iter().flat_map(|row| row.bytes().map(|byte| byte == b'#')).collect();
        Mask::new(rows[0].len(), rows.len(), labels)
    }

    #[test]
    fn slanted_limbs_are_one_part_and_close_their_holes() {
        let slanted = mask(&[".....", "..#..", ".#.#.", "..#..", "....."]);
        assert_eq!(slanted.parts(true).len(), 1);
        let background = slanted.parts(false);
        assert_eq!(background.iter().filter(|part| !part.at_border).count(), 1);
    }

    #[test]
    fn pin_holes_and_doubtful_holes_are_filled_and_true_holes_stay() {
        let frame = |side: usize, hole: usize| {
            let inside = |v: usize| v >= side / 2 - hole / 2 && v < side / 2 - hole / 2 + hole;
            let labels = (0..side * side)
                .map(|i| {
                    let (x, y) = (i % side, i / side);
                    x.min(y) > 0 && x.max(y) + 1 < side && !(inside(x) && inside(y))
                })
                .collect();
            Mask::new(side, side, labels)
        };
        let holes = |mask: &Mask| mask.parts(false).len() - 1;
        let mut true_hole = frame(40, 8);
        true_hole.fill_holes(|_| true);
        assert_eq!(holes(&true_hole), 1);
        true_hole.fill_holes(|_| false);
        assert_eq!(holes(&true_hole), 0);
        let mut pin_hole = frame(40, 2);
        assert_eq!(holes(&pin_hole), 1);
        pin_hole.fill_holes(|_| true);
        assert_eq!(holes(&pin_hole), 0);
    }
}
