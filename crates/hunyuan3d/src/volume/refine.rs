//! What refinement needs besides the grid: FlashVDM's groups, and the ends of a surface that a band missed.

/// Groups along an edge of the box around a level's queries.
const GROUPS: usize = 6;

/// How many keys FlashVDM keeps of `tokens`.
pub fn flash_key_count(tokens: usize) -> usize {
    match tokens {
        3072 => 1024,
        512 => 256,
        other => (other / 3).max(1),
    }
}

/// A level's queries by the cells of a coarse grid over the box that they fill.
pub struct Groups {
    groups: Vec<Vec<u32>>,
}

impl Groups {
    /// Groups samples by where they lie; within a group their order stays.
    pub fn of(indices: &[u32], point: impl Fn(u32) -> [f32; 3]) -> Self {
        let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
        for p in indices.iter().map(|index| point(*index)) {
            for axis in 0..3 {
                low[axis] = low[axis].min(p[axis]);
                high[axis] = high[axis].max(p[axis]);
            }
        }
        let mut groups = vec![Vec::new(); GROUPS * GROUPS * GROUPS];
        for &index in indices {
            let p = point(index);
            let cell = |axis: usize| {
                let extent = high[axis] - low[axis];
                let share = if extent > 0.0 { (p[axis] - low[axis]) / extent } else { 0.0 };
                ((share * (GROUPS as f32 - 0.001)).floor() as usize).min(GROUPS - 1)
            };
            groups[(cell(0) * GROUPS + cell(1)) * GROUPS + cell(2)].push(index);
        }
        groups.retain(|group| !group.is_empty());
        Self { groups }
    }

    /// The groups that hold any.
    pub fn iter(&self) -> impl Iterator<Item = &Vec<u32>> {
        self.groups.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_is_in_one_group_and_in_order() {
        let indices: Vec<u32> = (0..1000).filter(|i| i % 3 != 0).collect();
        let point = |i: u32| [(i / 100) as f32, (i / 10 % 10) as f32, (i % 10) as f32];
        let groups = Groups::of(&indices, point);
        let mut all: Vec<u32> = groups.iter().flatten().copied().collect();
        assert!(groups.iter().all(|group| group.is_sorted()) && groups.iter().count() > 100);
        all.sort_unstable();
        assert_eq!(all, indices);
        // A flat set has no extent along an axis.
        assert_eq!(Groups::of(&[5, 6], point).iter().map(Vec::len).sum::<usize>(), 2);
    }
}
