//! How CubeCL 0.10 takes a GPU's memory: in pages, of sizes that follow from the card's.
//!
//! Read from its `MemoryManagement::from_configuration`, whose settings nobody can give from outside. A tensor lies in a page
//! of the smallest class that takes its size; a page goes back only when all of it is free and somebody asks. On a card of
//! 80 GB a tensor of 42 MB begins a page of 1.3 GB, on one of 6 GB it begins one of 0.4: so a need is one of a card.

/// What tensors are aligned to.
const ALIGNMENT: u64 = 512;
/// Pages get a quarter as large until they are smaller than this.
const SMALLEST: u64 = 32 << 20;

#[derive(Clone, Copy, Debug)]
struct Class {
    page: u64,
    /// The largest tensor.
    largest: u64,
}

impl Class {
    fn takes(&self, bytes: u64) -> bool {
        // One that nearly fills a page may have it, too.
        bytes <= self.largest || self.page.checked_sub(bytes).is_some_and(|rest| rest * 5 < self.page)
    }
}

/// The classes of a card, from small pages to large ones.
#[derive(Clone, Debug)]
pub(super) struct Pages(Vec<Class>);

/// Bytes of tensors in each class.
pub(super) type Taken = Vec<u64>;

impl Pages {
    /// Of a card with so many bytes in all.
    pub fn of_card(bytes: u64) -> Self {
        let most = bytes / 4 / ALIGNMENT * ALIGNMENT;
        let mut classes = vec![Class { page: most, largest: most }];
        let (mut page, mut halvings) = (most, 1);
        while page >= SMALLEST {
            page = (page / 4).next_multiple_of(ALIGNMENT);
            classes.push(Class { page, largest: page >> halvings });
            halvings += 1;
        }
        classes.reverse();
        Self(classes)
    }

    /// Sums tensors, bytes and count of each, by class. None where one is larger than any page.
    pub fn sum(&self, tensors: &[(u64, u64)]) -> Option<Taken> {
        let mut taken = vec![0; self.0.len()];
        for &(bytes, count) in tensors.iter().filter(|(bytes, count)| bytes * count > 0) {
            let class = self.0.iter().position(|class| class.takes(bytes))?;
            taken[class] += bytes.next_multiple_of(ALIGNMENT) * count;
        }
        Some(taken)
    }

    /// Bytes of whole pages. What is held for good fills them; what comes and goes leaves holes, a third at the most.
    pub fn whole(&self, held: &Taken, passing: &Taken) -> u64 {
        let sums = held.iter().zip(passing).zip(&self.0);
        sums.map(|((held, passing), class)| (held + passing + passing / 2).div_ceil(class.page) * class.page).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_that_cubecl_logs() {
        // An H100 of 80 GB.
        let pages = Pages::of_card(85_520_809_984);
        let sizes: Vec<_> = pages.0.iter().map(|class| (class.page / 1_000_000, class.largest / 1_000_000)).collect();
        assert_eq!(sizes, [(20, 0), (83, 5), (334, 41), (1336, 334), (5345, 2672), (21_380, 21_380)]);
        assert_eq!(pages.whole(&pages.sum(&[(42_000_000, 1)]).unwrap(), &vec![0; 6]) / 1_000_000, 1336);
        assert!(pages.sum(&[(22_000_000_000, 1)]).is_none());
    }
}
