//! Items by bucket, in one piece of memory.

/// The items of bucket `b` are `items[first[b]..first[b + 1]]`, in the order in which they came.
pub(crate) struct Buckets {
    first: Vec<u32>,
    items: Vec<u32>,
}

impl Buckets {
    /// `each` hands over every item with its bucket; it is called twice, to count and to place, and must say the same.
    pub fn new(count: usize, each: impl Fn(&mut dyn FnMut(usize, u32))) -> Self {
        let mut first = vec![0u32; count + 2];
        each(&mut |bucket, _| first[bucket + 2] += 1);
        for at in 2..first.len() {
            first[at] += first[at - 1];
        }
        let mut items = vec![0; first.last().map_or(0, |count| *count as usize)];
        each(&mut |bucket, item| {
            let slot = &mut first[bucket + 1];
            items[*slot as usize] = item;
            *slot += 1;
        });
        Self { first, items }
    }

    pub fn of(&self, bucket: usize) -> &[u32] {
        &self.items[self.first[bucket] as usize..self.first[bucket + 1] as usize]
    }
}
