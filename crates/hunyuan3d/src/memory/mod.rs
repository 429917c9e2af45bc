//! How much memory a model needs, from its sizes alone, before anything is allocated.

mod pages;
mod parameters;

use crate::config::ModelConfig;
use crate::device::Precision;
use crate::dit::STEPS_AT_ONCE;
use crate::kernels::plain::SCORES;
use crate::kernels::programs::GROUPS_AT_ONCE;
use crate::kernels::sets;
use crate::parts::Residency;
use crate::volume::{SETS, WIDEST_ON_DEVICE, flash_key_count};
use crate::{ModelError, ModelErrorKind};
use pages::{Pages, Taken};
pub use parameters::Parameters;
use parameters::{Tensors, conditioner, denoiser, vae};

/// Fewer queries at a time than this are not worth a launch, and more of them come in steps of so many.
const LEAST_CHUNK: usize = 1024;
/// What a device's context, compiled kernels and what is on its way there take beside tensors.
const OVERHEAD: u64 = 768 << 20;
/// The widest head that our kernels take.
const WIDEST_HEAD: usize = 64;

/// The memory that may be used, and the memory that the card has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes that may be used.
    pub limit: u64,
    /// Bytes of the whole card: its allocator's pages are as large as they are because of it.
    pub card: u64,
}

/// A part's memory: bytes of each tensor, and how many there are of it at a time.
#[derive(Clone, Debug, Default)]
struct Work {
    /// Parameters.
    held: Vec<(u64, u64)>,
    /// What comes and goes, of each size of a batch: pages that one size has taken stay for the next.
    passing: Vec<Vec<(u64, u64)>>,
}

/// What a run needs on its device at the most.
#[derive(Clone, Debug)]
pub struct MemoryNeed {
    encoding: Work,
    sampling: Work,
    /// Apart from its queries.
    decoding: Work,
    /// Of each query that is decoded at a time.
    query: Vec<(u64, u64)>,
}

/// Bytes of a tensor of a transformer's block, by the widths of its rows.
struct Block {
    rows: usize,
    width: usize,
    middle: usize,
    heads: usize,
    /// Queries and keys of its attention, of all of the batch and of one.
    queries: usize,
    keys: usize,
}

impl MemoryNeed {
    /// Computes the need of a model that makes one shape at a time. With `own_kernels`, attention's scores, norms and activations
    /// exist inside our kernels alone; plain Burn has tensors for them, but sets of samples on the host, where the field's values always lie.
    #[must_use]
    pub fn of(config: &ModelConfig, precision: Precision, own_kernels: bool) -> Self {
        Self::of_several(config, precision, own_kernels, 1)
    }

    /// The same with up to so many shapes sampled in one batch. They are encoded and read off one by one.
    #[must_use]
    pub fn of_several(config: &ModelConfig, precision: Precision, own_kernels: bool, shapes: usize) -> Self {
        let bytes = precision.bytes();
        // Ours compute in half precision.
        let own = own_kernels && precision != Precision::Float32;
        let parameters = |tensors: Tensors| tensors.0.into_iter().map(|(size, count)| (size * bytes, count)).collect();
        let block = |block: Block| block.tensors(bytes, own);
        let shapes = shapes.max(1);
        let views = config.conditioner.most_views();
        let (dino, dit, decoder) = (&config.conditioner.dino, &config.denoiser, &config.vae);

        let seen = config.conditioner.patches().pow(2) + 1;
        let gates = if dino.use_swiglu_ffn { 2 } else { 1 };
        let mut encoding = block(Block {
            rows: views * seen,
            width: dino.hidden_size,
            middle: gates * dino.mlp_width(),
            heads: dino.num_attention_heads,
            queries: views * seen,
            keys: seen,
        });

        let (halves, tokens) = (config.halves(), config.step_tokens());
        if shapes > 1 {
            // Each waits, encoded, for the others.
            let own = halves * views * config.conditioner.tokens() * dit.context_in_dim;
            encoding.push((own as u64 * bytes, shapes as u64));
        }
        let modulations = |vectors: usize| (STEPS_AT_ONCE * vectors * dit.hidden_size) as u64 * bytes;
        let sampling = (1..=shapes).map(|shapes| {
            let batch = shapes * halves;
            let mut sampling = block(Block {
                rows: batch * tokens,
                width: dit.hidden_size,
                middle: dit.mlp_width(),
                heads: dit.num_heads,
                queries: batch * tokens,
                keys: tokens,
            });
            sampling.push((modulations(6), 2 * dit.depth as u64));
            sampling.push((modulations(3), dit.depth_single_blocks as u64));
            // The condition as it came, and what is kept of it.
            sampling.push(((batch * tokens * dit.hidden_size) as u64 * bytes, 1));
            sampling
        });

        let latents = decoder.num_latents;
        let decoding = block(Block {
            rows: latents,
            width: decoder.width,
            middle: 4 * decoder.width,
            heads: decoder.heads,
            queries: latents,
            keys: latents,
        });
        let geo = decoder.geo_width();
        let query = Block {
            rows: 1,
            width: geo,
            middle: geo * decoder.geo_decoder_mlp_expand_ratio,
            heads: decoder.geo_heads(),
            // Counted below: they come in blocks of a fixed size, whatever the chunk.
            queries: 0,
            keys: 0,
        };
        let mut query = query.tensors(bytes, own);
        query.push((decoder.embedded_point().next_multiple_of(64) as u64 * bytes.max(if own { 0 } else { 4 }), 3));
        let mut decoding = decoding;
        if shapes > 1 {
            decoding.push(((latents * decoder.embed_dim) as u64 * 4, shapes as u64));
        }
        decoding.extend(scores(SCORES, bytes, own && geo / decoder.geo_heads() <= WIDEST_HEAD));
        // The shape's keys and values, and what they were made of.
        decoding.push(((latents * geo) as u64 * bytes, 4));
        // FlashVDM's keys and values of a chunk's groups, in one piece each, and those that the chunk before left one group open in.
        decoding.push(((GROUPS_AT_ONCE * flash_key_count(latents) * geo) as u64 * bytes, 4));
        if own_kernels {
            // The search's sets of samples, of the widest grid that it is on the device for.
            let set = WIDEST_ON_DEVICE * WIDEST_ON_DEVICE * sets::words(WIDEST_ON_DEVICE) * size_of::<u32>();
            decoding.push((set as u64, SETS as u64));
        }
        Self {
            encoding: Work { held: parameters(conditioner(&config.conditioner)), passing: vec![encoding] },
            sampling: Work { held: parameters(denoiser(dit)), passing: sampling.collect() },
            decoding: Work { held: parameters(vae(decoder)), passing: vec![decoding] },
            query,
        }
    }

    /// The most memory that a run with `chunk` queries at a time takes on a card of so many bytes; none: more than its
    /// allocator gives in one piece.
    #[must_use]
    pub fn peak(&self, card: u64, chunk: usize, residency: Residency) -> Option<u64> {
        let pages = Pages::of_card(card);
        let mut decoding = self.decoding.clone();
        let queries = self.query.iter().map(|(bytes, count)| (bytes * chunk as u64, *count));
        decoding.passing.iter_mut().for_each(|passing| passing.extend(queries.clone()));
        let mut all = Vec::new();
        for work in [&self.encoding, &self.sampling, &decoding] {
            all.push(work.taken(&pages)?);
        }
        let most = match residency {
            // All parts' pages go back before the next one's are taken.
            Residency::InTurn => all.iter().map(|(held, passing)| pages.whole(held, passing)).max(),
            // Pages that one part's work leaves are the next one's.
            Residency::Whole => all
                .into_iter()
                .reduce(|(mut held, mut passing), (more, other)| {
                    held.iter_mut().zip(more).for_each(|(held, more)| *held += more);
                    raise(&mut passing, other);
                    (held, passing)
                })
                .map(|(held, passing)| pages.whole(&held, &passing)),
        };
        Some(OVERHEAD + most.unwrap_or_default())
    }

    /// The largest chunk, up to `wanted`, with which a run keeps within a budget.
    ///
    /// # Errors
    /// [`ModelErrorKind::Memory`], with the numbers, where none does.
    pub fn fit(&self, budget: Budget, wanted: usize, residency: Residency) -> Result<usize, ModelError> {
        let wanted = wanted.max(1);
        let fits = |chunk: &usize| self.peak(budget.card, *chunk, residency).is_some_and(|peak| peak <= budget.limit);
        let steps = (1..=wanted / LEAST_CHUNK).rev().map(|steps| steps * LEAST_CHUNK);
        let found = std::iter::once(wanted).chain(steps).find(fits);
        found.ok_or_else(|| {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            let least = LEAST_CHUNK.min(wanted);
            let sum = |tensors: &[(u64, u64)]| mib(tensors.iter().map(|(bytes, count)| bytes * count).sum());
            let how = match residency {
                Residency::Whole => "with all of its parts there",
                Residency::InTurn => "with one part at a time",
            };
            let peak = self.peak(budget.card, least, residency).map_or_else(|| "more".to_owned(), |peak| mib(peak).to_string());
            let [encoder, transformer, decoder] = [&self.encoding, &self.sampling, &self.decoding].map(|work| &work.held);
            ModelError::new(
                ModelErrorKind::Memory,
                format!(
                    "the model needs {peak} MiB of device memory {how} ({} queries a time; weights: encoder {} MiB, transformer \
                     {} MiB, decoder {} MiB), but may use {} MiB",
                    least,
                    sum(encoder),
                    sum(transformer),
                    sum(decoder),
                    budget.limit >> 20
                ),
            )
        })
    }
}

impl Work {
    /// Bytes of what is held and of the most that passes, in each class of pages; none where a tensor is larger than any.
    fn taken(&self, pages: &Pages) -> Option<(Taken, Taken)> {
        let held = pages.sum(&self.held)?;
        let mut most = vec![0; held.len()];
        for passing in &self.passing {
            raise(&mut most, pages.sum(passing)?);
        }
        Some((held, most))
    }
}

/// Raises each class to what another time takes of it.
fn raise(most: &mut Taken, other: Taken) {
    most.iter_mut().zip(other).for_each(|(most, other)| *most = (*most).max(other));
}

/// What attention in plain Burn has at a time beside its result: scores narrow twice and wide twice.
fn scores(count: usize, bytes: u64, own: bool) -> Vec<(u64, u64)> {
    if own { Vec::new() } else { vec![(count as u64 * bytes, 2), (count as u64 * 4, 2)] }
}

impl Block {
    /// At the most: what goes in and out, a norm, queries, keys and values before and after their norms, attention; or the
    /// MLP's middle instead.
    fn tensors(&self, bytes: u64, own: bool) -> Vec<(u64, u64)> {
        let own = own && self.width / self.heads.max(1) <= WIDEST_HEAD;
        let narrow = (self.rows * self.width) as u64 * bytes;
        let middle = (self.rows * self.middle) as u64;
        let mut tensors = vec![(narrow, 5), (3 * narrow, 2), (middle * bytes, 1)];
        if !own {
            tensors.extend([(middle * bytes, 1), ((self.rows * self.width) as u64 * 4, 3), (middle * 4, 3)]);
        }
        tensors.extend(scores((self.heads * self.queries * self.keys).min(SCORES), bytes, own));
        tensors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::preset;

    const H100: u64 = 85_520_809_984;
    const H200: u64 = 150_754_820_096;

    fn full(own_kernels: bool) -> MemoryNeed {
        MemoryNeed::of(&preset("hunyuan3d-2").unwrap(), Precision::Float16, own_kernels)
    }

    fn gib(bytes: u64) -> f64 {
        bytes as f64 / f64::from(1 << 30)
    }

    #[test]
    fn the_published_sizes_come_out() {
        let full = Parameters::of(&preset("hunyuan3d-2").unwrap());
        // gpu.md: 1.113, 1.136 and 0.214 billion.
        assert_eq!(full.denoiser / 1_000_000, 1113);
        assert_eq!(full.conditioner / 1_000_000, 1136);
        assert_eq!(full.vae / 1_000_000, 214);
    }

    #[test]
    fn what_was_measured_is_within_what_is_said_and_not_far_below() {
        // BENCHMARKS.md and docs/CUDA_MEMORY_OPTIMIZATION.md: card, queries at a time, what is there, GiB seen.
        for (card, chunk, residency, seen) in [
            (H200, 7168, Residency::Whole, 6.1),
            (H200, 65_536, Residency::Whole, 8.7),
            (H100, 65_536, Residency::Whole, 11.83),
            (H100, 32_768, Residency::InTurn, 4.18),
        ] {
            let said = gib(full(true).peak(card, chunk, residency).unwrap());
            println!("{chunk} queries at a time, {residency:?}: {seen} GiB seen, {said:.2} said");
            assert!(
                said >= seen && said <= 1.35 * seen,
                "{chunk} queries, {residency:?}: {seen} GiB seen, {said:.2} said"
            );
        }
        // Plain Burn, which our kernels took the place of: a bound, no more.
        for (card, chunk, seen) in [(H100, 8000, 6.9), (H100, 65_536, 13.9), (H200, 65_536, 18.2)] {
            let said = gib(full(false).peak(card, chunk, Residency::Whole).unwrap());
            println!("plain, {chunk} queries at a time: {seen} GiB seen, {said:.2} said");
            assert!(said >= seen, "plain, {chunk} queries at a time: {seen} GiB seen, {said:.2} said");
        }
    }

    #[test]
    fn cards_before_ours_need_more() {
        for residency in [Residency::Whole, Residency::InTurn] {
            let of = |own: bool| full(own).peak(16 << 30, 8192, residency).unwrap();
            // Scores alone: twice narrow, twice wide.
            assert!(of(false) > of(true) + (SCORES as u64 * 12), "{residency:?}");
        }
        // In float32 there are none of ours but those for sets.
        let of = |own: bool| MemoryNeed::of(&preset("hunyuan3d-2").unwrap(), Precision::Float32, own).decoding.passing;
        let (ours, plain) = (of(true), of(false));
        assert_eq!(ours[0][..plain[0].len()], plain[0]);
        assert_eq!(ours[0][plain[0].len()..], [(513 * 513 * 18 * 4, SETS as u64)]);
    }

    #[test]
    fn shapes_in_one_batch_need_more_and_only_while_they_are_sampled() {
        let config = preset("hunyuan3d-2").unwrap();
        let of = |shapes: usize| MemoryNeed::of_several(&config, Precision::Float16, true, shapes);
        let one = full(true);
        for card in [24 << 30, H100, H200] {
            for residency in [Residency::Whole, Residency::InTurn] {
                let peak = |shapes: usize| of(shapes).peak(card, LEAST_CHUNK, residency).unwrap();
                assert_eq!(peak(1), one.peak(card, LEAST_CHUNK, residency).unwrap());
                let peaks: Vec<_> = (1..=8).map(peak).collect();
                assert!(peaks.is_sorted() && peak(32) > peaks[0], "{peaks:?}");
            }
        }
        // Eight with guidance: sixteen times 4442 rows, whose widest tensors are four times as wide as the transformer.
        let sampling =
            |shapes: usize| of(8).sampling.passing[shapes - 1].iter().map(|(bytes, count)| bytes * count).sum::<u64>();
        let middle = (config.step_rows() * config.denoiser.mlp_width()) as u64 * 2;
        assert!(sampling(8) - sampling(1) >= 7 * middle);
        let weights = |need: &MemoryNeed| need.sampling.held.clone();
        assert_eq!(weights(&of(8)), weights(&one), "weights are there once for all");
    }

    #[test]
    fn chunks_shrink_to_fit_and_too_little_is_said_in_numbers() {
        let need = full(true);
        let whole = |limit: u64, card: u64| need.fit(Budget { limit, card }, 65_536, Residency::Whole);
        assert_eq!(whole(68 << 30, 80 << 30).unwrap(), 65_536);
        for card in [8 << 30, 24 << 30, H100, H200] {
            let limit = need.peak(card, 8 * LEAST_CHUNK, Residency::Whole).unwrap();
            let chunk = whole(limit, card).unwrap();
            assert!(chunk >= 8 * LEAST_CHUNK && need.peak(card, chunk, Residency::Whole).unwrap() <= limit);
        }
        // As many as were asked for, if they are few.
        assert_eq!(need.fit(Budget { limit: 68 << 30, card: 80 << 30 }, 100, Residency::Whole).unwrap(), 100);
        let error = whole(4 << 30, 24 << 30).unwrap_err();
        assert_eq!(error.kind(), ModelErrorKind::Memory);
        assert!(error.to_string().contains("may use 4096 MiB"), "{error}");
        // Larger than any page of the card.
        let error = need.fit(Budget { limit: 1 << 30, card: 1 << 28 }, 8192, Residency::InTurn).unwrap_err();
        assert!(error.to_string().contains("needs more MiB"), "{error}");
    }

    #[test]
    fn six_gigabytes_and_four_hold_the_full_size_one_part_at_a_time() {
        let fit = |limit: u64, card: u64, residency| full(true).fit(Budget { limit, card }, 65_536, residency);
        for card in [6 << 30, 8 << 30, 12 << 30, 24 << 30, H100, H200] {
            let chunk = fit(6_000_000_000, card, Residency::InTurn).unwrap();
            assert!(chunk >= 32_768, "{chunk} queries at a time on a card of {:.0} GiB", gib(card));
            assert!(fit(6_000_000_000, card, Residency::Whole).is_err(), "weights alone are 4.6 GiB");
        }
        assert!(fit(4_000_000_000, 4 << 30, Residency::InTurn).unwrap() >= 32_768);
        // A limit on a large card is not the same: its pages are larger.
        assert!(fit(4_000_000_000, H100, Residency::InTurn).is_err());
    }
}
